//! Writing the new store.

use super::salvage::{Distinct, Salvage};
use super::survey::{Placed, Survey};
use super::tables::{meta_of, oldest_deletion};
use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::batch::Op;
use crate::compaction::{Below, MergeSpec, merge};
use crate::db::FamilyOptions;
use crate::fs::{Fs, OpenFile};
use crate::inspect;
use crate::iter::{Horizon, Merge};
use crate::memtable::{Memtable, MemtableCursor};
use crate::table::{Origin, Tables};
use crate::version::{FamilyState, History, Manifest, StoreState, TableMeta, Version};
use crate::wal::{Wal, WalOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that says, until `CURRENT` is there, what the directory is.
pub(super) const MARKER: &str = "UNFINISHED-REPAIR";

/// A memtable that replay fills is written out at this size, in bytes.
const MEMTABLE_BYTES: usize = 16 << 20;
/// Tables of the new store that a merge writes are closed at this size, in bytes.
const TABLE_BYTES: u64 = 64 << 20;
/// At most so many tables are merged at once: each keeps a file open.
const MERGE_RUNS: usize = 128;
/// How much is copied at once, in bytes.
const COPY_BYTES: usize = 1 << 20;
/// Sequence numbers that stay unused behind the last that is known: more may have been handed out.
const UNUSED_SEQS: u64 = 1 << 25;
/// Where merged tables go when nothing says where they were: sequence numbers are kept there.
const MERGED_LEVEL: usize = LEVELS - 2;

/// A store that is being written.
pub(super) struct Build<'a> {
    fs: &'a Fs,
    into: PathBuf,
    random: Random,
    tables: Tables,
    numbers: AtomicU64,
    history: u64,
    clock_ms: u64,
    options: BTreeMap<u32, FamilyOptions>,
    memtables: BTreeMap<u32, Arc<Memtable>>,
    /// The new tables: family, level.
    made: Vec<(u32, usize, Arc<TableMeta>)>,
}

impl<'a> Build<'a> {
    /// Takes the directory, which is empty or holds an unfinished repair.
    pub(super) fn begin(fs: &'a Fs, into: &Path, random: Random, survey: &Survey) -> Result<Build<'a>> {
        fs.create_dir_all(into)?;
        let names = fs.list(into)?;
        let unfinished = names.iter().any(|name| name == MARKER) && !names.iter().any(|n| n == "CURRENT");
        if !unfinished && let Some(name) = names.iter().find(|name| *name != "lost+found") {
            let why = format!("{} is not empty: it holds {name:?}", into.display());
            return Err(Error::invalid("into", why));
        }
        for name in names.iter().filter(|name| FileKind::parse(name).is_some()) {
            fs.remove(&into.join(name))?;
        }
        if !unfinished {
            let marker = fs.create_new(&into.join(MARKER))?;
            marker.write_all_at(
                b"This store is being repaired into; until it has a CURRENT it is not whole.\n",
                0,
            )?;
            marker.sync()?;
        }
        fs.sync_dir(into)?;
        let options = survey.families.iter().map(|(id, (_, options))| {
            // Options that make no sense cost nothing but their effect.
            (*id, FamilyOptions::decode(options).unwrap_or_default())
        });
        Ok(Build {
            fs,
            into: into.to_owned(),
            tables: Tables::new(fs.clone(), into, random.clone(), 0, MERGE_RUNS),
            history: random.next_u64(),
            random,
            numbers: AtomicU64::new(survey.greatest_number + 1),
            clock_ms: survey.state.as_ref().map_or(0, |state| state.clock_ms),
            options: options.collect(),
            memtables: BTreeMap::new(),
            made: Vec::new(),
        })
    }

    fn next_number(&self) -> FileNumber {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Brings a table over: whole ones as they are, of others what is left.
    pub(super) fn table(&mut self, placed: &Placed, level: usize) -> Result<()> {
        let table = &placed.table;
        let (Some(file), Some(mut cursor)) = (&table.file, table.cursor()) else { return Ok(()) };
        if table.whole {
            let number = self.next_number();
            if let Some(meta) = meta_of(table, number) {
                self.copy(file, number, table.bytes)?;
                self.made.push((placed.family, level, Arc::new(meta)));
                return Ok(());
            }
        }
        let oldest = oldest_deletion(placed.meta.as_deref(), table);
        self.merge(placed.family, level, u64::MAX, oldest, Vec::new(), &mut cursor)
    }

    fn copy(&self, from: &OpenFile, number: FileNumber, bytes: u64) -> Result<()> {
        let to = self.fs.create_new(&FileKind::Table(number).path(&self.into))?;
        let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(bytes).unwrap_or(COPY_BYTES))];
        let mut at = 0;
        while at < bytes {
            let wanted = buffer.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
            from.read_exact_at(&mut buffer[..wanted], at)?;
            to.write_all_at(&buffer[..wanted], at)?;
            at += wanted as u64;
        }
        to.sync()
    }

