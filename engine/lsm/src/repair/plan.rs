//! Which files go into the new store, and what that leaves in doubt.
//!
//! # Where a whole manifest says what counts
//! The tables that it names and the log from the segment that it names count. They are found by their
//! identities, so that an exchanged name does no harm. Where one of them has a hole, that is a range of
//! keys; there, and only there, tables and log records that the store no longer needed fill in, and
//! deleted keys may come back with them. A table that is newer than anything the manifest knows of counts
//! where there is reason to think that the manifest is not the last word: it was never listed, or its
//! listing is lost.
//!
//! # Where none does
//! Everything counts, and everything is in doubt: older versions and deleted keys may be in tables that
//! had been replaced, and ranges that were deleted may have come back.

use super::catalog::Catalog;
use super::holes::Holes;
use super::report::{
    Doubt, DoubtKind, FileRole, FileState, KeyRange, LogEnd, Order, RepairedFile, SeqRange, Use,
};
use super::segments::{Log, operations};
use super::tables::{Surveyed, identity_of, survey};
use crate::base::checksum::Identity;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::db::FamilyOptions;
use crate::fs::Fs;
use crate::version::TableMeta;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

/// A table that is read for the new store.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) table: Surveyed,
    /// Whether it only fills in.
    pub(super) filling: bool,
}

/// A family of the new store.
#[derive(Clone, Debug)]
pub(super) struct FamilyPlan {
    pub(super) name: String,
    pub(super) name_known: bool,
    pub(super) options: Option<FamilyOptions>,
    /// Every write up to here stands in tables.
    pub(super) flushed: SeqNum,
    pub(super) inputs: Vec<Input>,
    /// Where tables that count cannot be read.
    pub(super) holes: Holes,
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) families: BTreeMap<u32, FamilyPlan>,
    pub(super) files: Vec<RepairedFile>,
    pub(super) doubts: Vec<Doubt>,
    pub(super) order: Order,
    /// The greatest sequence number that was found in a table.
    pub(super) last_seq: SeqNum,
    /// When the latest table was written.
    pub(super) created_ms: u64,
    certain: bool,
    /// The random number of the store; 0 if nothing tells it.
    store: u64,
    /// Tables that count and of which something cannot be read.
    damaged: Vec<Damaged>,
    /// The latest table of each family that the manifest in force does not name; under `None`
    /// of those that do not say whose they are.
    unnamed: BTreeMap<Option<u32>, FileNumber>,
    /// Whether there are tables or families that the manifest in force should name and does not.
    stale: bool,
    next_family: u32,
}

/// A table that the manifest names, and of which something cannot be read.
#[derive(Debug)]
struct Damaged {
    family: u32,
    number: FileNumber,
    /// Its place in [`Plan::files`].
    file: usize,
    /// Its places in [`Plan::doubts`].
    doubts: Range<usize>,
}

impl Plan {
    /// Reads all tables and decides.
    pub(super) fn make(fs: &Fs, dir: &Path, names: &[String], catalog: &Catalog, log: &Log) -> Plan {
        let mut plan = Plan {
            families: BTreeMap::new(),
            files: Vec::new(),
            doubts: Vec::new(),
            order: Order::Holds,
            last_seq: 0,
            created_ms: 0,
            certain: catalog.is_certain(),
            store: catalog.store,
            damaged: Vec::new(),
            unnamed: BTreeMap::new(),
            stale: false,
            next_family: catalog.state.next_family.max(1),
        };
        for (&id, family) in &catalog.state.families {
            plan.add_family(id, Some(&family.name));
            if let Some(planned) = plan.families.get_mut(&id) {
                planned.options = FamilyOptions::decode(&family.options).ok();
                planned.flushed = if catalog.is_certain() { family.flushed } else { 0 };
            }
        }
        plan.add_family(0, Some("default"));
        for &id in &log.families {
            if !plan.is_dropped(id, catalog) {
                // A family is in the manifest before anything is written to it.
                plan.stale |= !plan.families.contains_key(&id);
                plan.add_family(id, None);
            }
        }
        let named = plan.named_tables(fs, dir, names, catalog);
        plan.other_tables(fs, dir, names, catalog, log, &named);
        plan.judge(fs, catalog, log);
        plan.doubt_dropped();
        plan.doubt_log(catalog, log);
        plan
    }

    /// Whether a whole manifest says what counts.
    pub(super) fn is_certain(&self) -> bool {
        self.certain
    }

