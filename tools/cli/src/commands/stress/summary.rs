//! What a run has done and found.

use super::home::Sizes;
use crate::failure::Outcome;
use crate::output::Out;
use crate::text::number::{counted, grouped};
use crate::text::size;
use hdrhistogram::Histogram;
use serde_json::json;
use std::time::Duration;

/// The figures of a run.
#[derive(Debug)]
pub struct Summary {
    /// What the run follows from.
    pub seed: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Processes that were killed.
    pub kills: u64,
    /// Those of them that were killed while they only opened the store.
    pub kills_of_opening: u64,
    /// Processes that ended in good order.
    pub closes: u64,
    /// Kills that left an unfinished write, which was cut off.
    pub cuts: u64,
    /// Commits that returned.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Entries that were read and compared.
    pub entries_read: u64,
    /// How often the store grew beyond the space and was begun anew.
    pub begun_anew: u64,
    /// How often the disk was full, and the store was begun anew for that.
    pub full: u64,
    /// The store at the end.
    pub sizes: Sizes,
    /// What was found that must not be.
    pub violations: Vec<String>,
    /// Times to open a store after a kill, in microseconds.
    reopen_us: Histogram<u64>,
}

impl Summary {
    /// Nothing so far.
    #[must_use]
    pub fn new(seed: u64) -> Summary {
        // An hour is longer than anybody waits; three digits are always within what a histogram can do.
        let reopen_us = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap_or_else(|_| unreachable!());
        Summary {
            seed,
            elapsed: Duration::ZERO,
            kills: 0,
            kills_of_opening: 0,
            closes: 0,
            cuts: 0,
            commits: 0,
            operations: 0,
            bytes: 0,
            entries_read: 0,
            begun_anew: 0,
            full: 0,
            sizes: Sizes::default(),
            violations: Vec::new(),
            reopen_us,
        }
    }

    /// A store was opened after a kill.
    pub fn reopened(&mut self, time: Duration) {
        self.reopen_us.saturating_record(time.as_micros().max(1) as u64);
    }

    fn reopen_ms(&self, quantile: f64) -> f64 {
        self.reopen_us.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The progress in a line.
    #[must_use]
    pub fn line(&self) -> String {
        let (kills, operations) = (counted(self.kills, "kill"), counted(self.operations, "operation"));
        format!("{kills}, {operations}, {}", counted(self.violations.len() as u64, "violation"))
    }

    /// Prints it.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn print(&self, json: bool) -> Outcome {
        let mut out = Out::stdout();
        if json {
            out.line(&self.object().to_string())?;
        } else {
            self.print_text(&mut out)?;
        }
        out.finish()
    }

    fn object(&self) -> serde_json::Value {
        json!({
            "seed": self.seed,
            "seconds": self.elapsed.as_secs_f64(),
            "kills": self.kills,
            "kills_of_opening": self.kills_of_opening,
            "closes": self.closes,
            "cuts": self.cuts,
            "commits": self.commits,
            "operations": self.operations,
            "bytes": self.bytes,
            "entries_read": self.entries_read,
            "reopen_p50_ms": self.reopen_ms(0.5),
            "reopen_p99_ms": self.reopen_ms(0.99),
            "reopen_max_ms": self.reopen_ms(1.0),
            "store_bytes": self.sizes.bytes,
            "store_files": self.sizes.files,
            "begun_anew": self.begun_anew,
            "full": self.full,
            "violations": self.violations.len(),
            "found": self.violations,
        })
    }

    fn print_text(&self, out: &mut Out) -> Outcome {
        let number = |n: u64| grouped(n);
        let anew = match self.begun_anew {
            0 => String::new(),
            times => format!(", begun anew {}", counted(times, "time")),
        };
        let full = match self.full {
            0 => String::new(),
            times => format!(", the disk was full {}", counted(times, "time")),
        };
        let anew = anew + &full;
        let rows = [
            ("seed", self.seed.to_string()),
            ("time", format!("{:.0} s", self.elapsed.as_secs_f64())),
            (
                "kills",
                format!(
                    "{}, of them {} while opening; {} left an unfinished write",
                    number(self.kills),
                    number(self.kills_of_opening),
                    number(self.cuts)
                ),
            ),
            ("closes", format!("{} in good order", number(self.closes))),
            (
                "written",
                format!(
                    "{} in {}, {}",
                    counted(self.operations, "operation"),
                    counted(self.commits, "commit"),
                    size::text(self.bytes)
                ),
            ),
            ("read", format!("{} entries", number(self.entries_read))),
            (
                "reopening",
                format!(
                    "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
                    self.reopen_ms(0.5),
                    self.reopen_ms(0.99),
                    self.reopen_ms(1.0)
                ),
            ),
            (
                "store",
                format!("{} in {}{anew}", size::text(self.sizes.bytes), counted(self.sizes.files, "file")),
            ),
            ("violations", self.violations.len().to_string()),
        ];
        for (label, text) in rows {
            out.label(&format!("{label:<11}"))?;
            out.line(&text)?;
        }
        Ok(())
    }
}
