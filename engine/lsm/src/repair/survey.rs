//! What is left of a store: manifest, tables, and the segments of its log.

use super::manifest::{self, Manifests};
use super::report::{Comeback, FileReport, FileState, LostRange, ManifestUse, RepairReport};
use super::tables::{self, Table};
use crate::base::checksum::Identity;
use crate::base::error::Result;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::sync::Arc;
use crate::fs::Fs;
use crate::version::{StoreState, TableMeta};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// A table with its place in the tree, as far as that is known.
pub(super) struct Placed {
    pub(super) table: Table,
    pub(super) family: u32,
    /// The level; `None` without a manifest.
    pub(super) level: Option<usize>,
    pub(super) meta: Option<Arc<TableMeta>>,
}

/// A damaged store.
pub(super) struct Survey {
    /// What the manifest says, if it can be believed.
    pub(super) state: Option<StoreState>,
    /// Names and options of families, as far as they are known.
    pub(super) families: BTreeMap<u32, (String, Vec<u8>)>,
    /// The layer that wrote the store, if that is known.
    pub(super) layer: Option<String>,
    /// The tables to save, in the order of their numbers.
    pub(super) tables: Vec<Placed>,
    /// The segments of the log, in the order of their numbers.
    pub(super) segments: Vec<FileNumber>,
    /// The greatest number in any file's name.
    pub(super) greatest_number: FileNumber,
}

/// Looks at everything in `dir`, and begins the report.
pub(super) fn survey(fs: &Fs, dir: &Path, report: &mut RepairReport) -> Result<Survey> {
    let names = fs.list(dir)?;
    let Manifests { mut state, torn, usage, families, layer, files } = manifest::find(fs, dir, &names)?;
    report.manifest = usage;
    report.files.extend(files);
    if let (Some(found), Some(why)) = (&state, &torn) {
        if is_complete(found, &names) {
            let why = format!("{why}: had it been completed, a family that it dropped is back");
            report.comebacks.push(Comeback { family: None, from: None, to: None, why });
        } else {
            // What the lost edit had made unneeded is gone: the state before it no longer holds.
            let why = format!("{why}, and files that the edits before it name are gone");
            report.manifest = ManifestUse::NamesOnly { why };
            state = None;
        }
    }
    let numbers = names.iter().filter_map(|name| FileKind::parse(name));
    let segments = numbers.clone().filter_map(|kind| match kind {
        FileKind::Wal(number) => Some(number),
        _ => None,
    });
    let mut survey = Survey {
        families,
        layer,
        tables: Vec::new(),
        segments: segments.collect(),
        greatest_number: numbers.filter_map(FileKind::number).max().unwrap_or(0),
        state,
    };
    survey.segments.sort_unstable();
    match survey.state.take() {
        Some(state) => {
            survey.named_tables(fs, dir, &names, &state, report)?;
            survey.state = Some(state);
        }
        None => survey.all_tables(fs, dir, &names, report)?,
    }
    for placed in &survey.tables {
        report.files.push(placed.table.report(placed.meta.as_deref(), None));
    }
    for name in &names {
        if let Some(FileKind::Temp(_)) = FileKind::parse(name) {
            let bytes = fs.open(&dir.join(name)).and_then(|file| file.size()).unwrap_or(0);
            report.files.push(unused(name, bytes, "it was being written"));
        }
    }
    Ok(survey)
}

pub(super) fn unused(name: &str, bytes: u64, why: &str) -> FileReport {
    FileReport {
        name: name.to_owned(),
        state: FileState::Unused,
        bytes,
        saved: 0,
        lost: Some(0),
        seqs: None,
        why: Some(why.to_owned()),
    }
}

/// Whether the files that a state names are there.
fn is_complete(state: &StoreState, names: &[String]) -> bool {
    let there: HashSet<FileKind> = names.iter().filter_map(|name| FileKind::parse(name)).collect();
    let log = state.oldest_wal == 0 || there.contains(&FileKind::Wal(state.oldest_wal));
    log && state.table_numbers().all(|number| there.contains(&FileKind::Table(number)))
}

