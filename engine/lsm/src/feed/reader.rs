//! Reading changes: from segments that are kept, and from the log that is being written.
//!
//! # Steps
//! 1. The segment is looked for that holds what comes next: first what the store itself has, then, under the
//!    manifest, what is kept. In that order a segment that passes from the one to the other is found in both.
//! 2. Its groups are read, of the log that is being written up to the durable position: the number up to
//!    which all is durable is loaded first, and the position then, which is raised before it.
//! 3. A batch is handed out once whatever was ingested before it has been.
//!
//! # Invariants
//! - Nothing is handed out that a loss of power could take back, and nothing twice, and each batch whole.
//! - What is missing is told: a reader whose next segment was let go gets [`Error::FeedGap`], for good.
//! - An error takes the reading back to what was handed out last: nothing is passed over that was not.
//!
//! Nobody is held up by a reader: it takes the ordering section for the moment of copying a few numbers when
//! it goes on to another segment, and holds nothing back. The file that it reads stays readable when it is
//! removed.

use super::batch::{ChangeBatch, Content, Names};
use super::group::{Group, Placed};
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::base::position::Position;
use crate::base::sync::Arc;
use crate::batch::decode_ops;
use crate::commit::Store;
use crate::db::Db;
use crate::record::HEADER_BYTES;
use crate::version::{FeedState, IngestMark, KeptSegment, StoreState};
use crate::wal::{SegmentTail, Tailed};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// Reads what was committed and is durable, in order, from a [`Position`] on. Made by [`Db::changes`].
///
/// Owned, and may move between threads. As an iterator does, it keeps the store open.
pub struct ChangeFeed {
    db: Db,
    /// Behind what was handed out last.
    position: Position,
    source: Option<Source>,
    /// The last segment that was read to its end.
    finished: FileNumber,
    group: Group,
    names: Arc<Names>,
    /// What was ingested behind the position, up to this sequence number.
    ingests: VecDeque<IngestMark>,
    ingests_to: SeqNum,
    /// Up to where all was durable when everything was read that was: sequence number and log position.
    caught_up: (SeqNum, u64),
    /// Why it will not go on.
    failure: Option<Error>,
}

/// The segment that is read.
struct Source {
    number: FileNumber,
    history: u64,
    tail: SegmentTail,
    /// Where it ends, if nothing is written to it any more.
    end: Option<u64>,
}

/// The segment that comes next.
struct Found {
    number: FileNumber,
    /// As what it is kept, if the store has let go of it.
    kept: Option<KeptSegment>,
    history: u64,
    /// The store's own random number.
    store: u64,
}

/// What stands next, in the order of sequence numbers.
enum Next {
    Log(Placed),
    Ingested(IngestMark),
    Nothing,
}

impl fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeFeed").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Db {
    /// Reads what was committed behind a position, in order and each batch whole, as soon as it is durable:
    /// from what is kept of the log, and then from the log as it is written.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the store was opened without [`Options::feed`](crate::Options::feed);
    /// [`Error::FeedGap`] if not all changes behind the position are kept, or it is none of this store's;
    /// [`Error::Closed`].
    ///
    /// ```
    /// use esker::{FeedOptions, Operation};
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).feed(FeedOptions::default()).open()?;
    /// let mut feed = db.changes(db.feed_start()?)?;
    /// db.put("user:1", "Ada")?;
    /// let batch = feed.next_batch()?.expect("what is durable can be read");
    /// let mut operations = batch.operations();
    /// while let Some(change) = operations.next()? {
    ///     assert_eq!(change.family, Some("default"));
    ///     assert!(matches!(change.operation, Operation::Put { key: b"user:1", value: b"Ada", .. }));
    /// }
    /// assert!(feed.next_batch()?.is_none(), "it has caught up");
    /// // Kept somewhere, this is where another reader goes on.
    /// let position: esker::Position = batch.position().to_string().parse()?;
    /// # drop(operations);
    /// assert!(db.changes(position)?.next_batch()?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn changes(&self, from: Position) -> Result<ChangeFeed> {
        let store = self.store();
        store.check_open()?;
        store.check_position(from)?;
        Ok(ChangeFeed {
            db: self.clone(),
            position: from,
            source: None,
            finished: 0,
            group: Group::default(),
            names: Arc::default(),
            ingests: VecDeque::new(),
            ingests_to: 0,
            caught_up: (0, 0),
            failure: None,
        })
    }

    /// The first position from which [`Db::changes`] can read everything.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the store was opened without [`Options::feed`](crate::Options::feed).
    pub fn feed_start(&self) -> Result<Position> {
        self.store().feed_bounds().map(|(start, _)| start)
    }

    /// The position behind everything that is durable at this moment.
    ///
    /// # Errors
    /// As [`Db::feed_start`].
    pub fn feed_end(&self) -> Result<Position> {
        self.store().feed_bounds().map(|(_, end)| end)
    }
}

