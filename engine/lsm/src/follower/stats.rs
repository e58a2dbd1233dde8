//! What a follower has done.

use super::handle::{CaughtUp, Restart};
use super::state::State;
use crate::base::error::Error;
use crate::base::key::SeqNum;
use crate::base::sync::Mutex;
use crate::db::BlobStats;
use crate::metrics::Exposition;
use crate::metrics::MetricKind::{Counter, Gauge};
use std::time::Duration;

/// A reading of a [`Follower`](crate::Follower); counters since it was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FollowerStats {
    /// The sequence number of the last write that it shows.
    pub seq: SeqNum,
    /// The history that it shows.
    pub history: u64,
    /// How often it has caught up.
    pub catch_ups: u64,
    /// How often it has read everything anew for that.
    pub restarts: u64,
    /// How often a write that it had shown was refused after all.
    pub taken_back: u64,
    /// How often the store has begun a new history.
    pub new_histories: u64,
    /// How often catching up has failed.
    pub failures: u64,
    /// The last failure, if it has not caught up since.
    pub last_error: Option<Error>,
    /// By how many sequence numbers it was behind when it last caught up.
    pub behind: u64,
    /// How long ago that was.
    pub age: Duration,
    /// The blob files of all families that it shows.
    pub blobs: BlobStats,
    /// Separated values that were read.
    pub blob_reads: u64,
    /// Their stored bytes.
    pub blob_read_bytes: u64,
}

/// Where it is counted.
#[derive(Debug)]
pub(super) struct Counts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    stats: FollowerStats,
    /// When everything there was had been read, by monotonic time.
    reached_at: Duration,
}

impl Counts {
    pub(super) fn new(reached_at: Duration) -> Counts {
        Counts(Mutex::new(Counted { stats: FollowerStats::default(), reached_at }))
    }

    /// Notes that it has caught up with what there was at `begun`.
    pub(super) fn caught_up(&self, reached: &CaughtUp, begun: Duration) {
        let mut counted = self.0.lock();
        counted.reached_at = begun;
        let stats = &mut counted.stats;
        stats.catch_ups += 1;
        stats.restarts += u64::from(reached.restarted.is_some());
        stats.taken_back += u64::from(matches!(reached.restarted, Some(Restart::TakenBack)));
        stats.new_histories += u64::from(reached.new_history);
        stats.behind = reached.behind;
        stats.last_error = None;
    }

    /// Notes that catching up has failed.
    pub(super) fn failed(&self, error: &Error) {
        let stats = &mut self.0.lock().stats;
        stats.failures += 1;
        stats.last_error = Some(error.clone());
    }

    pub(super) fn reached_at(&self) -> Duration {
        self.0.lock().reached_at
    }

    /// What it has done, beside what it shows.
    pub(super) fn read(&self, shown: &State, age: Duration) -> FollowerStats {
        let read = shown.source.blobs.counts();
        let mut blobs = BlobStats::default();
        shown.families.iter().for_each(|family| blobs += BlobStats::of(&family.view.version));
        FollowerStats {
            seq: shown.seq,
            history: shown.history.id,
            age,
            blobs,
            blob_reads: read.reads(),
            blob_read_bytes: read.read_bytes(),
            ..self.0.lock().stats.clone()
        }
    }
}

impl FollowerStats {
    /// The figures in the text format of Prometheus (version 0.0.4). Names begin with `esker_follower_`;
    /// docs/followers.md lists them.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// # let db = esker::Db::open(&path)?;
    /// let follower = esker::Db::follow(&path)?;
    /// db.put("k", "v")?;
    /// follower.catch_up()?;
    /// assert!(follower.stats().prometheus().contains("esker_follower_behind 1\n"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut text = Exposition::default();
        text.one(Gauge, "esker_follower_seq", "The sequence number of the last write shown.", self.seq);
        let help = "By how many sequence numbers it was behind when it last caught up.";
        text.one(Gauge, "esker_follower_behind", help, self.behind);
        let help = "How long ago the follower was at the end.";
        text.one(Gauge, "esker_follower_age_seconds", help, self.age.as_secs_f64());
        text.one(Counter, "esker_follower_catch_ups_total", "Times it has caught up.", self.catch_ups);
        text.one(
            Counter,
            "esker_follower_restarts_total",
            "Times it has read everything anew.",
            self.restarts,
        );
        let help = "Writes that were shown and then refused.";
        text.one(Counter, "esker_follower_taken_back_total", help, self.taken_back);
        let help = "Histories that the store has begun.";
        text.one(Counter, "esker_follower_new_histories_total", help, self.new_histories);
        text.one(Counter, "esker_follower_failures_total", "Times it could not catch up.", self.failures);
        text.one(Gauge, "esker_follower_blob_files", "Blob files of all families.", self.blobs.files);
        text.one(Gauge, "esker_follower_blob_bytes", "Their bytes.", self.blobs.bytes);
        let help = "Of these, values that no table refers to.";
        text.one(Gauge, "esker_follower_blob_dead_bytes", help, self.blobs.dead_bytes);
        let help = "Separated values that were read.";
        text.one(Counter, "esker_follower_blob_reads_total", help, self.blob_reads);
        let help = "Their stored bytes.";
        text.one(Counter, "esker_follower_blob_read_bytes_total", help, self.blob_read_bytes);
        text.into_text()
    }
}
