//! What is known of a phase of an engine.

use crate::latency::Latency;
use serde::{Deserialize, Serialize};

/// How a phase ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Measured(Box<Row>),
    /// The engine has nothing of the kind.
    Unsupported,
    /// With this error.
    Failed(String),
}

impl Outcome {
    /// The figures, if there are any.
    #[must_use]
    pub fn row(&self) -> Option<&Row> {
        if let Outcome::Measured(row) = self { Some(row) } else { None }
    }
}

/// The figures of a phase.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Operations.
    pub operations: u64,
    /// From the first to the last, in seconds.
    pub seconds: f64,
    /// Operations per second.
    pub per_second: f64,
    /// Processor time of one operation, background work during the phase included, in microseconds.
    pub cpu_us: f64,
    /// How long operations took.
    pub latency: Option<Latency>,
    /// Operations in each tenth of a second.
    pub slots: Vec<u64>,
    /// What went on beside it, per second.
    pub beside_per_second: Option<f64>,
    /// How long the engine made writers wait, in milliseconds, if it counts that.
    pub waited_ms: Option<f64>,
    /// Bytes that the process wrote.
    pub written_bytes: u64,
    /// Bytes of keys and values that were given to the engine to be written.
    pub given_bytes: u64,
    /// Bytes on disk afterwards.
    pub disk_bytes: u64,
    /// Bytes of the keys and values that the store holds afterwards.
    pub live_bytes: u64,
    /// The most memory that was resident during the phase.
    pub peak_rss_bytes: u64,
}

impl Row {
    /// Bytes written for each byte given.
    #[must_use]
    pub fn write_amplification(&self) -> Option<f64> {
        (self.given_bytes > 0).then(|| self.written_bytes as f64 / self.given_bytes as f64)
    }

    /// Bytes on disk for each byte that the store holds.
    #[must_use]
    pub fn space_amplification(&self) -> Option<f64> {
        (self.live_bytes > 0).then(|| self.disk_bytes as f64 / self.live_bytes as f64)
    }
}
