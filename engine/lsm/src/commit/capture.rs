//! What a store holds at one moment, kept still for whoever copies it.
//!
//! # Steps
//! 1. Under both locks: what the manifest says, the tables that it names, and how far the log goes. Neither
//!    is changed then, so that the log goes on where the tables end.
//! 2. The log is synced up to there: what is copied is never more than what the store itself would have
//!    after a loss of power.
//!
//! Tables stay as long as their versions are held, segments of the log as long as the hold is.

use super::retention::LogHold;
use super::store::Store;
use crate::base::error::Result;
use crate::base::filename::FileNumber;
use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::base::sync::atomic::Ordering;
use crate::record::HEADER_BYTES;
use crate::version::{StoreState, Version};
use crate::wal::Wal;

/// What a store holds at one moment.
#[derive(Debug)]
pub struct Capture {
    /// What a manifest of it says.
    pub state: StoreState,
    /// The last sequence number that the log holds.
    pub seq: SeqNum,
    /// The segments of the log behind the tables, oldest first.
    pub segments: Vec<CapturedSegment>,
    _tables: Vec<Arc<Version>>,
    hold: Option<LogHold>,
}

/// A segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturedSegment {
    /// The number in its name.
    pub number: FileNumber,
    /// Where what belongs to the moment ends in its file.
    pub end: u64,
    /// Whether nothing is written behind that any more.
    pub is_sealed: bool,
}

impl Capture {
    /// Its segments of the log have been copied, and may be removed.
    pub fn let_go_of_log(&mut self) {
        self.hold = None;
    }
}

impl Store {
    /// Holds still what the store holds now, and makes it durable. What was written without a log and is not
    /// flushed is not part of it.
    pub fn capture(&self) -> Result<Capture> {
        self.check_writable()?;
        let (mut capture, lsn) = self.with_writer(|writer| {
            self.with_manifest(|manifest| {
                let mut state = manifest.state().clone();
                state.next_file = self.numbers.load(Ordering::Relaxed);
                state.clock_ms = state.clock_ms.max(self.clock.now_ms());
                // A copy has the log from its tables on, and a history of its own.
                state.feed = None;
                let capture = Capture {
                    seq: writer.next_seq - 1,
                    segments: segments_from(state.oldest_wal, &writer.wal),
                    _tables: self.families().iter().map(|family| family.view().version.clone()).collect(),
                    hold: Some(self.retention.hold(state.oldest_wal)),
                    state,
                };
                (capture, writer.wal.lsn())
            })
        });
        self.wait_durable(capture.seq)?;
        // What is lost of a copy up to here is told from a torn tail.
        capture.state.synced_log = capture.state.synced_log.max(self.durable.lsn().min(lsn));
        Ok(capture)
    }
}

fn segments_from(oldest: FileNumber, wal: &Wal) -> Vec<CapturedSegment> {
    let sealed = wal.sealed().filter(|segment| segment.number >= oldest);
    let sealed = sealed.map(|segment| (segment.number, HEADER_BYTES + segment.bytes, true));
    let all = sealed.chain([(wal.current(), wal.end(), false)]);
    all.map(|(number, end, is_sealed)| CapturedSegment { number, end, is_sealed }).collect()
}
