//! What all workloads share: the store that they work on, and the measuring.

use super::{bulk, own, reads, writes};
use crate::arena::engine::{Direction, Engine, Entry};
use crate::arena::keys::{Keys, Pick, Zipf};
use crate::arena::meter::Meter;
use crate::arena::phases::{Phase, Work};
use crate::arena::row::Row;
use crate::process::{Fallible, Usage, forget_peak, peak_rss_bytes};
use crate::workload::rng;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Of so many entries that are read the whole value of one is compared; of the others its length.
const COMPARED: u32 = 1024;

/// A phase about to be run on a store.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) keys: &'a Keys,
    pub(crate) zipf: &'a Zipf,
    pub(crate) phase: &'a Phase,
    /// A folder for what is not in the store.
    pub(crate) outside: &'a Path,
    pub(crate) cap: Duration,
    /// How many operations reads go on for at most.
    pub(crate) reads: u32,
    pub(crate) seed: u64,
    /// The version of values that this phase writes; all before it may be there.
    pub(crate) version: u32,
    /// Entries that are there beyond the first ones.
    pub(crate) inserted: &'a AtomicU32,
    /// Whether every value is compared.
    pub(crate) strict: bool,
}

impl Context<'_> {
    /// Does what the phase says. `live_bytes` of the row is what is left of the entries, or 0 where that
    /// means little.
    pub(crate) fn run(&self) -> Fallible<Row> {
        match self.phase.work {
            Work::Fill { in_order, batch } => writes::fill(self, in_order, batch),
            Work::Overwrite => writes::overwrite(self),
            Work::Delete => writes::delete(self),
            Work::DeleteRange => writes::delete_range(self),
            Work::Synced(batch) => writes::synced(self, batch),
            Work::Settle => writes::settle(self),
            Work::Mixed(mix, pick) => reads::mixed(self, mix, pick),
            Work::Missing => reads::missing(self),
            Work::MultiGet(keys) => reads::multi_get(self, keys),
            Work::Seek(entries) => reads::seek(self, entries),
            Work::Scan { reverse } => reads::scan(self, reverse),
            Work::GetWhileWriting(rate) => reads::get_while_writing(self, rate),
            Work::ScanWhileWriting => reads::scan_while_writing(self),
            Work::Transfer => own::transfer(self),
            Work::CompareAndSet => own::compare_and_set(self),
            Work::Count { merge } => own::count(self, merge),
            Work::Churn => own::churn(self),
            Work::Queue => own::queue(self),
            Work::PrefixScan => reads::prefix_scan(self),
            Work::Ingest => bulk::ingest(self),
            Work::Feed => bulk::feed(self),
        }
    }

    pub(super) fn entries(&self) -> u32 {
        self.keys.entries()
    }

    pub(super) fn inserted(&self) -> u32 {
        self.inserted.load(Ordering::Acquire)
    }

    /// Random numbers of a thread.
    pub(super) fn rng(&self, thread: usize) -> impl FnMut() -> u64 + use<> {
        rng(self.seed ^ 0xa5e4 ^ (thread as u64) << 20 ^ u64::from(self.version) << 32)
    }

    /// The entry that `random` bits stand for.
    pub(super) fn choose(&self, pick: Pick, random: u64) -> u32 {
        let entries = self.entries();
        let below = |n: u32| ((u128::from(random) * u128::from(n)) >> 64) as u32;
        match pick {
            Pick::Uniform => below(entries),
            Pick::Hot => {
                let hot = entries.div_ceil(20);
                (entries / 2 + below(hot)).min(entries - 1)
            }
            Pick::Zipf => self.keys.shuffled()[self.zipf.at(random) as usize],
            Pick::Latest => entries + self.inserted() - 1 - self.zipf.at(random),
        }
    }

    /// Puts entries at once, in their `version`.
    pub(super) fn put(&self, numbers: &[u32], version: u32) -> Fallible<()> {
        if let [i] = *numbers {
            return self.engine.put(&self.keys.key(i), &self.keys.value(i, version));
        }
        let made: Vec<_> = numbers.iter().map(|&i| (self.keys.key(i), self.keys.value(i, version))).collect();
        let entries: Vec<Entry<'_>> = made.iter().map(|(key, value)| (&**key, &value[..])).collect();
        self.engine.put_batch(&entries)
    }

    /// Gets an entry that must be there.
    pub(super) fn get(&self, i: u32) -> Fallible<()> {
        let mut good = false;
        if !self.engine.get(&self.keys.key(i), &mut |value| good = self.is_value(i, value))? {
            return Err(format!("entry {i} is not there").into());
        }
        if good { Ok(()) } else { Err(format!("entry {i} has a value that it never had").into()) }
    }

    /// Whether entry `i` may have this value.
    pub(super) fn is_value(&self, i: u32, value: &[u8]) -> bool {
        let compared = self.strict || i.is_multiple_of(COMPARED);
        value.len() == self.keys.value_bytes() && (!compared || self.keys.had(i, value, self.version))
    }

    /// Counts all entries.
    pub(super) fn count_all(&self) -> Fallible<u64> {
        let mut found = 0;
        self.engine.scan(None, Direction::Forward, &mut |_, _| {
            found += 1;
            true
        })?;
        Ok(found)
    }

    /// Runs `body` on as many threads as the phase has, each with a meter of its own.
    pub(super) fn on_threads(
        &self,
        probe: &mut Probe<'_>,
        body: impl Fn(usize, &mut Meter) -> Fallible<()> + Sync,
    ) -> Fallible<()> {
        if self.phase.threads == 1 {
            return body(0, &mut probe.meter);
        }
        let (body, sibling) = (&body, &probe.meter);
        let run = move |thread| {
            let mut meter = sibling.sibling();
            body(thread, &mut meter).map(|()| meter)
        };
        let meters = thread::scope(|scope| -> Fallible<Vec<Meter>> {
            let threads: Vec<_> =
                (0..self.phase.threads).map(|thread| scope.spawn(move || run(thread))).collect();
            threads.into_iter().map(|thread| thread.join().map_err(|_| "a panic")?).collect()
        })?;
        meters.iter().for_each(|meter| probe.meter.add(meter));
        Ok(())
    }
}

/// The measuring of a phase, from the moment at which it is made.
pub(super) struct Probe<'a> {
    engine: &'a dyn Engine,
    before: Usage,
    waited: Option<Duration>,
    pub(super) meter: Meter,
}

impl<'a> Probe<'a> {
    pub(super) fn start(context: &Context<'a>) -> Probe<'a> {
        forget_peak();
        let (waited, before) = (context.engine.waited(), Usage::now());
        Probe { engine: context.engine, before, waited, meter: Meter::start(context.cap) }
    }

    /// The row of all that was counted, with `given_bytes` written to the engine.
    pub(super) fn end(self, given_bytes: u64) -> Row {
        let (_, cpu, written_bytes) = Usage::now().since(&self.before);
        let waited = self.engine.waited().zip(self.waited).map(|(now, before)| now.saturating_sub(before));
        let (operations, seconds) = (self.meter.operations(), self.meter.lasted().as_secs_f64());
        Row {
            operations,
            seconds,
            per_second: operations as f64 / seconds.max(1e-9),
            cpu_us: cpu.as_secs_f64() * 1e6 / operations.max(1) as f64,
            latency: self.meter.latency(),
            slots: self.meter.slots().to_vec(),
            waited_ms: waited.map(|waited| waited.as_secs_f64() * 1e3),
            written_bytes,
            given_bytes,
            peak_rss_bytes: peak_rss_bytes(),
            ..Row::default()
        }
    }
}
