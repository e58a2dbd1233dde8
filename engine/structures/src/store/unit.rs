//! A unit of work: what is read, locked and written together, and becomes one batch.
//!
//! - A unit passes the store's gate when it begins and holds it to its end.
//! - Each command of it begins with [`Unit::begin`], which says how its keys are accessed, and [`Unit::lock`]
//!   for those that it writes.
//! - Writes go to an overlay, which the unit's own reads see. The batch is made of it at [`Unit::commit`]:
//!   one record per key, however often it was written.
//! - A command that may read more than one record of a key that it has not locked reads from a snapshot,
//!   taken at the first header that has records. The snapshot is younger than every lock that the unit
//!   holds, so what it shows of locked keys is what is there.

use super::ahead::Ahead;
use super::cost::Tally;
use super::databases::Gate;
use super::handle::Inner;
use super::locks::{Held, stripe_of};
use super::overlay::{Overlay, Own, Removed, Write, integer};
use super::publish::Touched;
use crate::base::error::{Error, Result};
use crate::encoding::key;
use crate::ranks::{Of, Tree};
use esker::batch::FamilyRef;
use esker::{ColumnFamily, Durability, Slice, Snapshot, WriteBatch};
use std::cell::Cell;
use std::collections::HashMap;

/// How many records a command reads together that it changes one by one: more would be held in memory for
/// nothing.
pub const FETCH: usize = 256;

/// What a unit of work may write, in bytes. Tests have more sooner.
const MOST_BYTES: usize = if cfg!(test) { 8 << 20 } else { esker::base::limits::MAX_BATCH_BYTES };

/// The families of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A header for each key.
    Headers,
    /// Elements of collections, chunks of strings.
    Elements,
    /// Keys by position, counts, expiries, and what the store knows of itself.
    Index,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 3] = [Table::Headers, Table::Elements, Table::Index];
}

/// How a command accesses its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It writes nothing, and has locked nothing.
    Read,
    /// It has locked the keys that it names.
    Write,
}

/// A unit of work on a store; see the module. Dropped without [`Unit::commit`] it has done nothing.
#[derive(Debug)]
pub struct Unit<'s> {
    pub(super) store: &'s Inner,
    gate: Gate<'s>,
    held: Held<'s>,
    missing: Vec<u16>,
    pub(super) overlays: [Overlay; 3],
    /// Keyspace of each database and the next free number, where this unit changes them.
    pub(super) databases: Option<(Vec<u64>, u64)>,
    pub(super) view: Option<Snapshot>,
    keeps_view: bool,
    pub(super) access: Access,
    now_ms: Cell<u64>,
    depends_on: Cell<u64>,
    /// Keys that this unit removes because they have expired.
    pub(super) expired: Vec<Vec<u8>>,
    /// Watched keys that this unit modifies besides: with all of their database.
    pub(super) touched: Vec<Touched>,
    /// Records of elements that a command has read ahead, by their keys.
    fetched: HashMap<Vec<u8>, Option<Slice>>,
    /// Headers that were read ahead for commands to come.
    pub(super) ahead: Ahead,
    /// The counts of sorted sets that this unit changes.
    pub(super) ranks: Vec<(Of, Tree)>,
    tally: Tally,
    /// Headers that this unit wrote without a modification that a user sees.
    pub(super) quiet: Vec<Vec<u8>>,
    /// What is written modifies no key as its user sees it: watchers need not know.
    pub(super) is_upkeep: bool,
    /// The earliest expiry that this unit adds to the index.
    pub(super) earliest_expiry: u64,
    /// One of its commands makes room; and one does not.
    frees: bool,
    adds: bool,
}

