//! One state of a store, as it is read.

use super::source::{OpenTables, Source, blobs_of};
use crate::base::clock::ExpiryClock;
use crate::base::error::{Corruption, Error, Result};
use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::filter::{PrefixCounts, PrefixExtractor};
use crate::hooks::FamilyHooks;
use crate::memtable::Memtable;
use crate::ranges::RangeSet;
use crate::tree::View;
use crate::version::{History, ManifestTail, StoreState, Version, check_blobs, check_levels, check_ranges};
use std::fmt;

/// All families at one sequence number. Nothing of it changes.
pub(super) struct State {
    pub(super) source: Arc<Source>,
    /// By number.
    pub(super) families: Vec<FamilyState>,
    /// The family of prepared transactions.
    pub(super) prepared: Option<u32>,
    /// The random number of the store.
    pub(super) store: u64,
    pub(super) seq: SeqNum,
    pub(super) history: History,
    pub(super) clock: ExpiryClock,
    /// Groups of the log that were read for it and those before it.
    pub(super) groups: u64,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("seq", &self.seq)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

/// A column family.
#[derive(Clone, Debug)]
pub(super) struct FamilyState {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) prefix: Option<PrefixExtractor>,
    pub(super) prefix_counts: Arc<PrefixCounts>,
    pub(super) view: Arc<View>,
}

/// What one state of the manifest gives of a family.
#[derive(Clone, Debug)]
pub(super) struct FamilyBase {
    pub(super) id: u32,
    name: Arc<str>,
    prefix: Option<PrefixExtractor>,
    prefix_counts: Arc<PrefixCounts>,
    hooks: Arc<FamilyHooks>,
    version: Arc<Version>,
    ranges: Arc<RangeSet>,
    pub(super) flushed: SeqNum,
    empty: Arc<Memtable>,
}

/// What one state of the manifest gives.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) state: Arc<StoreState>,
    /// The position in the manifest behind it.
    pub(super) end: u64,
    pub(super) families: Vec<FamilyBase>,
    /// Everything up to here is shown by tables, ranges or what says how far families are flushed.
    pub(super) seq: SeqNum,
}

/// The last sequence number of what a manifest shows without the log.
pub(super) fn shown_by_tables(state: &StoreState) -> SeqNum {
    let tables = |family: &crate::version::FamilyState| {
        let newest = family.tables.iter().flat_map(|level| level.values()).map(|meta| meta.max_seq).max();
        newest.unwrap_or(0).max(family.flushed)
    };
    state.families.values().map(tables).max().unwrap_or(0).max(state.ingested_seq)
}

impl Base {
    /// Opens the tables that the manifest names and that are not among `known`, which they join: whoever has
    /// to try again has them.
    pub(super) fn open(source: &Source, manifest: &ManifestTail, known: &mut OpenTables) -> Result<Base> {
        let state = Arc::new(manifest.state().clone());
        let (mut families, mut opened) = (Vec::new(), 0);
        for (&id, family) in &state.families {
            let is_prepared = state.prepared_family == Some(id);
            let (options, hooks) = source.builder.family_for_reading(manifest.path(), family, is_prepared)?;
            let (mut added, mut blobs) = (Vec::new(), blobs_of(known));
            for blob in family.blobs.values() {
                let file = source.blob(&blob.meta, opened, &blobs)?;
                blobs.insert(blob.meta.number, file);
                opened += 1;
            }
            for (level, tables) in family.tables.iter().enumerate() {
                for meta in tables.values() {
                    let table = source.table(meta, opened, known, &blobs)?;
                    known.insert(meta.number, table.clone());
                    added.push((level, table));
                    opened += 1;
                }
            }
            let version = Version::default().changed(&[], added);
            let blobs = check_blobs(&version, family.blobs.values().map(|blob| &blob.meta));
            let problems = check_levels(&version).into_iter().chain(blobs);
            let ranges = check_ranges(&version, family.ranges.values(), family.flushed);
            if let Some(problem) = problems.chain(ranges).next() {
                let expected = format!("levels, ranges and blob files of family {:?} in order", family.name);
                return Err(Corruption::new(manifest.path(), 0, expected, problem).into());
            }
            families.push(FamilyBase {
                id,
                name: family.name.as_str().into(),
                prefix: options.rules().policy.base.prefix,
                prefix_counts: Arc::default(),
                hooks: Arc::new(hooks),
                empty: Arc::new(Memtable::new(u64::from(id), version.common_prefix(), 0)),
                version: Arc::new(version),
                ranges: Arc::new(RangeSet::new(family.ranges.values().cloned().collect())),
                flushed: family.flushed,
            });
        }
        Ok(Base { end: manifest.lsn(), seq: shown_by_tables(&state), state, families })
    }

    /// The tables, by number.
    pub(super) fn tables(&self) -> OpenTables {
        let tables = self.families.iter().flat_map(|family| family.version.tables());
        tables.map(|(_, table)| (table.meta.number, table.clone())).collect()
    }
}

impl FamilyBase {
    /// With what was logged and not flushed.
    pub(super) fn with(&self, memtable: Option<&Arc<Memtable>>) -> FamilyState {
        let view = View {
            active: memtable.unwrap_or(&self.empty).clone(),
            sealed: Vec::new(),
            version: self.version.clone(),
            hooks: self.hooks.clone(),
            ranges: self.ranges.clone(),
            flushed: self.flushed,
        };
        FamilyState {
            id: self.id,
            name: self.name.clone(),
            prefix: self.prefix,
            prefix_counts: self.prefix_counts.clone(),
            view: Arc::new(view),
        }
    }
}

impl State {
    /// The same, to be shown behind `before`: what had ended there has ended here.
    pub(super) fn behind(mut self, before: &State) -> State {
        let clock = self.clock.source().clone();
        self.clock = ExpiryClock::new(clock, self.clock.now_ms().max(before.clock.now_ms()));
        self
    }

    /// The tables, by number.
    pub(super) fn tables(&self) -> OpenTables {
        let tables = self.families.iter().flat_map(|family| family.view.version.tables());
        tables.map(|(_, table)| (table.meta.number, table.clone())).collect()
    }

    /// The place of a family among the families.
    pub(super) fn place_of(&self, name: &str) -> Result<usize> {
        let is_it = |family: &FamilyState| &*family.name == name && Some(family.id) != self.prepared;
        let place = self.families.iter().position(is_it);
        place.ok_or_else(|| Error::NoSuchFamily { name: name.into() })
    }
}