impl ChangeFeed {
    /// The position behind what was handed out last.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next batch; `None` if everything that is durable has been handed out, for now.
    ///
    /// Reading costs no more than decoding; a batch shares the memory of those that were written with it.
    ///
    /// # Errors
    /// [`Error::FeedGap`] once what comes next is no longer kept, and [`Error::Corruption`], then always;
    /// [`Error::Closed`]; what reading gives, which may go better another time.
    pub fn next_batch(&mut self) -> Result<Option<ChangeBatch>> {
        self.db.step();
        self.db.store().check_open()?;
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let next = self.advance();
        if let Err(error) = &next {
            // What was passed over, and not handed out, is to be met again.
            (self.source, self.group, self.ingests_to) = (None, Group::default(), 0);
            if let Error::FeedGap { .. } | Error::Corruption(_) = error {
                self.failure = Some(error.clone());
            }
        }
        next
    }

    /// As [`ChangeFeed::next_batch`], and waits for one for so long if there is none.
    ///
    /// # Errors
    /// As [`ChangeFeed::next_batch`] and [`ChangeFeed::wait`].
    pub fn next_timeout(&mut self, limit: Duration) -> Result<Option<ChangeBatch>> {
        let clock = self.db.store().clock.source().clone();
        let begun = clock.monotonic();
        loop {
            if let Some(batch) = self.next_batch()? {
                return Ok(Some(batch));
            }
            let left = limit.saturating_sub(clock.monotonic().saturating_sub(begun));
            if left.is_zero() || !self.wait(left)? {
                return Ok(None);
            }
        }
    }

    /// Waits until more is durable than when [`ChangeFeed::next_batch`] last found nothing, or for so long.
    /// Returns whether it is. What [`Durability::Os`](crate::Durability::Os) has written becomes durable
    /// within [`Options::sync_interval`](crate::Options::sync_interval).
    ///
    /// # Errors
    /// [`Error::Closed`], also when the store is closed meanwhile; a failed sync, behind which nothing
    /// becomes durable any more.
    pub fn wait(&self, limit: Duration) -> Result<bool> {
        let store = self.db.store();
        store.check_open()?;
        let (seq, lsn) = self.caught_up;
        store.durable.wait_beyond(seq, lsn, limit)
    }

    fn advance(&mut self) -> Result<Option<ChangeBatch>> {
        loop {
            let store = self.db.store().clone();
            // In this order: see the steps above.
            let (seq, lsn) = (store.durable.seq(), store.durable.lsn());
            match self.look(&store, seq, lsn)? {
                Next::Log(placed) => {
                    if let Some(batch) = self.shown(&store, placed)? {
                        return Ok(Some(batch));
                    }
                }
                Next::Ingested(mark) => {
                    let history = store.history_of(mark.seq);
                    let missing = self.passed(history, mark.seq, mark.seq);
                    self.name(&store, [mark.family]);
                    return Ok(Some(ChangeBatch {
                        history,
                        first_seq: mark.seq,
                        last_seq: mark.seq,
                        clock_ms: mark.at_ms,
                        missing,
                        content: Content::Ingested(Arc::new(mark)),
                        names: self.names.clone(),
                        hidden: None,
                    }));
                }
                Next::Nothing => {
                    self.caught_up = (seq, lsn);
                    return Ok(None);
                }
            }
        }
    }