    /// Writes what a cursor shows to tables of a level. Without horizons every entry is kept.
    fn merge(
        &mut self,
        family: u32,
        level: usize,
        table_bytes: u64,
        oldest_deletion_ms: u64,
        horizons: Vec<Horizon>,
        input: &mut impl Cursor,
    ) -> Result<()> {
        let policy = self.options.entry(family).or_default().policy();
        let nothing = Version::default();
        let below = if horizons.is_empty() { Below::unknown(&nothing) } else { Below::new(&nothing, 0) };
        let spec = MergeSpec {
            tables: &self.tables,
            next_number: &|| self.next_number(),
            policy: &policy,
            level,
            table_bytes,
            horizons,
            below,
            origin: Origin { family, history: self.history, created_ms: self.clock_ms, oldest_deletion_ms },
            check: &|| Ok(()),
        };
        let made = merge(input, spec)?.tables;
        self.made.extend(made.into_iter().map(|meta| (family, level, meta)));
        Ok(())
    }

    /// Takes an operation of the log.
    pub(super) fn apply(&mut self, seq: SeqNum, clock_ms: u64, op: &Op<'_>) -> Result<()> {
        self.clock_ms = self.clock_ms.max(clock_ms);
        if !self.memtables.contains_key(&op.family) {
            let memtable = Memtable::new(self.next_number(), b"", MEMTABLE_BYTES);
            self.memtables.insert(op.family, Arc::new(memtable));
        }
        let Some(memtable) = self.memtables.get(&op.family) else { return Ok(()) };
        if op.kind == Kind::Delete {
            memtable.note_deletion_at(clock_ms);
        }
        let (key, kind, expires_at, value) = (op.key, op.kind, op.expires_at, op.value);
        memtable.writer().insert(&EntryRef { key, seq, kind, expires_at, value });
        if memtable.allocated_bytes() >= MEMTABLE_BYTES { self.write_memtable(op.family) } else { Ok(()) }
    }

    fn write_memtable(&mut self, family: u32) -> Result<()> {
        let Some(memtable) = self.memtables.remove(&family) else { return Ok(()) };
        let oldest = memtable.oldest_deletion_ms().unwrap_or(NEVER);
        self.merge(family, 0, u64::MAX, oldest, Vec::new(), &mut MemtableCursor::new(memtable))
    }

    /// Writes what is left of the log.
    pub(super) fn write_memtables(&mut self) -> Result<()> {
        let families: Vec<u32> = self.memtables.keys().copied().collect();
        families.into_iter().try_for_each(|family| self.write_memtable(family))
    }

    /// Merges everything of each family into one run, since nothing says which table is newer.
    pub(super) fn merge_all(&mut self, survey: &Survey) -> Result<()> {
        let mut runs: BTreeMap<u32, Vec<(FileNumber, Run)>> = BTreeMap::new();
        for placed in &survey.tables {
            let run = Run::Found(placed.table.number);
            runs.entry(placed.family).or_default().push((placed.table.number, run));
        }
        for (family, _, meta) in std::mem::take(&mut self.made) {
            runs.entry(family).or_default().push((meta.number, Run::Made(meta.clone())));
        }
        for (family, mut runs) in runs {
            // Of entries with equal sequence numbers the one of the newest table counts.
            runs.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
            let mut runs: Vec<Run> = runs.into_iter().map(|(_, run)| run).collect();
            while runs.len() > MERGE_RUNS {
                let mut fewer = Vec::new();
                for some in runs.chunks(MERGE_RUNS) {
                    let made = self.merge_some(family, survey, some, false)?;
                    fewer.extend(made.into_iter().map(Run::Made));
                }
                runs = fewer;
            }
            let made = self.merge_some(family, survey, &runs, true)?;
            self.made.extend(made.into_iter().map(|meta| (family, MERGED_LEVEL, meta)));
        }
        Ok(())
    }

