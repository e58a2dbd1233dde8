//! Scores that are set or added to.

use super::records::{Draft, check};
use crate::base::error::{Error, Result};
use crate::store::{FETCH, Key, Unit};

/// What may be done, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Add {
    /// Members that are there stay as they are.
    pub only_new: bool,
    /// Members that are not there are not added.
    pub only_present: bool,
    /// A score of a member that is there is changed only to a greater one.
    pub greater: bool,
    /// A score of a member that is there is changed only to a lesser one.
    pub less: bool,
    /// The scores are added to those that are there.
    pub increment: bool,
}

impl Add {
    /// More than one score is to be added to.
    pub const ONE_INCREMENT: Error = Error::fixed("ERR INCR option supports a single increment-element pair");

    /// Refuses what does not go together, of so many members.
    ///
    /// # Errors
    /// Redis' texts for that.
    pub fn check(&self, members: usize) -> Result<()> {
        if self.only_new && self.only_present {
            return Err(Error::fixed("ERR XX and NX options at the same time are not compatible"));
        }
        let conditions = [self.greater, self.less, self.only_new];
        if conditions.into_iter().filter(|is_set| *is_set).count() > 1 {
            let text = "ERR GT, LT, and/or NX options at the same time are not compatible";
            return Err(Error::fixed(text));
        }
        if self.increment && members > 1 { Err(Add::ONE_INCREMENT) } else { Ok(()) }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Added {
    /// Members that are new.
    pub added: u64,
    /// Members that were there and have another score now.
    pub updated: u64,
    /// The score of the last member, if the options let it be set.
    pub score: Option<f64>,
}

/// Gives members scores, one after the other. One header, and for a large set a read and two records for each
/// new member, and a record for each level of counts; these are read, with their neighbours, if the process
/// does not remember them.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; a score that is no number, a member that is too long, what [`Add::check`] refuses:
/// then nothing is written.
pub fn add(unit: &mut Unit<'_>, key: Key<'_>, members: &[(f64, &[u8])], options: Add) -> Result<Added> {
    options.check(members.len())?;
    key.check()?;
    members.iter().try_for_each(|(_, member)| check(member))?;
    let not_a_number = || Error::fixed("ERR resulting score is not a number (NaN)");
    if members.iter().any(|(score, _)| score.is_nan()) {
        return Err(not_a_number());
    }
    let mut draft = Draft::open(unit, key)?;
    let mut done = Added::default();
    for page in members.chunks(FETCH) {
        draft.fetch(unit, page.iter().map(|(_, member)| *member))?;
        for (score, member) in page {
            let old = draft.get(unit, member)?;
            done.score = None;
            if if old.is_some() { options.only_new } else { options.only_present } {
                continue;
            }
            let score = if options.increment { old.unwrap_or(0.0) + score } else { *score };
            if score.is_nan() {
                return Err(not_a_number());
            }
            if old.is_some_and(|old| (options.less && score >= old) || (options.greater && score <= old)) {
                continue;
            }
            done.score = Some(score + 0.0);
            match old {
                None => done.added += 1,
                Some(old) if old != score => done.updated += 1,
                Some(_) => continue,
            }
            draft.set(unit, member, old, score)?;
        }
    }
    draft.finish(unit)?;
    Ok(done)
}
