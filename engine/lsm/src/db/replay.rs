//! From the log into tables, when a store is opened.

use super::builder::Builder;
use super::filling::{Filling, fill};
use super::options::FamilyOptions;
use super::rewriting::{Rewrite, Rewriter};
use crate::background::Mode;
use crate::base::error::Result;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::commit::MOST_RANGES;
use crate::fs::Fs;
use crate::memtable::Heads;
use crate::record::HEADER_BYTES;
use crate::table::Tables;
use crate::version::{Edit, StoreState};
use crate::wal::{GroupHeader, LogKnown, LoggedBatch, Replay, replay};
use std::collections::BTreeMap;
use std::path::Path;

/// Whether a log segment holds anything behind its header, which was all that a store wrote to it
/// before it was first used.
pub(super) fn holds_records(fs: &Fs, path: &Path) -> Result<bool> {
    let file = fs.open(path)?;
    let mut window = vec![0; 64 << 10];
    let mut at = HEADER_BYTES;
    loop {
        match file.read_at(&mut window, at)? {
            0 => return Ok(false),
            read if window[..read].iter().any(|byte| *byte != 0) => return Ok(true),
            read => at += read as u64,
        }
    }
}

/// What replay has gathered.
pub(super) struct Replayed<'a> {
    builder: &'a Builder,
    state: &'a StoreState,
    tables: &'a Arc<Tables>,
    numbers: &'a Arc<AtomicU64>,
    options: &'a [(u32, FamilyOptions)],
    memtable_bytes: usize,
    filling: BTreeMap<u32, Filling>,
    /// What the keys of a family have in common, as its last memtable had it.
    heads: BTreeMap<u32, Heads>,
    rewriter: Rewriter,
    /// The last sequence number that was found.
    pub(super) last_seq: SeqNum,
}

impl<'a> Replayed<'a> {
    pub(super) fn new(
        builder: &'a Builder,
        state: &'a StoreState,
        tables: &'a Arc<Tables>,
        numbers: &'a Arc<AtomicU64>,
        options: &'a [(u32, FamilyOptions)],
    ) -> Replayed<'a> {
        Replayed {
            builder,
            state,
            tables,
            numbers,
            options,
            memtable_bytes: builder.options.commit_options().memtable_bytes,
            filling: BTreeMap::new(),
            heads: BTreeMap::new(),
            rewriter: Rewriter::new(matches!(builder.mode, Mode::Threads)),
            last_seq: 0,
        }
    }

    /// Replays the segments that the manifest needs.
    pub(super) fn run(&mut self, names: &[String]) -> Result<Replay> {
        let oldest = self.state.oldest_wal;
        let mut numbers: Vec<FileNumber> = names
            .iter()
            .filter_map(|name| match FileKind::parse(name) {
                Some(FileKind::Wal(number)) if number >= oldest => Some(number),
                _ => None,
            })
            .collect();
        numbers.sort_unstable();
        let (dir, fs) = (&self.builder.path, &self.builder.fs);
        if oldest == 0 {
            // The store is only being created.
            return Ok(Replay::default());
        }
        let to_damage = self.builder.options.recover_to_damage;
        let known = LogKnown { store: self.state.store, oldest, synced: self.state.synced_log };
        replay(fs, dir, known, &numbers, to_damage, |group, batch, file, base| {
            self.apply(group, batch, file, base)
        })
    }

    fn apply(&mut self, group: GroupHeader, batch: LoggedBatch<'_>, file: &Path, base: u64) -> Result<()> {
        let (heads, numbers, bytes) = (&self.heads, self.numbers, self.memtable_bytes);
        let begin = |family: u32| {
            let heads = heads.get(&family).cloned().unwrap_or_else(|| Heads::from(b""));
            Filling::new(numbers.fetch_add(1, Ordering::Relaxed), heads, bytes)
        };
        let (group_and_batch, place) = ((group, batch), (file, base));
        let before = self.last_seq;
        self.last_seq = fill(&mut self.filling, self.state, before, group_and_batch, place, begin)?;
        let full = |Filling { memtable: m, .. }: &Filling| {
            m.allocated_bytes() >= self.memtable_bytes || m.ranges().len() >= MOST_RANGES
        };
        let full: Vec<u32> = self.filling.iter().filter(|(_, f)| full(f)).map(|(id, _)| *id).collect();
        for family in full {
            self.write_tables(family, self.last_seq, group.clock_ms)?;
        }
        Ok(())
    }

    /// Has a family's memtable written to tables of level 0.
    fn write_tables(&mut self, family: u32, last_seq: SeqNum, now_ms: u64) -> Result<()> {
        let Some(mut filling) = self.filling.remove(&family) else { return Ok(()) };
        filling.settle();
        let memtable = filling.memtable;
        self.heads.insert(family, memtable.suggested_heads());
        let options = self.options.iter().find(|(id, _)| *id == family).map(|(_, o)| o.clone());
        self.rewriter.begin(Rewrite {
            memtable,
            options: options.unwrap_or_default(),
            tables: self.tables.clone(),
            numbers: self.numbers.clone(),
            dir: self.builder.path.clone(),
            family,
            store: self.state.store,
            history: self.state.history.id,
            last_seq,
            now_ms,
        })
    }

    /// Writes what is left and returns the edit that names all new tables.
    pub(super) fn finish(mut self, last_seq: SeqNum, now_ms: u64) -> Result<Edit> {
        let families: Vec<u32> = self.filling.keys().copied().collect();
        for family in families {
            self.write_tables(family, last_seq, now_ms)?;
        }
        self.rewriter.finish()
    }
}
