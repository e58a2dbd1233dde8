//! How long, how much, and how often something happens.

use std::time::Duration;

/// The course of a run. Everything follows from the length of a period, which is a minute in a full run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the operations.
    pub seed: u64,
    /// How many periods there are. At the end of each the child is killed; in the last third it lives on, and
    /// the store is closed and opened within it.
    pub periods: u64,
    /// How long a period is.
    pub period: Duration,
    /// The disk is full in every so manieth period, from the first on.
    pub full_every: u64,
    /// How long it stays full.
    pub full: Duration,
    /// The wall clock is set in every so manieth period, a day forward and a day back in turn.
    pub clock_every: u64,
    /// Different keys.
    pub keys: u64,
    /// The first set of options: see `options`.
    pub first_options: u32,
    /// Space is compared with what is alive in every so manieth period: in the first the store is still
    /// filling up.
    pub space_every: u64,
}

impl Plan {
    /// A run of so many minutes.
    #[must_use]
    pub fn of_minutes(seed: u64, minutes: u64) -> Plan {
        Plan {
            seed,
            periods: minutes,
            period: Duration::from_secs(60),
            full_every: 10,
            full: Duration::from_secs(5),
            clock_every: 2,
            // Enough for log, reserve and manifest to be small beside what they keep.
            keys: 600_000,
            first_options: 0,
            space_every: 5,
        }
    }

    /// A run of about half a minute, of a smaller store with smaller files.
    #[must_use]
    pub fn short(seed: u64) -> Plan {
        Plan {
            seed,
            periods: 9,
            period: Duration::from_millis(1_800),
            full_every: 4,
            full: Duration::from_millis(400),
            clock_every: 2,
            keys: 12_000,
            first_options: super::options::SETS,
            space_every: 4,
        }
    }

    /// Whether the child is killed at the end of a period; periods count from 1.
    #[must_use]
    pub fn kills(&self, period: u64) -> bool {
        period * 3 <= self.periods * 2
    }

    /// Whether something that happens in every so manieth period, from the first on, happens in this one.
    #[must_use]
    pub fn is_due(period: u64, every: u64) -> bool {
        (period - 1).is_multiple_of(every.max(1))
    }
}
