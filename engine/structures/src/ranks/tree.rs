//! The counts of one sorted set in memory: a tree whose leaves are the buckets of the lowest level.
//!
//! On disk each level has its buckets in the order of places (docs/format/structures.md). Here each bucket
//! has those of the level below that lie within it under it, once somebody has come by: who changes a set
//! again and again then finds the counts to be written without looking for them. Who comes by for the first
//! times reads just the counts to be written, one in each level, and none of those beside them: most sets are
//! changed once and then not for long. The tree shows what is on disk and in the unit of work under way:
//! whoever changes counts past it must forget it.
//!
//! Counts that are lacking on disk (a damaged store that was repaired) are taken to be 0: `verify` tells of
//! them, and the set can still be changed.

use crate::base::error::{Error, Result};

/// A bucket as it stands on disk: its boundary, or nothing in front of all boundaries, and its members.
pub type Counted = (Box<[u8]>, u64);

/// A count that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'t> {
    /// The bucket of a level that starts at a place has so many members.
    Set(u8, &'t [u8], u64),
    /// The bucket of a level that starts at the place that is removed is no more.
    Gone(u8),
}

/// So often somebody comes by before what lies under a bucket is read as a whole: as often as one member's
/// score is changed, which is taken out of one place and put into another.
const VISITS: u8 = 2;
/// What a bucket takes beside its boundary's bytes, about.
const BUCKET_BYTES: usize = size_of::<Bucket>() + 16;
/// What a tree takes beside its buckets.
const TREE_BYTES: usize = 256;

#[derive(Debug)]
struct Bucket {
    /// The first eight bytes of `start`: most comparisons need no more.
    head: u64,
    count: u64,
    start: Box<[u8]>,
    /// The buckets of the level below that lie in this one, if they have been read.
    below: Option<Box<Node>>,
    /// How often somebody came by while they had not been, up to [`VISITS`].
    visits: u8,
}

/// Buckets side by side, all those within one of the level above. Never empty.
type Node = Vec<Bucket>;

/// The counts of one sorted set, as far as they have been read.
#[derive(Debug)]
pub struct Tree {
    levels: u8,
    top: Option<Box<Node>>,
    /// As of a bucket.
    visits: u8,
    bytes: usize,
}

fn head(place: &[u8]) -> u64 {
    match place.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..place.len()].copy_from_slice(place);
            u64::from_be_bytes(bytes)
        }
    }
}

/// A tree that is not one: nobody builds it.
fn broken() -> Error {
    Error::malformed("the counts of a sorted set in memory")
}

impl Bucket {
    fn new(start: Box<[u8]>, count: u64) -> Bucket {
        Bucket { head: head(&start), count, start, below: None, visits: 0 }
    }

    fn bytes(&self) -> usize {
        BUCKET_BYTES + self.start.len()
    }
}

/// The bucket of a node in which a place stands, the place itself being in the one before it if `before`.
fn find(node: &Node, place: &[u8], before: bool) -> usize {
    let wanted = head(place);
    let stands_behind = |bucket: &Bucket| match bucket.head.cmp(&wanted) {
        std::cmp::Ordering::Equal if before => *bucket.start < *place,
        std::cmp::Ordering::Equal => *bucket.start <= *place,
        order => order.is_lt(),
    };
    node.partition_point(stands_behind).saturating_sub(1)
}

/// The buckets under one that starts at `start`, read if they have not been.
fn open<'n>(
    below: &'n mut Option<Box<Node>>,
    bytes: &mut usize,
    start: &[u8],
    read: impl FnOnce() -> Result<Vec<Counted>>,
) -> Result<&'n mut Node> {
    match below {
        Some(node) => Ok(node),
        None => {
            let found = read()?;
            let mut node: Node = found.into_iter().map(|(start, count)| Bucket::new(start, count)).collect();
            // In front of the first boundary a count of 0 need not stand.
            if node.first().is_none_or(|first| *first.start != *start) {
                node.insert(0, Bucket::new(start.into(), 0));
            }
            *bytes += node.iter().map(Bucket::bytes).sum::<usize>();
            Ok(below.insert(Box::new(node)))
        }
    }
}

/// Whether somebody who comes by goes on without having what lies below read.
fn passes(below: &Option<Box<Node>>, visits: &mut u8) -> bool {
    let passes = below.is_none() && *visits < VISITS;
    *visits += u8::from(passes);
    passes
}

/// One member more or less.
fn changed(count: u64, more: bool) -> u64 {
    if more { count.saturating_add(1) } else { count.saturating_sub(1) }
}

