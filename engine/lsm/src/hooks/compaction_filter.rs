//! Changing or removing values while they are compacted.

use std::fmt;

/// What becomes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// The key is deleted, as if by a delete at the place of this value: what is older stays hidden.
    Remove,
    /// The key has this value instead; its sequence number and its expiry stay.
    Replace(Vec<u8>),
}

/// What a filter is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterContext {
    /// The name of the column family.
    pub family: String,
    /// The level that the output goes to.
    pub output_level: usize,
    /// Whether nothing older of the compacted keys lies below.
    pub is_bottom: bool,
}

/// Makes one filter for each compaction, so that a filter needs no locks of its own.
pub trait CompactionFilterFactory: fmt::Debug + Send + Sync + 'static {
    /// A filter for one job.
    fn make(&self, context: &FilterContext) -> Box<dyn CompactionFilter>;
}

/// Decides over values while they are compacted.
///
/// It sees each value that every snapshot and reader sees as it is or not at all, in key order: what
/// a live snapshot can see is never changed, so it is not shown; neither are deletions, expired values
/// and operands that have not been merged. A value may be shown in several compactions, or in none for
/// a long time. What it removes or replaces is no write: a transaction or a condition that has read the
/// value before may still be committed. A filter is given no handle of the store. One that has got hold
/// of it is answered with [`crate::Error::CalledFromHook`]: it would read what is just being replaced, or
/// wait for what waits for it.
///
/// ```
/// use esker::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
///
/// /// Forgets sessions of guests.
/// #[derive(Debug)]
/// struct NoGuests;
///
/// impl CompactionFilterFactory for NoGuests {
///     fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
///         Box::new(|key: &[u8], _: &[u8], _: u64| {
///             if key.starts_with(b"guest:") { Verdict::Remove } else { Verdict::Keep }
///         })
///     }
/// }
/// ```
pub trait CompactionFilter: Send {
    /// Decides over a value. `expires_at` is in milliseconds since the epoch, `u64::MAX` for never.
    fn decide(&mut self, key: &[u8], value: &[u8], expires_at: u64) -> Verdict;
}

impl<F: FnMut(&[u8], &[u8], u64) -> Verdict + Send> CompactionFilter for F {
    fn decide(&mut self, key: &[u8], value: &[u8], expires_at: u64) -> Verdict {
        self(key, value, expires_at)
    }
}
