//! Why a get answers what it does: see [`ColumnFamily::explain`].

use super::family::ColumnFamily;
use super::read;
use crate::base::blob_ref::BlobRef;
use crate::base::error::{Error, Result};
use crate::base::filename::FileNumber;
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::observe::{Observe, ReadContext};
use crate::tree::{View, lookup_observed};
use crate::version::TableFile;

/// Where a key stands in a column family, what a get of it answers, and why. [`ColumnFamily::explain`] makes
/// it; its `Display` says it in plain words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The column family.
    pub family: String,
    /// The key.
    pub key: Vec<u8>,
    /// The last sequence number that it is about.
    pub seq: SeqNum,
    /// The time that it is about, by the store's expiry clock, in milliseconds since the epoch.
    pub now_ms: u64,
    /// What a get answers.
    pub answer: Answer,
    /// Where a get would look, the newest first, whether or not something newer decides before. Of a level
    /// below 0 it is the one table whose range covers the key; levels without tables are left out.
    pub places: Vec<Place>,
    /// The newest deleted range over the key: it hides what has a lower sequence number.
    pub deleted_range: Option<SeqNum>,
    /// What a get cost just before.
    pub cost: ReadContext,
}

/// What a get answers, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// A value.
    Value {
        /// Its size.
        bytes: usize,
        /// The sequence number of the write, or of the newest operand.
        seq: SeqNum,
        /// When it expires, in milliseconds since the epoch, if it does.
        expires_at_ms: Option<u64>,
        /// How many operands it was merged from; 0 for a value that stands as it was written.
        operands: u64,
    },
    /// Nothing: there is no entry of the key.
    Nowhere,
    /// Nothing: the key was deleted.
    Deleted {
        /// The sequence number of the deletion.
        seq: SeqNum,
    },
    /// Nothing: it lies in a range that was deleted.
    RangeDeleted {
        /// The sequence number of that deletion.
        range: SeqNum,
    },
    /// Nothing: the value has expired.
    Expired {
        /// The sequence number of the value.
        seq: SeqNum,
        /// When it expired, in milliseconds since the epoch.
        at_ms: u64,
    },
    /// Nothing: what operands made of it has expired, or they are older than a deleted range.
    MergedToNothing,
    /// An error.
    Failed(Error),
}

/// Something in which an entry of a key may stand.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// Whether its range of keys covers the key; of a memtable, whether it holds anything.
    pub covers: bool,
    /// What its filter says: whether the key may be there. `None` if it has none or was not asked.
    pub filter: Option<bool>,
    /// Whether the block that the key would stand in was in the cache; `None` if none was looked into.
    pub cached: Option<bool>,
    /// The newest entry of the key in it that a get sees.
    pub entry: Option<FoundEntry>,
    /// Why it could not be looked into.
    pub error: Option<Error>,
}

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaceKind {
    /// The memtable that takes the writes.
    ActiveMemtable,
    /// A memtable that waits to be flushed.
    SealedMemtable,
    /// A table.
    Table {
        /// Its level.
        level: usize,
        /// The number in its name.
        number: FileNumber,
    },
    /// A level of which no table covers the key.
    Level {
        /// Which one.
        level: usize,
    },
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A value.
    Value,
    /// A deletion.
    Deletion,
    /// An operand, to be merged with what stands below it.
    Operand,
}

/// Why an entry does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HiddenBy {
    /// A newer entry of the key, in an earlier place.
    Newer,
    /// A range that was deleted behind it: its sequence number.
    Range(SeqNum),
    /// It has expired.
    Expiry,
}

/// Where a value stands that is kept apart from its key
/// ([`FamilyOptions::blob_values_from`](crate::FamilyOptions::blob_values_from)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValuePlace {
    /// The number in the name of the blob file.
    pub file: FileNumber,
    /// Where its record begins in the file.
    pub offset: u64,
    /// The bytes of the record: what reading the value costs.
    pub stored_bytes: u64,
}

/// An entry of the key that is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Its sequence number.
    pub seq: SeqNum,
    /// The size of its value or operand.
    pub value_bytes: usize,
    /// Where the value stands, if that is a blob file.
    pub apart: Option<ValuePlace>,
    /// When it expires, in milliseconds since the epoch, if it does. Operands have no such time of their own.
    pub expires_at_ms: Option<u64>,
    /// Why it does not show, if so. An operand may go into what shows all the same.
    pub hidden_by: Option<HiddenBy>,
}

/// The size of the value of an entry, and where it stands, if apart.
fn value_of(entry: &EntryRef<'_>) -> (usize, Option<ValuePlace>) {
    let apart = (entry.kind == Kind::BlobRef).then(|| BlobRef::decode(entry.value).ok()).flatten();
    let Some(BlobRef { file, offset, stored, raw }) = apart else { return (entry.value.len(), None) };
    let place = ValuePlace { file, offset, stored_bytes: stored };
    (usize::try_from(raw).unwrap_or(usize::MAX), Some(place))
}

/// How a table was looked into.
#[derive(Default)]
struct Steps {
    filter: Option<bool>,
    cached: Option<bool>,
}

impl Observe for Steps {
    fn filter(&mut self, may: bool) {
        self.filter = Some(may);
    }
    fn cached(&mut self) {
        self.cached = Some(true);
    }
    fn read(&mut self, _: u64, _: usize) {
        self.cached = Some(false);
    }
}

/// The key, and the moment.
struct Question<'a> {
    view: &'a View,
    key: &'a [u8],
    hash: u64,
    seq: SeqNum,
    now_ms: u64,
    range: SeqNum,
}

