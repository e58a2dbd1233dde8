//! Headers of keys, and what goes with them: index, counts, expiry, records.

use super::overlay::Write;
use super::unit::{Access, Table, Unit};
use crate::base::error::{Error, Result};
use crate::base::hash::slot;
use crate::encoding::header::{Meta, NEVER, Type};
use crate::encoding::key::{self, kind};
use crate::encoding::limits::MAX_NAME_BYTES;

/// Collections whose ranges one unit drops by itself. A batch takes 4,096 ranges, and others need some, too.
/// Tests have more than they can drop often.
const MOST_DROPPED: usize = if cfg!(any(test, feature = "invariants")) { 2 } else { 1024 };

/// A user key in its keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'k> {
    /// The number of the keyspace.
    pub keyspace: u64,
    /// What the user calls it.
    pub name: &'k [u8],
}

impl Key<'_> {
    /// Refuses a name that is too long.
    ///
    /// # Errors
    /// [`Error::KEY_TOO_LONG`].
    pub fn check(&self) -> Result<()> {
        if self.name.len() > MAX_NAME_BYTES { Err(Error::KEY_TOO_LONG) } else { Ok(()) }
    }
}

/// What a look at a header comes to.
enum Looked<R> {
    Is(R),
    Expired(Meta),
    /// There are records, and what was read so far is of no fixed moment.
    NeedsPin,
}

