//! Sorted sets, and sets, taken together.

use super::Entry;
use super::range::{Range, Window};
use super::records::{Draft, check};
use super::view::View;
use crate::base::error::{Error, Result};
use crate::encoding::header::Type;
use crate::encoding::scored::{Scored, place};
use crate::set;
use crate::store::{Budget, Key, Unit};
use std::collections::{HashMap, HashSet};

/// How the scores of one member become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum; without end in both directions it is 0.
    #[default]
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Aggregate {
    pub(super) fn of(self, so_far: f64, next: f64) -> f64 {
        match self {
            Aggregate::Sum => or_zero(so_far + next),
            Aggregate::Min => {
                if next < so_far {
                    next
                } else {
                    so_far
                }
            }
            Aggregate::Max => {
                if next > so_far {
                    next
                } else {
                    so_far
                }
            }
        }
    }
}

fn or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A key whose members are taken together with others'.
struct Source {
    members: Members,
    weight: f64,
}

/// What a key holds.
enum Members {
    None,
    Sorted(View),
    /// A set, read as a whole; each member counts as one of score 1.
    Plain(HashSet<Vec<u8>>),
}

/// How several keys become one sorted set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algebra<'a> {
    /// The members of any of the keys. Reads all of them.
    Union {
        /// What the scores of each key are multiplied by; 1 where there are no more.
        weights: &'a [f64],
        /// How the scores of one member become one.
        aggregate: Aggregate,
    },
    /// The members of all of the keys. Reads the smallest, and looks for its members in the others.
    Intersection {
        /// As for a union.
        weights: &'a [f64],
        /// As for a union.
        aggregate: Aggregate,
    },
    /// The members of the first key that no other has. Reads the first, and looks for its members in the
    /// others, or reads these if they are smaller.
    Difference,
}

impl Source {
    fn open(unit: &mut Unit<'_>, key: Key<'_>, memory: &mut Budget) -> Result<Source> {
        let members = match unit.meta(key)?.map(|meta| meta.kind) {
            None => Members::None,
            Some(Type::SortedSet) => View::open(unit, key)?.map_or(Members::None, Members::Sorted),
            Some(Type::Set) => {
                let mut members = HashSet::new();
                set::all(unit, key, |member| {
                    members.insert(member.to_vec());
                    memory.takes(member.len())
                })?;
                memory.check()?;
                Members::Plain(members)
            }
            Some(_) => return Err(Error::WRONG_TYPE),
        };
        Ok(Source { members, weight: 1.0 })
    }

    fn length(&self) -> u64 {
        match &self.members {
            Members::None => 0,
            Members::Sorted(view) => view.meta.length,
            Members::Plain(members) => members.len() as u64,
        }
    }

    fn score(&self, unit: &Unit<'_>, member: &[u8]) -> Result<Option<f64>> {
        match &self.members {
            Members::None => Ok(None),
            Members::Sorted(view) => view.score(unit, member),
            Members::Plain(members) => Ok(members.contains(member).then_some(1.0)),
        }
    }

    fn walk(&self, unit: &Unit<'_>, mut each: impl FnMut(&[u8], f64) -> bool) -> Result<()> {
        match &self.members {
            Members::None => {}
            Members::Sorted(view) => view.walk(unit, &Range::ALL, false, 0, each)?,
            Members::Plain(members) => {
                // Until one is enough.
                let _ = members.iter().all(|member| each(member, 1.0));
            }
        }
        Ok(())
    }
}

/// The keys in their order.
fn open(unit: &mut Unit<'_>, keys: &[Key<'_>], memory: &mut Budget) -> Result<Vec<Source>> {
    unit.pin();
    keys.iter().map(|key| Source::open(unit, *key, memory)).collect()
}

