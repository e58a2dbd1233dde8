//! Transactions, conditional writes, and expiry that is changed.

use super::prepared::Verdict;
use super::runner::Session;
use crate::history::{Asked, Change, Condition, DROPPING, Span, TransactionKind, What, value};
use crate::oracle::Version;
use esker::base::bounds::prefix_end;
use esker::{ColumnFamily, Durability, Error, Locking, Transaction, TransactionOptions, WriteBatch};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

/// The entries of a family as a transaction must see them.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

impl TransactionKind {
    /// The options of a transaction that does so and waits for nobody.
    #[must_use]
    pub(crate) fn options(self) -> TransactionOptions {
        let options = TransactionOptions::default().lock_timeout(Duration::ZERO);
        match self {
            TransactionKind::Optimistic => options,
            TransactionKind::Pessimistic => TransactionOptions { locking: Locking::Pessimistic, ..options },
            TransactionKind::Serialisable => options.serialisable(),
        }
    }
}

impl Session {
    /// A transaction that reads and writes, while somebody else writes too. It must commit unless what it
    /// depends on was written by the other.
    pub(super) fn transaction(
        &self,
        kind: TransactionKind,
        changes: &[Change],
        meddle: &[Change],
        durability: Durability,
    ) -> Result<(), String> {
        let here = |change: &&Change| {
            // What was given up may or may not be read.
            self.families.contains_key(&change.family) && change.family != DROPPING
        };
        let changes: Vec<Change> = changes.iter().filter(here).cloned().collect();
        let of_a_key = |change: &&Change| here(change) && !matches!(change.what, What::DeleteRange(_));
        let meddle: Vec<Change> = meddle.iter().filter(of_a_key).cloned().collect();
        let out_of_range = changes.iter().chain(&meddle).any(Change::is_out_of_range);
        if changes.is_empty() || out_of_range || !self.is_writable() {
            return Ok(());
        }
        if [&changes, &meddle].iter().any(|all| self.standing(all) != Verdict::Free) {
            return Ok(());
        }
        let number = self.oracle.lock().next_commit();
        let overlap = |change: &Change| {
            let touched = changes.iter().any(|own| {
                let key = match &own.what {
                    What::DeleteRange(span) => span.contains(&change.key),
                    _ => own.key == change.key,
                };
                key && own.family == change.family
            });
            touched || kind == TransactionKind::Serialisable && change.family == changes[0].family
        };
        let in_the_way = meddle.iter().any(overlap);
        let has_locked = |change: &Change| {
            let keys = changes.iter().filter(|own| !matches!(own.what, What::DeleteRange(_)));
            keys.into_iter().any(|own| (&own.family, &own.key) == (&change.family, &change.key))
        };
        let locked = kind == TransactionKind::Pessimistic && meddle.iter().any(has_locked);
        // What somebody else writes is a commit of its own before it.
        let number = number + u32::from(!meddle.is_empty() && !locked);
        let transaction = match self.db().begin(kind.options()) {
            Ok(mut transaction) => match self.work(&mut transaction, kind, &changes, number) {
                Ok(Ok(())) => transaction,
                Ok(Err(error)) => return self.tolerate(&error),
                // A failed sync has made the store read-only meanwhile: it shows less than before.
                Err(_) if !self.is_writable() => return Ok(()),
                Err(why) => return Err(why),
            },
            Err(error) => return self.tolerate(&error),
        };
        if locked {
            let (batch, _) = self.batch_of(&meddle, number);
            match self.db().write(batch, durability) {
                Err(Error::LockTimeout { holder, .. }) if holder == transaction.id() => {}
                Err(error) => self.tolerate(&error)?,
                Ok(()) => return Err("somebody else wrote a key that was locked".into()),
            }
        }
        let before = self.db().visible_seq();
        if !locked {
            self.write(&meddle, durability)?;
        }
        if transaction.is_empty() {
            // A range without room for a key was removed. What it has read was all there at one moment.
            return transaction.commit_with(durability).map(drop).or_else(|e| self.tolerate(&e.error));
        }
        let published = self.db().visible_seq() > before;
        if !self.is_writable() || self.oracle.lock().next_commit() != number {
            return Ok(());
        }
        if in_the_way && published {
            return match transaction.commit_with(durability).map_err(|failed| failed.error) {
                Err(Error::Conflict { .. }) => Ok(()),
                Err(error) => self.tolerate(&error),
                Ok(_) => Err("a conflict was missed".into()),
            };
        }
        let (_, told) = self.batch_of(&changes, number);
        let mut false_conflict = false;
        let committed = self.committing(durability, told, || {
            let committed = transaction.commit_with(durability).map_err(Error::from);
            false_conflict = matches!(committed, Err(Error::Conflict { .. }));
            let seq = committed?.seq();
            if durability == Durability::Sync { self.db().wait_durable(seq) } else { Ok(()) }
        });
        // A write that the disk refused may be taken for one that was made.
        if false_conflict && in_the_way && self.faulty { Ok(()) } else { committed }
    }

