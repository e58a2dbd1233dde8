//! Where the reading of a store stands, and how it gets there.

use super::source::{OpenTables, Source, gone, missing};
use super::state::{Base, State, shown_by_tables};
use crate::base::clock::ExpiryClock;
use crate::base::cursor::Cursor;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::db::filling::{Filling, fill};
use crate::memtable::{Heads, MemtableCursor};
use crate::version::{ManifestTail, Moved, read_current};
use crate::wal::{LogTail, Reached};
use std::collections::BTreeMap;

/// How often all is read again because the store has moved on meanwhile.
const ATTEMPTS: u32 = if cfg!(test) { 12 } else { 64 };

/// What is kept of the log is weighed whenever so small a part of what it may take has come to it.
const WEIGHED_PARTS: u64 = 64;

/// The manifest and the log, as far as they were read.
#[derive(Debug)]
pub(super) struct Position {
    source: Arc<Source>,
    manifest: ManifestTail,
    /// What was made of the manifest, as it was when it was made.
    base: Option<Base>,
    log: Option<LogTail>,
    kept: Kept,
}

/// What reading on has come to.
pub(super) enum Settled {
    /// All that there is, as it is shown.
    Reached(State),
    /// Another manifest is in force.
    Replaced,
    /// A record that was read is not part of the log any more.
    TakenBack,
}

/// What the log holds and families have not flushed.
#[derive(Default)]
struct Kept {
    fillings: BTreeMap<u32, Filling>,
    /// The last sequence number that was found in the log.
    last_seq: SeqNum,
    /// Bytes of batches that came since all was weighed.
    unweighed: u64,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("last_seq", &self.last_seq).finish_non_exhaustive()
    }
}

impl Position {
    /// Reads the store from `CURRENT` on. Tables that are among `known` are not opened again.
    ///
    /// # Errors
    /// [`Error::NotADatabase`], [`Error::Corruption`], [`Error::LogTooLarge`]; [`Error::FileGone`] if whoever
    /// writes to the store was faster each time; what reading gives.
    pub(super) fn load(source: &Arc<Source>, mut known: OpenTables) -> Result<(Position, State)> {
        let (fs, dir) = (source.fs(), source.dir());
        // What is no directory says so.
        if let Err(error) = fs.list(dir)
            && !error.is_not_found()
        {
            return Err(error);
        }
        let mut met = Error::FileGone { file: FileKind::Current.path(dir).into() };
        for _ in 0..ATTEMPTS {
            let current = read_current(fs, dir)?;
            let manifest = match ManifestTail::open(fs, dir) {
                Ok(manifest) => manifest.ok_or_else(|| source.builder.why_nothing())?,
                Err(error) if read_current(fs, dir)? == current => return Err(error),
                // Another one is in force: this one is gone for that reason, however that showed.
                Err(_) => {
                    let named =
                        current.map_or(FileKind::Current, |current| FileKind::Manifest(current.manifest));
                    met = Error::FileGone { file: named.path(dir).into() };
                    continue;
                }
            };
            source.builder.check_layer_of(manifest.state())?;
            let (source, kept) = (source.clone(), Kept::default());
            let mut position = Position { source, manifest, base: None, log: None, kept };
            match position.settle(&mut known, true) {
                Ok(Settled::Reached(state)) => return Ok((position, state)),
                Ok(_) => {}
                // It stands if the manifest does. One that cannot be read says why when it is opened again.
                Err(error) => match position.manifest.advance() {
                    Ok(Moved::No) => return Err(missing(error)),
                    _ => met = error,
                },
            }
        }
        Err(gone(met))
    }

    /// Reads what has come since. After an error, or if it was not reached, only loading anew helps.
    pub(super) fn advance(&mut self) -> Result<Settled> {
        match self.manifest.advance()? {
            Moved::Replaced => Ok(Settled::Replaced),
            Moved::No | Moved::Edits => self.settle(&mut OpenTables::new(), false),
        }
    }

