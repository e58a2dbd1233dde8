//! What was measured, as a table or as JSON.

use crate::latency::Latency;
use crate::process::Usage;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the phase.
    pub phase: &'static str,
    /// Operations.
    pub operations: u64,
    /// From the first to the last, in seconds.
    pub seconds: f64,
    /// Operations per second.
    pub per_second: f64,
    /// Processor time of one operation, background work during the phase included, in microseconds.
    pub cpu_us: f64,
    /// Bytes that the process wrote meanwhile.
    pub written_bytes: u64,
    /// How long single operations took, where each was timed.
    pub latency: Option<Latency>,
}

impl Row {
    /// The row of a phase that lasted from `before` until now.
    pub(super) fn until_now(
        phase: &'static str,
        operations: u64,
        before: &Usage,
        latency: Option<Latency>,
    ) -> Row {
        let (wall, cpu, written_bytes) = Usage::now().since(before);
        let per = |whole: Duration| whole.as_secs_f64() / operations.max(1) as f64;
        Row {
            phase,
            operations,
            seconds: wall.as_secs_f64(),
            per_second: 1.0 / per(wall),
            cpu_us: per(cpu) * 1e6,
            written_bytes,
            latency,
        }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Entries.
    pub entries: u32,
    /// The store's memory budget.
    pub memory_bytes: u64,
    /// Whether it compacts in tiers.
    pub tiered: bool,
    /// The phases.
    pub rows: Vec<Row>,
    /// Bytes of the settled store, its log included.
    pub disk_bytes: u64,
    /// Of these, bytes of tables.
    pub table_bytes: u64,
    /// Bytes that the store wrote for each byte of keys and values given to it, from `fillrandom` on
    /// until it had settled.
    pub write_amplification: f64,
    /// A bare `fdatasync` after an append to a preallocated file.
    pub fdatasync: Option<Latency>,
    /// Synced puts and such appends in turn.
    pub beside: Option<(Latency, Latency)>,
    /// The most memory that the process had resident.
    pub peak_rss_bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let tiers = if self.tiered { ", in tiers" } else { "" };
        let memory = mib(self.memory_bytes);
        writeln!(f, "{} entries of 16 + 100 bytes, {memory} MiB of memory{tiers}", self.entries)?;
        writeln!(
            f,
            "{:12} {:>12} {:>9} {:>9} {:>9}   {:>8} {:>8} {:>8} {:>9}",
            "phase", "per second", "seconds", "CPU us", "MB out", "p50 us", "p99", "p99.9", "max"
        )?;
        for row in &self.rows {
            write!(f, "{:12} {:>12.0} {:>9.2}", row.phase, row.per_second, row.seconds)?;
            write!(f, " {:>9.2} {:>9.1}", row.cpu_us, row.written_bytes as f64 / 1e6)?;
            if let Some(Latency { p50_us, p99_us, p999_us, max_us, .. }) = row.latency {
                write!(f, "   {p50_us:>8.1} {p99_us:>8.1} {p999_us:>8.1} {max_us:>9.1}")?;
            }
            writeln!(f)?;
        }
        if let Some(bare) = self.fdatasync {
            writeln!(f, "a bare fdatasync: p50 {:.0} us, p99 {:.0} us", bare.p50_us, bare.p99_us)?;
        }
        if let Some((put, bare)) = self.beside {
            write!(f, "in turn: a synced put p50 {:.1} us, mean {:.1} us; ", put.p50_us, put.mean_us)?;
            write!(f, "a bare append p50 {:.1} us, mean {:.1} us; ", bare.p50_us, bare.mean_us)?;
            writeln!(f, "ratio {:.3}, of means {:.3}", bare.p50_us / put.p50_us, bare.mean_us / put.mean_us)?;
        }
        if self.disk_bytes > 0 {
            let (disk, tables) = (mib(self.disk_bytes), mib(self.table_bytes));
            writeln!(f, "settled: {disk:.1} MiB on disk, {tables:.1} MiB of it tables")?;
            writeln!(f, "write amplification until then: {:.2}", self.write_amplification)?;
        }
        writeln!(f, "peak memory: {:.0} MiB", mib(self.peak_rss_bytes))
    }
}