    /// What comes next, `seq` and `lsn` being durable.
    fn look(&mut self, store: &Store, seq: SeqNum, lsn: u64) -> Result<Next> {
        loop {
            let next = self.group.next().map(|placed| (placed.first_seq, placed.last_seq));
            let Some((first_seq, last_seq)) = next else {
                if self.read_group(store, lsn)? {
                    continue;
                }
                // All that was logged before it was read.
                let mark = self.ingested_before(store, seq + 1)?;
                return Ok(mark.map_or(Next::Nothing, Next::Ingested));
            };
            if last_seq <= self.position.seq {
                self.group.take();
                continue;
            }
            if let Some(mark) = self.ingested_before(store, first_seq)? {
                return Ok(Next::Ingested(mark));
            }
            return Ok(self.group.take().map_or(Next::Nothing, Next::Log));
        }
    }

    /// Takes the table that was ingested next, if that was before `seq`.
    ///
    /// # Errors
    /// [`Error::FeedGap`] if it may have been let go: the segment that is open would not tell.
    fn ingested_before(&mut self, store: &Store, seq: SeqNum) -> Result<Option<IngestMark>> {
        let (behind, last) = (self.position.seq, store.last_ingest());
        if last <= behind {
            return Ok(None);
        }
        if last != self.ingests_to {
            self.ingests = store.with_manifest(|manifest| -> Result<_> {
                let feed = self.kept_behind(manifest.state())?;
                Ok(feed.ingests.iter().filter(|mark| mark.seq > behind).cloned().collect())
            })?;
            self.ingests_to = last;
        }
        while self.ingests.front().is_some_and(|mark| mark.seq <= behind) {
            self.ingests.pop_front();
        }
        let is_next = self.ingests.front().is_some_and(|mark| mark.seq < seq);
        Ok(if is_next { self.ingests.pop_front() } else { None })
    }

