//! The walk over everything.

use super::check::{inline, records};
use crate::base::error::Result;
use crate::base::hash::slot;
use crate::encoding::check::Check;
use crate::encoding::header::{Meta, NEVER};
use crate::encoding::key::{self, kind, table};
use crate::store::{Access, Store, Table, Unit};
use std::collections::BTreeMap;

/// The most findings that a report holds; more are only counted.
const MOST_FINDINGS: usize = 100;

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Keys that were looked at, expired ones included.
    pub keys: u64,
    /// Records of elements that belong to them.
    pub elements: u64,
    /// What is wrong, each in a sentence; the first hundred.
    pub findings: Vec<String>,
    /// How many findings there are in all.
    pub wrong: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.wrong == 0
    }

    fn find(&mut self, what: String) {
        self.wrong += 1;
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(what);
        }
    }
}

impl Store {
    /// Walks over all keys and checks that header, elements, index, counts and expiries agree. Others may
    /// work on the store meanwhile: what is checked is the state of one moment. Holds no elements in
    /// memory, but the names of all keys that have records of their own.
    ///
    /// # Errors
    /// What reading gives, damage on disk among it.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// store.db(0).hash("user:1").set("name", "Ada")?;
    /// let report = store.verify()?;
    /// assert!(report.is_clean() && report.keys == 1);
    /// # store.close() }
    /// ```
    pub fn verify(&self) -> Result<Report> {
        let mut report = Report::default();
        // Counts in memory and on disk are compared when nobody writes; the rest is read from a snapshot.
        let mut unit = self.unit_alone();
        unit.begin(Access::Read);
        let mut keyspaces = Vec::new();
        for database in 0..self.databases() {
            keyspaces.push((database, unit.keyspace(database)?, unit.count_keys(database)?));
        }
        unit.freeze_and_leave();
        for (database, keyspace, counted) in keyspaces {
            let mut walk = Walk { unit: &mut unit, database, keyspace, report: &mut report };
            walk.keyspace(counted)?;
        }
        Ok(report)
    }
}

/// One keyspace under check.
struct Walk<'w, 's> {
    unit: &'w mut Unit<'s>,
    database: u32,
    keyspace: u64,
    report: &'w mut Report,
}

/// What the headers say that other records must say, too.
#[derive(Default)]
struct Expected {
    positions: u64,
    slots: BTreeMap<u16, i64>,
    expiries: u64,
    /// Name of each key with records, by incarnation.
    incarnations: BTreeMap<u64, Vec<u8>>,
}

impl Walk<'_, '_> {
    fn find(&mut self, name: &[u8], what: &str) {
        let name = name.escape_ascii();
        self.report.find(format!("database {}, key {name}: {what}", self.database));
    }

    fn keyspace(&mut self, mirrored: u64) -> Result<()> {
        let expected = self.headers()?;
        let keys: i64 = expected.slots.values().sum();
        if keys as u64 != mirrored {
            self.find(b"", &format!("{keys} keys, of which the counter has {mirrored}"));
        }
        let positions = self.count(&key::index_prefix(table::POSITION, self.keyspace))?;
        if positions != expected.positions {
            self.find(b"", &format!("{positions} positions of {} keys", expected.positions));
        }
        let expiries = self.count(&key::index_prefix(table::EXPIRY, self.keyspace))?;
        if expiries != expected.expiries {
            self.find(b"", &format!("{expiries} expiries of {} keys that expire", expected.expiries));
        }
        self.counts(&expected)?;
        self.elements(&expected)
    }