    /// The last sequence number that the store has, as its manifest and its log say now.
    pub(super) fn newest_seq(&self) -> Result<SeqNum> {
        let log = self.log.as_ref().map(|log| (self.manifest.number(), log));
        newest_seq(&self.source, log)
    }

    /// Reads on: what the manifest names, the log to its end, and whether the manifest has not gone ahead of
    /// that.
    fn settle(&mut self, known: &mut OpenTables, thorough: bool) -> Result<Settled> {
        for _ in 0..ATTEMPTS {
            let base = match self.base.take() {
                Some(base) if base.end == self.manifest.lsn() => base,
                Some(base) => Base::open(&self.source, &self.manifest, &mut base.tables())?,
                None => Base::open(&self.source, &self.manifest, known)?,
            };
            self.kept.forget_flushed(&base, self.source.memtable_bytes)?;
            let base = self.base.insert(base);
            if self.log.is_none() && base.state.oldest_wal > 0 {
                let (source, state) = (&self.source, &base.state);
                self.log = Some(LogTail::open(source.fs(), source.dir(), state.store, state.oldest_wal)?);
            }
            if let Some(log) = &mut self.log
                && self.kept.read(log, base, &self.source, thorough)? == Reached::TakenBack
            {
                return Ok(Settled::TakenBack);
            }
            let (end, ingests) = (base.end, self.manifest.ingests());
            match self.manifest.advance()? {
                Moved::Replaced => return Ok(Settled::Replaced),
                // The log may go on behind what was ingested.
                Moved::Edits if self.manifest.ingests() > ingests => continue,
                Moved::No | Moved::Edits => {}
            }
            if self.ends_where_it_was_closed(end)? {
                return Ok(Settled::Reached(self.state()));
            }
        }
        Ok(Settled::Replaced)
    }

    /// Whether the manifest that was read ends where the log says, if that was closed in good order. A cut
    /// between two edits nothing in the manifest itself tells.
    fn ends_where_it_was_closed(&self, read: u64) -> Result<bool> {
        let Some(closed) = self.log.as_ref().and_then(LogTail::closed_with) else { return Ok(true) };
        let manifest = &self.manifest;
        if closed.number == manifest.number() && closed.lsn <= read {
            return Ok(true);
        }
        if manifest.lsn() > read {
            return Ok(false);
        }
        let expected = match closed.number == manifest.number() {
            true => format!("edits up to position {}, where the store was closed", closed.lsn),
            false => {
                format!("{} in force, as when the store was closed", FileKind::Manifest(closed.number).name())
            }
        };
        Err(Corruption::new(manifest.path(), manifest.offset(), expected, "the end of the manifest").into())
    }

    /// What was read, as it is shown.
    fn state(&self) -> State {
        let (log, kept) = (self.log.as_ref(), &self.kept);
        let (mut families, mut seq, mut clock_ms) = (Vec::new(), kept.last_seq, 0);
        let (mut store, mut history, mut prepared) = Default::default();
        if let Some(base) = &self.base {
            let with = |family: &super::state::FamilyBase| {
                family.with(kept.fillings.get(&family.id).map(|filling| &filling.memtable))
            };
            families = base.families.iter().map(with).collect();
            (seq, clock_ms) = (seq.max(base.seq), base.state.clock_ms);
            (store, history, prepared) = (base.state.store, base.state.history, base.state.prepared_family);
        }
        let clock_ms = clock_ms.max(log.map_or(0, LogTail::clock_ms));
        State {
            clock: ExpiryClock::new(self.source.builder.given_clock().clone(), clock_ms),
            source: self.source.clone(),
            families,
            prepared,
            store,
            seq,
            history,
            groups: log.map_or(0, LogTail::groups),
        }
    }
}

