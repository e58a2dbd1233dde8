//! Somebody who reads the changes of the store: it must be shown every logged commit that is durable, once,
//! in order and as it was made, whatever becomes of the store, and nothing that is lost later.

use super::runner::{Session, Told};
use crate::oracle::PREPARED;
use esker::batch::FamilyRef;
use esker::{ChangeBatch, Durability, Error, Operation, Position};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Half of the shortest time in which a family promises that what was deleted is gone: see
/// `OptionSet::family`.
const SHORTEST_KEPT_MS: u64 = 1000;

/// A key with what was written to it.
type Written = (Vec<u8>, Vec<u8>);

/// A commit that the reader has yet to be shown.
#[derive(Clone, Debug)]
pub(super) struct Due {
    /// Its last sequence number.
    seq: u64,
    /// Whether there may be nothing to show: a transaction was prepared or resolved.
    may_be_nothing: bool,
    /// Whether it was not durable when power was lost.
    may_be_lost: bool,
    /// All that it may have written.
    written: BTreeSet<Written>,
    /// What of that is left in the end.
    left: BTreeSet<Written>,
}

/// A reader of changes, between two openings of the store too.
#[derive(Debug)]
pub(super) struct FeedReader {
    /// Behind what it was shown.
    position: Position,
    /// When there was nothing that it had not been shown, in milliseconds since the epoch.
    current_ms: u64,
    due: VecDeque<Due>,
    /// Whether the commit before the next was lost.
    lost: bool,
    /// How many batches it was shown.
    shown: u64,
}

impl Session {
    /// The store was opened: the reader goes on where it was, or begins with what comes now. Where the
    /// options keep no changes there is none.
    pub(super) fn feed_again(&self) -> Result<(), String> {
        let (durable, current_ms) = (self.db().durable_seq(), self.db().now_ms());
        if !self.place.option_set().has_feed() {
            self.feed.take();
            return Ok(());
        }
        match &mut *self.feed.borrow_mut() {
            Some(reader) => {
                if reader.position.seq > durable {
                    return Err(format!("{:?} was shown, {durable} is there", reader.position));
                }
            }
            none => match self.db().feed_end() {
                Ok(position) => {
                    *none =
                        Some(FeedReader { position, current_ms, due: VecDeque::new(), lost: false, shown: 0 })
                }
                Err(error) => self.tolerate(&error)?,
            },
        }
        self.read_feed()
    }

    /// What the reader is to be shown of a commit that is about to be made; `None` without a reader, or if
    /// the log does not hold it.
    pub(super) fn due(&self, durability: Durability, told: &[Told]) -> Option<Due> {
        // What a store on a faulty disk has done is not known of each commit.
        if self.feed.borrow().is_none() || self.faulty || durability == Durability::None {
            return None;
        }
        let (mut written, mut last) = (BTreeSet::new(), BTreeMap::new());
        for (family, key, version) in told.iter().filter(|(family, ..)| *family != PREPARED) {
            let place = (*family, key.clone());
            last.remove(&place);
            if let Some(value) = &version.value {
                written.insert((key.clone(), value.to_vec()));
                last.insert(place, value.to_vec());
            }
        }
        let left = last.into_iter().map(|((_, key), value)| (key, value)).collect();
        let may_be_nothing = told.iter().any(|(family, ..)| *family == PREPARED);
        Some(Due { seq: 0, may_be_nothing, may_be_lost: false, written, left })
    }

    /// That commit was made.
    pub(super) fn is_due(&self, due: Option<Due>, seq: u64) {
        if let (Some(reader), Some(due)) = (&mut *self.feed.borrow_mut(), due) {
            reader.due.push_back(Due { seq, ..due });
        }
    }

    /// Power is lost.
    pub(super) fn feed_loses(&mut self) {
        if let (Some(reader), Some(db)) = (self.feed.get_mut(), &self.db) {
            let durable = db.durable_seq();
            reader.due.iter_mut().filter(|due| due.seq > durable).for_each(|due| due.may_be_lost = true);
        }
    }

