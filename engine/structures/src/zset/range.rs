//! Parts of a sorted set: by index, by score, by member.

use crate::encoding::scored::Scored;

/// A member with its score.
pub type Entry = (Vec<u8>, f64);

/// Scores between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The least.
    pub min: f64,
    /// Whether the least itself is outside.
    pub min_open: bool,
    /// The greatest.
    pub max: f64,
    /// Whether the greatest itself is outside.
    pub max_open: bool,
}

impl ScoreRange {
    fn is_empty(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_open || self.max_open))
    }

    fn is_behind_min(&self, score: f64) -> bool {
        if self.min_open { score > self.min } else { score >= self.min }
    }

    fn is_before_max(&self, score: f64) -> bool {
        if self.max_open { score < self.max } else { score <= self.max }
    }
}

impl From<std::ops::RangeInclusive<f64>> for ScoreRange {
    fn from(range: std::ops::RangeInclusive<f64>) -> ScoreRange {
        ScoreRange { min: *range.start(), min_open: false, max: *range.end(), max_open: false }
    }
}

/// A bound in the order of members of one score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members.
    Lowest,
    /// Behind all members.
    Highest,
    /// A member.
    At {
        /// Its bytes.
        member: &'a [u8],
        /// Whether it is outside itself.
        open: bool,
    },
}

impl LexBound<'_> {
    fn is_below(&self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::At { member: bound, open: true } => *bound < member,
            LexBound::At { member: bound, open: false } => *bound <= member,
        }
    }

    fn is_above(&self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::At { member: bound, open: true } => member < *bound,
            LexBound::At { member: bound, open: false } => member <= *bound,
        }
    }
}

/// Which members are meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range<'a> {
    /// From one index to another, both included; negative ones count from the end.
    Rank(i64, i64),
    /// By score.
    Score(ScoreRange),
    /// By member, if all have one score. If they do not, what comes is not defined.
    Lex(LexBound<'a>, LexBound<'a>),
}

impl From<ScoreRange> for Range<'_> {
    fn from(range: ScoreRange) -> Self {
        Range::Score(range)
    }
}

impl From<std::ops::RangeInclusive<f64>> for Range<'_> {
    fn from(range: std::ops::RangeInclusive<f64>) -> Self {
        Range::Score(range.into())
    }
}

/// What of a range is wanted, and from which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From the last member to the first; indexes count from the end then.
    pub reverse: bool,
    /// So many are left out in front.
    pub offset: u64,
    /// At most so many come.
    pub limit: u64,
}

impl Default for Window {
    fn default() -> Window {
        Window::ALL
    }
}

impl Window {
    /// All of it.
    pub const ALL: Window = Window { reverse: false, offset: 0, limit: u64::MAX };
    /// All of it, from the last to the first.
    pub const REVERSED: Window = Window { reverse: true, ..Window::ALL };
}

impl Range<'_> {
    /// All members.
    pub const ALL: Range<'static> = Range::Rank(0, -1);

    /// The indexes of the members of a small set. Where scores differ, a range by member begins at the first
    /// that is inside (the last, if `reverse`) and ends before the next that is not, as in Redis.
    pub(super) fn of_inline(&self, members: &[Scored<'_>], reverse: bool) -> (usize, usize) {
        let length = members.len();
        match self {
            Range::Rank(start, stop) => {
                let (from, to) = indexes(*start, *stop, length as u64, reverse);
                (from as usize, to as usize)
            }
            Range::Score(range) if range.is_empty() => (0, 0),
            Range::Score(range) => between(
                members,
                reverse,
                |member| range.is_behind_min(member.score),
                |member| range.is_before_max(member.score),
            ),
            Range::Lex(min, max) => between(
                members,
                reverse,
                |member| min.is_below(member.member),
                |member| max.is_above(member.member),
            ),
        }
    }
}

/// The members from the first behind a minimum to the last before a maximum.
fn between(
    members: &[Scored<'_>],
    reverse: bool,
    is_behind: impl Fn(&Scored<'_>) -> bool,
    is_before: impl Fn(&Scored<'_>) -> bool,
) -> (usize, usize) {
    let (Some(first), Some(last)) = (members.first(), members.last()) else { return (0, 0) };
    if !is_behind(last) || !is_before(first) {
        return (0, 0);
    }
    if reverse {
        let to = members.iter().rposition(&is_before).map_or(0, |at| at + 1);
        let inside = members.iter().take(to).rev().take_while(|member| is_behind(member)).count();
        return (to - inside, to);
    }
    let from = members.iter().position(&is_behind).unwrap_or(members.len());
    (from, from + members.iter().skip(from).take_while(|member| is_before(member)).count())
}

/// From which index up to which, in ascending order, `start` and `stop` mean, which count from the end if
/// `reverse`.
pub(super) fn indexes(start: i64, stop: i64, length: u64, reverse: bool) -> (u64, u64) {
    let absolute = |index: i64| if index < 0 { index.saturating_add_unsigned(length) } else { index };
    let (start, stop) = (absolute(start).max(0), absolute(stop));
    if stop < start || start.unsigned_abs() >= length {
        return (0, 0);
    }
    let (from, to) = (start.unsigned_abs(), stop.unsigned_abs().saturating_add(1).min(length));
    if reverse { (length - to, length - from) } else { (from, to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_from_both_ends() {
        assert_eq!(indexes(0, -1, 5, false), (0, 5));
        assert_eq!(indexes(1, 2, 5, false), (1, 3));
        assert_eq!(indexes(1, 2, 5, true), (2, 4));
        assert_eq!(indexes(-100, -5, 5, false), (0, 1));
        assert_eq!(indexes(3, 100, 5, true), (0, 2));
        for (start, stop) in [(5, 9), (2, 1), (0, -6), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN)] {
            assert_eq!(indexes(start, stop, 5, false), (0, 0), "{start} {stop}");
        }
        assert_eq!(indexes(0, i64::MAX, 5, false), (0, 5));
    }
}