    /// Whether a family that no manifest lists was dropped, and is not one that it does not know yet.
    pub(super) fn is_dropped(&self, id: u32, catalog: &Catalog) -> bool {
        let listed = self.families.contains_key(&id);
        !listed && (catalog.dropped.contains(&id) || self.certain && id < catalog.state.next_family)
    }

    /// Adds a family unless it is there. Without a name it gets one that tells its number.
    fn add_family(&mut self, id: u32, name: Option<&str>) {
        if self.families.contains_key(&id) {
            return;
        }
        let mut wanted = name.map_or_else(|| format!("family-{id}"), str::to_owned);
        let mut known = name.is_some();
        while self.families.values().any(|family| family.name == wanted) {
            wanted = format!("{wanted}-{id}");
            known = false;
        }
        let family = FamilyPlan {
            name: wanted,
            name_known: known,
            options: None,
            flushed: 0,
            inputs: Vec::new(),
            holes: Holes::default(),
        };
        self.families.insert(id, family);
        self.next_family = self.next_family.max(id.saturating_add(1));
    }

    /// Reads the tables that a whole manifest names. Returns the files in which they stand.
    fn named_tables(&mut self, fs: &Fs, dir: &Path, names: &[String], catalog: &Catalog) -> BTreeSet<String> {
        let mut taken = BTreeSet::new();
        let mut by_identity: BTreeMap<Identity, Vec<String>> = BTreeMap::new();
        let mut without: BTreeSet<String> = BTreeSet::new();
        for name in names {
            match identity_of(fs, &dir.join(name)) {
                Some(identity) => by_identity.entry(identity).or_default().push(name.clone()),
                None => drop(without.insert(name.clone())),
            }
        }
        let families = catalog.state.families.iter().filter(|_| catalog.is_certain());
        for (&id, family) in families {
            for meta in family.tables.iter().flat_map(BTreeMap::values) {
                let own = FileKind::Table(meta.number).name();
                let same = by_identity.get(&meta.identity).map_or(&[][..], Vec::as_slice);
                let file = same.iter().find(|name| **name == own).or(same.first());
                let file = file.or_else(|| without.get(&own)).cloned();
                match file {
                    Some(name) => {
                        let table = survey(fs, dir, &name, Some(meta));
                        taken.insert(name);
                        self.take(id, table, Some(meta));
                    }
                    None => self.missing_table(id, own, meta),
                }
            }
        }
        taken
    }

    /// Takes a table that counts.
    fn take(&mut self, id: u32, table: Surveyed, meta: Option<&Arc<TableMeta>>) {
        self.note(&table);
        let seqs = match (meta, &table.properties) {
            (Some(meta), _) => Some((meta.min_seq, meta.max_seq)),
            (None, Some(properties)) => Some((properties.min_seq, properties.max_seq)),
            (None, None) => None,
        };
        let seqs = seqs.map_or(SeqRange::ALL, |(first, last)| SeqRange { first, last: Some(last) });
        let Some(family) = self.families.get_mut(&id) else { return };
        let name = family.name.clone();
        let first = self.doubts.len();
        for keys in &table.lost_keys {
            family.holes.add(keys);
            let why = format!("{} cannot be read there", table.name);
            self.doubts.push(lost(DoubtKind::MayBeLost, &name, keys.clone(), seqs, why));
        }
        if let Some(meta) = meta.filter(|_| !table.lost_keys.is_empty()) {
            let (number, file, doubts) = (meta.number, self.files.len(), first..self.doubts.len());
            self.damaged.push(Damaged { family: id, number, file, doubts });
        }
        if !table.lost_keys.is_empty() {
            self.order = Order::MayBeBroken;
        }
        self.files.push(report(&table, Use::Taken, Some(name), seqs));
        family.inputs.push(Input { table, filling: false });
    }