/// Counts one member more or less in each level from one down, in the bucket of its place, which lies within
/// the one that starts at `start`. Nothing is remembered.
fn pass(
    level: u8,
    start: &[u8],
    (place, more): (&[u8], bool),
    mut one: impl FnMut(u8, &[u8]) -> Result<Counted>,
    mut each: impl FnMut(Change<'_>),
) -> Result<()> {
    let mut above: Box<[u8]> = start.into();
    for level in (1..=level).rev() {
        let (found, count) = one(level, place)?;
        // One that stands further in front is not the one that lacks.
        let (start, count) = if found < above { (above, 0) } else { (found, count) };
        each(Change::Set(level, &start, changed(count, more)));
        above = start;
    }
    Ok(())
}

impl Tree {
    /// Of a set with so many levels of counts, of which nothing has been read.
    #[must_use]
    pub fn new(levels: u8) -> Tree {
        Tree { levels, top: None, visits: 0, bytes: 0 }
    }

    /// How many levels there are.
    #[must_use]
    pub fn levels(&self) -> u8 {
        self.levels
    }

    /// The memory that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        TREE_BYTES + self.bytes
    }

    /// Counts one member more or less at a place that is no boundary. `read` gives the buckets of a level
    /// from a boundary on up to another, or to the end, `one` the last bucket of a level that starts at a
    /// place or before it, the front of the level with 0 if there is none; `each` gets what changes.
    ///
    /// # Errors
    /// Those of `read`. The tree is of no use then.
    pub fn count(
        &mut self,
        place: &[u8],
        more: bool,
        mut read: impl FnMut(u8, &[u8], Option<&[u8]>) -> Result<Vec<Counted>>,
        one: impl FnMut(u8, &[u8]) -> Result<Counted>,
        mut each: impl FnMut(Change<'_>),
    ) -> Result<()> {
        let mut end: Option<&[u8]> = None;
        let mut level = self.levels;
        if passes(&self.top, &mut self.visits) {
            return pass(level, b"", (place, more), one, each);
        }
        let mut node = open(&mut self.top, &mut self.bytes, b"", || read(level, b"", None))?;
        loop {
            let at = find(node, place, false);
            let (upto, behind) = node.split_at_mut(at + 1);
            let bucket = upto.last_mut().ok_or_else(broken)?;
            end = behind.first().map(|next| &*next.start).or(end);
            bucket.count = changed(bucket.count, more);
            each(Change::Set(level, &bucket.start, bucket.count));
            if level <= 1 {
                return Ok(());
            }
            level -= 1;
            let Bucket { start, below, visits, .. } = bucket;
            if passes(below, visits) {
                return pass(level, start, (place, more), one, each);
            }
            node = open(below, &mut self.bytes, start, || read(level, start, end))?;
        }
    }

    /// Reads what is not there yet of the way to a place, or to the last boundary before it. Returns how many
    /// members stand in each level, the highest first, within its bucket of the level above in front of the
    /// bucket of the place, and where the lowest of these starts.
    fn way(
        &mut self,
        place: &[u8],
        before: bool,
        read: &mut impl FnMut(u8, &[u8], Option<&[u8]>) -> Result<Vec<Counted>>,
    ) -> Result<(Vec<u64>, &[u8])> {
        let mut sums = Vec::with_capacity(usize::from(self.levels));
        let mut end: Option<&[u8]> = None;
        let mut level = self.levels;
        let mut node = open(&mut self.top, &mut self.bytes, b"", || read(level, b"", None))?;
        loop {
            let at = find(node, place, before);
            sums.push(node.iter().take(at).map(|bucket| bucket.count).sum());
            let (upto, behind) = node.split_at_mut(at + 1);
            let bucket = upto.last_mut().ok_or_else(broken)?;
            end = behind.first().map(|next| &*next.start).or(end);
            let Bucket { start, below, .. } = bucket;
            if level <= 1 {
                return Ok((sums, start));
            }
            level -= 1;
            node = open(below, &mut self.bytes, start, || read(level, start, end))?;
        }
    }

    /// Counts a new member whose place is a boundary up to level `own`.
    /// `members` says how many members there are from a place on up to the new one.
    ///
    /// # Errors
    /// As [`Tree::count`]; those of `members`.
    pub fn insert(
        &mut self,
        place: &[u8],
        own: u8,
        mut read: impl FnMut(u8, &[u8], Option<&[u8]>) -> Result<Vec<Counted>>,
        members: impl FnOnce(&[u8]) -> Result<u64>,
        mut each: impl FnMut(Change<'_>),
    ) -> Result<()> {
        let own = own.min(self.levels);
        let (mut sums, start) = self.way(place, false, &mut read)?;
        // From the lowest level up: how many of a bucket's members stand before the place.
        let mut before = members(start)?;
        for sum in sums.iter_mut().rev() {
            before += std::mem::replace(sum, before);
        }
        let cut = Cut { place, own, before: &sums };
        let levels = self.levels;
        let top = self.top.as_mut().ok_or_else(broken)?;
        cut.node(top, levels, &mut each)?;
        self.bytes += usize::from(own) * (BUCKET_BYTES + place.len());
        Ok(())
    }

    /// Takes a member out whose place is a boundary up to level `own`.
    ///
    /// # Errors
    /// As [`Tree::count`].
    pub fn remove(
        &mut self,
        place: &[u8],
        own: u8,
        mut read: impl FnMut(u8, &[u8], Option<&[u8]>) -> Result<Vec<Counted>>,
        mut each: impl FnMut(Change<'_>),
    ) -> Result<()> {
        let own = own.min(self.levels);
        self.way(place, true, &mut read)?;
        let mut end: Option<&[u8]> = None;
        let mut level = self.levels;
        let mut node = self.top.as_deref_mut().ok_or_else(broken)?;
        loop {
            let at = find(node, place, true);
            let gone = node.get(at + 1).is_some_and(|next| level <= own && *next.start == *place);
            let gone = gone.then(|| node.remove(at + 1));
            let (upto, behind) = node.split_at_mut(at + 1);
            let bucket = upto.last_mut().ok_or_else(broken)?;
            end = behind.first().map(|next| &*next.start).or(end);
            if let Some(gone) = gone {
                return Heal { place, bytes: &mut self.bytes, read, each }.join(bucket, gone, level, end);
            }
            bucket.count = bucket.count.saturating_sub(1);
            each(Change::Set(level, &bucket.start, bucket.count));
            if level <= 1 {
                return Ok(());
            }
            level -= 1;
            node = bucket.below.as_deref_mut().ok_or_else(broken)?;
        }
    }
}

/// A new boundary.
struct Cut<'c> {
    place: &'c [u8],
    own: u8,
    /// How many members of its bucket stand before it, by level, the highest first.
    before: &'c [u64],
}

impl Cut<'_> {
    /// Counts it in a node. If its bucket is cut there and the boundary is one of the level above, too,
    /// returns what comes behind it.
    fn node(&self, node: &mut Node, level: u8, each: &mut impl FnMut(Change<'_>)) -> Result<Option<Node>> {
        let at = find(node, self.place, false);
        let bucket = node.get_mut(at).ok_or_else(broken)?;
        let below = bucket.below.as_mut();
        let behind = below.map(|below| self.node(below, level - 1, each)).transpose()?.flatten();
        if level > self.own {
            bucket.count = bucket.count.saturating_add(1);
            each(Change::Set(level, &bucket.start, bucket.count));
            return Ok(None);
        }
        let number = self.before.len().checked_sub(usize::from(level)).ok_or_else(broken)?;
        let before = self.before.get(number).copied().ok_or_else(broken)?;
        let rest = bucket.count.saturating_sub(before).saturating_add(1);
        bucket.count = before;
        each(Change::Set(level, self.place, rest));
        each(Change::Set(level, &bucket.start, before));
        let new = Bucket { below: behind.map(Box::new), ..Bucket::new(self.place.into(), rest) };
        if level == self.own {
            node.insert(at + 1, new);
            return Ok(None);
        }
        let mut behind = Vec::with_capacity(node.len() - at);
        behind.push(new);
        behind.extend(node.drain(at + 1..));
        Ok(Some(behind))
    }
}

/// A boundary that is removed.
struct Heal<'h, R, E> {
    place: &'h [u8],
    bytes: &'h mut usize,
    read: R,
    each: E,
}

impl<R, E> Heal<'_, R, E>
where
    R: FnMut(u8, &[u8], Option<&[u8]>) -> Result<Vec<Counted>>,
    E: FnMut(Change<'_>),
{
    /// What is left of its bucket joins the one in front of it, in this level and in those below.
    fn join(&mut self, left: &mut Bucket, gone: Bucket, level: u8, end: Option<&[u8]>) -> Result<()> {
        *self.bytes = self.bytes.saturating_sub(gone.bytes());
        let Bucket { count, mut below, .. } = gone;
        left.count = left.count.saturating_add(count).saturating_sub(1);
        (self.each)(Change::Gone(level));
        (self.each)(Change::Set(level, &left.start, left.count));
        if level <= 1 {
            return Ok(());
        }
        open(&mut below, self.bytes, self.place, || (self.read)(level - 1, self.place, end))?;
        let mut behind = below.map(|below| below.into_iter()).ok_or_else(broken)?;
        let first = behind.next().ok_or_else(broken)?;
        let onto = left.below.as_deref_mut().ok_or_else(broken)?;
        let end = behind.as_slice().first().map(|next| &*next.start).or(end);
        self.join(onto.last_mut().ok_or_else(broken)?, first, level - 1, end)?;
        onto.extend(behind);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