    /// Looks at every header, and at what stands for it in the index.
    fn headers(&mut self) -> Result<Expected> {
        let mut expected = Expected::default();
        let mut next = key::header(self.keyspace, b"");
        loop {
            let Some((name, value)) = self.first(Table::Headers, &self.keyspace.to_be_bytes(), &next)? else {
                return Ok(expected);
            };
            next = [&name[..], &[0]].concat();
            self.report.keys += 1;
            let (_, user_key) = key::split_header(&name)?;
            let slot = slot(user_key);
            *expected.slots.entry(slot).or_default() += 1;
            expected.positions += 1;
            let position = key::position(slot, self.unit.hash_key().hash(user_key));
            if !self.has(Table::Index, &key::positioned(self.keyspace, position, user_key))? {
                self.find(user_key, "it stands in no position");
            }
            let Ok((meta, payload)) = Meta::decode(&value) else {
                self.find(user_key, "a header that cannot be read");
                continue;
            };
            if meta.indexed_at != NEVER {
                expected.expiries += 1;
                if !self.has(Table::Index, &key::expiry(self.keyspace, meta.indexed_at, user_key))? {
                    self.find(user_key, "its expiry stands in no index");
                }
            }
            let wrong = if meta.records {
                match records(&meta, payload, self.unit.hash_key()) {
                    Ok(mut check) => self.records(&meta, user_key, &mut *check)?,
                    Err(what) => Some(what),
                }
            } else {
                inline(&meta, payload)
            };
            if let Some(what) = wrong {
                self.find(user_key, &what);
            }
            if meta.records
                && let Some(other) = expected.incarnations.insert(meta.incarnation, user_key.to_vec())
            {
                let what = format!("its records are those of {}, too", other.escape_ascii());
                self.find(user_key, &what);
            }
        }
    }

    /// Shows `check` the records of a key, whose first must name it; what is wrong with them, if anything.
    fn records(&mut self, meta: &Meta, user_key: &[u8], check: &mut dyn Check) -> Result<Option<String>> {
        let (mut named, mut wrong) = (false, Ok(()));
        let mut cursor =
            self.unit.cursor(Table::Elements, &key::incarnation(self.keyspace, meta.incarnation))?;
        let mut found = cursor.seek_to_first()?;
        while found {
            let (.., kind, rest) = key::split_element(cursor.key())?;
            if kind == kind::NAME {
                named = cursor.value() == user_key;
            } else {
                self.report.elements += 1;
                wrong = wrong.and_then(|()| check.record(kind, rest, cursor.value()));
            }
            found = cursor.next()?;
        }
        drop(cursor);
        if !named {
            self.find(user_key, "its records name another key, or none");
        }
        Ok(wrong.and_then(|()| check.end()).err())
    }

    /// Every record of an element must be of a key's incarnation. What was dropped may still be shown: it is
    /// older than all that is there, and no finding.
    fn elements(&mut self, expected: &Expected) -> Result<()> {
        for (number, name) in &expected.incarnations {
            let prefix = key::incarnation(self.keyspace, *number);
            if self.first(Table::Elements, &prefix, &prefix)?.is_none() {
                self.find(name, "it has no records");
            }
            if self.has(Table::Index, &key::given_up(self.keyspace, *number))? {
                self.find(name, "its records are given up");
            }
        }
        Ok(())
    }

    fn counts(&mut self, expected: &Expected) -> Result<()> {
        let prefix = key::index_prefix(table::COUNT, self.keyspace);
        let mut found = BTreeMap::new();
        let mut cursor = self.unit.cursor(Table::Index, &prefix)?;
        let mut at = cursor.seek_to_first()?;
        while at {
            let slot = cursor.key().get(prefix.len()..).and_then(|slot| slot.try_into().ok());
            let count = cursor.value().try_into().map_or(i64::MIN, i64::from_le_bytes);
            found.insert(slot.map_or(u16::MAX, u16::from_be_bytes), count);
            at = cursor.next()?;
        }
        drop(cursor);
        found.retain(|_, count| *count != 0);
        if found != expected.slots {
            self.find(b"", "the counts of the slots are not those of the keys");
        }
        Ok(())
    }

    fn count(&self, prefix: &[u8]) -> Result<u64> {
        let mut cursor = self.unit.cursor(Table::Index, prefix)?;
        let (mut found, mut count) = (cursor.seek_to_first()?, 0);
        while found {
            count += 1;
            found = cursor.next()?;
        }
        Ok(count)
    }

    fn first(&self, table: Table, prefix: &[u8], from: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut cursor = self.unit.cursor(table, prefix)?;
        Ok(cursor.seek(from)?.then(|| (cursor.key().to_vec(), cursor.value().to_vec())))
    }

    fn has(&self, table: Table, name: &[u8]) -> Result<bool> {
        Ok(self.unit.get_with(table, name, |_| ())?.is_some())
    }
}