    /// What is kept, if all behind the position is.
    fn kept_behind<'s>(&self, state: &'s StoreState) -> Result<&'s FeedState> {
        let off = || Error::invalid("feed", "the store was opened without it: set `Options::feed`");
        let feed = state.feed.as_ref().ok_or_else(off)?;
        if self.position.seq < feed.from {
            let first_available = feed.start(state.history);
            return Err(Error::FeedGap { asked: self.position, first_available });
        }
        Ok(feed)
    }

    /// Reads the next group; false if there is none that is durable.
    fn read_group(&mut self, store: &Store, lsn: u64) -> Result<bool> {
        loop {
            if self.source.is_none() && !self.open_next(store)? {
                return Ok(false);
            }
            let Some(source) = &mut self.source else { return Ok(false) };
            let start_lsn = source.tail.start_lsn();
            let end = source.end.unwrap_or_else(|| HEADER_BYTES + lsn.saturating_sub(start_lsn));
            let file = source.tail.file().clone();
            let tailed = source.tail.next(end)?;
            match &tailed {
                Tailed::End if source.end.is_none() => return Ok(false),
                Tailed::End | Tailed::Next(_) => {
                    self.finished = source.number;
                    self.source = None;
                }
                Tailed::Group { .. } | Tailed::Long { .. } => {
                    self.group = Group::read(&file, &tailed)?;
                    return Ok(true);
                }
            }
        }
    }

    /// Opens the segment that holds what comes next; false if none does yet.
    fn open_next(&mut self, store: &Store) -> Result<bool> {
        let mut missing = None;
        loop {
            let Some(found) = self.find_next(store)? else { return Ok(false) };
            let Found { number, kept, history, store: store_id } = found;
            let path = FileKind::Wal(number).path(&store.dir);
            let file = match store.fs.open(&path) {
                Ok(file) => file,
                // It was let go meanwhile, which the manifest says, or its file was lost.
                Err(error) if error.is_not_found() && missing != Some(number) => {
                    missing = Some(number);
                    continue;
                }
                Err(error) if error.is_not_found() => {
                    let expected = "a segment of the log that is kept";
                    return Err(Corruption::new(&path, 0, expected, "no such file").into());
                }
                Err(error) => return Err(error),
            };
            let size = file.size()?;
            // One that was cut between two groups would seem to end there.
            if let Some(kept) = kept.filter(|kept| size < kept.end) {
                let expected = format!("a segment of {} bytes or more", kept.end);
                return Err(Corruption::new(&path, size, expected, "its end").into());
            }
            let tail = SegmentTail::open(file, store_id, number, kept.map(|kept| kept.identity))?;
            self.source = Some(Source { number, history, tail, end: kept.map(|kept| kept.end) });
            return Ok(true);
        }
    }

    /// The segment in which the next change stands.
    fn find_next(&self, store: &Store) -> Result<Option<Found>> {
        let (behind, finished) = (self.position.seq, self.finished);
        let own = store.log_segments();
        store.with_manifest(|manifest| {
            let state = manifest.state();
            let feed = self.kept_behind(state)?;
            let mut all = feed.segments.iter();
            if let Some(kept) = all.find(|kept| kept.number > finished && kept.last_seq > behind) {
                let history = feed.history_of(kept.last_seq, state.history);
                let (number, kept, store) = (kept.number, Some(*kept), state.store);
                return Ok(Some(Found { number, kept, history, store }));
            }
            let holds_more = |last_seq: Option<SeqNum>| last_seq.is_none_or(|last| last > behind);
            let mut own = own.into_iter().filter(|(number, last)| *number > finished && holds_more(*last));
            let (history, store) = (state.history.id, state.store);
            Ok(own.next().map(|(number, _)| Found { number, kept: None, history, store }))
        })
    }

    /// Goes on behind a batch; returns how many numbers between it and the one before are in none.
    fn passed(&mut self, history: u64, first_seq: SeqNum, last_seq: SeqNum) -> u64 {
        let before = std::mem::replace(&mut self.position, Position { history, seq: last_seq });
        if before.history == history { first_seq.saturating_sub(before.seq + 1) } else { 0 }
    }

    /// A batch as it is handed out; `None` if nothing in it is the user's.
    fn shown(&mut self, store: &Store, placed: Placed) -> Result<Option<ChangeBatch>> {
        let Placed { first_seq, last_seq, content } = placed;
        let hidden = store.prepared.family();
        let mut has_any = true;
        match &content {
            Content::Loaded { payload, range, file, base } => {
                let place = base + range.start as u64;
                let (mut last, mut count, mut own) = (None, 0, 0);
                for op in decode_ops(&payload[range.clone()]) {
                    let family = op.map_err(|malformed| malformed.in_file(file.path(), place))?.family;
                    count += 1;
                    own += u64::from(hidden != Some(family));
                    if last.replace(family) != Some(family) {
                        self.name(store, [family]);
                    }
                }
                if count != last_seq - first_seq + 1 {
                    let expected = format!("a batch of {} operations", last_seq - first_seq + 1);
                    return Err(Corruption::new(file.path(), place, expected, format!("{count}")).into());
                }
                has_any = own > 0;
            }
            // Its families are looked for without reading it.
            _ => self.name(store, store.families().iter().map(|family| family.id())),
        }
        let history = self.source.as_ref().map_or(self.position.history, |source| source.history);
        let missing = self.passed(history, first_seq, last_seq);
        let (names, clock_ms) = (self.names.clone(), self.group.clock_ms);
        let batch = ChangeBatch { history, first_seq, last_seq, clock_ms, missing, content, names, hidden };
        Ok(has_any.then_some(batch))
    }

    /// Makes sure that the names of families are known, as far as they have any.
    fn name(&mut self, store: &Store, families: impl IntoIterator<Item = u32>) {
        for id in families {
            if !self.names.contains_key(&id)
                && let Some(family) = store.family_by_id(id)
            {
                Arc::make_mut(&mut self.names).insert(id, family.name().into());
            }
        }
    }
}
