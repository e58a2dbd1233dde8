//! What must have reached the disk before what.

use super::call::Call;
use super::manifests::Manifests;
use esker::version::{EditOp, edit_ops};
use esker::wal::decode_group;

/// The size of the header in front of a record's payload.
const RECORD_HEADER: usize = 32;

/// What was found in a trace.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Reports of durability.
    pub reports: usize,
    /// Writes of groups to the log.
    pub groups: usize,
    /// Tables that the manifest names.
    pub tables: usize,
    /// Segments of the log that were created.
    pub segments: usize,
    /// Switches of `CURRENT`.
    pub switches: usize,
    /// Files that were removed.
    pub removals: usize,
    /// Whatever was relied on too early.
    pub violations: Vec<String>,
}

pub(super) struct Trace<'a> {
    calls: &'a [Call],
    /// The name of the store's directory.
    pub(super) dir: &'a str,
}

/// Checks the calls of one process that opened the store in the directory `dir` (its last part).
#[must_use]
pub fn check(calls: &[Call], dir: &str) -> Findings {
    let trace = Trace { calls, dir };
    let mut findings = Findings::default();
    trace.check_reports(&mut findings);
    trace.check_tables(&mut findings);
    trace.check_segments(&mut findings);
    trace.check_current(&mut findings);
    trace.check_removals(&mut findings);
    findings
}

/// The check is not blind: whatever kind of sync is taken away from a trace that it passes, it notices.
///
/// # Panics
/// If it does not.
pub fn check_sees(calls: &[Call], dir: &str) {
    let sees = |what: &str, left_out: &dyn Fn(&Call) -> bool| {
        let kept: Vec<Call> = calls.iter().filter(|call| !left_out(call)).cloned().collect();
        assert!(!check(&kept, dir).violations.is_empty(), "syncs of {what} may be left out unnoticed");
    };
    let sync = |call: &Call| call.name.ends_with("sync");
    for suffix in [".log", ".sst", ".tmp", dir] {
        sees(suffix, &|call| sync(call) && call.file.ends_with(suffix));
    }
    sees("the manifest", &|call| sync(call) && call.file.starts_with("MANIFEST-"));
}