    fn missing_table(&mut self, id: u32, name: String, meta: &TableMeta) {
        let Some(family) = self.families.get_mut(&id) else { return };
        let keys = KeyRange { from: Some(meta.smallest.0.clone()), to: Some(meta.largest.0.clone()) };
        let seqs = SeqRange { first: meta.min_seq, last: Some(meta.max_seq) };
        family.holes.add(&keys);
        let why = format!("{name} is missing");
        let first = self.doubts.len();
        self.doubts.push(lost(DoubtKind::MayBeLost, &family.name, keys.clone(), seqs, why));
        let (number, file) = (meta.number, self.files.len());
        self.damaged.push(Damaged { family: id, number, file, doubts: first..first + 1 });
        self.order = Order::MayBeBroken;
        self.files.push(RepairedFile {
            name,
            role: FileRole::Table,
            state: FileState::Missing,
            used: Use::Taken,
            bytes: None,
            entries_saved: 0,
            entries_lost: Some(meta.entries),
            entries_gone: 0,
            family: Some(family.name.clone()),
            lost_keys: vec![keys],
            lost_seqs: Some(seqs),
            why: "the manifest names it".into(),
        });
    }

    /// Reads the tables that nothing names.
    fn other_tables(
        &mut self,
        fs: &Fs,
        dir: &Path,
        names: &[String],
        catalog: &Catalog,
        log: &Log,
        named: &BTreeSet<String>,
    ) {
        let holes = self.families.values().any(|family| !family.holes.is_empty());
        let gaps = log.gaps.iter().any(|gap| gap.certain);
        // A store that was closed leaves no table behind that it does not name.
        let doubtful = catalog.torn.is_some() || holes || gaps || log.end == LogEnd::Closed;
        // Those that do not say whose they are come last: a family that is made up for one of them must not
        // get the number of one that another table turns out to belong to.
        let mut nobodys = Vec::new();
        for name in names.iter().filter(|name| !named.contains(*name)) {
            let table = survey(fs, dir, name, None);
            let properties = table.properties.as_ref();
            let stranger = |store| store != 0 && self.store != 0 && store != self.store;
            if properties.is_some_and(|properties| stranger(properties.store)) {
                self.leave_out(table, None, "it is a table of another store");
                continue;
            }
            // One that was made outside knows neither its family nor its number.
            let family = properties.filter(|properties| !properties.outside).map(|p| p.family);
            if self.certain {
                self.unnamed(table, family, catalog, doubtful);
            } else if family.is_none() {
                nobodys.push(table);
            } else {
                self.unlisted(table, family, catalog);
            }
        }
        nobodys.into_iter().for_each(|table| self.unlisted(table, None, catalog));
    }

    /// A table that the manifest in force does not name.
    fn unnamed(&mut self, table: Surveyed, family: Option<u32>, catalog: &Catalog, doubtful: bool) {
        let latest = self.unnamed.entry(family).or_default();
        *latest = table.number.max(*latest);
        let Some(id) = family.filter(|id| !self.is_dropped(*id, catalog)) else {
            let why = match family {
                Some(_) => "its family was dropped",
                None => "no manifest names it, and it does not say which family it belongs to",
            };
            return self.leave_out(table, None, why);
        };
        let max_seq = table.properties.as_ref().map_or(0, |properties| properties.max_seq);
        let flushed = self.families.get(&id).map(|family| family.flushed);
        let named = catalog.state.families.get(&id).into_iter().flat_map(|family| &family.tables);
        let same = |meta: &&Arc<TableMeta>| Some(meta.identity) == table.identity;
        // A copy says no more than what it is a copy of; that may well be newer than what was flushed: what
        // is ingested has never been in a memtable.
        let copy = named.flat_map(BTreeMap::values).any(|meta| same(&meta));
        // A family that the manifest does not know yet is newer than it, too.
        if !copy && flushed.is_none_or(|flushed| max_seq > flushed) {
            let seqs =
                flushed.map_or(SeqRange::ALL, |flushed| SeqRange { first: flushed + 1, last: Some(max_seq) });
            let keys = match &table.properties {
                Some(p) => {
                    KeyRange { from: Some(p.smallest.user_key.clone()), to: Some(p.largest.user_key.clone()) }
                }
                None => KeyRange::ALL,
            };
            self.add_family(id, None);
            let name = self.families.get(&id).map(|family| family.name.clone()).unwrap_or_default();
            let why = format!("no manifest names {}, which is newer than what it names", table.name);
            if doubtful {
                self.stale = true;
                self.doubts.push(lost(DoubtKind::MayBeLost, &name, keys, seqs, why));
                self.order = Order::MayBeBroken;
                return self.take(id, table, None);
            }
            // What a crash leaves of a flush that it interrupted; the log has what was promised.
            self.doubts.push(lost(DoubtKind::OpenEnd, &name, keys, seqs, why));
            return self.leave_out(table, Some(name), "it was being written when the store was left");
        }
        let Some(family) = self.families.get_mut(&id) else { return };
        let name = family.name.clone();
        let range = table.keys.as_ref();
        let fills = range.is_some_and(|(first, last)| family.holes.meets(first, last));
        if !fills {
            let why = if copy { "it is a copy of a table that counts" } else { "no manifest names it" };
            return self.leave_out(table, Some(name), why);
        }
        self.note(&table);
        let mut file = report(&table, Use::Filled, Some(name), SeqRange::ALL);
        file.why = "no manifest names it; it fills in where others cannot be read".into();
        self.files.push(file);
        if let Some(family) = self.families.get_mut(&id) {
            family.inputs.push(Input { table, filling: true });
        }
    }

