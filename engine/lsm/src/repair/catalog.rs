//! What ought to exist: the manifest in force, or what is left of manifests.

use super::contents::Contents;
use super::owner::Owners;
use super::report::{Basis, FileRole, FileState, RepairedFile, Use};
use super::segments::resembles;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::db::FamilyOptions;
use crate::fs::Fs;
use crate::inspect::{ManifestItem, walk_manifest};
use crate::record::LogKind;
use crate::version::{Current, Edit, EditOp, FamilyState, StoreState, current_is_sound, read_current};
use crate::wal::ManifestEnd;
use std::collections::BTreeSet;
use std::path::Path;

/// What ought to exist.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) basis: Basis,
    /// The state of the manifest in force; or, if there is none, names and options of families, and
    /// no tables.
    pub(super) state: StoreState,
    /// The random number of the store whose files these are; 0 if nothing tells it.
    pub(super) store: u64,
    /// Why the last word of the manifest is not known, where something tells that there was one more.
    pub(super) torn: Option<String>,
    /// Where the manifest that counts ends.
    end: Option<ManifestEnd>,
    /// The families whose names and options are those of [`Assumed`], for no manifest has them.
    pub(super) assumed: BTreeSet<u32>,
    /// Families that were dropped, as far as that is known.
    pub(super) dropped: BTreeSet<u32>,
    /// `CURRENT` and the manifests.
    pub(super) files: Vec<RepairedFile>,
}

/// What a layer above is known to have: its name, and the families that it creates in a new store, the first
/// of which has the number 1.
#[derive(Clone, Debug)]
pub(super) struct Assumed {
    pub(super) layer: String,
    pub(super) families: Vec<(String, FamilyOptions)>,
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
    /// The store that it is of.
    store: Option<u64>,
    /// The position in its stream behind the last edit that counts.
    lsn: u64,
    /// Everything that can be read, also behind damage.
    ops: Vec<EditOp>,
    why: String,
}

impl Catalog {
    /// Whether a whole manifest says which files make up the store.
    pub(super) fn is_certain(&self) -> bool {
        matches!(self.basis, Basis::InForce(_) | Basis::Newest(_))
    }

