//! What ought to exist: the manifest in force, or what is left of manifests.

use super::report::{Basis, FileRole, FileState, RepairedFile, Use};
use super::segments::resembles;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::fs::Fs;
use crate::inspect::{ManifestItem, walk_manifest};
use crate::record::LogKind;
use crate::version::{Edit, EditOp, FamilyState, StoreState, current_is_sound, read_current};
use std::collections::BTreeSet;
use std::path::Path;

/// What ought to exist.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) basis: Basis,
    /// The state of the manifest in force; or, if there is none, names and options of families, and
    /// no tables.
    pub(super) state: StoreState,
    /// Whether the manifest ends in an edit that cannot be read: its last word is not known.
    pub(super) torn: bool,
    /// Families that were dropped, as far as that is known.
    pub(super) dropped: BTreeSet<u32>,
    /// `CURRENT` and the manifests.
    pub(super) files: Vec<RepairedFile>,
}

/// A manifest as far as it can be read.
struct Found {
    name: String,
    number: FileNumber,
    bytes: u64,
    /// The state after all edits from the first on that are whole and fit; `None` if the first is
    /// not one of them.
    state: Option<StoreState>,
    /// Whether something behind those edits was once known to be synced, or makes no sense.
    damaged: bool,
    torn: bool,
    header_damaged: bool,
    /// Everything that can be read, also behind damage.
    ops: Vec<EditOp>,
    why: String,
}

impl Catalog {
    /// Whether a whole manifest says which files make up the store.
    pub(super) fn is_certain(&self) -> bool {
        matches!(self.basis, Basis::InForce(_) | Basis::Newest(_))
    }

    /// Reads everything that is left of manifests, in the files `names`.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`] if a newer version wrote one.
    pub(super) fn read(fs: &Fs, dir: &Path, names: &[String]) -> Result<Catalog> {
        let mut found = Vec::new();
        for name in names {
            let number = FileKind::parse(name).and_then(FileKind::number).unwrap_or(0);
            found.push(read_manifest(fs, &dir.join(name), name, number)?);
        }
        found.sort_by_key(|manifest| std::cmp::Reverse(manifest.number));
        let (current, mut files) = match read_current(fs, dir) {
            Ok(current) => (current, Vec::new()),
            // What a newer version means is not for this one to guess. A number that has changed says
            // nothing of a newer version.
            Err(error @ Error::UnsupportedVersion { .. }) if current_is_sound(fs, dir) => {
                return Err(error);
            }
            Err(error) => (None, vec![current_file(FileState::Unreadable, error.to_string())]),
        };
        if current.is_some() {
            files.push(current_file(FileState::Intact, String::new()));
        } else if files.is_empty() {
            files.push(current_file(FileState::Missing, "it names the manifest in force".into()));
        }
        let whole = |m: &&Found| m.state.is_some() && !m.damaged;
        let chosen = match current {
            Some(current) => found.iter().find(|m| m.number == current.manifest).filter(whole),
            None => found.iter().find(whole),
        };
        if let Some(current) = current
            && !found.iter().any(|manifest| manifest.number == current.manifest)
        {
            let name = FileKind::Manifest(current.manifest).name();
            files.push(missing_manifest(name));
        }
        let basis = match (chosen, current) {
            (Some(manifest), Some(_)) => Basis::InForce(manifest.number),
            (Some(manifest), None) => Basis::Newest(manifest.number),
            (None, _) if found.iter().any(|manifest| !manifest.ops.is_empty()) => Basis::Parts,
            (None, _) => Basis::Nothing,
        };
        let (mut state, dropped) = hints(&found);
        let torn = chosen.is_some_and(|manifest| manifest.torn);
        if let Some(certain) = chosen.and_then(|manifest| manifest.state.clone()) {
            state = certain;
        }
        let number = chosen.map(|manifest| manifest.number);
        files.extend(found.into_iter().map(|manifest| {
            let used = match number {
                Some(number) if number == manifest.number => Use::Taken,
                None if !manifest.ops.is_empty() => Use::Filled,
                _ => Use::LeftOut,
            };
            manifest.report(used)
        }));
        Ok(Catalog { basis, state, torn, dropped, files })
    }
}

fn current_file(state: FileState, why: String) -> RepairedFile {
    RepairedFile {
        name: "CURRENT".into(),
        role: FileRole::Current,
        state,
        used: if state == FileState::Intact { Use::Taken } else { Use::LeftOut },
        bytes: None,
        entries_saved: 0,
        entries_lost: Some(0),
        family: None,
        lost_keys: Vec::new(),
        lost_seqs: None,
        why,
    }
}

fn missing_manifest(name: String) -> RepairedFile {
    let why = "CURRENT names it".into();
    RepairedFile { name, role: FileRole::Manifest, ..current_file(FileState::Missing, why) }
}

