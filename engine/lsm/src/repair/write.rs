//! Writing the new store.
//!
//! # Steps
//! 1. The directory is made, locked and marked as unfinished, durably.
//! 2. What counts of the log is written to temporary tables, sorted, a piece at a time.
//! 3. Each family's tables and pieces are merged into tables of the last level, which are synced.
//! 4. The manifest is written, and then `CURRENT`: from here on it is a store.
//! 5. The mark is removed.
//!
//! A crash before step 4 leaves a directory that nobody takes for a store, and that says so itself; the
//! next repair into it begins anew.

use super::catalog::Catalog;
use super::plan::{FamilyPlan, Input, Plan};
use super::runs::{Entry, Newest};
use super::segments::{Log, operations};
use super::tables::survey;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{EntryRef, Kind, MAX_SEQ, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::operand::{Operand, outcome};
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::db::{StoredOptions, options_file};
use crate::fs::{Fs, LockGuard};
use crate::ranges::{Range, RangeKind, RangeSet};
use crate::table::{Origin, TableOptions, TableWriter, Tables};
use crate::version::{FamilyState, History, Manifest, StoreState, TableMeta};
use std::collections::BTreeMap;
use std::path::Path;

/// What stands in the mark of an unfinished repair.
const REPAIR: &[u8] = b"repair\n";

fn is_mark(name: &str) -> bool {
    FileKind::parse(name) == Some(FileKind::Unfinished)
}

/// How the new store is written.
pub(super) struct Target<'a> {
    pub(super) fs: &'a Fs,
    pub(super) dir: &'a Path,
    pub(super) random: &'a Random,
    /// What the clock shows, in milliseconds since the epoch.
    pub(super) now_ms: u64,
    /// The size of a table, in bytes.
    pub(super) table_bytes: u64,
    /// How much of the log is sorted in memory at once, in bytes.
    pub(super) piece_bytes: u64,
    /// The options that the old store was used with, if they are left.
    pub(super) options: Option<StoredOptions>,
}

