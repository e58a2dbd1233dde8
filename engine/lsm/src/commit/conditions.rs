//! Batches with conditions.
//!
//! The conditions are judged outside, by what is visible, and inside only that what they are about has
//! not been written since (and has not expired: the time of the commit decides). If it has, they are
//! judged anew.

use super::checks::{Checks, KeyCheck};
use super::request::{Durability, Request, Ticket};
use super::store::Store;
use super::validate::{Looked, MOST_ROUNDS};
use crate::base::error::{Error, Result};
use crate::base::observe::WithoutValues;
use crate::base::refusal::{Expected, FoundInstead};
use crate::batch::{Condition, Requirement, WriteBatch};
use crate::tree::{Found, lookup, lookup_observed};

/// A store whose writes are recorded for the moment.
struct Watched<'s>(&'s Store);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.unwatch();
    }
}

impl Store {
    /// Writes a batch with conditions.
    #[cold]
    pub(super) fn commit_conditional(&self, mut batch: WriteBatch, durability: Durability) -> Result<Ticket> {
        let conditions = batch.take_conditions();
        let evaluate =
            || self.evaluate(&conditions).inspect_err(|error| self.transaction_counts.count_error(error));
        if let Some(ticket) = self.admit(&batch)? {
            return evaluate().map(|_| ticket);
        }
        self.watch();
        let _watched = Watched(self);
        let checks = Some(Box::new(evaluate()?));
        let mut rounds = 0;
        self.submit_until(Request { batch, durability, checks }, |request, _| {
            rounds += 1;
            let anew = self.evaluate(&conditions)?;
            let Some(checks) = &mut request.checks else { return Ok(()) };
            (checks.keys, checks.before_ms) = (anew.keys, anew.before_ms);
            if rounds <= MOST_ROUNDS {
                return Ok(());
            }
            Err(self.conflict(checks.first_key()))
        })
    }

    /// Judges conditions by what is visible now. Returns what must not change until the commit.
    fn evaluate(&self, conditions: &[Condition]) -> Result<Checks> {
        let Looked { since, views, seq } =
            self.look_at(conditions.iter().map(|condition| condition.family))?;
        let now_ms = self.clock.now_ms();
        let mut checks = Checks::default();
        for (index, condition) in conditions.iter().enumerate() {
            let family = condition.family;
            if let Requirement::Version(_) = condition.requirement
                && self.family_by_id(family).is_some_and(|family| !family.rules().policy.keep_versions)
            {
                let why = "the family does not keep versions: see `FamilyOptions::keep_versions`";
                return Err(Error::invalid("require_version", why));
            }
            let Some(view) = views.get(&family) else { continue };
            let look = |found: Found<'_>| (condition.judge(Some(&found)), found.expires_at());
            let key = &condition.key;
            let found = match condition.requirement {
                Requirement::Value(_) => lookup(view, key, seq, || now_ms, look)?,
                _ => lookup_observed(view, key, seq, || now_ms, &mut WithoutValues, look)?,
            };
            let (judged, expires_at) = found.unwrap_or_else(|| (condition.judge(None), checks.before_ms));
            if let Err(found) = judged {
                let (family, key) = (self.family_name(family), condition.key.as_slice().into());
                let expected = condition.expected();
                return Err(Error::ConditionFailed { index, family, key, expected, found });
            }
            checks.before_ms = checks.before_ms.min(expires_at);
            checks.keys.push(KeyCheck { family, key: condition.key.clone(), since });
        }
        Ok(checks)
    }
}

impl Condition {
    fn judge(&self, found: Option<&Found<'_>>) -> Result<(), FoundInstead> {
        match (&self.requirement, found) {
            (Requirement::Absent, None) => Ok(()),
            (Requirement::Absent, Some(_)) => Err(FoundInstead::Present),
            (_, None) => Err(FoundInstead::Absent),
            (Requirement::Value(value), Some(found)) if value == found.bytes() => Ok(()),
            (Requirement::Value(_), Some(_)) => Err(FoundInstead::OtherValue),
            (Requirement::Version(version), Some(found)) if *version == found.seq() => Ok(()),
            (Requirement::Version(_), Some(_)) => Err(FoundInstead::OtherVersion),
        }
    }

    fn expected(&self) -> Expected {
        match self.requirement {
            Requirement::Absent => Expected::Absent,
            Requirement::Value(_) => Expected::Value,
            Requirement::Version(_) => Expected::Version,
        }
    }
}