impl Found {
    fn report(self, used: Use) -> RepairedFile {
        let state = match (self.state.is_some(), self.damaged || self.torn || self.header_damaged) {
            (true, false) => FileState::Intact,
            (false, _) if self.ops.is_empty() => FileState::Unreadable,
            _ => FileState::PartlyRead,
        };
        let why = match used {
            Use::LeftOut if state == FileState::Intact => "another manifest is in force".into(),
            _ => self.why,
        };
        let file = current_file(state, why);
        RepairedFile { name: self.name, role: FileRole::Manifest, used, bytes: Some(self.bytes), ..file }
    }
}

fn read_manifest(fs: &Fs, path: &Path, name: &str, number: FileNumber) -> Result<Found> {
    let mut found = Found {
        name: name.into(),
        number,
        bytes: 0,
        state: None,
        damaged: false,
        torn: false,
        header_damaged: false,
        ops: Vec::new(),
        why: String::new(),
    };
    let mut reading = Reading { state: StoreState::default(), edit: Edit::default(), edits: 0, done: false };
    let walked = fs.open(path).and_then(|file| {
        found.bytes = file.size()?;
        if !resembles(&file, LogKind::Manifest)? {
            found.note_damage("it does not begin as a manifest does");
            return Ok(());
        }
        walk_manifest(&file, |item| {
            reading.item(&mut found, item);
            Ok(())
        })
    });
    match walked {
        Ok(()) => {}
        Err(error @ Error::UnsupportedVersion { .. }) => return Err(error),
        Err(error) => found.note_damage(&error.to_string()),
    }
    reading.commit(&mut found);
    if reading.edits > 0 {
        found.state = Some(reading.state);
    } else {
        found.note_damage("no edit can be read");
    }
    Ok(found)
}

impl Found {
    fn note_damage(&mut self, why: &str) {
        self.damaged = true;
        if self.why.is_empty() {
            self.why = why.into();
        }
    }
}

/// The state that edits lead to.
struct Reading {
    state: StoreState,
    edit: Edit,
    edits: u64,
    /// Nothing more counts: what came before an edit that is damaged.
    done: bool,
}

impl Reading {
    fn item(&mut self, found: &mut Found, item: ManifestItem) {
        match item {
            ManifestItem::Header(header) => {
                // The records themselves prove the identity; a name that was exchanged does not count.
                match header.damage {
                    Some(damage) => {
                        found.header_damaged = true;
                        found.why = damage.to_string();
                    }
                    None => found.number = header.header.number,
                }
            }
            ManifestItem::Edit(record) => {
                self.commit(found);
                self.done |= record.beyond;
            }
            ManifestItem::Op(op) => {
                found.ops.push(op.clone());
                self.edit.push(op);
            }
            ManifestItem::Damage(error) => {
                self.edit = Edit::default();
                self.done = true;
                found.note_damage(&error.to_string());
            }
            ManifestItem::Break(place) => {
                self.commit(found);
                if let Some(damage) = &place.damage {
                    found.note_damage(&damage.to_string());
                } else if !place.last {
                    found.note_damage(&format!("no edit stands at offset {}", place.offset));
                } else if place.offset < found.bytes {
                    found.torn = true;
                    let bytes = found.bytes - place.offset;
                    found.why = format!("the last {bytes} bytes are no whole edit");
                }
                self.done = true;
            }
        }
    }

    fn commit(&mut self, found: &mut Found) {
        let edit = std::mem::take(&mut self.edit);
        if self.done || edit.0.is_empty() {
            return;
        }
        match self.state.apply(&edit) {
            Ok(()) => self.edits += 1,
            Err(why) => {
                self.done = true;
                found.note_damage(&format!("an edit does not fit: {why}"));
            }
        }
    }
}

/// What can be learned from the pieces of manifests, newest first, without knowing what is missing:
/// names and options of families, families that were dropped, and limits that only ever grow.
fn hints(found: &[Found]) -> (StoreState, BTreeSet<u32>) {
    let mut state = StoreState { next_file: 1, ..StoreState::default() };
    let mut dropped = BTreeSet::new();
    for op in found.iter().rev().flat_map(|manifest| &manifest.ops) {
        match op {
            EditOp::Store { id, layer } => (state.store, state.layer) = (*id, layer.clone()),
            EditOp::NextFile(number) => state.next_file = state.next_file.max(*number),
            EditOp::SeqCeiling(seq) => state.seq_ceiling = state.seq_ceiling.max(*seq),
            EditOp::Clock(ms) => state.clock_ms = state.clock_ms.max(*ms),
            EditOp::NextFamily(id) => state.next_family = state.next_family.max(*id),
            EditOp::CreateFamily { id, name, options } => {
                // A name that came back belongs to the family that has it now.
                state.families.retain(|_, family| family.name != *name);
                let (name, options) = (name.clone(), options.clone());
                state.families.insert(*id, FamilyState { name, options, ..FamilyState::default() });
                state.next_family = state.next_family.max(id.saturating_add(1));
            }
            EditOp::DropFamily(id) => {
                state.families.remove(id);
                dropped.insert(*id);
            }
            _ => {}
        }
    }
    (state, dropped)
}