    /// Merges runs, given newest first, and removes those of them that were made on the way. The last
    /// merge drops what is overwritten and what is deleted.
    fn merge_some(
        &mut self,
        family: u32,
        survey: &Survey,
        runs: &[Run],
        last: bool,
    ) -> Result<Vec<Arc<TableMeta>>> {
        let mut cursors = Vec::new();
        let mut oldest = NEVER;
        for run in runs {
            match run {
                Run::Found(number) => {
                    for placed in survey.tables.iter().filter(|p| p.table.number == *number) {
                        oldest = oldest.min(oldest_deletion(None, &placed.table));
                        cursors.extend(placed.table.cursor());
                    }
                }
                Run::Made(meta) => {
                    oldest = oldest.min(meta.oldest_deletion_ms);
                    cursors.push(self.made_cursor(meta)?);
                }
            }
        }
        // Nothing expires here: what has is left to the store that is opened later.
        let horizons = if last { vec![Horizon { seq: SeqNum::MAX >> 8, now_ms: 0 }] } else { Vec::new() };
        let (level, bytes) = if last { (MERGED_LEVEL, TABLE_BYTES) } else { (0, u64::MAX) };
        let before = std::mem::take(&mut self.made);
        self.merge(family, level, bytes, oldest, horizons, &mut Distinct::new(Merge::new(cursors)))?;
        let made = std::mem::replace(&mut self.made, before);
        for run in runs {
            if let Run::Made(meta) = run {
                self.tables.remove(meta.number)?;
            }
        }
        Ok(made.into_iter().map(|(_, _, meta)| meta).collect())
    }

    fn made_cursor(&self, meta: &TableMeta) -> Result<Salvage> {
        let file = self.fs.open(&FileKind::Table(meta.number).path(&self.into))?;
        let table = inspect::TableFile::open(file)?;
        let blocks = table.blocks().map(|block| Ok(block?.handle)).collect::<Result<Vec<_>>>()?;
        let file = self.fs.open(&FileKind::Table(meta.number).path(&self.into))?;
        Ok(Salvage::new(Arc::new(file), meta.identity, blocks.into()))
    }

    /// How many entries of a family stand in the new tables.
    pub(super) fn entries(&self, family: u32) -> u64 {
        self.made.iter().filter(|(id, ..)| *id == family).map(|(.., meta)| meta.entries).sum()
    }

    /// Writes log and manifest, and `CURRENT`. `families` are those of the new store.
    pub(super) fn finish(
        self,
        survey: &Survey,
        families: &BTreeMap<u32, (String, Vec<u8>)>,
        last_seq: SeqNum,
    ) -> Result<()> {
        let made = self.made.iter().map(|(.., meta)| meta.max_seq).max().unwrap_or(0);
        let ceiling = survey.state.as_ref().map_or(0, |state| state.seq_ceiling);
        let last_seq = last_seq.max(made).max(ceiling);
        let mut state = StoreState {
            store: self.random.next_u64(),
            layer: survey.layer.clone().unwrap_or_else(|| "plain".into()),
            seq_ceiling: (last_seq + UNUSED_SEQS).min(crate::base::key::MAX_SEQ),
            history: History { id: self.history, first_seq: last_seq + 1 },
            clock_ms: self.clock_ms,
            next_family: survey.state.as_ref().map_or(0, |state| state.next_family),
            ..StoreState::default()
        };
        for (id, (name, options)) in families {
            let family = FamilyState {
                name: name.clone(),
                options: options.clone(),
                flushed: last_seq,
                ..FamilyState::default()
            };
            state.families.insert(*id, family);
            state.next_family = state.next_family.max(id + 1);
        }
        for (family, level, meta) in &self.made {
            if let Some(family) = state.families.get_mut(family) {
                family.tables[*level].insert(meta.number, meta.clone());
            }
        }
        let options = WalOptions {
            fs: self.fs.clone(),
            dir: self.into.clone(),
            store: state.store,
            random: self.random.clone(),
            segment_bytes: 0,
        };
        let wal = Wal::create(options, self.next_number())?;
        state.oldest_wal = wal.current();
        state.next_file = self.numbers.load(Ordering::Relaxed);
        self.fs.sync_dir(&self.into)?;
        Manifest::create(self.fs.clone(), &self.into, self.random.clone(), state)?;
        self.fs.remove(&self.into.join(MARKER))?;
        self.fs.sync_dir(&self.into)
    }
}

/// A sorted run that is merged.
enum Run {
    /// A table of the damaged store.
    Found(FileNumber),
    /// A table that was written on the way.
    Made(Arc<TableMeta>),
}