impl Target<'_> {
    /// Makes the directory ready. Only an empty one will do, or one that an earlier repair has begun.
    fn prepare(&self) -> Result<LockGuard> {
        self.fs.create_dir_all(self.dir)?;
        self.check()?;
        let holder = format!("process {}", std::process::id());
        let lock = self.fs.lock(&FileKind::Lock.path(self.dir), &holder)?;
        let lock = lock.map_err(|holder| Error::Locked { path: self.dir.into(), holder })?;
        for name in self.check()? {
            self.fs.remove(&self.dir.join(name))?;
        }
        if !self.is_marked()? {
            let mark = FileKind::Unfinished.path(self.dir);
            if self.fs.list(self.dir)?.iter().any(|name| is_mark(name)) {
                self.fs.remove(&mark)?;
            }
            let file = self.fs.create_new(&mark)?;
            file.write_all_at(REPAIR, 0)?;
            file.sync()?;
        }
        self.fs.sync_dir(self.dir)?;
        Ok(lock)
    }

    /// Whether a repair has begun here, and not a checkpoint or a restore, whose mark is empty.
    fn is_marked(&self) -> Result<bool> {
        match self.fs.read_all(&FileKind::Unfinished.path(self.dir), REPAIR.len() as u64) {
            Err(error) if error.is_not_found() => Ok(false),
            found => Ok(found? == REPAIR),
        }
    }

    /// Whether the directory would do, without making it ready.
    ///
    /// # Errors
    /// Those that making it ready would give, as far as they can be told without writing.
    pub(super) fn check_vacant(&self) -> Result<()> {
        match self.check() {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
        match self.fs.hold(&FileKind::Lock.path(self.dir))? {
            Ok(_) => Ok(()),
            Err(holder) => Err(Error::Locked { path: self.dir.into(), holder }),
        }
    }

    /// What an unfinished repair has left behind, apart from its mark.
    fn check(&self) -> Result<Vec<String>> {
        let names = self.fs.list(self.dir)?;
        let harmless = |name: &&String| ["LOCK", "lost+found"].contains(&name.as_str()) || is_mark(name);
        let rest: Vec<String> = names.iter().filter(|name| !harmless(name)).cloned().collect();
        let unfinished = self.is_marked()?;
        let ours = |name: &String| FileKind::parse(name).is_some_and(|kind| kind != FileKind::Current);
        match rest.iter().find(|name| !(unfinished && ours(name))) {
            Some(name) => {
                let why = format!("{} is not empty: it holds {name:?}", self.dir.display());
                Err(Error::invalid("into", why))
            }
            None => Ok(rest),
        }
    }

    /// Writes the whole store. Returns the number of keys in each family.
    pub(super) fn write(&self, source: &Fs, catalog: &Catalog, log: &Log, plan: &Plan) -> Result<Keys> {
        let _lock = self.prepare()?;
        let written = self.fill(source, catalog, log, plan);
        if written.is_err() {
            // What cannot be removed is recognised by the mark, which goes last.
            if let Ok(rest) = self.check() {
                rest.iter().for_each(|name| drop(self.fs.remove(&self.dir.join(name))));
                let _ = self.fs.remove(&FileKind::Unfinished.path(self.dir));
            }
        }
        written
    }

    fn fill(&self, source: &Fs, catalog: &Catalog, log: &Log, plan: &Plan) -> Result<Keys> {
        let tables = Tables::new(self.fs.clone(), self.dir, self.random.clone(), 0, 16);
        let removed = Removed::registered(catalog);
        let mut output = Output { target: self, tables, next: 1, pieces: BTreeMap::new(), removed };
        output.sort_log(source, log, plan)?;
        let mut state = self.state(catalog, log, plan);
        let mut keys = Keys::new();
        for (&id, family) in &plan.families {
            let pieces = output.pieces.remove(&id).unwrap_or_default();
            let (count, metas) = output.family(source, id, family, pieces, &state)?;
            keys.insert(id, count);
            let mut made = FamilyState {
                name: family.name.clone(),
                options: family.options.clone().unwrap_or_default().encode(),
                flushed: state.seq_ceiling - 1,
                ..FamilyState::default()
            };
            made.tables[LEVELS - 1].extend(metas.into_iter().map(|meta| (meta.number, Arc::new(meta))));
            state.families.insert(id, made);
        }
        if let Some(options) = &self.options {
            options_file::write(self.fs, self.dir, output.next, &options.text_for(state.store))?;
            output.next += 1;
        }
        self.fs.sync_dir(self.dir)?;
        state.next_file = output.next;
        Manifest::create(self.fs.clone(), self.dir, self.random.clone(), state)?;
        self.fs.remove(&FileKind::Unfinished.path(self.dir))?;
        self.fs.sync_dir(self.dir)?;
        Ok(keys)
    }

    /// The new store's state, without its families.
    fn state(&self, catalog: &Catalog, log: &Log, plan: &Plan) -> StoreState {
        let known = &catalog.state;
        let in_log = log.last_seq.max(log.closed).unwrap_or(0);
        let last = in_log.max(plan.last_seq).max(known.seq_ceiling).min(MAX_SEQ / 2);
        let clock_ms = known.clock_ms.max(log.clock_ms).max(plan.created_ms);
        StoreState {
            store: self.random.next_u64(),
            layer: known.layer.clone(),
            seq_ceiling: last + 1,
            history: History { id: self.random.next_u64(), first_seq: last + 1 },
            clock_ms,
            next_family: plan.next_family(),
            consumers: known.consumers.clone(),
            prepared_family: known.prepared_family.filter(|id| plan.families.contains_key(id)),
            ..StoreState::default()
        }
    }
}

/// The number of keys in each family.
pub(super) type Keys = BTreeMap<u32, Count>;

