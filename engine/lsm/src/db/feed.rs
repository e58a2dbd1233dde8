//! What of the log is kept for readers of changes when a store is opened.
//!
//! # Steps
//! 1. What the last user kept stays kept, and the log that was replayed joins it: as far as it was known to
//!    be synced as it is, and from there on as a synced copy. So nobody is ever shown what may yet be lost.
//! 2. If the store was not closed in good order, its history is over here. All that was shown of it was
//!    durable, and so it was replayed: positions in it stay good, unless the log was cut below what had once
//!    been synced.
//! 3. What is too old or too much by now is let go.
//!
//! Where changes were not kept before, a new history starts, too: the positions of an earlier time are not
//! those of this.

use super::options::FamilyOptions;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::commit::{FeedMoment, FeedOptions, kept};
use crate::version::{EndedHistory, FeedState, StoreState};
use crate::wal::{Replay, SegmentInfo, WalOptions, salvage};
use std::time::Duration;

/// What an opening knows when it settles what is kept.
pub(super) struct Opened<'a> {
    pub(super) state: &'a StoreState,
    pub(super) found: &'a Replay,
    /// The last sequence number that was replayed, and the last that was ever handed out.
    pub(super) last_seqs: (SeqNum, SeqNum),
    pub(super) now_ms: u64,
    pub(super) families: &'a [(u32, FamilyOptions)],
}

impl Opened<'_> {
    /// What is kept from here on.
    ///
    /// # Errors
    /// What reading the old log gives, and writing what of it was not known to be synced; a full disk is
    /// none: there nothing of the past is kept.
    pub(super) fn carry_over(
        &self,
        options: Option<FeedOptions>,
        log: &WalOptions,
        mut next_number: impl FnMut() -> FileNumber,
    ) -> Result<Option<FeedState>> {
        let Some(options) = options else { return Ok(None) };
        let from_now = FeedState { from: self.last_seqs.1, ..FeedState::default() };
        let Some(before) = &self.state.feed else { return Ok(Some(from_now)) };
        let mut made = Vec::new();
        let number = || {
            made.push(next_number());
            *made.last().unwrap_or(&0)
        };
        let salvaged = match salvage(log, &self.found.segments, self.found.synced, number) {
            Err(error @ Error::DiskFull(_)) if !error.is_failed_sync() => {
                for number in made {
                    // What cannot be removed now is removed when the store is next opened.
                    let _ = log.fs.remove(&FileKind::Wal(number).path(&log.dir));
                }
                return Ok(Some(from_now));
            }
            salvaged => salvaged?,
        };
        let mut feed = before.clone();
        let behind = feed.segments.last().map_or(feed.from, |last| last.last_seq.max(feed.from));
        let synced = salvaged.synced.iter().map(|segment| SegmentInfo {
            number: segment.number,
            identity: segment.identity,
            last_seq: segment.last_seq,
            bytes: segment.end,
            end: segment.end,
            file_bytes: segment.file_bytes,
        });
        let segments: Vec<SegmentInfo> = synced.chain(salvaged.copied).collect();
        feed.segments.extend(kept(&segments, behind, self.now_ms));
        if self.found.closed.is_none() {
            feed.ended.push(EndedHistory { id: self.state.history.id, last_seq: self.last_shown(&feed) });
        }
        let moment =
            FeedMoment { options, now_ms: self.now_ms, most_age_ms: self.most_age_ms(), is_full: false };
        if let Some(from) = moment.due(&feed, self.state.history, &self.state.consumers) {
            feed.release(from);
        }
        Ok(Some(feed))
    }

    /// Up to where positions of the history that is over are good.
    fn last_shown(&self, feed: &FeedState) -> SeqNum {
        let (replayed, last) = self.last_seqs;
        if self.found.cut.as_ref().is_none_or(|cut| !cut.damaged) {
            return last;
        }
        let kept = feed.segments.last().map_or(feed.from, |segment| segment.last_seq);
        replayed.max(kept).max(feed.ingests.last().map_or(0, |mark| mark.seq))
    }

    fn most_age_ms(&self) -> u64 {
        let within = self.families.iter().filter_map(|(_, options)| options.erase_within).min();
        within.map_or(u64::MAX, |within: Duration| u64::try_from(within.as_millis() / 2).unwrap_or(u64::MAX))
    }
}
