//! What the manifests of a trace name, and which of it a loss of power could bring back.

use super::call::Call;
use super::order::{Trace, record};
use esker::base::filename::{FileKind, FileNumber};
use esker::version::{StoreState, decode_edit};
use std::collections::{BTreeSet, HashMap};

/// What is needed after an edit.
struct Needed<'a> {
    write: &'a Call,
    tables: BTreeSet<FileNumber>,
    oldest_log: FileNumber,
}

/// The switches of `CURRENT` in their order, and what the manifests say after each of their edits.
pub(super) struct Manifests<'a> {
    switches: Vec<(&'a Call, String)>,
    edits: HashMap<&'a str, Vec<Needed<'a>>>,
}

impl<'a> Manifests<'a> {
    pub(super) fn new(trace: &Trace<'a>) -> Manifests<'a> {
        let mut states: HashMap<&str, StoreState> = HashMap::new();
        let mut edits: HashMap<&str, Vec<Needed<'_>>> = HashMap::new();
        for write in trace.named("pwrite64").filter(|call| call.file.starts_with("MANIFEST-")) {
            // What is no edit is the header of the file.
            let edit = write.strings.first().and_then(|data| record(data)).filter(|(kind, _)| *kind == 1);
            let Some(edit) = edit.and_then(|(_, payload)| decode_edit(payload).ok()) else { continue };
            let state = states.entry(&write.file).or_default();
            state.apply(&edit).expect("an edit that fits");
            let (tables, oldest_log) = (state.table_numbers().collect(), state.oldest_wal);
            edits.entry(&write.file).or_default().push(Needed { write, tables, oldest_log });
        }
        let mut switches: Vec<_> =
            trace.switches().map(|(call, from)| (call, trace.manifest_in(&from))).collect();
        switches.sort_by_key(|(call, _)| call.start);
        Manifests { switches, edits }
    }

    /// Whether a loss of power at a moment could leave a store that needs the file.
    pub(super) fn name(&self, trace: &Trace<'_>, file: &str, moment: usize) -> bool {
        let begun = self.switches.partition_point(|(call, _)| call.start < moment);
        let durable = |(call, _): &(&Call, String)| trace.synced_between(trace.dir, call.end, moment);
        let certain = self.switches[..begun].iter().rposition(durable).unwrap_or(0);
        self.switches[certain..begun].iter().any(|(_, manifest)| {
            let edits = self.edits.get(manifest.as_str()).map_or(&[][..], Vec::as_slice);
            let begun = edits.partition_point(|edit| edit.write.start < moment);
            let durable = |edit: &Needed<'_>| trace.synced_between(manifest, edit.write.end, moment);
            let certain = edits[..begun].iter().rposition(durable).unwrap_or(0);
            match FileKind::parse(file) {
                Some(FileKind::Table(number)) => {
                    edits[certain..begun].iter().any(|edit| edit.tables.contains(&number))
                }
                Some(FileKind::Wal(number)) => {
                    edits[certain..begun].iter().any(|edit| edit.oldest_log <= number)
                }
                Some(FileKind::Manifest(_)) => file == manifest,
                _ => false,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use esker::base::key::{NEVER, Trailer};
    use esker::version::{Edit, EditOp, TableMeta, encode_edit};
    use std::sync::Arc;

    fn written(file: &str, edit: Edit) -> (&'static str, String, Vec<Vec<u8>>) {
        let mut payload = Vec::new();
        encode_edit(&mut payload, &edit);
        let mut data = vec![0; 32];
        data[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        data[28] = 1;
        data.extend(payload);
        ("pwrite64", file.into(), vec![data])
    }

    fn family_with(table: Option<FileNumber>) -> Edit {
        let mut edit = Edit::default();
        edit.push(EditOp::CreateFamily { id: 0, name: "default".into(), options: Vec::new() });
        if let Some(number) = table {
            let key = || (b"key".to_vec(), Trailer::FIRST);
            let meta = Arc::new(TableMeta {
                number,
                identity: 1,
                size: 100,
                smallest: key(),
                largest: key(),
                min_seq: 1,
                max_seq: 1,
                entries: 1,
                deletions: 0,
                earliest_expiry: NEVER,
                latest_expiry: NEVER,
                oldest_deletion_ms: NEVER,
                cleaned_seq: 0,
                ingested_seq: 0,
                blobs: Vec::new(),
            });
            edit.push(EditOp::AddTable { family: 0, level: 0, meta });
        }
        edit
    }

    fn switch_to(manifest: &str, temp: &str) -> Vec<(&'static str, String, Vec<Vec<u8>>)> {
        vec![
            ("fdatasync", manifest.into(), vec![]),
            ("fsync", "store".into(), vec![]),
            ("pwrite64", temp.into(), vec![format!("1 2 {manifest} 4").into_bytes()]),
            ("fdatasync", temp.into(), vec![]),
            ("rename", String::new(), vec![temp.into(), b"CURRENT".to_vec()]),
        ]
    }

    /// The violations of a table's removal `later` steps behind the edit that drops it, which is synced or
    /// not, while another thread switches to a second manifest; `None` when that is done before.
    fn removed_beside_a_switch(synced: bool, later: usize) -> Option<Vec<String>> {
        let mut steps = vec![("openat", String::new(), vec![b"MANIFEST-000001".to_vec()])];
        steps.push(written("MANIFEST-000001", family_with(Some(83))));
        steps.extend(switch_to("MANIFEST-000001", "000002.tmp"));
        steps.push(("fsync", "store".into(), vec![]));
        let remove = EditOp::RemoveTable { family: 0, level: 0, number: 83 };
        steps.push(written("MANIFEST-000001", Edit(vec![remove])));
        if synced {
            steps.push(("fdatasync", "MANIFEST-000001".into(), vec![]));
        }
        let at = steps.len() + later;
        steps.push(("openat", String::new(), vec![b"MANIFEST-000084".to_vec()]));
        steps.push(("pwrite64", "MANIFEST-000084".into(), vec![vec![0; 64]]));
        steps.push(written("MANIFEST-000084", family_with(None)));
        steps.extend(switch_to("MANIFEST-000084", "000085.tmp"));
        if at > steps.len() {
            return None;
        }
        steps.insert(at, ("unlink", String::new(), vec![b"000083.sst".to_vec()]));
        steps.push(("fsync", "store".into(), vec![]));
        steps.push(("unlink", String::new(), vec![b"MANIFEST-000001".to_vec()]));
        let call = |(at, (name, file, strings)): (usize, (&str, String, Vec<Vec<u8>>))| Call {
            name: name.into(),
            start: at,
            end: at,
            result: 0,
            file,
            strings,
            rest: "O_EXCL".into(),
        };
        Some(check(&steps.into_iter().enumerate().map(call).collect::<Vec<_>>(), "store").violations)
    }

    /// A thread that removed a table beside another's switch to a new manifest was blamed.
    #[test]
    fn a_removal_beside_a_switch_counts_by_what_a_loss_of_power_could_leave() {
        for (synced, violations) in [(true, 0), (false, 1)] {
            let found: Vec<_> = (0..).map_while(|later| removed_beside_a_switch(synced, later)).collect();
            assert_eq!(found.len(), 9);
            assert!(found.iter().all(|found| found.len() == violations), "{found:#?}");
        }
    }
}
