//! Counting operations as they end: how long each took, how many in each tenth of a second.

use crate::latency::{Latency, histogram};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// What a slot of the course over time lasts.
pub const SLOT: Duration = Duration::from_millis(100);

/// The operations of one thread, or of several put together.
#[derive(Clone, Debug)]
pub struct Meter {
    began: Instant,
    last: Instant,
    until: Instant,
    histogram: Histogram<u64>,
    operations: u64,
    slots: Vec<u64>,
}

impl Meter {
    /// A meter that begins now and wants no more operations after `cap`.
    #[must_use]
    pub fn start(cap: Duration) -> Meter {
        let began = Instant::now();
        let slots = Vec::with_capacity(600);
        Meter { began, last: began, until: began + cap, histogram: histogram(), operations: 0, slots }
    }

    /// Another thread's meter of the same phase.
    #[must_use]
    pub fn sibling(&self) -> Meter {
        Meter { last: Instant::now(), histogram: histogram(), operations: 0, slots: Vec::new(), ..*self }
    }

    /// `operations` have ended together; the next begin now. Returns whether there is time for more. One
    /// reading of the clock serves all of it.
    pub fn lap(&mut self, operations: u64) -> bool {
        let now = Instant::now();
        self.histogram.saturating_record((now - self.last).as_nanos() as u64);
        self.last = now;
        self.operations += operations;
        let slot = ((now - self.began).as_nanos() / SLOT.as_nanos()) as usize;
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, 0);
        }
        self.slots[slot] += operations;
        now < self.until
    }

    /// What has passed since the last lap counts as time, but for no operation.
    pub fn skip(&mut self) {
        self.last = Instant::now();
    }

    /// Adds what a sibling has counted.
    pub fn add(&mut self, other: &Meter) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
        self.operations += other.operations;
        self.last = self.last.max(other.last);
        if self.slots.len() < other.slots.len() {
            self.slots.resize(other.slots.len(), 0);
        }
        for (slot, more) in self.slots.iter_mut().zip(&other.slots) {
            *slot += more;
        }
    }

    /// Operations.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// From the beginning to the last lap.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.last - self.began
    }

    /// Operations in each slot.
    #[must_use]
    pub fn slots(&self) -> &[u64] {
        &self.slots
    }

    /// How long laps took; `None` without any.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        (!self.histogram.is_empty()).then(|| Latency::of(&self.histogram))
    }
}

/// How long it takes until `work` of spinning has passed, again and again for `cap`: what the machine
/// alone does to operations of that length.
#[must_use]
pub fn spin(work: Duration, cap: Duration) -> Option<Latency> {
    let mut meter = Meter::start(cap);
    loop {
        while meter.last.elapsed() < work {
            std::hint::spin_loop();
        }
        if !meter.lap(1) {
            return meter.latency();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_are_counted_slot_by_slot() {
        let mut meter = Meter::start(Duration::from_millis(250));
        assert!(meter.lap(3));
        let mut other = meter.sibling();
        std::thread::sleep(Duration::from_millis(120));
        assert!(other.lap(5));
        std::thread::sleep(Duration::from_millis(150));
        assert!(!other.lap(1));
        meter.add(&other);
        assert_eq!((meter.operations(), meter.slots().iter().sum::<u64>()), (9, 9));
        assert!(meter.slots()[0] == 3 && meter.slots().len() >= 3);
        assert!(meter.lasted() >= Duration::from_millis(270));
        let latency = meter.latency().unwrap();
        assert!(latency.max_us >= 150_000.0 && latency.p50_us >= 120_000.0, "{latency:?}");
    }

    #[test]
    fn spinning_takes_what_it_is_told_and_more() {
        let latency = spin(Duration::from_micros(2), Duration::from_millis(5)).unwrap();
        assert!(latency.p50_us >= 2.0 && latency.max_us >= latency.p50_us, "{latency:?}");
    }
}