impl Survey {
    /// The tables that the manifest names; a table that stands under another's name is found by its
    /// identity.
    fn named_tables(
        &mut self,
        fs: &Fs,
        dir: &Path,
        names: &[String],
        state: &StoreState,
        report: &mut RepairReport,
    ) -> Result<()> {
        let found = tables::tables_in(names);
        let identities: HashMap<&str, Identity> = found
            .iter()
            .filter_map(|(_, name)| Some((name.as_str(), tables::identity_of(fs, &dir.join(name))?)))
            .collect();
        let mut used = HashSet::new();
        for (id, family) in &state.families {
            self.families.insert(*id, (family.name.clone(), family.options.clone()));
            for (level, metas) in family.tables.iter().enumerate() {
                for meta in metas.values() {
                    let own = FileKind::Table(meta.number).name();
                    let elsewhere = identities.iter().find(|(name, identity)| {
                        **identity == meta.identity
                            && **name != own
                            && identities.get(&own[..]) != Some(identity)
                    });
                    let name = elsewhere.map_or(own, |(name, _)| (*name).to_owned());
                    let mut table = tables::survey(fs, dir, &name, meta.number, Some(meta))?;
                    table.lost.iter_mut().for_each(|lost| lost.family = Some(*id));
                    used.insert(name);
                    let (level, meta) = (Some(level), Some(meta.clone()));
                    self.tables.push(Placed { table, family: *id, level, meta });
                }
            }
        }
        self.tables.sort_by_key(|placed| placed.table.number);
        for (_, name) in found.into_iter().filter(|(_, name)| !used.contains(name)) {
            let bytes = fs.open(&dir.join(&name)).and_then(|file| file.size()).unwrap_or(0);
            report.files.push(unused(&name, bytes, "the manifest does not name it"));
        }
        for at in 0..self.tables.len() {
            let lost = self.tables[at].table.lost.clone();
            for range in &lost {
                if self.hides_older(at, range) {
                    let why = format!("what was lost of {} may have been newer", range.file);
                    let (from, to) = (range.from.clone(), range.to.clone());
                    report.comebacks.push(Comeback { family: range.family, from, to, why });
                }
            }
            report.lost.extend(lost);
        }
        Ok(())
    }

    /// Whether anything older that is left may show through a hole in a table.
    fn hides_older(&self, at: usize, range: &LostRange) -> bool {
        let hole = &self.tables[at];
        let max_seq = hole.meta.as_ref().map_or(u64::MAX, |meta| meta.max_seq);
        self.tables.iter().enumerate().any(|(other, placed)| {
            let Some(meta) = &placed.meta else { return other != at };
            let older = placed.level > hole.level
                || placed.level == Some(0) && hole.level == Some(0) && meta.max_seq < max_seq
                // Versions of one key may stand on both sides of a hole in one table.
                || other == at;
            placed.family == hole.family && older && meta.overlaps(range.from.as_deref(), range.to.as_deref())
        })
    }

    /// Every table in the directory, since nothing says which are live.
    fn all_tables(&mut self, fs: &Fs, dir: &Path, names: &[String], report: &mut RepairReport) -> Result<()> {
        for (number, name) in tables::tables_in(names) {
            let mut table = tables::survey(fs, dir, &name, number, None)?;
            let Some(family) = table.properties.as_ref().map(|properties| properties.family) else {
                table.forget("nothing says which family it belongs to");
                report.lost.extend(table.lost.clone());
                report.files.push(table.report(None, None));
                continue;
            };
            report.lost.extend(table.lost.clone());
            self.tables.push(Placed { table, family, level: None, meta: None });
        }
        let why = "no manifest says which tables are live, and which were replaced or dropped".to_owned();
        report.comebacks.push(Comeback { family: None, from: None, to: None, why });
        Ok(())
    }
}