/// The keys of a family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// Those that a scan shows.
    pub(super) shown: u64,
    /// Those that have expired.
    pub(super) expired: u64,
}

/// Entries of one family, newest first for each key; and whether they only fill in.
type Piece = BTreeMap<(u32, bool), BTreeMap<(Vec<u8>, std::cmp::Reverse<SeqNum>), (Kind, u64, Vec<u8>)>>;

/// The deleted and dropped ranges that were found, by family.
#[derive(Default)]
struct Removed {
    /// Those in force: a whole manifest has them, or the log behind it.
    sure: BTreeMap<u32, BTreeMap<SeqNum, Arc<Range>>>,
    /// The others.
    others: BTreeMap<u32, BTreeMap<SeqNum, Arc<Range>>>,
}

impl Removed {
    /// What a whole manifest has.
    fn registered(catalog: &Catalog) -> Removed {
        let families = catalog.state.families.iter().filter(|_| catalog.is_certain());
        let sure = families.map(|(id, family)| (*id, family.ranges.clone())).collect();
        Removed { sure, others: BTreeMap::new() }
    }

    fn add(&mut self, family: u32, range: Arc<Range>, sure: bool) {
        let families = if sure { &mut self.sure } else { &mut self.others };
        families.entry(family).or_default().insert(range.seq, range);
    }

    /// The ranges of a family: those in force, and the others.
    fn of(&self, family: u32) -> (RangeSet, RangeSet) {
        let set = |families: &BTreeMap<u32, BTreeMap<SeqNum, Arc<Range>>>| {
            RangeSet::new(families.get(&family).into_iter().flat_map(BTreeMap::values).cloned().collect())
        };
        (set(&self.sure), set(&self.others))
    }
}

struct Output<'a> {
    target: &'a Target<'a>,
    tables: Tables,
    next: FileNumber,
    /// The sorted pieces of the log, by family.
    pieces: BTreeMap<u32, Vec<Input>>,
    removed: Removed,
}

