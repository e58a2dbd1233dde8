//! How long single operations take.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Operations that take longer are recorded as taking this long, in nanoseconds.
const LONGEST_NS: u64 = 60_000_000_000;

/// A histogram of nanoseconds with three digits, up to a minute.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are in order")
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of all took at most this.
    pub p50_us: f64,
    /// 9 of 10.
    pub p90_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1000.
    pub p999_us: f64,
    /// 9,999 of 10,000.
    pub p9999_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// All of them by their number.
    #[serde(default)]
    pub mean_us: f64,
}

impl Latency {
    /// The percentiles of a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let us = |ns: u64| ns as f64 / 1e3;
        let at = |quantile: f64| us(histogram.value_at_quantile(quantile));
        Latency {
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: us(histogram.max()),
            mean_us: histogram.mean() / 1e3,
        }
    }
}