    /// Reads everything that is left of manifests.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`] if a newer version wrote one.
    pub(super) fn read(fs: &Fs, dir: &Path, contents: &Contents) -> Result<Catalog> {
        let mut found = Vec::new();
        for name in &contents.manifests {
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
        let store = owner(&Owners::of(fs, dir, contents), &found, current);
        let current = match current.filter(|current| current.store != store && store != 0) {
            Some(_) => {
                let file = current_file(FileState::Intact, "it is of another store".into());
                files = vec![RepairedFile { used: Use::LeftOut, ..file }];
                None
            }
            None => current,
        };
        let whole = |m: &&Found| m.is_whole() && m.is_of(store);
        // Of another store there may be one with the same number.
        let named = |m: &Found| current.is_none_or(|current| m.number == current.manifest);
        let place = found.iter().position(|m| named(m) && whole(&m));
        let chosen = place.and_then(|place| found.get(place));
        if let Some(current) = current
            && !found.iter().any(|m| m.number == current.manifest && m.is_of(store))
        {
            let name = FileKind::Manifest(current.manifest).name();
            files.push(missing_manifest(name));
        }
        let basis = match (chosen, current) {
            (Some(manifest), Some(_)) => Basis::InForce(manifest.number),
            (Some(manifest), None) => Basis::Newest(manifest.number),
            (None, _) if found.iter().any(|m| m.is_of(store) && !m.ops.is_empty()) => Basis::Parts,
            (None, _) => Basis::Nothing,
        };
        let (mut state, dropped) = hints(found.iter().filter(|manifest| manifest.is_of(store)));
        let torn = chosen.filter(|m| m.torn).map(|_| "the last edit of the manifest cannot be read".into());
        let end = chosen.map(|manifest| ManifestEnd { number: manifest.number, lsn: manifest.lsn });
        if let Some(certain) = chosen.and_then(|manifest| manifest.state.clone()) {
            state = certain;
        }
        files.extend(found.into_iter().enumerate().map(|(at, manifest)| {
            let used = match place {
                Some(place) if place == at => Use::Taken,
                None if manifest.is_of(store) && !manifest.ops.is_empty() => Use::Filled,
                _ => Use::LeftOut,
            };
            manifest.report(used, store)
        }));
        Ok(Catalog { basis, state, store, torn, end, assumed: BTreeSet::new(), dropped, files })
    }

    /// Takes what a layer is known to have for what no manifest says.
    pub(super) fn assume(&mut self, assumed: &Assumed) {
        let state = &mut self.state;
        if state.layer.is_empty() {
            state.layer.clone_from(&assumed.layer);
        }
        if self.basis == Basis::Nothing || self.basis == Basis::Parts && state.layer == assumed.layer {
            for (id, (name, options)) in (1..).zip(&assumed.families) {
                let is_known = state.families.contains_key(&id) || self.dropped.contains(&id);
                if is_known || state.families.values().any(|family| family.name == *name) {
                    continue;
                }
                let (name, options) = (name.clone(), options.encode());
                state.families.insert(id, FamilyState { name, options, ..FamilyState::default() });
                state.next_family = state.next_family.max(id + 1);
                self.assumed.insert(id);
            }
        }
    }

    /// Whether an operation of the log is in no table yet, as far as is known.
    pub(super) fn counts(&self, family: u32, seq: SeqNum) -> bool {
        match self.state.families.get(&family) {
            Some(family) => !self.is_certain() || seq > family.flushed,
            None if self.is_certain() => family >= self.state.next_family,
            None => !self.dropped.contains(&family),
        }
    }

    /// Takes note of what a log that was closed in good order says of the manifest: one that was cut between
    /// two edits looks whole by itself.
    pub(super) fn note_close(&mut self, closed: Option<ManifestEnd>) {
        let (Some(closed), Some(end)) = (closed, self.end) else { return };
        if closed.number == end.number && closed.lsn <= end.lsn {
            return;
        }
        let why = match closed.number == end.number {
            true => format!(
                "the manifest has lost its end: it had {} bytes of edits, {} are there",
                closed.lsn, end.lsn
            ),
            false => {
                format!("{} was in force when the store was closed", FileKind::Manifest(closed.number).name())
            }
        };
        for file in &mut self.files {
            if file.role == FileRole::Manifest && file.used == Use::Taken {
                (file.state, file.why) = (FileState::PartlyRead, why.clone());
            }
        }
        self.torn = Some(why);
    }
}

/// The store whose files these are: the one that `CURRENT` names with a manifest that is whole, or else
/// the one of most files.
fn owner(owners: &Owners, found: &[Found], current: Option<Current>) -> u64 {
    let in_force = |current: &Current| {
        let is_it = |m: &Found| m.number == current.manifest && m.is_whole() && m.is_of(current.store);
        found.iter().any(is_it)
    };
    if let Some(current) = current.filter(in_force) {
        return current.store;
    }
    let named = current.map(|current| current.store);
    let stores: BTreeSet<u64> =
        owners.stores().chain(found.iter().filter_map(|m| m.store)).chain(named).collect();
    let weight = |store: &u64| {
        let own = || found.iter().filter(|manifest| manifest.store == Some(*store));
        let tables = own().flat_map(|manifest| &manifest.ops).filter_map(|op| match op {
            EditOp::AddTable { meta, .. } => Some(meta.identity),
            _ => None,
        });
        let newest = own().map(|manifest| manifest.number).max();
        (owners.count(*store, &tables.collect()), named == Some(*store), newest)
    };
    stores.into_iter().max_by_key(weight).unwrap_or(0)
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
        entries_gone: 0,
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
    fn is_whole(&self) -> bool {
        self.state.is_some() && !self.damaged
    }

    /// Whether it may be of this store; 0 is any.
    fn is_of(&self, store: u64) -> bool {
        store == 0 || self.store.is_none_or(|own| own == store)
    }

    fn report(self, used: Use, store: u64) -> RepairedFile {
        let state = match (self.state.is_some(), self.damaged || self.torn || self.header_damaged) {
            (true, false) => FileState::Intact,
            (false, _) if self.ops.is_empty() => FileState::Unreadable,
            _ => FileState::PartlyRead,
        };
        let why = match used {
            Use::LeftOut if !self.is_of(store) => "it is of another store".into(),
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
        store: None,
        lsn: 0,
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
                    None => (found.number, found.store) = (header.header.number, Some(header.header.store)),
                }
            }
            ManifestItem::Edit(record) => {
                self.commit(found);
                self.done |= record.beyond;
            }
            ManifestItem::Op(op) => {
                if let EditOp::Store { id, .. } = &op {
                    found.store.get_or_insert(*id);
                }
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
                if !self.done {
                    found.lsn = place.lsn;
                }
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
fn hints<'f>(found: impl DoubleEndedIterator<Item = &'f Found>) -> (StoreState, BTreeSet<u32>) {
    let mut state = StoreState { next_file: 1, ..StoreState::default() };
    let mut dropped = BTreeSet::new();
    for op in found.rev().flat_map(|manifest| &manifest.ops) {
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
            EditOp::FamilyOptions { family, options } => {
                if let Some(family) = state.families.get_mut(family) {
                    family.options.clone_from(options);
                }
            }
            EditOp::DropFamily(id) => {
                state.families.remove(id);
                dropped.insert(*id);
            }
            EditOp::PreparedFamily(id) => state.prepared_family = Some(*id),
            EditOp::Consumer { name, position } => _ = state.consumers.insert(name.clone(), *position),
            EditOp::RemoveConsumer(name) => _ = state.consumers.remove(name),
            _ => {}
        }
    }
    (state, dropped)
}
