//! Folding the versions of a key that has operands, in a flush or a compaction.
//!
//! Versions come newest first, from the newest operand of the key on, and in *stripes*: what the same
//! horizons see (see `retain`). In each stripe stand operands and at most one version below them that is
//! none. From the oldest stripe up, what stands below a stripe is known - the value or deletion in it, or
//! what the stripe before came to, or nothing, if nothing older than the merge exists - or it is not.
//!
//! - If it is known, the operands of the stripe and what stands below them in it become one value, with
//!   the newest operand's sequence number: each horizon sees all of them or none.
//! - What has expired by the time of the oldest horizon that sees it becomes a deletion, as in `retain`.
//!   This needs no operator. It is right because an operand that comes later was written later: who makes
//!   the horizons sees to it that their times are not later than any operand that they do not see.
//! - If it is not known, two operands become one where the operator offers it and where it cannot matter
//!   what lies below: both start from nothing or neither does. So they were written in the same
//!   millisecond, or nothing below can expire and neither can what the older one starts.
//! - A range that was deleted between a value and an operand leaves nothing for the operand to change. What
//!   such a range hides from all horizons of a stripe is not among the versions.
//! - A separated value is none of the versions: who folds has read it before.
//! - What the operator cannot merge stays, without the operands that do not count any more.

use super::retain::Horizon;
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum};
use crate::base::operand::{Operand, Outcome, outcome};
use crate::base::slice::Slice;
use crate::hooks::{FamilyHooks, MergeFailure};

/// An entry of the key that is being folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The sequence number.
    pub seq: SeqNum,
    /// What it is.
    pub kind: Kind,
    /// When it expires; of an operand: when it was written.
    pub expires_at: u64,
    /// The value, or the stored operand.
    pub value: Slice,
}

impl Version {
    /// As an entry of `key`.
    #[must_use]
    pub fn entry<'a>(&'a self, key: &'a [u8]) -> EntryRef<'a> {
        let Version { seq, kind, expires_at, value } = self;
        EntryRef { key, seq: *seq, kind: *kind, expires_at: *expires_at, value }
    }

    fn operand(&self) -> Option<Operand<'_>> {
        Operand::decode(&self.entry(b""))
    }
}

/// What folding must know besides the versions.
#[derive(Clone, Copy)]
pub struct Fold<'a> {
    /// The family's operator.
    pub hooks: &'a FamilyHooks,
    /// The key.
    pub key: &'a [u8],
    /// Ascending; the last is the present.
    pub horizons: &'a [Horizon],
    /// The first range that was deleted or dropped over the key behind a sequence number. What is older
    /// does not exist for what is newer.
    pub range_behind: &'a dyn Fn(SeqNum) -> Option<SeqNum>,
    /// Whether nothing of the key that is older than the whole merge can exist.
    pub nothing_below: bool,
    /// Whether anything in the merge or below it may expire.
    pub may_expire: bool,
}

/// What became of the versions.
#[derive(Debug)]
pub struct Folded {
    /// Newest first.
    pub versions: Vec<Version>,
    /// Operands that became part of something else, or do not count any more.
    pub folded: u64,
    /// Stripes whose operands the operator could not merge.
    pub failed: u64,
    /// The earliest expiry that a deletion now stands for; [`NEVER`] without any.
    pub oldest_deletion_ms: u64,
}

/// What stands below a stripe.
enum Base {
    Unknown,
    Absent,
    /// A value, with its expiry and its sequence number.
    Value(Slice, u64, SeqNum),
}

impl Base {
    fn expiry(&self) -> Option<u64> {
        match self {
            Base::Value(_, expires_at, _) => Some(*expires_at),
            _ => None,
        }
    }
}

