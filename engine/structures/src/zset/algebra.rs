//! Sorted sets, and sets, taken together.

use super::Entry;
use super::range::Range;
use super::records::{Draft, check};
use super::view::View;
use crate::base::error::{Error, Result};
use crate::encoding::header::Type;
use crate::encoding::scored::{Scored, place};
use crate::set;
use crate::store::{Key, Unit};
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

impl Source {
    fn open(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Source> {
        let members = match unit.meta(key)?.map(|meta| meta.kind) {
            None => Members::None,
            Some(Type::SortedSet) => View::open(unit, key)?.map_or(Members::None, Members::Sorted),
            Some(Type::Set) => {
                let mut members = HashSet::new();
                set::all(unit, key, |member| members.insert(member.to_vec()))?;
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
fn open(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<Vec<Source>> {
    unit.pin();
    keys.iter().map(|key| Source::open(unit, *key)).collect()
}

/// The keys with their weights (1 where there are none), the one with the fewest members first.
fn weighted(unit: &mut Unit<'_>, keys: &[Key<'_>], weights: &[f64]) -> Result<Vec<Source>> {
    let mut sources = open(unit, keys)?;
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
    open(unit, keys).map(drop)
}

/// The members of any of the keys, in the order of their scores. Reads all of them.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; what the engine gives.
pub fn union(unit: &mut Unit<'_>, keys: &[Key<'_>], weights: &[f64], how: Aggregate) -> Result<Vec<Entry>> {
    let mut scores: HashMap<Vec<u8>, f64> = HashMap::new();
    for source in weighted(unit, keys, weights)? {
        source.walk(unit, |member, score| {
            let score = or_zero(source.weight * score);
            match scores.get_mut(member) {
                Some(so_far) => *so_far = how.of(*so_far, score),
                None => drop(scores.insert(member.to_vec(), score)),
            }
            true
        })?;
    }
    Ok(sorted(scores.into_iter().collect()))
}

/// The members of all of the keys, in the order of their scores. Reads the smallest, and looks for its
/// members in the others.
///
/// # Errors
/// As [`union`].
pub fn intersection(
    unit: &mut Unit<'_>,
    keys: &[Key<'_>],
    weights: &[f64],
    how: Aggregate,
) -> Result<Vec<Entry>> {
    let sources = weighted(unit, keys, weights)?;
    let mut entries = Vec::new();
    meet(unit, &sources, how, |member, score| {
        entries.push((member.to_vec(), score));
        true
    })?;
    Ok(sorted(entries))
}

/// How many members all of the keys have; it is enough to find `limit`, if that is not 0.
///
/// # Errors
/// As [`union`].
pub fn intersection_count(unit: &mut Unit<'_>, keys: &[Key<'_>], limit: u64) -> Result<u64> {
    let sources = weighted(unit, keys, &[])?;
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

/// The members of the first key that no other has, in the order of their scores. Reads the first, and looks
/// for its members in the others, or reads these if they are smaller.
///
/// # Errors
/// As [`union`].
pub fn difference(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<Vec<Entry>> {
    let sources = open(unit, keys)?;
    let Some((first, others)) = sources.split_first() else { return Ok(Vec::new()) };
    let (small, large): (Vec<&Source>, Vec<&Source>) =
        others.iter().partition(|other| other.length() < first.length());
    let mut without = HashSet::new();
    for other in small {
        other.walk(unit, |member, _| {
            without.insert(member.to_vec());
            true
        })?;
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
        }
        true
    })?;
    failed.map_or(Ok(entries), Err).map(sorted)
}

/// Has a key hold these members, whatever it held, and returns how many they are. Without members it is
/// removed.
///
/// # Errors
/// A key or a member that is too long; what the engine gives.
pub fn store(unit: &mut Unit<'_>, key: Key<'_>, entries: Vec<Entry>) -> Result<u64> {
    entries.iter().try_for_each(|(member, _)| check(member))?;
    let entries = sorted(entries);
    let members: Vec<Scored<'_>> =
        entries.iter().map(|(member, score)| Scored { score: *score, member }).collect();
    Draft::replace(unit, key, &members)?;
    Ok(members.len() as u64)
}