impl<'a> Trace<'a> {
    pub(super) fn named(&self, name: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.name == name && call.result >= 0)
    }

    fn writes(&self, file: &str) -> impl Iterator<Item = &'a Call> {
        self.named("pwrite64").filter(move |call| call.file == file)
    }

    /// When the first sync of `file` that began after `from` had returned.
    fn synced(&self, file: &str, from: usize) -> Option<usize> {
        let syncs = self.named("fdatasync").chain(self.named("fsync"));
        syncs.filter(|call| call.file == file && call.start > from).map(|call| call.end).min()
    }

    /// Whether a sync of `file` lies wholly between two moments.
    pub(super) fn synced_between(&self, file: &str, from: usize, to: usize) -> bool {
        self.synced(file, from).is_some_and(|end| end < to)
    }

    /// When the file was created.
    fn created(&self, file: &str) -> Option<usize> {
        self.named("openat").find(|c| c.rest.contains("O_EXCL") && c.path(0) == file).map(|c| c.end)
    }

    /// When a file had its name.
    fn renamed(&self) -> impl Iterator<Item = (&'a Call, String, String)> {
        let renames = ["rename", "renameat", "renameat2"].into_iter().flat_map(|name| self.named(name));
        renames.map(|call| (call, call.path(0), call.path(1)))
    }

    /// The switches of `CURRENT`, and the files that became it.
    pub(super) fn switches(&self) -> impl Iterator<Item = (&'a Call, String)> {
        self.renamed().filter(|(.., to)| to == "CURRENT").map(|(call, from, _)| (call, from))
    }

    /// The manifest that the line in the file `from` names.
    pub(super) fn manifest_in(&self, from: &str) -> String {
        let line = self.writes(from).next().and_then(|call| call.strings.first());
        let text = line.map_or("".into(), |data| String::from_utf8_lossy(data));
        text.split(' ').nth(2).unwrap_or_default().to_owned()
    }

    /// A report of durability must follow the syncs of all writes up to what it reports; each began when
    /// its write had returned.
    fn check_reports(&self, findings: &mut Findings) {
        // First and last sequence number of a group, and when it was durable.
        let mut groups: Vec<(u64, u64, Option<usize>)> = Vec::new();
        for write in self.named("pwrite64").filter(|call| call.file.ends_with(".log")) {
            let Some((first, last)) = write.strings.first().and_then(|data| group(data)) else { continue };
            groups.push((first, last, self.synced(&write.file, write.end)));
        }
        groups.sort_unstable();
        findings.groups = groups.len();
        let Some(before_first) = groups.first().map(|(first, ..)| first - 1) else { return };
        for call in self.named("write") {
            let text = call.strings.first().map_or("".into(), |data| String::from_utf8_lossy(data));
            let Some(seq) = reported(&text, before_first) else { continue };
            findings.reports += 1;
            let covered = groups.last().is_some_and(|(_, last, _)| seq <= *last);
            let up_to = groups.iter().filter(|(first, ..)| *first <= seq);
            let durable = up_to.map(|(.., synced)| synced.unwrap_or(usize::MAX)).max().unwrap_or(usize::MAX);
            if !covered || durable >= call.start {
                findings.violations.push(format!("line {}: {} too early", call.start, text.trim_end()));
            }
        }
    }

    /// An edit that names a table must follow the table's syncs, content and directory.
    fn check_tables(&self, findings: &mut Findings) {
        let mut seen = Vec::new();
        for write in self.named("pwrite64").filter(|call| call.file.starts_with("MANIFEST-")) {
            for number in write.strings.first().map(|data| added_tables(data)).unwrap_or_default() {
                let file = format!("{number:06}.sst");
                // A new manifest repeats what was named before, and what was there before the trace.
                let Some(created) = self.created(&file).filter(|_| !seen.contains(&number)) else { continue };
                seen.push(number);
                findings.tables += 1;
                let last = self.writes(&file).map(|call| call.end).max().unwrap_or(usize::MAX - 1);
                if !self.synced_between(&file, last, write.start) {
                    findings.violations.push(format!("line {}: {file} is named unsynced", write.start));
                }
                if !self.synced_between(self.dir, created, write.start) {
                    findings.violations.push(format!("line {}: {file} has no durable name", write.start));
                }
            }
        }
    }

    /// The first record of a segment must follow the sync of its header and of its name.
    fn check_segments(&self, findings: &mut Findings) {
        for (rename, from, to) in self.renamed().filter(|(.., to)| to.ends_with(".log")) {
            findings.segments += 1;
            let header = self.writes(&from).map(|call| call.end).max().unwrap_or(usize::MAX - 1);
            if !self.synced_between(&from, header, rename.start) {
                findings.violations.push(format!("line {}: {to} has no synced header", rename.start));
            }
            let first = self.writes(&to).map(|call| call.start).min().unwrap_or(usize::MAX);
            if !self.synced_between(self.dir, rename.end, first) {
                findings.violations.push(format!("line {first}: {to} has no durable name"));
            }
        }
    }

    /// `CURRENT` must be switched to a synced manifest with a durable name, and the switch be durable
    /// before anything is removed, logged or reported.
    fn check_current(&self, findings: &mut Findings) {
        let reports = |data: &Vec<u8>| reported(&String::from_utf8_lossy(data), 0).is_some();
        let mut later = false;
        for (rename, from) in self.switches() {
            findings.switches += 1;
            let mut wrong = |what: String| findings.violations.push(format!("line {}: {what}", rename.start));
            let line = self.writes(&from).next();
            let manifest = self.manifest_in(&from);
            let manifest = manifest.as_str();
            if !self.synced_between(&from, line.map_or(usize::MAX - 1, |call| call.end), rename.start) {
                wrong("CURRENT is switched to an unsynced line".into());
            }
            let before = self.writes(manifest).filter(|call| call.start < rename.start);
            let last = before.map(|call| call.end).max().unwrap_or(usize::MAX - 1);
            if !self.synced_between(manifest, last, rename.start) {
                wrong(format!("CURRENT is switched to {manifest}, which is unsynced"));
            }
            let created = self.created(manifest).unwrap_or(usize::MAX - 1);
            if !self.synced_between(self.dir, created, rename.start) {
                wrong(format!("CURRENT is switched to {manifest}, which has no durable name"));
            }
            // Opening is one thread, which goes on only then. Later others work beside the switch: they rely
            // on edits, and the first edit behind the switch comes when it is durable.
            let relies = |call: &&Call| match call.name.as_str() {
                "pwrite64" if later => call.file == manifest,
                "unlink" | "unlinkat" | "pwrite64" => !later,
                "write" => !later && call.strings.first().is_some_and(&reports),
                _ => false,
            };
            let next = self.calls.iter().filter(|call| call.start > rename.end).find(relies);
            if !self.synced_between(self.dir, rename.end, next.map_or(usize::MAX, |call| call.start)) {
                wrong("the switch of CURRENT is relied on before it is durable".into());
            }
            later = true;
        }
    }

    /// A file is removed only when nothing that a loss of power could leave names it.
    fn check_removals(&self, findings: &mut Findings) {
        let manifests = Manifests::new(self);
        for call in self.named("unlink").chain(self.named("unlinkat")) {
            findings.removals += 1;
            if manifests.name(self, &call.path(0), call.start) {
                findings.violations.push(format!("line {}: {} is removed early", call.start, call.path(0)));
            }
        }
    }
}

/// The sequence number up to which a line says that writes are durable: `durable N` of an import, whose
/// first record comes behind `before_first`, or `done WRITER COMMIT FIRST LAST synced` of a stress run.
fn reported(text: &str, before_first: u64) -> Option<u64> {
    match text.trim_end().split(' ').collect::<Vec<_>>()[..] {
        ["durable", records] => Some(before_first + records.parse::<u64>().ok()?),
        ["done", _, _, _, last, "synced"] => last.parse().ok(),
        _ => None,
    }
}

/// The payload of the record that was written, and its kind.
pub(super) fn record(data: &[u8]) -> Option<(u8, &[u8])> {
    let length = u64::from_le_bytes(data.get(8..16)?.try_into().ok()?);
    let end = RECORD_HEADER.checked_add(usize::try_from(length).ok()?)?;
    Some((*data.get(28)?, data.get(RECORD_HEADER..end)?))
}

/// The first and the last sequence number of a group.
fn group(data: &[u8]) -> Option<(u64, u64)> {
    let (kind, payload) = record(data)?;
    let (header, batches) = decode_group(payload).ok().filter(|_| kind == 1)?;
    let last = batches.map_while(Result::ok).last()?;
    Some((header.first_seq, last.first_seq + u64::from(last.count) - 1))
}

/// The numbers of the tables that an edit adds.
fn added_tables(data: &[u8]) -> Vec<u64> {
    let Some((1, payload)) = record(data) else { return Vec::new() };
    let added = edit_ops(payload).map_while(Result::ok).filter_map(|op| match op {
        EditOp::AddTable { meta, .. } => Some(meta.number),
        _ => None,
    });
    added.collect()
}