impl Unit<'_> {
    /// Hands header and payload of a key to `read`, if it exists and has not expired. A key that has expired
    /// is removed first where the command has locked it.
    ///
    /// # Errors
    /// What reading gives; a header that is none.
    pub fn read_header<R>(
        &mut self,
        key: Key<'_>,
        read: impl FnOnce(&Meta, &[u8]) -> R,
    ) -> Result<Option<R>> {
        let name = key::header(key.keyspace, key.name);
        let mut read = Some(read);
        loop {
            match self.look(&name, &mut read)? {
                None => return Ok(None),
                Some(Looked::Is(result)) => return Ok(Some(result)),
                Some(Looked::NeedsPin) => self.pin(),
                Some(Looked::Expired(meta)) => {
                    if self.access == Access::Write {
                        self.delete_key(key, &meta);
                        self.expired.push(name);
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn look<R>(
        &self,
        name: &[u8],
        read: &mut Option<impl FnOnce(&Meta, &[u8]) -> R>,
    ) -> Result<Option<Looked<R>>> {
        let unpinned = self.access == Access::Read && !self.is_pinned();
        let mut version = 0;
        let found = self.get_versioned_with(Table::Headers, name, |bytes, seq| {
            version = seq;
            let (meta, payload) = Meta::decode(bytes)?;
            if meta.expires_at != NEVER && meta.is_expired(self.now_ms()) {
                return Ok(Looked::Expired(meta));
            }
            if meta.records && unpinned {
                return Ok(Looked::NeedsPin);
            }
            match read.take() {
                Some(read) => Ok(Looked::Is(read(&meta, payload))),
                None => Err(Error::malformed("a header was read twice")),
            }
        })?;
        match &found {
            None => self.depends_on_all(),
            Some(_) => self.depend(version),
        }
        found.transpose()
    }

    /// The header of a key without its payload.
    ///
    /// # Errors
    /// As [`Unit::read_header`].
    pub fn meta(&mut self, key: Key<'_>) -> Result<Option<Meta>> {
        self.read_header(key, |meta, _| *meta)
    }

    /// The header of a key without its payload, which must be of type `kind`.
    ///
    /// # Errors
    /// [`Error::WRONG_TYPE`]; as [`Unit::read_header`].
    pub fn meta_of(&mut self, key: Key<'_>, kind: Type) -> Result<Option<Meta>> {
        let meta = self.meta(key)?;
        meta.map(|meta| meta.expect(kind).map(|()| meta)).transpose()
    }

    /// Header and payload of a key, which must be of type `kind`. The payload is copied.
    ///
    /// # Errors
    /// As [`Unit::meta_of`].
    pub fn load_of(&mut self, key: Key<'_>, kind: Type) -> Result<Option<(Meta, Vec<u8>)>> {
        self.read_of(key, kind, |meta, payload| (*meta, payload.to_vec()))
    }

    /// As [`Unit::read_header`], of a key that must be of type `kind`.
    ///
    /// # Errors
    /// As [`Unit::meta_of`].
    pub fn read_of<R>(
        &mut self,
        key: Key<'_>,
        kind: Type,
        read: impl FnOnce(&Meta, &[u8]) -> R,
    ) -> Result<Option<R>> {
        let read = |meta: &Meta, payload: &[u8]| meta.expect(kind).map(|()| read(meta, payload));
        self.read_header(key, read)?.transpose()
    }

    /// Writes the header of a key, whose lock must be held, and what belongs to it: a new key joins index and
    /// counts, a changed expiry its index. `before` is the header that is there; `after.indexed_at` is set.
    ///
    /// # Errors
    /// [`Error::KEY_TOO_LONG`] for a new key.
    pub fn put_header(
        &mut self,
        key: Key<'_>,
        before: Option<&Meta>,
        after: &mut Meta,
        payload: &[u8],
    ) -> Result<()> {
        debug_assert!(self.has_locked(key), "a key is written that is not locked");
        if before.is_none() {
            key.check()?;
            self.count_key(key, 1);
        }
        let was = before.map_or(NEVER, |before| before.indexed_at);
        // A later end leaves its record where it is: who comes to it finds the header and files it anew.
        after.indexed_at = if after.expires_at == NEVER { NEVER } else { was.min(after.expires_at) };
        if after.indexed_at != was {
            if was != NEVER {
                self.delete(Table::Index, key::expiry(key.keyspace, was, key.name));
            }
            if after.indexed_at != NEVER {
                self.put(Table::Index, key::expiry(key.keyspace, after.indexed_at, key.name), Vec::new());
                self.earliest_expiry = self.earliest_expiry.min(after.indexed_at);
            }
        }
        let mut value = Vec::with_capacity(payload.len() + 24);
        after.encode(payload, &mut value);
        let name = key::header(key.keyspace, key.name);
        if !self.quiet.is_empty() {
            self.quiet.retain(|quiet| *quiet != name);
        }
        self.put(Table::Headers, name, value);
        Ok(())
    }

    /// As [`Unit::put_header`], of a change that its user does not see as one: watchers are not told, unless
    /// the unit modifies the key besides.
    ///
    /// # Errors
    /// As [`Unit::put_header`].
    #[cold]
    pub fn put_header_quietly(
        &mut self,
        key: Key<'_>,
        before: &Meta,
        after: &mut Meta,
        payload: &[u8],
    ) -> Result<()> {
        let name = key::header(key.keyspace, key.name);
        let own = self.overlays[Table::Headers as usize].writes.contains_key(&name);
        let quiet = !own || self.quiet.contains(&name);
        self.put_header(key, Some(before), after, payload)?;
        if quiet {
            self.quiet.push(name);
        }
        Ok(())
    }

    /// Removes a key, whose lock must be held: a constant number of records, whatever it holds.
    pub fn delete_key(&mut self, key: Key<'_>, meta: &Meta) {
        self.drop_records(key.keyspace, meta);
        self.forget_key(key, meta);
    }

    /// Removes a key and leaves its records, which another key takes over.
    pub fn forget_key(&mut self, key: Key<'_>, meta: &Meta) {
        debug_assert!(self.has_locked(key), "a key is removed that is not locked");
        self.count_key(key, -1);
        if meta.indexed_at != NEVER {
            self.delete(Table::Index, key::expiry(key.keyspace, meta.indexed_at, key.name));
        }
        self.delete(Table::Headers, key::header(key.keyspace, key.name));
    }

    fn count_key(&mut self, key: Key<'_>, delta: i64) {
        let slot = slot(key.name);
        let position = key::position(slot, self.store.hash_key.hash(key.name));
        let record = key::positioned(key.keyspace, position, key.name);
        if delta > 0 {
            self.put(Table::Index, record, Vec::new());
        } else {
            self.delete(Table::Index, record);
        }
        self.add(Table::Index, key::count(key.keyspace, slot), delta);
    }

    /// Gives the records of a header up, if it has any. A batch holds only so many ranges: what a unit gives
    /// up besides is written down in it, and dropped by the sweeper.
    pub fn drop_records(&mut self, keyspace: u64, meta: &Meta) {
        if !meta.records {
            return;
        }
        let prefix = key::incarnation(keyspace, meta.incarnation);
        if self.overlays[Table::Elements as usize].removed.len() < MOST_DROPPED {
            return self.drop_prefix(Table::Elements, &prefix);
        }
        let (from, to) = (prefix.to_vec(), super::unit::prefix_end(&prefix));
        self.overlays[Table::Elements as usize].forget(&from, to.as_ref());
        self.put(Table::Index, key::given_up(keyspace, meta.incarnation), Vec::new());
        // The sweeper is to come at once.
        self.earliest_expiry = 0;
    }

    /// A new number for the records of a key, under which its name stands already.
    ///
    /// # Errors
    /// What reserving numbers gives.
    pub fn new_incarnation(&mut self, key: Key<'_>) -> Result<u64> {
        let number = self.store.incarnations.next(&self.store.db, &self.store.index)?;
        self.name_incarnation(key, number);
        Ok(number)
    }

    /// Says to whom the records of an incarnation belong.
    pub fn name_incarnation(&mut self, key: Key<'_>, number: u64) {
        let record = key::element(key.keyspace, number, kind::NAME, b"", b"");
        self.put(Table::Elements, record, key.name.to_vec());
    }

    /// How many keys a database has, those included that have expired and are not removed yet. A unit that
    /// is frozen beside others reads the counts of its moment, a record for each slot that holds something.
    ///
    /// # Errors
    /// [`Error::DATABASE_RANGE`]; what reading gives.
    pub fn count_keys(&self, database: u32) -> Result<u64> {
        let keyspace = self.keyspace(database)?;
        let own = &self.overlays[Table::Index as usize];
        let prefix = key::index_prefix(key::table::COUNT, keyspace);
        if self.sees_the_past() {
            self.depends_on_all();
            let mut cursor = self.cursor(Table::Index, &prefix)?;
            let (mut found, mut total) = (cursor.seek_to_first()?, 0_i64);
            while found {
                total += super::overlay::integer(cursor.value());
                found = cursor.next()?;
            }
            return Ok(u64::try_from(total).unwrap_or(0));
        }
        let hidden = own.hides(&prefix);
        let below = if hidden { 0 } else { self.store.counts.total(keyspace) };
        // Younger than what the command sees besides, perhaps; but what it counts was visible before.
        self.depend(self.store.db.visible_seq());
        let writes = own.writes.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(&prefix));
        let delta: i64 = writes
            .map(|(_, write)| match write {
                Write::Add(delta) => *delta,
                Write::Put(value) => super::overlay::integer(value),
                Write::Delete => 0,
            })
            .sum();
        Ok(u64::try_from(below + delta).unwrap_or(0))
    }

    /// A slot of a keyspace, chosen with a chance in proportion to its keys; `None` if there are none. This
    /// unit's own writes do not count.
    #[must_use]
    pub fn random_slot(&self, keyspace: u64) -> Option<u16> {
        self.depends_on_all();
        let counts = self.store.counts.of(keyspace)?;
        let total = u64::try_from(self.store.counts.total(keyspace)).ok().filter(|total| *total > 0)?;
        let mut left = self.random_below(total) as i64;
        let mut last = None;
        for slot in 0..crate::base::hash::SLOTS as u16 {
            let count = counts.of_slot(slot);
            if count > 0 {
                last = Some(slot);
                left -= count;
                if left < 0 {
                    break;
                }
            }
        }
        last
    }

    /// How many keys a slot has. This unit's own writes do not count.
    #[must_use]
    pub fn keys_in_slot(&self, keyspace: u64, slot: u16) -> u64 {
        let counts = self.store.counts.of(keyspace);
        counts.map_or(0, |counts| u64::try_from(counts.of_slot(slot)).unwrap_or(0))
    }

    /// Empties a database: a new keyspace, the old one dropped. The unit must have the store alone.
    ///
    /// # Errors
    /// [`Error::DATABASE_RANGE`].
    pub fn flush_database(&mut self, database: u32) -> Result<()> {
        let old = self.keyspace(database)?;
        if self.count_keys(database)? == 0 {
            return Ok(());
        }
        self.touch_watched(database, old)?;
        let (keyspaces, next) = self.databases_mut();
        if let Some(id) = keyspaces.get_mut(database as usize) {
            *id = *next;
            *next += 1;
        }
        for table in Table::ALL {
            self.drop_prefix(table, &old.to_be_bytes());
        }
        Ok(())
    }

    /// Removes all keys of all databases. The unit must have the store alone.
    ///
    /// # Errors
    /// As [`Unit::flush_database`].
    pub fn flush_all(&mut self) -> Result<()> {
        (0..self.databases()).try_for_each(|database| self.flush_database(database))
    }

    /// Exchanges two databases. The unit must have the store alone.
    ///
    /// # Errors
    /// [`Error::DATABASE_RANGE`].
    pub fn swap_databases(&mut self, a: u32, b: u32) -> Result<()> {
        let (of_a, of_b) = (self.keyspace(a)?, self.keyspace(b)?);
        if a != b {
            for (database, keyspace) in [(a, of_a), (a, of_b), (b, of_a), (b, of_b)] {
                self.touch_watched(database, keyspace)?;
            }
            self.databases_mut().0.swap(a as usize, b as usize);
        }
        Ok(())
    }
}
