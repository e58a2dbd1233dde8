//! What deleted ranges hide from a walk over keys.
//!
//! Neighbouring keys mostly lie in the same ranges. So the stretch of keys in which the answer stays the
//! same is remembered, and asking again costs a comparison with its bounds; only where it ends is each set
//! searched anew.

use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::ranges::RangeSet;

/// After an attempt to pass over what is hidden, so many hidden entries are stepped over one by one before
/// the next.
const STEPS_BETWEEN_SKIPS: u32 = 32;

/// The ranges that a view at one sequence number sees, beside memtables and in the family's registry.
#[derive(Debug, Default)]
pub struct Hidden {
    sets: Vec<Arc<RangeSet>>,
    seq: SeqNum,
    /// Whether the fields below are about any stretch yet.
    known: bool,
    from: Vec<u8>,
    to: Vec<u8>,
    endless: bool,
    newest: SeqNum,
    dropped: SeqNum,
    wait: u32,
}

impl Hidden {
    /// What the ranges of `sets` hide from a view at `seq`. Without sets, nothing at no cost.
    #[must_use]
    pub fn new(mut sets: Vec<Arc<RangeSet>>, seq: SeqNum) -> Hidden {
        // Dropped ranges hide nothing. Only the check that nobody reads them asks for them.
        sets.retain(|set| set.has_deleted() || (cfg!(feature = "invariants") && !set.is_empty()));
        Hidden { sets, seq, ..Hidden::default() }
    }

    /// Whether there are no ranges to look for.
    #[inline]
    pub(super) fn is_nothing(&self) -> bool {
        self.sets.is_empty()
    }

    /// The newest deleted range over `key`: it hides the entries with lower sequence numbers. 0 for none.
    #[inline]
    pub fn by(&mut self, key: &[u8]) -> SeqNum {
        if self.sets.is_empty() { 0 } else { self.find(key) }
    }

    fn find(&mut self, key: &[u8]) -> SeqNum {
        let inside = self.known && *self.from <= *key && (self.endless || *key < *self.to);
        if inside {
            return self.newest;
        }
        let (mut from, mut to): (&[u8], Option<&[u8]>) = (&[], None);
        (self.newest, self.dropped) = (0, 0);
        for set in &self.sets {
            let stretch = set.at(key);
            from = from.max(stretch.from);
            to = match (to, stretch.to) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            self.newest = self.newest.max(stretch.newest_deleted(self.seq));
            self.dropped = self.dropped.max(stretch.newest_dropped(self.seq));
        }
        self.from.clear();
        self.from.extend_from_slice(from);
        self.to.clear();
        self.to.extend_from_slice(to.unwrap_or_default());
        (self.endless, self.known, self.wait) = (to.is_none(), true, 0);
        self.newest
    }

    /// Whether it is time to try to pass over the rest of the stretch that was asked for last, of which
    /// another entry was found hidden. Sources that cannot be passed over are not asked at each entry.
    pub(super) fn may_skip(&mut self) -> bool {
        let may = self.wait == 0;
        self.wait = if may { STEPS_BETWEEN_SKIPS } else { self.wait - 1 };
        may
    }

    /// The newest deleted range over the stretch that was asked for last.
    pub(super) fn by_now(&self) -> SeqNum {
        self.newest
    }

    /// The first key of the stretch that was asked for last.
    pub(super) fn from(&self) -> &[u8] {
        &self.from
    }

    /// The first key behind it; `None` without end.
    pub(super) fn to(&self) -> Option<&[u8]> {
        (!self.endless).then_some(&self.to)
    }

    /// Asserts under `invariants` that nobody is shown an entry of a range that was dropped behind it.
    #[inline]
    pub(super) fn check_dropped(&mut self, key: &[u8], seq: SeqNum) {
        if cfg!(feature = "invariants") && !self.sets.is_empty() {
            self.find(key);
            assert!(seq >= self.dropped, "a walk shows what was dropped: \"{}\"", key.escape_ascii());
        }
    }
}
