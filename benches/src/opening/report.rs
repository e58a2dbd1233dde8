//! How long it took, as a table.

use std::fmt;
use std::time::Duration;

/// What was opened, and how long it took each time.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The store.
    pub what: String,
    /// Bytes of its keys and values; of those in the log where that is replayed.
    pub bytes: u64,
    /// Whether the log was replayed.
    pub replayed: bool,
    /// Tables once it was open.
    pub tables: u64,
    /// The times, in ascending order.
    pub took: Vec<Duration>,
}

impl Opened {
    /// The median.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.took[self.took.len() / 2]
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub struct OpeningReport {
    /// A line for each store.
    pub opened: Vec<Opened>,
    /// What a plain write of the log's bytes into a file takes, synced: the disk's part of a replay.
    pub plain: Duration,
    /// How many bytes that were.
    pub plain_bytes: u64,
}

fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

impl fmt::Display for OpeningReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| store | MB | tables | median ms | least | greatest | replayed MB/s |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for Opened { what, bytes, tables, took, replayed } in &self.opened {
            let ms = |took: Duration| took.as_secs_f64() * 1e3;
            let median = took[took.len() / 2];
            let replay = replayed.then(|| format!("{:.0}", rate(*bytes, median))).unwrap_or_default();
            let [median, least, greatest] = [median, took[0], took[took.len() - 1]].map(ms);
            let mb = *bytes as f64 / 1e6;
            writeln!(
                f,
                "| {what} | {mb:.0} | {tables} | {median:.1} | {least:.1} | {greatest:.1} | {replay} |"
            )?;
        }
        let (mb, plain) = (self.plain_bytes as f64 / 1e6, rate(self.plain_bytes, self.plain));
        writeln!(f, "A plain file of {mb:.0} MB, written and synced: {plain:.0} MB/s.")
    }
}