impl Output<'_> {
    /// Sorts what counts of the log into temporary tables.
    fn sort_log(&mut self, source: &Fs, log: &Log, plan: &Plan) -> Result<()> {
        let mut removed = std::mem::take(&mut self.removed);
        let mut piece = Piece::new();
        let mut bytes = 0;
        let holes = plan.families.values().any(|family| !family.holes.is_empty());
        for segment in log.segments.iter().filter(|segment| segment.needed || holes && segment.fills()) {
            let mut full = Ok(());
            operations(source, segment, |seq, op| {
                let Some(family) = plan.families.get(&op.family) else { return Ok(()) };
                let counts = segment.needed && seq > family.flushed;
                if let Some(kind) = RangeKind::of(op.kind) {
                    let range = Range::new(kind, seq, op.key, op.value, 0);
                    removed.add(op.family, Arc::new(range), counts && plan.is_certain());
                    return Ok(());
                }
                if !counts && !family.holes.contains(op.key) {
                    return Ok(());
                }
                bytes += (op.key.len() + op.value.len() + 64) as u64;
                let entries = piece.entry((op.family, !counts)).or_default();
                let key = (op.key.to_vec(), std::cmp::Reverse(seq));
                entries.entry(key).or_insert((op.kind, op.expires_at, op.value.to_vec()));
                if bytes >= self.target.piece_bytes {
                    bytes = 0;
                    full = self.write_piece(std::mem::take(&mut piece));
                }
                full.clone()
            })?;
        }
        self.removed = removed;
        self.write_piece(piece)
    }

    fn write_piece(&mut self, piece: Piece) -> Result<()> {
        for ((family, filling), entries) in piece {
            let number = self.next_number();
            let name = FileKind::Temp(number).name();
            let path = self.target.dir.join(&name);
            let file = self.target.fs.create_new(&path)?;
            let options = TableOptions { codec: crate::compress::Codec::None, ..TableOptions::default() };
            let mut writer = TableWriter::new(file, self.target.random.next_u64(), options)?;
            for ((key, seq), (kind, expires_at, value)) in &entries {
                let (kind, expires_at) = (*kind, *expires_at);
                writer.add(&EntryRef { key, seq: seq.0, kind, expires_at, value })?;
            }
            writer.finish()?;
            let mut table = survey(self.target.fs, self.target.dir, &name, None);
            // It is no table of the old store's, whose numbers tell their age.
            table.number = 0;
            self.pieces.entry(family).or_default().push(Input { table, filling });
        }
        Ok(())
    }

    fn next_number(&mut self) -> FileNumber {
        self.next += 1;
        self.next - 1
    }

    /// Merges all that there is of a family.
    fn family(
        &mut self,
        source: &Fs,
        id: u32,
        family: &FamilyPlan,
        pieces: Vec<Input>,
        state: &StoreState,
    ) -> Result<(Count, Vec<TableMeta>)> {
        let temporary: Vec<_> = pieces.iter().map(|input| input.table.path.clone()).collect();
        let inputs = family.inputs.iter().cloned().chain(pieces).collect();
        let mut newest = Newest::of(source, inputs, family.holes.clone())?;
        let policy = family.options.clone().unwrap_or_default().policy();
        let (store, created_ms) = (state.store, state.clock_ms);
        let origin = Origin { family: id, store, created_ms, ..Origin::default() };
        let now_ms = created_ms.max(self.target.now_ms);
        let options = policy.for_level(LEVELS - 1, origin);
        let (sure, others) = self.removed.of(id);
        let (mut count, mut metas) = (Count::default(), Vec::new());
        let mut writer: Option<(FileNumber, TableWriter)> = None;
        while let Some(mut entries) = newest.next()? {
            // Nor is anything older than a range that covers it. Of what has lost its number in the last
            // level, only a range that is in force is certainly newer.
            let covered =
                |entry: &Entry, ranges: &RangeSet| ranges.at(&entry.key).behind(entry.seq).is_some();
            let counts = |entry: &Entry| {
                // Nothing is left for a deletion to hide.
                let stays = entry.kind != Kind::Delete;
                stays && !covered(entry, &sure) && !(entry.seq > 0 && covered(entry, &others))
            };
            entries.truncate(entries.iter().take_while(|entry| counts(entry)).count());
            if entries.is_empty() {
                continue;
            }
            if let Some((_, open)) = &mut writer
                && open.has_reached(self.target.table_bytes)?
            {
                finish(&mut writer, &mut metas)?;
            }
            let (_, writer) = match &mut writer {
                Some(writer) => writer,
                none => {
                    let number = self.next_number();
                    let (file, identity) = self.tables.create(number)?;
                    none.insert((number, TableWriter::new(file, identity, options.clone())?))
                }
            };
            for entry in &entries {
                writer.add(&entry.as_ref())?;
            }
            *(if expiry(&entries) <= now_ms { &mut count.expired } else { &mut count.shown }) += 1;
        }
        finish(&mut writer, &mut metas)?;
        for path in temporary {
            self.target.fs.remove(&path)?;
        }
        Ok((count, metas))
    }
}

/// When what a key shows expires: its newest entry, or what its operands come to, newest first.
fn expiry(entries: &[Entry]) -> u64 {
    let operands = entries.iter().filter(|entry| entry.kind == Kind::Merge).rev();
    let base = entries.last().filter(|entry| entry.kind == Kind::Put).map(|entry| entry.expires_at);
    outcome(base, operands.filter_map(|entry| Operand::decode(&entry.as_ref()))).expires_at
}

fn finish(writer: &mut Option<(FileNumber, TableWriter)>, metas: &mut Vec<TableMeta>) -> Result<()> {
    if let Some((number, writer)) = writer.take() {
        metas.push(TableMeta::of(number, writer.finish()?, 0));
    }
    Ok(())
}