/// The last sequence number that a store has now. `log` is how far the log was read with the manifest of that
/// number in force, if it was; else it is read from its beginning.
pub(super) fn newest_seq(source: &Source, log: Option<(FileNumber, &LogTail)>) -> Result<SeqNum> {
    let (fs, dir) = (source.fs(), source.dir());
    let mut attempts = ATTEMPTS;
    loop {
        let current = read_current(fs, dir)?;
        match newest_seq_of(source, log) {
            // Another manifest is in force by now: what was read of this one says nothing.
            Err(_) if attempts > 0 && read_current(fs, dir)? != current => attempts -= 1,
            newest => return newest,
        }
    }
}

fn newest_seq_of(source: &Source, log: Option<(FileNumber, &LogTail)>) -> Result<SeqNum> {
    let (fs, dir) = (source.fs(), source.dir());
    let manifest = ManifestTail::open(fs, dir)?.ok_or_else(|| source.builder.why_nothing())?;
    let state = manifest.state();
    let mut newest = shown_by_tables(state);
    let mut log = match log.filter(|(number, _)| *number == manifest.number()) {
        Some((_, log)) => log.clone(),
        None if state.oldest_wal > 0 => LogTail::open(fs, dir, state.store, state.oldest_wal)?,
        None => return Ok(newest),
    };
    log.advance(0, false, &mut |_, batch, _, _| {
        newest = newest.max((batch.first_seq + u64::from(batch.count)).saturating_sub(1));
        Ok(())
    })?;
    Ok(newest)
}

impl Kept {
    /// Reads the log on to its end.
    fn read(&mut self, log: &mut LogTail, base: &Base, source: &Source, thorough: bool) -> Result<Reached> {
        let state = &base.state;
        let reached = log.advance(state.synced_log, thorough, &mut |group, batch, file, at| {
            let begin =
                |family: u32| Filling::new(u64::from(family), Heads::from(b""), source.memtable_bytes);
            let (group_and_batch, place) = ((group, batch), (file, at));
            let fillings = &mut self.fillings;
            self.last_seq = fill(fillings, state, self.last_seq, group_and_batch, place, begin)?;
            self.unweighed += batch.ops.len() as u64;
            if self.unweighed > source.most_log_bytes / WEIGHED_PARTS {
                self.weigh(source.most_log_bytes)?;
            }
            Ok(())
        });
        self.fillings.values_mut().for_each(Filling::settle);
        let reached = reached?;
        self.weigh(source.most_log_bytes)?;
        Ok(reached)
    }

    /// Refuses more than fits.
    fn weigh(&mut self, limit: u64) -> Result<()> {
        self.unweighed = 0;
        let bytes = self.fillings.values().map(|filling| filling.memtable.entry_bytes() as u64).sum();
        if bytes > limit { Err(Error::LogTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Leaves out what families have flushed since it came, and families that were dropped. States that were
    /// made before keep it.
    fn forget_flushed(&mut self, base: &Base, memtable_bytes: usize) -> Result<()> {
        let mut kept = BTreeMap::new();
        for (id, filling) in std::mem::take(&mut self.fillings) {
            let Some(family) = base.families.iter().find(|family| family.id == id) else { continue };
            let flushed = family.flushed;
            if filling.memtable.first_seq().is_none_or(|first| first > flushed) {
                kept.insert(id, filling);
                continue;
            }
            let old = &filling.memtable;
            let mut newer = Filling::new(u64::from(id), old.suggested_heads(), memtable_bytes);
            let mut cursor = MemtableCursor::new(old.clone());
            cursor.seek_to_first()?;
            while cursor.valid() {
                let entry = cursor.entry();
                if entry.seq > flushed {
                    newer.add(&entry);
                }
                cursor.next()?;
            }
            newer.settle();
            let ranges =
                old.ranges().ranges().iter().filter(|range| range.seq > flushed).cloned().collect::<Vec<_>>();
            if ranges.is_empty() && newer.memtable.is_empty() {
                continue;
            }
            newer.memtable.writer().add_ranges(ranges);
            kept.insert(id, newer);
        }
        self.fillings = kept;
        Ok(())
    }
}
