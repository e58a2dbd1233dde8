//! A prefix that filters are asked about, and what they have answered.

use super::container::Filter;
use super::prefix::PrefixExtractor;
use crate::base::hash::key_hash;
use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use std::ops::Bound;

/// What the filters of a column family have said to scans of one prefix.
#[derive(Debug, Default)]
pub struct PrefixCounts {
    asked: AtomicU64,
    denied: AtomicU64,
    in_vain: AtomicU64,
}

/// A reading of what the filters of a column family have said to scans of one prefix, since the store was
/// opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrefixFilterStats {
    /// How often the filter of a table was asked.
    pub asked: u64,
    /// How often it said that no key has the prefix, so that the table was passed over.
    pub denied: u64,
    /// How often it said that one may, and the scan did not find any where it first looked.
    pub in_vain: u64,
}

impl PrefixCounts {
    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> PrefixFilterStats {
        let [asked, denied, in_vain] =
            [&self.asked, &self.denied, &self.in_vain].map(|count| count.load(Ordering::Relaxed));
        PrefixFilterStats { asked, denied, in_vain }
    }
}

/// The prefix that all keys of a scan have.
#[derive(Debug)]
pub struct WholePrefix {
    extractor: PrefixExtractor,
    prefix: Vec<u8>,
    hash: u64,
    counts: Arc<PrefixCounts>,
}

impl WholePrefix {
    /// The prefix of all keys between the bounds, if they share one. What filters say of it is counted in
    /// `counts`.
    #[must_use]
    pub fn of(
        extractor: PrefixExtractor,
        lower: &Bound<Vec<u8>>,
        upper: &Bound<Vec<u8>>,
        counts: &Arc<PrefixCounts>,
    ) -> Option<WholePrefix> {
        let prefix = extractor.shared_by(lower, upper)?.to_vec();
        let hash = key_hash(&prefix);
        Some(WholePrefix { extractor, prefix, hash, counts: counts.clone() })
    }

    /// Which prefixes a filter must hold to be asked.
    #[must_use]
    pub fn extractor(&self) -> PrefixExtractor {
        self.extractor
    }

    /// The prefix.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether a filter lets it pass.
    #[must_use]
    pub fn passes(&self, filter: &Filter) -> bool {
        filter.may_contain(&self.prefix, self.hash)
    }

    /// Whether a key has it.
    #[must_use]
    pub fn is_of(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
    }

    /// Counts what a table has said.
    pub fn answered(&self, may: bool) {
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        self.counts.denied.fetch_add(u64::from(!may), Ordering::Relaxed);
    }

    /// Counts a table that said that it may have a key with it, and has not.
    pub fn in_vain(&self) {
        self.counts.in_vain.fetch_add(1, Ordering::Relaxed);
    }
}