    /// Takes down how much was shown.
    pub(super) fn note_shown(&mut self) {
        self.reached.shown +=
            self.feed.get_mut().as_mut().map_or(0, |reader| std::mem::take(&mut reader.shown));
    }

    /// Reads all that there is.
    pub(super) fn read_feed(&self) -> Result<(), String> {
        let (Some(mut reader), Some(db)) = (self.feed.take(), &self.db) else { return Ok(()) };
        let mut feed = match db.changes(reader.position) {
            Ok(feed) => feed,
            Err(error) => return self.gone(reader, &error),
        };
        loop {
            match feed.next_batch() {
                Ok(Some(batch)) => {
                    let durable = db.durable_seq();
                    if batch.last_seq() > durable || batch.last_seq() <= reader.position.seq {
                        return Err(format!("{batch:?} behind {:?}, {durable} is durable", reader.position));
                    }
                    if !self.faulty {
                        reader.is_shown(&batch)?;
                    }
                    reader.position = batch.position();
                    reader.shown += 1;
                }
                Ok(None) => break,
                Err(error) => return self.gone(reader, &error),
            }
        }
        let durable = db.durable_seq();
        if let (Some(due), false) =
            (reader.due.iter().find(|due| due.seq <= durable && due.is_certain()), self.faulty)
        {
            return Err(format!("{durable} is durable, and the reader was not shown {due:?}"));
        }
        reader.current_ms = db.now_ms();
        self.feed.replace(Some(reader));
        Ok(())
    }

    /// What excuses that changes are not there: the disk; and that a family promises that what was deleted is
    /// soon gone, of which the log is no exception.
    fn gone(&self, mut reader: FeedReader, error: &Error) -> Result<(), String> {
        match error {
            Error::FeedGap { first_available, .. } => {
                let behind_ms = self.db().now_ms().saturating_sub(reader.current_ms);
                if behind_ms < SHORTEST_KEPT_MS && !self.faulty {
                    return Err(format!("{error}, and the reader is {behind_ms} ms behind"));
                }
                reader.due.retain(|due| due.seq > first_available.seq);
                reader.position = *first_available;
            }
            error => self.tolerate(error)?,
        }
        self.feed.replace(Some(reader));
        Ok(())
    }
}

impl FeedReader {
    fn is_shown(&mut self, batch: &ChangeBatch) -> Result<(), String> {
        let passes = |due: &Due| !due.is_certain() && due.seq < batch.last_seq();
        while self.due.front().is_some_and(passes) {
            self.lost |= self.due.pop_front().is_some_and(|due| due.may_be_lost);
        }
        let due = self.due.front().filter(|due| due.seq >= batch.last_seq());
        let due = due.ok_or_else(|| format!("{batch:?} is shown, due is {:?}", self.due.front()))?;
        let (mut shown, mut ingested) = (BTreeSet::new(), false);
        let mut operations = batch.operations();
        while let Some(change) = operations.next().map_err(|error| error.to_string())? {
            match change.operation {
                Operation::Put { key, value, .. } => drop(shown.insert((key.to_vec(), value.to_vec()))),
                Operation::Merge { key, operand, .. } => drop(shown.insert((key.to_vec(), operand.to_vec()))),
                Operation::Ingested { .. } => ingested = true,
                _ => {}
            }
        }
        let is_it = shown.is_subset(&due.written) && due.left.is_subset(&shown);
        if !ingested && !is_it {
            return Err(format!("{shown:?} is shown of {due:?}"));
        }
        // Of the order of commits a stretch from its beginning is left.
        if self.lost && due.may_be_lost {
            return Err(format!("{batch:?} is shown, but what was committed before it is lost"));
        }
        self.lost = false;
        // The files of one ingest may come one by one.
        if batch.last_seq() == due.seq {
            self.due.pop_front();
        } else if !ingested {
            return Err(format!("{batch:?} is shown, and not {due:?}"));
        }
        Ok(())
    }
}

impl Due {
    fn is_certain(&self) -> bool {
        !self.may_be_nothing && !self.may_be_lost
    }
}