    /// A table where no manifest says which of them count.
    fn unlisted(&mut self, table: Surveyed, family: Option<u32>, catalog: &Catalog) {
        match family {
            Some(id) if self.is_dropped(id, catalog) => {
                self.leave_out(table, None, "its family was dropped");
            }
            Some(id) => {
                self.add_family(id, None);
                self.take(id, table, None);
            }
            None if table.entries > 0 => {
                // It does not say whose its keys are: they are kept apart from all others.
                let id = self.next_family;
                let name = format!("table-{:06}", table.number);
                self.add_family(id, Some(&name));
                if let Some(family) = self.families.get_mut(&id) {
                    family.name_known = false;
                }
                self.take(id, table, None);
            }
            None => {
                self.note(&table);
                let mut file = report(&table, Use::Taken, None, SeqRange::ALL);
                file.lost_keys = vec![KeyRange::ALL];
                self.files.push(file);
            }
        }
    }

    fn leave_out(&mut self, table: Surveyed, family: Option<String>, why: &str) {
        let mut file = report(&table, Use::LeftOut, family, SeqRange::ALL);
        file.why = match file.why.is_empty() {
            true => why.into(),
            false => format!("{why}; {}", file.why),
        };
        self.files.push(file);
    }

    fn note(&mut self, table: &Surveyed) {
        self.last_seq = self.last_seq.max(table.max_seq);
        if let Some(properties) = &table.properties {
            self.last_seq = self.last_seq.max(properties.max_seq.min(crate::base::key::MAX_SEQ));
            self.created_ms = self.created_ms.max(properties.created_ms);
        }
    }

    /// Works out how many entries are gone for certain: those of tables that count for certain, less what
    /// may stand in a log or a table that is no longer needed.
    fn judge(&mut self, fs: &Fs, catalog: &Catalog, log: &Log) {
        if !self.certain || catalog.torn.is_some() || self.stale || self.damaged.is_empty() {
            return;
        }
        let damaged = std::mem::take(&mut self.damaged);
        let mut elsewhere = vec![0u64; damaged.len()];
        for (count, damaged) in elsewhere.iter_mut().zip(&damaged) {
            let inputs = self.families.get(&damaged.family).into_iter().flat_map(|family| &family.inputs);
            *count = inputs.filter(|input| input.filling).map(|input| input.table.entries).sum();
        }
        let lost = |damaged: &Damaged| self.files.get(damaged.file).map(|file| Holes::of(&file.lost_keys));
        let holes: Vec<Holes> = damaged.iter().map(|damaged| lost(damaged).unwrap_or_default()).collect();
        let counted = log.filling().try_for_each(|segment| {
            operations(fs, segment, |seq, op| {
                if self.families.get(&op.family).is_some_and(|family| seq <= family.flushed) {
                    for ((count, damaged), holes) in elsewhere.iter_mut().zip(&damaged).zip(&holes) {
                        *count += u64::from(op.family == damaged.family && holes.contains(op.key));
                    }
                }
                Ok(())
            })
        });
        if counted.is_err() {
            return;
        }
        for (damaged, elsewhere) in damaged.iter().zip(elsewhere) {
            let Some(file) = self.files.get_mut(damaged.file) else { continue };
            // Where nothing tells that the manifest is whole, a compaction that it no longer names may
            // have replaced the table.
            let later = [Some(damaged.family), None].map(|family| self.unnamed.get(&family).copied());
            let replaced = later.iter().flatten().any(|number| *number > damaged.number);
            if log.end != LogEnd::Closed && (file.state == FileState::Missing || replaced) {
                continue;
            }
            file.entries_gone = file.entries_lost.unwrap_or(0).saturating_sub(elsewhere);
            if file.entries_gone > 0 {
                let own = self.doubts.get_mut(damaged.doubts.clone()).unwrap_or_default();
                own.iter_mut().for_each(|doubt| doubt.kind = DoubtKind::Lost);
            }
        }
    }

