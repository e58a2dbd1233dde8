//! How values are distributed.
//!
//! Buckets are log-linear: the numbers up to 15 have one each, and above that each power of two is divided
//! into eight of equal width. So a quantile is off by an eighth at most, and a value finds its bucket by
//! counting zeros. Numbers are nanoseconds, or counts.

use crate::base::sync::quiet::{AtomicU64, Ordering};
use std::fmt;
use std::time::Duration;

/// Each power of two is divided into so many, as a power of two.
const PARTS: u32 = 3;
/// The first number that is too large for a bucket of its own: more than an hour in nanoseconds.
const MOST: u32 = 42;
const BUCKETS: usize = ((MOST - PARTS + 1) << PARTS) as usize;

/// The bucket of a number.
#[inline]
fn bucket(value: u64) -> usize {
    if value < 1 << PARTS {
        return value as usize;
    }
    let shift = value.ilog2() - PARTS;
    let at = ((shift as usize + 1) << PARTS) + (value >> shift) as usize - (1 << PARTS);
    at.min(BUCKETS - 1)
}

/// The greatest number of a bucket.
fn greatest(bucket: usize) -> u64 {
    let (row, part) = ((bucket >> PARTS) as u32, (bucket & ((1 << PARTS) - 1)) as u64);
    if row == 0 { part } else { (((1 << PARTS) + part + 1) << (row - 1)) - 1 }
}

/// A reading of how values are distributed: times in nanoseconds, or numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS].into(), sum: 0, max: 0 }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Histogram");
        text.field("count", &self.count()).field("max", &self.max).finish_non_exhaustive()
    }
}

impl Histogram {
    /// Adds a value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count += 1;
        }
        self.sum = self.sum.wrapping_add(value);
        self.max = self.max.max(value);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The greatest of them; 0 if there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The average; 0 if there is none.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count()).unwrap_or(0)
    }

    /// The value that the given share of all values do not exceed: 0.5 for the median. At most an eighth too
    /// large, and never larger than [`Histogram::max`]; 0 if there is none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.count() as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= wanted {
                return greatest(at).min(self.max);
            }
        }
        self.max
    }

    /// As [`Histogram::quantile`], of times.
    #[must_use]
    pub fn quantile_time(&self, share: f64) -> Duration {
        Duration::from_nanos(self.quantile(share))
    }

    /// How many values are less than `2^power`.
    #[must_use]
    pub fn below_power(&self, power: u32) -> u64 {
        let end = if power >= MOST { BUCKETS } else { bucket(1 << power) };
        self.counts.iter().take(end).sum()
    }
}

/// Records values from many threads, one addition to each of two numbers for a value.
#[derive(Debug)]
pub struct Recorder {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Recorder {
        let counts = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Recorder { counts, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

impl Recorder {
    /// Adds a value.
    pub fn record(&self, value: u64) {
        if let Some(count) = self.counts.get(bucket(value)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        if self.max.load(Ordering::Relaxed) < value {
            self.max.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Adds a time.
    pub fn record_time(&self, took: Duration) {
        self.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The values so far.
    #[must_use]
    pub fn read(&self) -> Histogram {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Histogram {
            counts: self.counts.iter().map(read).collect(),
            sum: read(&self.sum),
            max: read(&self.max),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_bucket_and_none_is_far_from_its_end() {
        let mut numbers: Vec<u64> = (0..2_000).collect();
        numbers.extend((0..42).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]));
        for value in numbers {
            let at = bucket(value);
            assert!(value <= greatest(at), "{value} in {at}");
            assert!(greatest(at) - value <= value / 8, "{value} in {at}, which ends at {}", greatest(at));
            assert!(at == 0 || greatest(at - 1) < value, "{value} in {at}");
        }
        assert_eq!((bucket(15), bucket(16), greatest(16), bucket(1 << 42)), (15, 16, 17, BUCKETS - 1));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_count_and_sum_are_those_of_the_values() {
        let recorder = Recorder::default();
        let empty = recorder.read();
        assert_eq!((empty.count(), empty.quantile(0.5), empty.mean(), empty.max()), (0, 0, 0, 0));
        (1..=1_000u64).for_each(|value| recorder.record(value));
        let all = recorder.read();
        assert_eq!((all.count(), all.sum(), all.mean(), all.max()), (1_000, 500_500, 500, 1_000));
        for (share, exact) in [(0.001, 1), (0.01, 10), (0.5, 500), (0.99, 990), (1.0, 1_000)] {
            let found = all.quantile(share);
            assert!((exact..=exact + exact / 8).contains(&found), "{share}: {found}");
        }
        assert_eq!((all.below_power(0), all.below_power(3), all.below_power(9)), (0, 7, 511));
        assert_eq!((all.below_power(10), all.below_power(64)), (1_000, 1_000));
        let mut by_hand = Histogram::default();
        (1..=1_000u64).for_each(|value| by_hand.record(value));
        assert_eq!(by_hand, all);
    }
}
