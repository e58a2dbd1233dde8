//! Transactions that are prepared, and end at some later time.

use super::runner::{Session, Told, must_be_refused};
use crate::history::{Change, DROPPING, TransactionKind, What};
use crate::oracle::{PREPARED, Version};
use esker::{Durability, Error};
use std::sync::Arc;

/// A transaction that is prepared.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    name: String,
    kind: TransactionKind,
    changes: Vec<Change>,
    /// The number of the commit that prepared it, which its values tell.
    number: u32,
    /// When that was, in milliseconds since the epoch.
    prepared_ms: u64,
}

/// What prepared transactions have to say to changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// None is concerned.
    Free,
    /// One is, and the changes must be refused.
    Held,
    /// That is not known here: of two ranges it is not looked whether they share a key.
    Unknown,
}

/// What is prepared must stand in the log, and so must its end.
fn logged(durability: Durability) -> Durability {
    if durability == Durability::None { Durability::Os } else { durability }
}

/// What the oracle is told of a name: that it is prepared, or is so no longer.
fn told_of_name(name: &str, number: u32, is_prepared: bool) -> Told {
    let value: Option<Arc<[u8]>> = is_prepared.then(|| Arc::from(&b""[..]));
    let version = Version { order: (number, 0), value, expires_at: u64::MAX, dropped: false, merge: None };
    (PREPARED, name.as_bytes().to_vec(), version)
}

impl Kept {
    /// Whether it has read all of a family.
    fn has_read(&self, family: &str) -> bool {
        self.kind == TransactionKind::Serialisable && self.changes.first().is_some_and(|c| c.family == family)
    }

    fn concerns(&self, family: &str) -> bool {
        self.changes.iter().any(|own| own.family == family)
    }

    fn standing(&self, change: &Change) -> Verdict {
        let is_range = |change: &Change| matches!(change.what, What::DeleteRange(_) | What::DropRange(_));
        if self.has_read(&change.family) {
            // A range may be one without room for a key.
            return if is_range(change) { Verdict::Unknown } else { Verdict::Held };
        }
        let mut standing = Verdict::Free;
        for own in self.changes.iter().filter(|own| own.family == change.family) {
            let held = match (&own.what, &change.what) {
                (What::DeleteRange(_), What::DeleteRange(_) | What::DropRange(_)) => {
                    standing = Verdict::Unknown;
                    false
                }
                (What::DeleteRange(span), _) => span.contains(&change.key),
                (_, What::DeleteRange(span) | What::DropRange(span)) => span.contains(&own.key),
                _ => own.key == change.key,
            };
            if held {
                return Verdict::Held;
            }
        }
        standing
    }
}

impl Session {
    /// What prepared transactions have to say to changes that are made together.
    pub(super) fn standing(&self, changes: &[Change]) -> Verdict {
        let here = changes.iter().filter(|change| self.families.contains_key(&change.family));
        let all: Vec<Verdict> =
            here.flat_map(|change| self.kept.values().map(|kept| kept.standing(change))).collect();
        match (all.contains(&Verdict::Held), all.contains(&Verdict::Unknown)) {
            (true, _) => Verdict::Held,
            (_, true) => Verdict::Unknown,
            _ => Verdict::Free,
        }
    }