impl<'s> Unit<'s> {
    pub(super) fn new(store: &'s Inner, alone: bool) -> Unit<'s> {
        store.keep_to_what_is_durable();
        let gate = if alone { store.databases.alone() } else { store.databases.shared() };
        Unit {
            store,
            gate,
            held: Held::new(&store.stripes),
            missing: Vec::new(),
            overlays: Default::default(),
            databases: None,
            view: None,
            keeps_view: false,
            access: Access::Read,
            now_ms: Cell::new(0),
            depends_on: Cell::new(0),
            expired: Vec::new(),
            touched: Vec::new(),
            fetched: HashMap::new(),
            ahead: Ahead::default(),
            ranks: Vec::new(),
            tally: Tally::default(),
            quiet: Vec::new(),
            is_upkeep: false,
            earliest_expiry: u64::MAX,
            frees: false,
            adds: false,
        }
    }

    /// Begins a command.
    pub fn begin(&mut self, access: Access) {
        self.access = access;
        self.forget_fetched();
        if access == Access::Write || self.view.is_some() {
            self.ahead.forget();
        }
        if !self.keeps_view {
            self.view = None;
            self.now_ms.set(0);
        }
    }

    /// A command of it makes room, so that it is let through on a full disk, if all others do as well.
    pub fn frees(&mut self) {
        self.frees = true;
    }

    /// A command of it adds something.
    pub fn adds(&mut self) {
        self.adds = true;
    }

    /// Takes the locks of the keys that a command writes, in addition to those that the unit holds.
    ///
    /// # Errors
    /// [`Error::Busy`] if that would need waiting out of order.
    pub fn lock<'k>(&mut self, keys: impl IntoIterator<Item = super::headers::Key<'k>>) -> Result<()> {
        let mut keys = keys.into_iter();
        let Some(first) = keys.next() else { return Ok(()) };
        let first = stripe_of(first);
        let Some(second) = keys.next() else {
            return self.take_stripes(&[first]);
        };
        let mut stripes = vec![first, stripe_of(second)];
        stripes.extend(keys.map(stripe_of));
        self.lock_stripes(stripes)
    }

    pub(super) fn lock_stripes(&mut self, mut stripes: Vec<u16>) -> Result<()> {
        stripes.sort_unstable();
        stripes.dedup();
        self.take_stripes(&stripes)
    }

    fn take_stripes(&mut self, sorted: &[u16]) -> Result<()> {
        if self.held.take(sorted) {
            return Ok(());
        }
        self.missing = sorted.to_vec();
        Err(Error::Busy)
    }