/// The keys with their weights (1 where there are none), the one with the fewest members first.
fn weighted(
    unit: &mut Unit<'_>,
    keys: &[Key<'_>],
    weights: &[f64],
    memory: &mut Budget,
) -> Result<Vec<Source>> {
    let mut sources = open(unit, keys, memory)?;
    for (source, weight) in sources.iter_mut().zip(weights) {
        source.weight = *weight;
    }
    sources.sort_by_key(Source::length);
    Ok(sources)
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_cached_key(|(member, score)| place(*score, member));
    entries
}

/// Refuses keys that hold neither sorted sets nor sets.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; what the engine gives.
pub fn check_sources(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<()> {
    let mut memory = unit.memory();
    open(unit, keys, &mut memory).map(drop)
}

/// What several keys give together, in the order of the scores.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::COMMAND_TOO_LARGE`]; what the engine gives.
pub fn combined(unit: &mut Unit<'_>, how: Algebra<'_>, keys: &[Key<'_>]) -> Result<Vec<Entry>> {
    let mut memory = unit.memory();
    let entries = match how {
        Algebra::Union { weights, aggregate } => union(unit, keys, weights, aggregate, &mut memory),
        Algebra::Intersection { weights, aggregate } => {
            intersection(unit, keys, weights, aggregate, &mut memory)
        }
        Algebra::Difference => difference(unit, keys, &mut memory),
    }?;
    memory.check()?;
    Ok(sorted(entries))
}

fn union(
    unit: &mut Unit<'_>,
    keys: &[Key<'_>],
    weights: &[f64],
    how: Aggregate,
    memory: &mut Budget,
) -> Result<Vec<Entry>> {
    let mut scores: HashMap<Vec<u8>, f64> = HashMap::new();
    for source in weighted(unit, keys, weights, memory)? {
        source.walk(unit, |member, score| {
            let score = or_zero(source.weight * score);
            match scores.get_mut(member) {
                Some(so_far) => *so_far = how.of(*so_far, score),
                None => {
                    scores.insert(member.to_vec(), score);
                    memory.takes(member.len());
                }
            }
            !memory.is_exceeded()
        })?;
    }
    Ok(scores.into_iter().collect())
}

fn intersection(
    unit: &mut Unit<'_>,
    keys: &[Key<'_>],
    weights: &[f64],
    how: Aggregate,
    memory: &mut Budget,
) -> Result<Vec<Entry>> {
    let sources = weighted(unit, keys, weights, memory)?;
    let mut entries = Vec::new();
    meet(unit, &sources, how, |member, score| {
        entries.push((member.to_vec(), score));
        memory.takes(member.len())
    })?;
    Ok(entries)
}

/// How many members all of the keys have; it is enough to find `limit`, if that is not 0.
///
/// # Errors
/// As [`combined`].
pub fn intersection_count(unit: &mut Unit<'_>, keys: &[Key<'_>], limit: u64) -> Result<u64> {
    let mut memory = unit.memory();
    let sources = weighted(unit, keys, &[], &mut memory)?;
    let mut count = 0;
    meet(unit, &sources, Aggregate::Sum, |_, _| {
        count += 1;
        count != limit
    })?;
    Ok(count)
}

fn meet(
    unit: &Unit<'_>,
    sources: &[Source],
    how: Aggregate,
    mut each: impl FnMut(&[u8], f64) -> bool,
) -> Result<()> {
    let Some((first, others)) = sources.split_first() else { return Ok(()) };
    let mut failed = None;
    first.walk(unit, |member, score| {
        let mut score = or_zero(first.weight * score);
        for other in others {
            match other.score(unit, member) {
                Ok(Some(found)) => score = how.of(score, other.weight * found),
                Ok(None) => return true,
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            }
        }
        each(member, score)
    })?;
    failed.map_or(Ok(()), Err)
}

fn difference(unit: &mut Unit<'_>, keys: &[Key<'_>], memory: &mut Budget) -> Result<Vec<Entry>> {
    let sources = open(unit, keys, memory)?;
    let Some((first, others)) = sources.split_first() else { return Ok(Vec::new()) };
    let (small, large): (Vec<&Source>, Vec<&Source>) =
        others.iter().partition(|other| other.length() < first.length());
    let mut without = HashSet::new();
    for other in small {
        other.walk(unit, |member, _| {
            without.insert(member.to_vec());
            memory.takes(member.len())
        })?;
        memory.check()?;
    }
    let (mut entries, mut failed) = (Vec::new(), None);
    first.walk(unit, |member, score| {
        let mut gone = without.contains(member);
        for other in &large {
            gone = gone
                || match other.score(unit, member) {
                    Ok(found) => found.is_some(),
                    Err(error) => {
                        failed = Some(error);
                        return false;
                    }
                };
        }
        if !gone {
            entries.push((member.to_vec(), score));
            memory.takes(member.len());
        }
        !memory.is_exceeded()
    })?;
    failed.map_or(Ok(entries), Err)
}

/// Has a key hold what several give together, whatever it held, and returns how many members that are.
/// Without members it is removed.
///
/// # Errors
/// As [`combined`]; a key or a member that is too long.
pub fn store(unit: &mut Unit<'_>, key: Key<'_>, how: Algebra<'_>, keys: &[Key<'_>]) -> Result<u64> {
    let entries = combined(unit, how, keys)?;
    replace(unit, key, &entries)
}

/// Has a key hold what a range of another has; the rest as [`store`].
///
/// # Errors
/// As [`store`].
pub fn store_range(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    source: Key<'_>,
    range: &Range<'_>,
    window: Window,
) -> Result<u64> {
    let entries = sorted(super::read::members(unit, source, range, window)?);
    replace(unit, key, &entries)
}

/// Has a key hold these members, which come in order.
fn replace(unit: &mut Unit<'_>, key: Key<'_>, entries: &[Entry]) -> Result<u64> {
    entries.iter().try_for_each(|(member, _)| check(member))?;
    let members: Vec<Scored<'_>> =
        entries.iter().map(|(member, score)| Scored { score: *score, member }).collect();
    Draft::replace(unit, key, &members)?;
    Ok(members.len() as u64)
}
