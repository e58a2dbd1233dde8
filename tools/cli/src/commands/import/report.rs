//! What an import says: how far it is durable, and at its end a summary.

use crate::failure::Outcome;
use crate::output::Out;
use crate::text::number::{counted, grouped};
use crate::text::size;
use serde_json::json;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Keeps, and if asked prints, how many records are durable.
pub struct Reporter {
    durable: AtomicU64,
    lines: bool,
    json: bool,
}

impl Reporter {
    /// A reporter that prints lines, or only keeps the number.
    #[must_use]
    pub fn new(lines: bool, json: bool) -> Reporter {
        Reporter { durable: AtomicU64::new(0), lines, json }
    }

    /// The first `records` records are on disk. To be called only when they are: whoever reads the
    /// line, which is handed on at once, may rely on it.
    pub fn reached(&self, records: u64) {
        self.durable.store(records, Ordering::SeqCst);
        if !self.lines {
            return;
        }
        let line =
            if self.json { format!("{{\"durable\":{records}}}\n") } else { format!("durable {records}\n") };
        let mut stdout = std::io::stdout().lock();
        // A reader that went away does not end the import.
        let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    }

    /// How many records are on disk.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }
}

/// Prints the summary of an import that read everything.
///
/// # Errors
/// The output is closed or full.
pub fn summary(
    out: &mut Out,
    json: bool,
    records: u64,
    skipped: u64,
    bytes: u64,
    elapsed: Duration,
) -> Outcome {
    let seconds = elapsed.as_secs_f64();
    let per_second = (records as f64 / seconds.max(1e-6)) as u64;
    if json {
        let object = json!({
            "records": records,
            "durable": records,
            "skipped": skipped,
            "bytes": bytes,
            "seconds": seconds,
            "records_per_second": per_second,
        });
        return out.line(&object.to_string());
    }
    let skipped = if skipped > 0 { format!(", {} skipped", grouped(skipped)) } else { String::new() };
    out.line(&format!(
        "imported {}{skipped}, {} in {seconds:.2} s ({} records/s); all of them are durable",
        counted(records, "record"),
        size::text(bytes),
        grouped(per_second),
    ))
}