    /// Where all the tables of a family are missing, it may have been dropped behind the last edit that
    /// is there: a manifest that was cut between two edits looks whole.
    fn doubt_dropped(&mut self) {
        for (_, family) in self.families.iter().filter(|(id, _)| **id != 0) {
            let of_family = |file: &&RepairedFile| {
                file.used == Use::Taken && file.family.as_deref() == Some(family.name.as_str())
            };
            let mut tables = self.files.iter().filter(of_family).peekable();
            if tables.peek().is_some() && tables.all(|file| file.state == FileState::Missing) {
                let doubts = self.doubts.iter_mut();
                let own = doubts.filter(|doubt| doubt.family.as_deref() == Some(family.name.as_str()));
                own.for_each(|doubt| doubt.families_may_be_back = true);
            }
        }
    }

    /// Puts down what the log and the manifest leave in doubt.
    fn doubt_log(&mut self, catalog: &Catalog, log: &Log) {
        let stale = self.stale;
        let mut doubt = |kind, seqs, back, why: &str| {
            let (family, keys, why) = (None, KeyRange::ALL, why.to_owned());
            self.doubts.push(Doubt { kind, family, keys, seqs, families_may_be_back: back, why });
        };
        if !catalog.is_certain() {
            let why = "no manifest says which tables were in use, whether others are gone, which deleted \
                       ranges may have come back, and which operands count twice";
            doubt(DoubtKind::MayBeLost, SeqRange::ALL, true, why);
        } else if let Some(why) = &catalog.torn {
            // What it said may have been a compaction, behind which entries have other numbers.
            doubt(DoubtKind::MayBeLost, SeqRange::ALL, true, why);
        } else if stale {
            let why = "there are tables or families newer than the manifest: it may have lost its end";
            doubt(DoubtKind::MayBeLost, SeqRange::ALL, true, why);
        }
        for gap in &log.gaps {
            // Bytes are lost; whether the writes with these numbers stood there, or were never logged,
            // nobody knows.
            let end = gap.seqs.last.is_none() && !gap.certain;
            let kind = if end { DoubtKind::OpenEnd } else { DoubtKind::MayBeLost };
            // Without the mark of a close nothing tells where the manifest ended either.
            doubt(kind, gap.seqs, gap.seqs.last.is_none(), &gap.why);
        }
        if log.end == LogEnd::Open {
            let flushed = catalog.state.families.values().map(|family| family.flushed).min();
            let last = log.last_seq.max(flushed).unwrap_or(0);
            let seqs = SeqRange { first: last + 1, last: None };
            doubt(DoubtKind::OpenEnd, seqs, true, "the store was not closed in good order");
        }
        let broken = |gap: &super::segments::Gap| gap.certain || gap.seqs.last.is_some();
        if !catalog.is_certain() || catalog.torn.is_some() || stale || log.gaps.iter().any(broken) {
            self.order = Order::MayBeBroken;
        }
    }

    /// The number for a family that is created next.
    pub(super) fn next_family(&self) -> u32 {
        self.next_family
    }
}

fn lost(kind: DoubtKind, family: &str, keys: KeyRange, seqs: SeqRange, why: String) -> Doubt {
    Doubt { kind, family: Some(family.into()), keys, seqs, families_may_be_back: false, why }
}

fn report(table: &Surveyed, used: Use, family: Option<String>, seqs: SeqRange) -> RepairedFile {
    let state = match (table.entries_lost, table.errors.is_empty(), table.entries) {
        (Some(0), true, _) => FileState::Intact,
        (Some(0), false, _) => FileState::PartlyRead,
        (_, _, 0) => FileState::Unreadable,
        _ => FileState::PartlyRead,
    };
    let lost = !table.lost_keys.is_empty();
    RepairedFile {
        name: table.name.clone(),
        role: FileRole::Table,
        state,
        used,
        bytes: Some(table.bytes),
        entries_saved: table.entries,
        entries_lost: table.entries_lost,
        entries_gone: 0,
        family,
        lost_keys: table.lost_keys.clone(),
        lost_seqs: Some(seqs).filter(|seqs| lost && *seqs != SeqRange::ALL),
        why: table.errors.first().cloned().unwrap_or_default(),
    }
}