impl Question<'_> {
    fn found(&self, entry: &EntryRef<'_>) -> FoundEntry {
        let kind = match entry.kind {
            Kind::Put | Kind::BlobRef => EntryKind::Value,
            Kind::Merge => EntryKind::Operand,
            _ => EntryKind::Deletion,
        };
        let expires_at = if kind == EntryKind::Value { entry.expires_at } else { NEVER };
        let hidden_by = if entry.seq < self.range {
            Some(HiddenBy::Range(self.range))
        } else {
            (expires_at <= self.now_ms).then_some(HiddenBy::Expiry)
        };
        let (value_bytes, apart) = value_of(entry);
        FoundEntry {
            kind,
            seq: entry.seq,
            value_bytes,
            apart,
            expires_at_ms: (expires_at != NEVER).then_some(expires_at),
            hidden_by,
        }
    }

    fn table(&self, level: usize, table: &TableFile) -> Place {
        let covers = table.meta.overlaps(Some(self.key), Some(self.key));
        let mut place = Place::new(PlaceKind::Table { level, number: table.meta.number }, covers);
        if covers {
            let mut steps = Steps::default();
            let found = table
                .reader
                .get_observed(self.key, self.hash, self.seq, &mut steps, |entry, _| self.found(&entry));
            (place.filter, place.cached) = (steps.filter, steps.cached);
            match found {
                Ok(entry) => place.entry = entry,
                Err(error) => place.error = Some(error),
            }
        }
        place
    }

    /// All places, the newest first.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (at, memtable) in self.view.memtables().enumerate() {
            let kind = if at == 0 { PlaceKind::ActiveMemtable } else { PlaceKind::SealedMemtable };
            let mut place = Place::new(kind, !memtable.is_empty());
            if place.covers {
                place.entry = memtable.get(self.key, self.hash, self.seq).map(|entry| self.found(&entry));
            }
            places.push(place);
        }
        let version = &self.view.version;
        places.extend(version.level(0).iter().map(|table| self.table(0, table)));
        for level in (1..LEVELS).filter(|level| !version.level(*level).is_empty()) {
            places.push(match version.find(level, self.key) {
                Some(table) => self.table(level, table),
                None => Place::new(PlaceKind::Level { level }, false),
            });
        }
        let mut entries = places.iter_mut().filter_map(|place| place.entry.as_mut());
        // What stands below an operand may go into what it makes.
        let decided = entries.find(|entry| entry.kind != EntryKind::Operand);
        if decided.is_some() {
            entries.for_each(|entry| _ = entry.hidden_by.get_or_insert(HiddenBy::Newer));
        }
        places
    }
}

impl Place {
    fn new(kind: PlaceKind, covers: bool) -> Place {
        Place { kind, covers, filter: None, cached: None, entry: None, error: None }
    }
}

/// Why a get has found nothing.
fn why_nothing(places: &[Place], range: SeqNum) -> Answer {
    match places.iter().find_map(|place| place.entry) {
        None => Answer::Nowhere,
        Some(FoundEntry { kind: EntryKind::Deletion, seq, .. }) => Answer::Deleted { seq },
        Some(FoundEntry { hidden_by: Some(HiddenBy::Range(_)), .. }) => Answer::RangeDeleted { range },
        Some(FoundEntry { kind: EntryKind::Value, seq, expires_at_ms, .. }) => {
            Answer::Expired { seq, at_ms: expires_at_ms.unwrap_or(NEVER) }
        }
        Some(_) => Answer::MergedToNothing,
    }
}

impl ColumnFamily {
    /// Where `key` stands: what each memtable and each table has of it that a get would look into, what a get
    /// answers, why, and what it cost. A get is carried out for it, and what it needs is read as for a get.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::FamilyDropped`], [`Error::CalledFromHook`]. What goes wrong in reading
    /// becomes part of the explanation.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// use esker::explain::Answer;
    /// db.put("k", "v")?;
    /// db.flush()?;
    /// db.delete("k")?;
    /// let explanation = db.explain("k")?;
    /// assert!(matches!(explanation.answer, Answer::Deleted { seq: 2 }));
    /// println!("{explanation}"); // .. the active memtable: a deletion, sequence number 2 ..
    /// # Ok(()) }
    /// ```
    pub fn explain(&self, key: impl AsRef<[u8]>) -> Result<Explanation> {
        let key = key.as_ref();
        read::check(self, None)?;
        let now_ms = self.inner().store.clock.now_ms();
        // The view is pinned before the sequence number is loaded: see `tree::View`.
        let view = self.family().view();
        let seq = self.read_seq();
        Ok(explain_at(self.name(), &view, key, seq, now_ms))
    }
}

/// Explains what `view`, which is of the family `family`, has of `key` at a sequence number and a time.
pub(crate) fn explain_at(family: &str, view: &View, key: &[u8], seq: SeqNum, now_ms: u64) -> Explanation {
    let mut cost = ReadContext::default();
    let got = lookup_observed(
        view,
        key,
        seq,
        || now_ms,
        &mut cost,
        |found| (found.bytes().len(), found.seq(), found.expires_at()),
    );
    let range = view.newest_deleted(key, seq);
    let question = Question { view, key, hash: key_hash(key), seq, now_ms, range };
    let places = question.places();
    let answer = match got {
        Ok(Some((bytes, seq, expires_at))) => {
            let expires_at_ms = (expires_at != NEVER).then_some(expires_at);
            Answer::Value { bytes, seq, expires_at_ms, operands: cost.operands }
        }
        Ok(None) => why_nothing(&places, range),
        Err(error) => Answer::Failed(error),
    };
    let deleted_range = (range > 0).then_some(range);
    let (family, key) = (family.to_owned(), key.to_vec());
    Explanation { family, key, seq, now_ms, answer, places, deleted_range, cost }
}