    /// Whether a prepared transaction concerns one of these families.
    pub(super) fn is_concerned<'f>(&self, mut families: impl Iterator<Item = &'f str>) -> bool {
        families.any(|family| self.kept.values().any(|kept| kept.concerns(family)))
    }

    /// A write that a prepared transaction holds must be refused, and nothing of it must happen.
    pub(super) fn write_held(&self, changes: &[Change], durability: Durability) -> Result<(), String> {
        let number = self.oracle.lock().next_commit();
        let (batch, told) = self.batch_of(changes, number);
        if told.is_empty() {
            return Ok(());
        }
        let before = self.db().visible_seq();
        match self.db().write(batch, durability) {
            Err(Error::HeldByPrepared { name, .. }) if !self.kept.values().any(|k| *k.name == *name) => {
                return Err(format!("{name} holds a key and is not prepared"));
            }
            Err(Error::HeldByPrepared { .. }) => {}
            Err(error) => self.tolerate(&error)?,
            Ok(()) => return Err("a write passes by a prepared transaction".into()),
        }
        if self.db().visible_seq() > before { Err("a refused write is published".into()) } else { Ok(()) }
    }

    /// Prepares a transaction and keeps it under a number.
    pub(super) fn prepare(
        &mut self,
        slot: u32,
        kind: TransactionKind,
        changes: &[Change],
        durability: Durability,
    ) -> Result<(), String> {
        let here = |change: &&Change| {
            // What was given up may or may not be read.
            self.families.contains_key(&change.family) && change.family != DROPPING
        };
        let changes: Vec<Change> = changes.iter().filter(here).cloned().collect();
        let out_of_range = changes.iter().any(Change::is_out_of_range);
        if changes.is_empty() || out_of_range || !self.is_writable() || self.kept.contains_key(&slot) {
            return Ok(());
        }
        let reads = (kind == TransactionKind::Serialisable).then(|| changes[0].family.as_str());
        if self.standing(&changes) != Verdict::Free || self.is_concerned(reads.into_iter()) {
            return Ok(());
        }
        let (number, prepared_ms) = {
            let oracle = self.oracle.lock();
            (oracle.next_commit(), oracle.now_ms())
        };
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
        let name = format!("t{slot}-{number}");
        let told = vec![told_of_name(&name, number, true)];
        let kept = Kept { name: name.clone(), kind, changes, number, prepared_ms };
        // What was refused may turn up after a loss, and what was resolved may be prepared again.
        self.ever_prepared.insert(name.clone(), (slot, kept.clone()));
        self.committing(logged(durability), told, || {
            transaction.prepare(&name, logged(durability)).map(drop).map_err(Error::from)
        })?;
        if self.is_prepared(&name) {
            self.kept.insert(slot, kept);
        }
        Ok(())
    }

    fn is_prepared(&self, name: &str) -> bool {
        self.db().prepared().iter().any(|prepared| prepared.name == name)
    }

    /// Commits the transaction that is kept under a number, or rolls it back if there is no durability.
    pub(super) fn resolve(&mut self, slot: u32, commit: Option<Durability>) -> Result<(), String> {
        let end = |name: &str, durability| match commit {
            Some(_) => self.db().commit_prepared(name, durability).map(drop),
            None => self.db().rollback_prepared(name),
        };
        let durability = logged(commit.unwrap_or(self.place.option_set().default_durability()));
        let Some(kept) = self.kept.get(&slot).cloned() else {
            return match end(&format!("t{slot}"), durability) {
                Err(Error::NotPrepared { .. }) => Ok(()),
                Err(error) => self.tolerate(&error),
                Ok(()) => Err("a transaction was resolved that was not prepared".into()),
            };
        };
        if !self.is_writable() {
            return must_be_refused(end(&kept.name, durability));
        }
        let number = self.oracle.lock().next_commit();
        let mut told = vec![told_of_name(&kept.name, number, false)];
        if commit.is_some() {
            told.extend(self.told_of_commit(&kept, number));
        }
        self.committing(durability, told, || end(&kept.name, durability))?;
        if self.is_prepared(&kept.name) {
            return Ok(());
        }
        self.kept.remove(&slot);
        match self.db().rollback_prepared(&kept.name) {
            Err(Error::NotPrepared { .. }) => Ok(()),
            Err(error) => self.tolerate(&error),
            Ok(()) => Err("a transaction was resolved twice".into()),
        }
    }

    /// What its commit makes of the keys: they get their place in the order then, and what expires had its
    /// time set before.
    fn told_of_commit(&self, kept: &Kept, number: u32) -> Vec<Told> {
        let mut told = self.batch_of(&kept.changes, kept.number).1;
        for (_, _, version) in &mut told {
            version.order.0 = number;
            if let What::PutTtl { ttl_ms, .. } = kept.changes[version.order.1 as usize].what {
                version.expires_at = kept.prepared_ms + ttl_ms;
            }
        }
        told
    }

    /// A family that a prepared transaction needs must not be dropped.
    pub(super) fn drop_needed(&self, name: &str) -> Result<(), String> {
        match self.db().drop_column_family(name) {
            Err(Error::FamilyPrepared { .. }) => Ok(()),
            Err(error) => self.tolerate(&error),
            Ok(()) => Err("a family was dropped that a prepared transaction needs".into()),
        }
    }

    /// After an opening: keeps what has survived, which the oracle has found right.
    pub(super) fn keep_what_survived(&mut self) {
        let found = self.db().prepared();
        let survived = found.iter().filter_map(|info| self.ever_prepared.get(&info.name));
        self.kept = survived.cloned().collect();
    }
}
