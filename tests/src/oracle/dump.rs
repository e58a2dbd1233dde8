//! What stands in a store, read from the outside.

use super::state::short;
use crate::history::DROPPING;
use esker::batch::FamilyRef;
use esker::{Slice, Ttl};
use std::collections::BTreeMap;
use std::fmt;

/// The name under which the transactions stand that are prepared; no family may be called so here.
pub const PREPARED_NAME: &str = "(prepared)";

/// The visible content of every family.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// Families by name, each with its entries.
    pub families: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// When entries expire, in milliseconds since the epoch, by family and key; for those that do.
    pub expiries: BTreeMap<(String, Vec<u8>), u64>,
    /// Whether it is not known what is prepared: a store that has become read-only shows less than it knows.
    pub without_prepared: bool,
    /// Whether it is not known when entries expire.
    pub without_expiries: bool,
    /// The store's own time, against which entries expire, in milliseconds since the epoch.
    pub now_ms: u64,
}

impl Dump {
    /// Reads a store through its iterators, from the front, from the back and key by key: all must agree.
    ///
    /// # Errors
    /// The first that a read gives, or how the ways to read differ.
    pub fn read(db: &esker::Db) -> Result<Dump, Unreadable> {
        let mut dump = Dump { now_ms: db.now_ms(), ..Dump::default() };
        dump.without_prepared = db.health().poisoned.is_some();
        let prepared: BTreeMap<_, _> =
            db.prepared().into_iter().map(|info| (info.name.into_bytes(), Vec::new())).collect();
        if !prepared.is_empty() && !dump.without_prepared {
            dump.families.insert(PREPARED_NAME.into(), prepared);
        }
        for name in db.column_families() {
            let family = db.open_column_family(&name)?;
            let mut entries = BTreeMap::new();
            let mut last = None;
            if name == DROPPING {
                // What was dropped must not be read.
                dump.families.insert(name, entries);
                continue;
            }
            for entry in family.iter()? {
                let (key, value) = entry?;
                if last.as_ref().is_some_and(|last: &Slice| **last >= *key) {
                    return Err(Unreadable::differ(&name, &key, "an iterator does not go up"));
                }
                if family.get_with(&key, |found| *found == *value)? != Some(true) {
                    return Err(Unreadable::differ(&name, &key, "a get and an iterator differ"));
                }
                match family.ttl(&key)? {
                    None => return Err(Unreadable::differ(&name, &key, "a key has no time to live")),
                    Some(Ttl::Never) => {}
                    Some(Ttl::Remaining(left)) => {
                        let at_ms = dump.now_ms + left.as_millis() as u64;
                        dump.expiries.insert((name.clone(), key.to_vec()), at_ms);
                    }
                }
                entries.insert(key.to_vec(), value.to_vec());
                last = Some(key);
            }
            let mut back = entries.iter().rev();
            for entry in family.iter()?.rev() {
                let (key, value) = entry?;
                if back.next().is_none_or(|(k, v)| (k.as_slice(), v.as_slice()) != (&*key, &*value)) {
                    return Err(Unreadable::differ(&name, &key, "the two directions differ"));
                }
            }
            if let Some((key, _)) = back.next() {
                return Err(Unreadable::differ(&name, key, "an iterator from the back ends early"));
            }
            dump.families.insert(name, entries);
        }
        Ok(dump)
    }

    /// What somebody sees who reads a store from outside.
    ///
    /// # Errors
    /// As [`Dump::read`].
    pub fn of_view(view: &esker::ReadOnlyDb) -> Result<Dump, Unreadable> {
        let view = view.snapshot();
        let mut dump = Dump { now_ms: view.now_ms(), ..Dump::default() };
        let prepared: BTreeMap<_, _> =
            view.prepared()?.into_iter().map(|found| (found.name.into_bytes(), Vec::new())).collect();
        if !prepared.is_empty() {
            dump.families.insert(PREPARED_NAME.into(), prepared);
        }
        for name in view.column_families() {
            let family = view.column_family(&name)?;
            let mut entries = BTreeMap::new();
            let mut cursor = family.cursor(esker::ScanOptions::default());
            // What was dropped must not be read.
            let mut stands = name != DROPPING && cursor.seek_to_first()?;
            while stands {
                if family.get_with(cursor.key(), |found| *found == *cursor.value())? != Some(true) {
                    return Err(Unreadable::differ(&name, cursor.key(), "a get and a cursor differ"));
                }
                if let Some(at_ms) = cursor.expires_at_ms() {
                    dump.expiries.insert((name.clone(), cursor.key().to_vec()), at_ms);
                }
                entries.insert(cursor.key().to_vec(), cursor.value().to_vec());
                stands = cursor.next()?;
            }
            dump.families.insert(name, entries);
        }
        Ok(dump)
    }

    /// The value of a key; `None` also if there is no such family.
    #[must_use]
    pub fn get(&self, family: &str, key: &[u8]) -> Option<&[u8]> {
        self.families.get(family)?.get(key).map(Vec::as_slice)
    }
}

impl Dump {
    /// When an entry expires; `u64::MAX` if it does not.
    #[must_use]
    pub fn expires_at(&self, family: &str, key: &[u8]) -> u64 {
        if self.expiries.is_empty() {
            return u64::MAX;
        }
        self.expiries.get(&(family.to_string(), key.to_vec())).copied().unwrap_or(u64::MAX)
    }
}

/// Why a store could not be read.
#[derive(Debug)]
pub enum Unreadable {
    /// A read gave an error.
    Error(esker::Error),
    /// Two ways to read gave different answers, in words.
    Differ(String),
}

impl Unreadable {
    fn differ(family: &str, key: &[u8], what: &str) -> Unreadable {
        Unreadable::Differ(format!("{what} at {} of {family}", key.escape_ascii()))
    }
}

impl From<esker::Error> for Unreadable {
    fn from(error: esker::Error) -> Unreadable {
        Unreadable::Error(error)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Error(error) => error.fmt(f),
            Unreadable::Differ(how) => f.write_str(how),
        }
    }
}

impl fmt::Debug for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, entries) in &self.families {
            writeln!(f, "{name}:")?;
            for (key, value) in entries {
                writeln!(f, "  {} = {} bytes {}", key.escape_ascii(), value.len(), short(value))?;
            }
        }
        Ok(())
    }
}
