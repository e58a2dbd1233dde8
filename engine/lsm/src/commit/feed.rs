//! What of the log is kept for readers of changes, and for how long.
//!
//! # How a segment gets here, and goes
//! 1. The edit that says that the store needs a segment no longer says in the same breath that it is kept.
//!    All of it is synced by then.
//! 2. An edit moves the place from which changes can be read behind it: because of its age, or of the bytes
//!    of all, or because the disk is full. Named consumers hold that back, up to a bound of their own.
//! 3. Only then its file is removed. So no manifest names one that is gone, and whoever finds a file gone
//!    finds in the manifest that it was let go.
//!
//! Tables that are ingested are not in the log: the edit that names one notes it for readers, too.

use super::consumers::FeedConsumerInfo;
use super::keeping::{FeedMoment, FeedOptions};
use super::rotation::SHARE_OF_LOGS;
use super::store::{Store, Writer};
use super::work::Task;
use crate::base::error::Result;
use crate::base::filename::FileNumber;
use crate::base::key::SeqNum;
use crate::base::sync::atomic::Ordering;
use crate::version::{Edit, EditOp, FeedState, IngestMark, KeptSegment, StoreState};
use crate::wal::SegmentInfo;
use std::time::Duration;

/// The segments that stand before `from`.
#[must_use]
pub fn let_go(feed: &FeedState, from: SeqNum) -> Vec<FileNumber> {
    feed.segments.iter().filter(|kept| kept.last_seq <= from).map(|kept| kept.number).collect()
}

/// As what segments are kept that the store needs no longer. Those that hold nothing behind `last` are not.
pub fn kept<'s>(
    segments: impl IntoIterator<Item = &'s SegmentInfo>,
    mut last: SeqNum,
    now_ms: u64,
) -> Vec<KeptSegment> {
    let mut kept = Vec::new();
    for segment in segments {
        let SegmentInfo { number, identity, end, last_seq, file_bytes, .. } = *segment;
        if last_seq > last {
            last = last_seq;
            kept.push(KeptSegment { number, identity, end, last_seq, file_bytes, kept_ms: now_ms });
        }
    }
    kept
}

/// Segments of the log that the store is about to need no longer.
#[derive(Debug)]
pub struct Leaving {
    /// The oldest that it needs.
    pub oldest: FileNumber,
    /// Those before it, if they may be kept for readers of changes.
    segments: Vec<SegmentInfo>,
    /// The last sequence number that was handed out then.
    seq: SeqNum,
}

/// How the changes of a store are kept, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedStats {
    /// Segments of the log that are kept for readers alone.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// For how long the oldest of them has been kept.
    pub oldest: Option<Duration>,
    /// Named consumers.
    pub consumers: Vec<FeedConsumerInfo>,
}

impl Store {
    fn feed_moment(&self, options: FeedOptions) -> FeedMoment {
        let eighth_ms = self.oldest_log().and_then(|most| u64::try_from(most.as_millis()).ok());
        FeedMoment {
            options,
            now_ms: self.clock.now_ms(),
            most_age_ms: eighth_ms.map_or(u64::MAX, |ms| ms.saturating_mul(SHARE_OF_LOGS / 2)),
            is_full: self.reserve.is_short() || self.log_was_full.load(Ordering::Acquire),
        }
    }

    /// With which options changes are kept, if they are.
    #[must_use]
    pub fn feed_options(&self) -> Option<FeedOptions> {
        self.options().feed
    }

    /// That the segments before `oldest` are about to be needed no longer.
    #[must_use]
    pub fn leaving(&self, writer: &Writer, oldest: FileNumber) -> Leaving {
        let segments = match self.feed_options() {
            None => Vec::new(),
            Some(_) => writer.wal.sealed().filter(|segment| segment.number < oldest).cloned().collect(),
        };
        Leaving { oldest, segments, seq: writer.next_seq - 1 }
    }

    /// Makes durable what is to be kept: nobody else has to, of what was dropped with its family.
    ///
    /// # Errors
    /// A failed sync.
    pub fn sync_leaving(&self, leaving: &Leaving) -> Result<()> {
        if leaving.segments.is_empty() { Ok(()) } else { self.wait_durable(leaving.seq) }
    }

    /// Adds to an edit that the store needs the segments before the oldest no longer, what is kept of them,
    /// and what is kept no longer. Returns the numbers of the latter: their files go once the edit is
    /// durable.
    pub fn let_leave(&self, state: &StoreState, leaving: &Leaving, edit: &mut Edit) -> Vec<FileNumber> {
        edit.push(EditOp::OldestWal(leaving.oldest));
        let (Some(options), Some(feed)) = (self.feed_options(), &state.feed) else { return Vec::new() };
        let moment = self.feed_moment(options);
        let behind = feed.segments.last().map_or(feed.from, |last| last.last_seq.max(feed.from));
        // What came before the manifest's oldest was dealt with by an earlier edit.
        let new = leaving.segments.iter().filter(|segment| segment.number >= state.oldest_wal);
        let mut next = feed.clone();
        for segment in kept(new, behind, moment.now_ms) {
            edit.push(EditOp::KeepLog(segment));
            next.segments.push(segment);
        }
        let Some(from) = moment.due(&next, state.history, &state.consumers) else { return Vec::new() };
        edit.push(EditOp::FeedFrom(from));
        let_go(&next, from)
    }