    /// The stripes that could not be taken when [`Error::Busy`] was answered.
    pub(super) fn take_missing(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.missing)
    }

    /// Whether nobody else can write a key: its lock is held, or the unit has the store alone.
    pub(crate) fn has_locked(&self, key: super::headers::Key<'_>) -> bool {
        matches!(self.gate, Gate::Alone(_)) || self.held.has(stripe_of(key))
    }

    /// Whether others may have to wait for it.
    #[must_use]
    pub fn holds_locks(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn stripes(&self) -> Vec<u16> {
        self.held.numbers()
    }

    /// Has all that follows see the state and the time of this moment, apart from its own writes. The keys
    /// that will be written must have been locked.
    pub fn freeze(&mut self) {
        self.view = Some(self.store.db.snapshot());
        self.keeps_view = true;
        self.now_ms.set(0);
    }

    /// Whether it is frozen, and others may have written since.
    pub(super) fn sees_the_past(&self) -> bool {
        self.keeps_view && !matches!(self.gate, Gate::Alone(_))
    }

    /// As [`Unit::freeze`], and lets others go on: nothing may be written from now on, and keyspaces must be
    /// known.
    pub(crate) fn freeze_and_leave(&mut self) {
        self.freeze();
        self.gate = Gate::Left;
    }

    /// Milliseconds since the epoch by the store's expiry clock; the same within a command.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        if self.now_ms.get() == 0 {
            self.now_ms.set(self.store.db.now_ms());
        }
        self.now_ms.get()
    }

    /// A random number below `bound`, which must not be 0.
    #[must_use]
    pub fn random_below(&self, bound: u64) -> u64 {
        self.store.random.below(bound)
    }

    /// The store's keyed hash.
    #[must_use]
    pub fn hash_key(&self) -> crate::base::hash::HashKey {
        self.store.hash_key
    }

    /// How many databases there are.
    #[must_use]
    pub fn databases(&self) -> u32 {
        self.store.databases.len() as u32
    }

    /// The keyspace of a database.
    ///
    /// # Errors
    /// [`Error::DATABASE_RANGE`].
    pub fn keyspace(&self, database: u32) -> Result<u64> {
        let found = match &self.databases {
            Some((keyspaces, _)) => keyspaces[..self.store.databases.len()].get(database as usize).copied(),
            None => self.store.databases.keyspace(database),
        };
        found.ok_or(Error::DATABASE_RANGE)
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.databases.is_none() && self.overlays.iter().all(Overlay::is_empty)
    }

    /// The size of what has been written, in bytes.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.overlays.iter().map(|overlay| overlay.bytes).sum()
    }

    /// Refuses more than a batch can hold: for who may write very much, so that not all of it is in memory
    /// before the engine refuses it.
    ///
    /// # Errors
    /// [`esker::Error::BatchTooLarge`].
    pub fn check_size(&self) -> Result<()> {
        let bytes = self.pending_bytes();
        if bytes > MOST_BYTES { Err(esker::Error::BatchTooLarge { bytes }.into()) } else { Ok(()) }
    }

    /// How many ranges are removed. A batch of the engine takes 4,096.
    #[must_use]
    pub fn pending_ranges(&self) -> usize {
        self.overlays.iter().map(|overlay| overlay.removed.len()).sum()
    }

    /// The sequence number of the last write that anything read so far depends on.
    #[must_use]
    pub fn depends_on(&self) -> u64 {
        self.depends_on.get()
    }

    /// What is read depends on everything that is visible now: for reads of more than headers of keys.
    pub fn depends_on_all(&self) {
        let seq = self.view.as_ref().map_or_else(|| self.store.db.visible_seq(), Snapshot::seq);
        self.depend(seq);
    }

    pub(super) fn depend(&self, seq: u64) {
        self.depends_on.set(self.depends_on.get().max(seq));
    }

    pub(super) fn family(&self, table: Table) -> &'s ColumnFamily {
        self.store.family(table)
    }

    /// Has a command that reads several keys, or records of one, see the state of this moment, to its end.
    pub fn pin(&mut self) {
        if self.view.is_none() {
            self.ahead.forget();
            self.view = Some(self.store.db.snapshot());
        }
    }

    /// The state that the command sees, to be kept beyond its end.
    pub(super) fn take_view(&mut self) -> Snapshot {
        self.view.take().unwrap_or_else(|| self.store.db.snapshot())
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.view.is_some()
    }

    /// Hands the value of a record to `read`, with the number of the write that made it (0 for this unit's).
    pub(super) fn get_versioned_with<R>(
        &self,
        table: Table,
        key: &[u8],
        read: impl FnOnce(&[u8], u64) -> R,
    ) -> Result<Option<R>> {
        let overlay = &self.overlays[table as usize];
        let mut delta = None;
        if !overlay.is_empty() {
            match overlay.look(key) {
                Own::Put(value) => return Ok(Some(read(value, 0))),
                Own::Gone => return Ok(None),
                Own::Add(sum) => delta = Some(sum),
                Own::Below => {}
            }
        }
        let Some(delta) = delta else { return self.below(table, key, read) };
        let base = self.below(table, key, |value, _| integer(value))?.unwrap_or(0);
        Ok(Some(read(&base.wrapping_add(delta).to_le_bytes(), 0)))
    }

    fn below<R>(&self, table: Table, key: &[u8], read: impl FnOnce(&[u8], u64) -> R) -> Result<Option<R>> {
        if !self.fetched.is_empty()
            && table == Table::Elements
            && let Some(fetched) = self.fetched.get(key)
        {
            return Ok(fetched.as_deref().map(|value| read(value, 0)));
        }
        let family = self.family(table);
        self.tally.read(1, 0);
        let read = |value: &[u8], seq| {
            self.tally.read(0, key.len() + value.len());
            read(value, seq)
        };
        if let Some(found) = self.taken_ahead(table, key) {
            return Ok(found.as_ref().map(|found| read(&found.value, found.version)));
        }
        Ok(match &self.view {
            Some(view) => view.get_versioned_with(family, key, read)?,
            None => family.get_versioned_with(key, read)?,
        })
    }

    /// Hands the value of a record to `read`, where it stands.
    ///
    /// # Errors
    /// What the engine's get gives.
    pub fn get_with<R>(&self, table: Table, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.get_versioned_with(table, key, |value, _| read(value))
    }

    /// The value of a record.
    ///
    /// # Errors
    /// What the engine's get gives.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>> {
        self.get_with(table, key, Slice::copy)
    }

    /// The values of many records, read together.
    ///
    /// # Errors
    /// What the engine's get gives.
    pub fn multi_get<K: AsRef<[u8]>>(&self, table: Table, keys: &[K]) -> Result<Vec<Option<Slice>>> {
        if !self.overlays[table as usize].is_empty() || keys.len() < 2 {
            return keys.iter().map(|key| self.get(table, key.as_ref())).collect();
        }
        self.read_together(table, keys)
    }

    fn read_together<K: AsRef<[u8]>>(&self, table: Table, keys: &[K]) -> Result<Vec<Option<Slice>>> {
        self.ahead.forget();
        let family = self.family(table);
        let values = match &self.view {
            Some(view) => view.multi_get(family, keys)?,
            None => family.multi_get(keys)?,
        };
        let bytes = |(key, value): (&K, &Option<Slice>)| {
            value.as_ref().map_or(0, |value| key.as_ref().len() + value.len())
        };
        self.tally.read(keys.len(), keys.iter().zip(&values).map(bytes).sum());
        Ok(values)
    }

    /// Reads records of elements together that the command will get one by one, in place of those that it
    /// fetched before. Their keys must be locked.
    ///
    /// # Errors
    /// What the engine's get gives.
    pub fn fetch(&mut self, mut keys: Vec<Vec<u8>>) -> Result<()> {
        debug_assert_eq!(self.access, Access::Write);
        self.forget_fetched();
        if keys.len() < 2 {
            return Ok(());
        }
        keys.sort_unstable();
        keys.dedup();
        let values = self.read_together(Table::Elements, &keys)?;
        self.fetched.extend(keys.into_iter().zip(values));
        Ok(())
    }

    fn forget_fetched(&mut self) {
        if !self.fetched.is_empty() {
            self.fetched.clear();
        }
    }

    /// A cursor over what starts with `prefix`, this unit's own writes included. It stands nowhere yet.
    ///
    /// # Errors
    /// What the engine's cursor gives.
    pub fn cursor(&self, table: Table, prefix: &[u8]) -> Result<super::cursor::UnitCursor<'_>> {
        self.ahead.forget();
        let options = esker::ScanOptions::prefix(prefix);
        let family = self.family(table);
        let below = match &self.view {
            Some(view) => view.cursor(family, options)?,
            None => family.cursor(options)?,
        };
        Ok(super::cursor::UnitCursor::new(below, &self.overlays[table as usize], &self.tally, prefix))
    }

    /// Sets a record.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.overlays[table as usize].put(key, value);
    }

    /// Removes a record.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.overlays[table as usize].delete(key);
    }

    /// Adds to a counter, which is 0 while there is none. Not for headers.
    pub fn add(&mut self, table: Table, key: Vec<u8>, delta: i64) {
        debug_assert_ne!(table, Table::Headers);
        self.overlays[table as usize].add(key, delta);
    }

    /// Removes a range of records, up to and without `to`. What is set behind it is there.
    pub fn delete_range(&mut self, table: Table, from: Vec<u8>, to: Vec<u8>) {
        self.overlays[table as usize].remove(Removed { from, to: Some(to), dropped: false });
    }

    /// Gives everything that starts with `prefix` up for good: it must not be read or written again.
    pub fn drop_prefix(&mut self, table: Table, prefix: &[u8]) {
        let to = prefix_end(prefix);
        self.overlays[table as usize].remove(Removed { from: prefix.to_vec(), to, dropped: true });
    }

    /// The keyspaces as this unit leaves them, to be changed. The unit must have the store alone.
    pub(super) fn databases_mut(&mut self) -> &mut (Vec<u64>, u64) {
        debug_assert!(matches!(self.gate, Gate::Alone(_)));
        let store = self.store;
        self.databases.get_or_insert_with(|| store.databases.all())
    }

    /// Forgets everything that was written since the last commit, and lets go of the locks.
    pub fn roll_back(&mut self) {
        self.overlays.iter_mut().for_each(Overlay::clear);
        self.databases = None;
        self.expired.clear();
        self.touched.clear();
        self.quiet.clear();
        self.is_upkeep = false;
        self.earliest_expiry = u64::MAX;
        (self.frees, self.adds) = (false, false);
        self.ranks.clear();
        self.held.release();
        self.end();
    }

    fn end(&mut self) {
        self.forget_fetched();
        self.ahead = Ahead::default();
        self.store.spent.add(self.tally.take());
        self.view = None;
        self.keeps_view = false;
        self.now_ms.set(0);
        self.access = Access::Read;
    }

    /// Writes all of it as one batch and lets go of the locks. Returns the sequence number that everything
    /// read and written so far depends on: [`esker::Db::wait_durable`] tells when that survives a loss of
    /// power. The unit can go on.
    ///
    /// # Errors
    /// What the engine's write gives; then nothing was written, and the unit is rolled back.
    pub fn commit(&mut self) -> Result<u64> {
        debug_assert!(self.is_clean() || !matches!(self.gate, Gate::Left));
        if self.is_clean() {
            self.ranks.clear();
            self.held.release();
            self.end();
            return Ok(self.depends_on.get());
        }
        if let Some((keyspaces, next)) = &self.databases {
            let record = super::open::encode_databases(keyspaces, *next);
            self.put(Table::Index, key::system(super::open::DATABASES), record);
        }
        let batch = self.batch();
        let seq = match self.store.db.commit(batch, Durability::Os) {
            Ok(ticket) => ticket.seq(),
            Err(error) => {
                self.roll_back();
                return Err(error.into());
            }
        };
        self.depend(seq);
        let expired = self.published();
        self.roll_back();
        self.store.tell_expired(expired, seq);
        Ok(self.depends_on.get())
    }

    fn batch(&self) -> WriteBatch {
        let bytes = self.pending_bytes();
        let mut batch = WriteBatch::with_capacity(
            bytes + 32 * self.overlays.iter().map(|o| o.writes.len()).sum::<usize>(),
        );
        for table in Table::ALL {
            let (family, overlay) = (self.family(table), &self.overlays[table as usize]);
            for range in &overlay.removed {
                push_range(&mut batch, family, range);
            }
            for (key, write) in &overlay.writes {
                match write {
                    Write::Put(value) => batch.put(family, key, value),
                    Write::Delete => batch.delete(family, key),
                    Write::Add(0) => &mut batch,
                    Write::Add(delta) => batch.merge(family, key, delta.to_le_bytes()),
                };
            }
        }
        if self.frees && !self.adds {
            batch.makes_room();
        }
        self.tally.write(batch.len(), batch.size_bytes());
        batch
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        self.store.spent.add(self.tally.take());
    }
}

fn push_range(batch: &mut WriteBatch, family: &ColumnFamily, range: &Removed) {
    use std::ops::Bound;
    let from = Bound::Included(range.from.as_slice());
    let to = range.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    if range.dropped {
        batch.drop_range::<&[u8], _>(family, (from, to));
    } else {
        batch.delete_range::<&[u8], _>(family, (from, to));
    }
}

/// The end of what starts with `prefix`; `None` for the end of all keys.
pub(super) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}