    /// Reads and writes; what is read must be the store's content with what was written over it. The outer
    /// error is a wrong answer.
    pub(super) fn work(
        &self,
        transaction: &mut Transaction,
        kind: TransactionKind,
        changes: &[Change],
        number: u32,
    ) -> Result<esker::Result<()>, String> {
        let (_, told) = self.batch_of(changes, number);
        let (mut seen, now_ms) = {
            let oracle = self.oracle.lock();
            (oracle.visible().clone(), oracle.now_ms())
        };
        for (at, change) in changes.iter().enumerate() {
            let (family, key) = (&self.families[&change.family], &change.key);
            let Some(id) = self.oracle.lock().family(&change.family) else { continue };
            if let What::DeleteRange(span) = &change.what {
                if let Err(error) = remove_span(transaction, family, span) {
                    return Ok(Err(error));
                }
            } else {
                let read = match kind {
                    TransactionKind::Pessimistic => transaction.get_for_update(family, key),
                    _ => transaction.get(family, key),
                };
                let read = match read {
                    Ok(read) => read,
                    Err(error) => return Ok(Err(error)),
                };
                if read.as_deref() != seen.get(id, key, now_ms).map(|value| &value[..]) {
                    return Err(format!("a transaction reads {read:?} at {}", key.escape_ascii()));
                }
                if let Err(error) = change_of(transaction, family, change, number, at) {
                    return Ok(Err(error));
                }
            }
            for (id, key, version) in told.iter().filter(|(.., version)| version.order.1 == at as u32) {
                seen.apply(*id, key, version);
            }
            if matches!(change.what, What::DeleteRange(_)) {
                continue;
            }
            // Something that is taken back leaves nothing behind.
            let savepoint = transaction.savepoint();
            let taken_back = transaction.delete(family, key);
            let taken_back = taken_back.and_then(|()| transaction.rollback_to(savepoint));
            let taken_back = taken_back.and_then(|()| transaction.release(savepoint));
            if let Err(error) = taken_back {
                return Ok(Err(error));
            }
        }
        if number.is_multiple_of(4) {
            // Nobody has written meanwhile.
            if let Err(error) = transaction.refresh() {
                return Ok(Err(error));
            }
        }
        let names: BTreeSet<&str> = changes.iter().map(|change| change.family.as_str()).collect();
        for name in names {
            let Some(id) = self.oracle.lock().family(name) else { continue };
            if name == changes[0].family || kind != TransactionKind::Serialisable {
                match walk(transaction, &self.families[name], number.is_multiple_of(2)) {
                    Ok(found) if seen.entries(id, now_ms).eq(found.iter().map(|(k, v)| (&k[..], &v[..]))) => {
                    }
                    Ok(_) => return Err(format!("a transaction walks over something else in {name}")),
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
        Ok(Ok(()))
    }

    /// Changes that depend on a condition.
    pub(super) fn write_if(
        &self,
        condition: &Condition,
        changes: &[Change],
        durability: Durability,
    ) -> Result<(), String> {
        let Some(family) = self.families.get(&condition.family) else { return Ok(()) };
        let refused = self.standing(changes) != Verdict::Free;
        if changes.iter().any(Change::is_out_of_range) || !self.is_writable() || refused {
            return Ok(());
        }
        let (held, number) = {
            let oracle = self.oracle.lock();
            let id = oracle.family(&condition.family);
            let held = id.and_then(|id| oracle.visible().get(id, &condition.key, oracle.now_ms()));
            (held.map(|value| value.to_vec()), oracle.next_commit())
        };
        let (mut batch, told) = self.batch_of(changes, number);
        if told.is_empty() {
            return Ok(());
        }
        let key = &condition.key;
        let holds = match condition.asked {
            Asked::Absent => {
                batch.require_absent(family, key);
                held.is_none()
            }
            Asked::Value => {
                batch.require_value(family, key, held.as_deref().unwrap_or(b"nothing"));
                held.is_some()
            }
            Asked::OtherValue => {
                batch.require_value(family, key, [held.as_deref().unwrap_or_default(), b"!"].concat());
                false
            }
            Asked::Version => match self.require_version(&mut batch, family, key) {
                Ok(present) => present,
                Err(error) => return self.tolerate(&error),
            },
        };
        if holds {
            return self.committing(durability, told, || self.db().write(batch, durability));
        }
        let before = self.db().visible_seq();
        match self.db().write(batch, durability) {
            Err(Error::ConditionFailed { index: 0, key: named, .. }) if *named == **key => {}
            Err(error) => self.tolerate(&error)?,
            Ok(()) => return Err("written although the condition does not hold".into()),
        }
        if self.db().visible_seq() > before { Err("a refused write is published".into()) } else { Ok(()) }
    }

    /// Asks for the version that is there; returns whether there is one. A family that keeps none must
    /// refuse it, and is then asked for something that holds all the same.
    fn require_version(
        &self,
        batch: &mut WriteBatch,
        family: &ColumnFamily,
        key: &[u8],
    ) -> esker::Result<bool> {
        let Some(read) = family.get_versioned(key)? else {
            batch.require_value(family, key, b"nothing");
            return Ok(false);
        };
        if self.place.option_set().family(family.name()).keep_versions && family.name() != "default" {
            batch.require_unchanged(family, key, Some(&read));
        } else {
            batch.require_value(family, key, &read.value);
        }
        Ok(true)
    }

    /// Another expiry for a key, which is a write of the same value.
    pub(super) fn expire(&self, family: &str, key: &[u8], ttl_ms: Option<u64>) -> Result<(), String> {
        let Some(handle) = self.families.get(family) else { return Ok(()) };
        let of_key = Change { family: family.into(), key: key.to_vec(), what: What::Delete };
        if !self.is_writable() || self.standing(&[of_key]) != Verdict::Free {
            return Ok(());
        }
        let (told, exists, same) = {
            let oracle = self.oracle.lock();
            let id = oracle.family(family).unwrap_or_default();
            let expires_at = ttl_ms.map_or(u64::MAX, |ttl_ms| oracle.now_ms() + ttl_ms);
            let held = oracle.visible().version(id, key).filter(|held| held.at(oracle.now_ms()).is_some());
            let version = Version {
                order: (oracle.next_commit(), 0),
                value: held.and_then(|held| held.value.clone()),
                expires_at,
                dropped: false,
                merge: None,
            };
            let same = held.is_some_and(|held| held.expires_at == expires_at);
            (vec![(id, key.to_vec(), version)], held.is_some(), same)
        };
        let ask = || match ttl_ms {
            Some(ttl_ms) => handle.expire(key, Duration::from_millis(ttl_ms)),
            None => handle.persist(key),
        };
        if exists && !same {
            let durability = self.place.option_set().default_durability();
            return self.committing(durability, told, || ask().map(drop));
        }
        match ask() {
            Ok(found) if found == exists => Ok(()),
            Ok(found) => Err(format!("a key {} there to expire", if found { "is" } else { "is not" })),
            Err(error) => self.tolerate(&error),
        }
    }
}

/// Carries out a change within a transaction, a range too.
pub(crate) fn change_of(
    transaction: &mut Transaction,
    family: &ColumnFamily,
    change: &Change,
    number: u32,
    at: usize,
) -> esker::Result<()> {
    let key = &change.key;
    match change.what {
        What::DeleteRange(ref span) => remove_span(transaction, family, span),
        What::Put { bytes } => transaction.put(family, key, value(number, at, bytes)),
        What::PutTtl { bytes, ttl_ms } => {
            transaction.put_with_ttl(family, key, value(number, at, bytes), Duration::from_millis(ttl_ms))
        }
        What::Merge { bytes, ttl_ms: 0 } => transaction.merge(family, key, value(number, at, bytes)),
        What::Merge { bytes, ttl_ms } => {
            transaction.merge_with_ttl(family, key, value(number, at, bytes), Duration::from_millis(ttl_ms))
        }
        // A transaction gives up no ranges.
        What::Delete | What::DropRange(_) => transaction.delete(family, key),
    }
}

fn remove_span(transaction: &mut Transaction, family: &ColumnFamily, span: &Span) -> esker::Result<()> {
    match span {
        Span::All => transaction.delete_range::<&[u8], _>(family, ..),
        Span::Prefix(prefix) => {
            let to = prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded);
            transaction.delete_range(family, (Bound::Included(prefix.clone()), to))
        }
        Span::Range(from, to) => transaction.delete_range(family, (from.clone(), to.clone())),
    }
}

/// Everything in a family, from both ends.
fn walk(transaction: &Transaction, family: &ColumnFamily, backward: bool) -> esker::Result<Entries> {
    let mut iter = transaction.iter(family)?;
    let mut entries = Entries::new();
    loop {
        let entry = if backward != entries.len().is_multiple_of(3) { iter.next_back() } else { iter.next() };
        match entry.transpose()? {
            Some((key, value)) => drop(entries.insert(key.to_vec(), value.to_vec())),
            None => return Ok(entries),
        }
    }
}