    /// Lets go of what is kept for too long, or takes too much.
    ///
    /// # Errors
    /// What writing the manifest gives.
    pub fn trim_feed(&self) -> Result<()> {
        let Some(options) = self.feed_options().filter(|_| !self.poison.is_set()) else { return Ok(()) };
        let moment = self.feed_moment(options);
        let gone = self.with_manifest(|manifest| -> Result<_> {
            let state = manifest.state();
            let Some(feed) = &state.feed else { return Ok(Vec::new()) };
            let Some(from) = moment.due(feed, state.history, &state.consumers) else { return Ok(Vec::new()) };
            let gone = let_go(feed, from);
            self.commit_edit(manifest, Edit(vec![EditOp::FeedFrom(from)]))?;
            Ok(gone)
        })?;
        self.retention.release(gone);
        self.log_was_full.store(false, Ordering::Release);
        Ok(())
    }

    /// The log has met a full disk: what is kept may have to go.
    #[cold]
    pub(super) fn ask_room_of_feed(&self) {
        if self.feed_options().is_some() {
            self.log_was_full.store(true, Ordering::Release);
            self.work.announce(Task::Upkeep);
        }
    }

    /// Removes segments that the manifest says are not needed: those that the log has let go, but for what is
    /// kept, and those that are kept no longer. `later` leaves it to a thread of its own.
    pub fn remove_segments(&self, oldest: FileNumber, mut gone: Vec<FileNumber>, later: bool) {
        let mut released = self.with_writer(|writer| writer.wal.release(oldest));
        if self.feed_options().is_some() && !released.is_empty() {
            self.with_manifest(|manifest| {
                let feed = manifest.state().feed.as_ref();
                released.retain(|number| !feed.is_some_and(|feed| feed.keeps(*number)));
            });
        }
        released.append(&mut gone);
        if later {
            self.retention.release_later(released);
            self.work.announce(Task::Remove);
        } else {
            self.retention.release(released);
        }
    }

    /// Notes for readers of changes that tables were ingested, in the edit that names them.
    pub fn note_ingests(&self, state: &StoreState, edit: &mut Edit) {
        if state.feed.is_none() {
            return;
        }
        let at_ms = self.clock.now_ms();
        let note = |op: &EditOp| match op {
            EditOp::AddTable { family, meta, .. } if meta.ingested_seq > 0 => {
                let (smallest, largest) = (meta.smallest.0.clone(), meta.largest.0.clone());
                let (seq, family, entries) = (meta.ingested_seq, *family, meta.entries);
                Some(EditOp::NoteIngest(IngestMark { seq, family, at_ms, entries, smallest, largest }))
            }
            _ => None,
        };
        let notes: Vec<EditOp> = edit.0.iter().filter_map(note).collect();
        edit.0.extend(notes);
    }

    /// The sequence number of the last table that was ingested since the store was opened; it is raised
    /// before anything behind it is written.
    #[must_use]
    pub fn last_ingest(&self) -> SeqNum {
        self.last_ingest.load(Ordering::Acquire)
    }

    /// The segments that the store itself has, oldest first, each with the last sequence number in it; that
    /// of the one that is being written is still open.
    #[must_use]
    pub fn log_segments(&self) -> Vec<(FileNumber, Option<SeqNum>)> {
        self.with_writer(|writer| {
            let sealed = writer.wal.sealed().map(|segment| (segment.number, Some(segment.last_seq)));
            sealed.chain([(writer.wal.current(), None)]).collect()
        })
    }

    /// In which history a sequence number was handed out.
    #[must_use]
    pub fn history_of(&self, seq: SeqNum) -> u64 {
        self.with_manifest(|manifest| {
            let state = manifest.state();
            state.feed.as_ref().map_or(state.history.id, |feed| feed.history_of(seq, state.history))
        })
    }

    /// How changes are kept.
    #[must_use]
    pub fn feed_stats(&self) -> FeedStats {
        let now_ms = self.clock.now_ms();
        let mut stats = self.with_manifest(|manifest| {
            let feed = manifest.state().feed.as_ref();
            let oldest = feed.and_then(|feed| feed.segments.first());
            FeedStats {
                segments: feed.map_or(0, |feed| feed.segments.len()),
                bytes: feed.map_or(0, FeedState::bytes),
                oldest: oldest.map(|kept| Duration::from_millis(now_ms.saturating_sub(kept.kept_ms))),
                consumers: Vec::new(),
            }
        });
        stats.consumers = self.consumers();
        stats
    }
}