impl Fold<'_> {
    /// Folds `versions`, newest first. `whole` says that no older version of the key is in the merge.
    ///
    /// # Errors
    /// The words of a panic of the operator.
    pub fn fold(&self, versions: &[Version], whole: bool) -> Result<Folded, String> {
        let mut done = Folded { versions: Vec::new(), folded: 0, failed: 0, oldest_deletion_ms: NEVER };
        let mut base = if whole && self.nothing_below { Base::Absent } else { Base::Unknown };
        let mut rest = versions;
        while let Some(oldest) = rest.last() {
            let stripe = self.stripe(oldest.seq);
            let newer = rest.iter().rposition(|version| self.stripe(version.seq) != stripe);
            let (newer, group) = rest.split_at(newer.map_or(0, |at| at + 1));
            rest = newer;
            let made = done.versions.len();
            self.fold_stripe(stripe, group, &mut base, &mut done)?;
            done.versions[made..].reverse();
        }
        done.versions.reverse();
        Ok(done)
    }

    fn stripe(&self, seq: SeqNum) -> usize {
        self.horizons.partition_point(|horizon| horizon.seq < seq)
    }

    /// Folds the versions of one stripe; what they come to is appended, newest first.
    fn fold_stripe(
        &self,
        stripe: usize,
        group: &[Version],
        base: &mut Base,
        done: &mut Folded,
    ) -> Result<(), String> {
        let Some(horizon) = self.horizons.get(stripe) else {
            // Nobody sees it yet: none of it may go.
            done.versions.extend_from_slice(group);
            *base = Base::Unknown;
            return Ok(());
        };
        let (operands, decides) = match group.split_last() {
            Some((last, operands)) if last.kind != Kind::Merge => (operands, Some(last)),
            _ => (group, None),
        };
        match decides {
            Some(value) if value.kind == Kind::Put => {
                *base = Base::Value(value.value.clone(), value.expires_at, value.seq);
            }
            Some(_) => *base = Base::Absent,
            None => {}
        }
        if let ([], Some(decides)) = (operands, decides) {
            if decides.kind == Kind::Put && decides.expires_at > horizon.now_ms {
                done.versions.push(decides.clone());
            } else {
                self.delete(stripe, decides.seq, decides.expires_at, done);
            }
            return Ok(());
        }
        if let (Base::Value(.., seq), Some(oldest)) = (&*base, operands.last())
            && (self.range_behind)(*seq).is_some_and(|range| range < oldest.seq)
        {
            *base = Base::Absent;
        }
        if let Base::Unknown = base {
            let combined = self.combine(operands.to_vec())?;
            done.folded += (operands.len() - combined.len()) as u64;
            done.versions.extend(combined);
            return Ok(());
        }
        self.merge_onto(stripe, horizon.now_ms, (operands, decides), base, done)
    }

    /// Folds operands on top of what is known to stand below them:
    /// `base`, which is `decides` if that is there.
    fn merge_onto(
        &self,
        stripe: usize,
        now_ms: u64,
        (operands, decides): (&[Version], Option<&Version>),
        base: &mut Base,
        done: &mut Folded,
    ) -> Result<(), String> {
        let seq = operands.first().map_or(0, |newest| newest.seq);
        let oldest_first: Option<Vec<Operand<'_>>> = operands.iter().rev().map(Version::operand).collect();
        let Some(oldest_first) = oldest_first else {
            done.failed += 1;
            done.versions.extend(operands.iter().chain(decides).cloned());
            *base = Base::Unknown;
            return Ok(());
        };
        let outcome = outcome(base.expiry(), oldest_first.iter().copied());
        if outcome.expires_at <= now_ms {
            done.folded += operands.len() as u64;
            self.delete(stripe, seq, outcome.expires_at, done);
            *base = Base::Absent;
            return Ok(());
        }
        let value = match base {
            Base::Value(value, ..) if !outcome.from_nothing => Some(&value[..]),
            _ => None,
        };
        let counted: Vec<&[u8]> = oldest_first[outcome.first..].iter().map(|operand| operand.bytes).collect();
        match self.hooks.merge(self.key, value, &counted) {
            Ok(value) => {
                done.folded += operands.len() as u64;
                let (value, expires_at) = (Slice::own(value), outcome.expires_at);
                *base = Base::Value(value.clone(), expires_at, seq);
                done.versions.push(Version { seq, kind: Kind::Put, expires_at, value });
            }
            Err(MergeFailure::Panicked(words)) => return Err(words),
            Err(MergeFailure::Failed(_)) => {
                done.failed += u64::from(self.hooks.can_merge());
                self.keep(stripe, (operands, decides), outcome, done);
                *base = Base::Unknown;
            }
        }
        Ok(())
    }

    /// A deletion in the place of what has expired or was deleted; nothing, if nothing is below it.
    fn delete(&self, stripe: usize, seq: SeqNum, since_ms: u64, done: &mut Folded) {
        if stripe == 0 && self.nothing_below {
            return;
        }
        done.oldest_deletion_ms = done.oldest_deletion_ms.min(since_ms);
        let (expires_at, value) = (NEVER, Slice::default());
        done.versions.push(Version { seq, kind: Kind::Delete, expires_at, value });
    }

    /// What stays of a stripe that cannot be merged: the operands that count, and what they change. Times
    /// to live that can have no effect any more go, so that nobody waits for them.
    fn keep(
        &self,
        stripe: usize,
        (operands, decides): (&[Version], Option<&Version>),
        outcome: Outcome,
        done: &mut Folded,
    ) {
        let (counted, past) = operands.split_at(operands.len() - outcome.first);
        for (at, version) in counted.iter().enumerate() {
            let starts = outcome.from_nothing && at + 1 == counted.len();
            let timed = version.operand().filter(|operand| operand.ttl_ms > 0 && !starts);
            let without = timed.map(|operand| Slice::own(Operand::encode_value(0, operand.bytes)));
            let value = without.unwrap_or_else(|| version.value.clone());
            done.versions.push(Version { value, ..version.clone() });
        }
        done.folded += past.len() as u64;
        match past.first().or(decides) {
            Some(next) if outcome.from_nothing => {
                // What it stands for was gone when the operand above it was written.
                let since_ms = counted.last().map_or(NEVER, |starts| starts.expires_at);
                self.delete(stripe, next.seq, since_ms, done);
            }
            Some(next) => done.versions.push(next.clone()),
            None => {}
        }
    }

    /// Operands, newest first, with neighbours combined. In rounds, each pair of neighbours at once, so
    /// that operands that grow are not copied over and over.
    fn combine(&self, mut operands: Vec<Version>) -> Result<Vec<Version>, String> {
        loop {
            let before = operands.len();
            let mut combined: Vec<Version> = Vec::with_capacity(before);
            let mut newest_first = operands.into_iter().peekable();
            while let Some(newer) = newest_first.next() {
                let both = match newest_first.peek() {
                    Some(older) => self.combine_two(older, &newer)?,
                    None => None,
                };
                if both.is_some() {
                    newest_first.next();
                }
                combined.push(both.unwrap_or(newer));
            }
            if combined.len() == before {
                return Ok(combined);
            }
            operands = combined;
        }
    }

    fn combine_two(&self, older: &Version, newer: &Version) -> Result<Option<Version>, String> {
        let (Some(first), Some(second)) = (older.operand(), newer.operand()) else { return Ok(None) };
        let for_ever = !self.may_expire && first.ttl_ms == 0;
        if first.written_ms != second.written_ms && !for_ever {
            return Ok(None);
        }
        let Some(both) = self.hooks.combine(self.key, first.bytes, second.bytes)? else { return Ok(None) };
        let value = Slice::own(Operand::encode_value(first.ttl_ms, &both));
        Ok(Some(Version { value, ..newer.clone() }))
    }
}
