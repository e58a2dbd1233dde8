//! What a run came to.

use super::judge::Counts;
use super::measure::{Sample, growth};
use super::options;
use std::fmt;
use std::time::Duration;

/// Memory at any moment, in bytes.
const MOST_MEMORY: f64 = 3.0 * options::MEMORY_BUDGET as f64;
/// Growth of the line through the memory of the second half of the longest life, in bytes.
const MEMORY_GROWTH: f64 = (4 << 20) as f64;
/// Tables, and what else the store, its file system and the process hold open.
const MOST_DESCRIPTORS: f64 = (options::MAX_OPEN_FILES + 32) as f64;
const DESCRIPTOR_GROWTH: f64 = 8.0;
const MOST_SPACE: f64 = 1.4;
const LEAST_TURNOVER: f64 = 20.0;

/// Directory and tables, each as a multiple of what is alive, at a settled moment.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// All files.
    pub directory: f64,
    /// The tables alone.
    pub tables: f64,
    /// Keys and values that are alive, in bytes.
    pub alive_bytes: u64,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How long it took.
    pub took: Duration,
    /// What was asked and answered.
    pub counts: Counts,
    /// How often the child was killed.
    pub kills: u64,
    /// How often the store was closed and opened in order.
    pub reopened: u64,
    /// How often the disk was full.
    pub full: u64,
    /// How often the clock was set.
    pub clocks: u64,
    /// The longest that it took from space coming back until writes, flushes and background work went well.
    pub resumed: Duration,
    /// The longest that it took from the start of a process to its first answer.
    pub opened: Duration,
    /// What flushes and compactions wrote, in bytes, as far as it was heard of.
    pub tables_written_bytes: u64,
    /// What the child held, each second or oftener.
    pub samples: Vec<Sample>,
    /// Space at settled moments.
    pub space: Vec<Space>,
    /// What was wrong.
    pub violations: Vec<String>,
}

impl Report {
    /// How many times more was written than is kept.
    #[must_use]
    pub fn turnover(&self) -> f64 {
        let kept = self.space.iter().map(|space| space.alive_bytes).max().unwrap_or(0);
        self.counts.written_bytes as f64 / kept.max(1) as f64
    }

    /// The worst space amplification at a settled moment.
    #[must_use]
    pub fn amplification(&self) -> f64 {
        self.space.iter().map(|space| space.directory).fold(0.0, f64::max)
    }

    /// How memory, in bytes, and descriptors grew over the second half of the longest life.
    #[must_use]
    pub fn growth(&self) -> (f64, f64) {
        let second_half = self.second_half();
        let of = |value: fn(&Sample) -> f64| {
            growth(&second_half.iter().map(|sample| (sample.at, value(sample))).collect::<Vec<_>>())
        };
        (of(|sample| sample.resident_bytes as f64), of(|sample| sample.descriptors as f64))
    }

    /// The samples of the second half of the last life, which is the longest.
    fn second_half(&self) -> Vec<Sample> {
        let last = self.samples.last().map_or(0, |sample| sample.life);
        let life: Vec<Sample> = self.samples.iter().filter(|sample| sample.life == last).copied().collect();
        life[life.len() / 2..].to_vec()
    }

    /// The greatest of each that was seen.
    fn peaks(&self) -> Sample {
        let empty = Sample { at: 0.0, life: 0, resident_bytes: 0, descriptors: 0, directory_bytes: 0 };
        self.samples.iter().fold(empty, |peak, sample| Sample {
            at: sample.at,
            life: sample.life.max(peak.life),
            resident_bytes: sample.resident_bytes.max(peak.resident_bytes),
            descriptors: sample.descriptors.max(peak.descriptors),
            directory_bytes: sample.directory_bytes.max(peak.directory_bytes),
        })
    }

    /// Which bounds were exceeded, in words. Those that need time to show hold for long runs alone.
    #[must_use]
    pub fn excesses(&self, long: bool) -> Vec<String> {
        let (peaks, (memory, descriptors)) = (self.peaks(), self.growth());
        let in_short_runs = [
            ("memory at its peak, in bytes", peaks.resident_bytes as f64, MOST_MEMORY),
            ("descriptors at their peak", peaks.descriptors as f64, MOST_DESCRIPTORS),
        ];
        let in_long_runs = [
            ("growth of memory, in bytes", memory, MEMORY_GROWTH),
            ("growth of descriptors", descriptors, DESCRIPTOR_GROWTH),
            ("space amplification", self.amplification(), MOST_SPACE),
            ("what is kept to a twentieth of what was written", LEAST_TURNOVER / self.turnover(), 1.0),
        ];
        let checked = in_short_runs.iter().chain(in_long_runs.iter().filter(|_| long));
        let exceeded = checked.filter(|(_, value, bound)| value > bound);
        exceeded
            .map(|(what, value, bound)| format!("{what}: {value:.2} where {bound:.2} is the bound"))
            .collect()
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { requests, operations, written_bytes, refused } = self.counts;
        let seconds = self.took.as_secs_f64();
        let kept = self.space.iter().map(|space| space.alive_bytes).max().unwrap_or(0);
        let per_second = operations as f64 / seconds.max(0.001);
        write!(f, "{seconds:.0} s, {operations} operations ({per_second:.0}/s) in {requests} requests; ")?;
        write!(f, "{} written, {:.1} x the {} kept; ", mib(written_bytes), self.turnover(), mib(kept))?;
        write!(
            f,
            "{} kills (open in at most {:.2?}), {} reopened, ",
            self.kills, self.opened, self.reopened
        )?;
        write!(f, "{} full disks ({refused} refused, ", self.full)?;
        write!(f, "all well again in at most {:.2?}), {} clock jumps; ", self.resumed, self.clocks)?;
        let (peaks, (memory, descriptors)) = (self.peaks(), self.growth());
        let half = self.second_half();
        let span = half.last().zip(half.first()).map_or(0.0, |(last, first)| last.at - first.at);
        write!(f, "memory at most {}, ", mib(peaks.resident_bytes))?;
        write!(f, "grown by {:.2} MiB in the last {span:.0} s; ", memory / f64::from(1 << 20))?;
        write!(f, "descriptors at most {}, grown by {descriptors:.1}; ", peaks.descriptors)?;
        let tables = self.space.iter().map(|space| space.tables).fold(0.0, f64::max);
        write!(f, "directory at most {}, ", mib(peaks.directory_bytes))?;
        write!(f, "{:.2} x what is alive when settled (tables {tables:.2} x); ", self.amplification())?;
        write!(f, "violations {}", self.violations.len())
    }
}
