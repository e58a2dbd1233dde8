//! Keeping the promise that what was deleted or has expired is gone from every file in time.
//!
//! Of the time that a family allows (`erase_within`), an eighth may pass until a memtable and the log
//! segment that holds the same are closed, and a half until a table that hides something is compacted
//! when nothing presses more (see [`crate::compaction::pick`]); after three quarters this goes before the
//! sizes of levels. A compaction that meets a deleted key leaves its value dead in a blob file, whose own
//! time then counts as half over what tables have; when that is over, too, what lives of the file goes to a
//! new one. What is removed from the manifest - the first and last keys of tables stand in it - is written
//! out of it within another eighth. The rest is slack for the work itself.

use super::jobs::Jobs;
use crate::base::error::Result;
use crate::base::filename::FileNumber;
use crate::base::sync::Arc;
use crate::commit::Task;
use crate::compaction::{Moment, can_be_erased, has_outlived, holds_dead_since, oldest_range_ms};
use crate::iter::Horizon;
use crate::ranges::RangeSet;
use crate::tree::Family;
use crate::version::{Edit, TableFile};
use std::time::Duration;

/// What part of the allowed time a table may hide something.
const SHARE_OF_TABLES: u64 = 2;
/// What part is left when nothing else may stand in the way any more.
const SHARE_LEFT: u64 = 4;

/// Since when something is as it is, by monotonic time.
#[derive(Debug, Default)]
pub(super) struct Watched {
    segment: Option<(FileNumber, Duration)>,
    manifest: Option<(FileNumber, Duration)>,
}

/// Notes that `number` is in use; returns for how long it has been noted.
fn age_of(slot: &mut Option<(FileNumber, Duration)>, number: FileNumber, now: Duration) -> Duration {
    let since = match *slot {
        Some((noted, since)) if noted == number => since,
        _ => now,
    };
    *slot = Some((number, since));
    now.saturating_sub(since)
}

impl Jobs {
    /// Closes log segments and rewrites the manifest when they have held removed bytes for too long,
    /// and has tables compacted that have.
    pub(super) fn erase(&self) -> Result<()> {
        let store = &self.store;
        if store.poison.is_set() || store.reserve.is_short() {
            return Ok(());
        }
        let now = store.clock.source().monotonic();
        let most = store.oldest_log();
        if let Some(most) = most {
            self.close_old_segment(now, most)?;
        }
        self.release_log()?;
        if let Some(most) = most {
            self.rewrite_old_manifest(now, most)?;
        }
        let due = |family: &Arc<Family>| {
            let (horizons, view) = self.picking(family);
            let moment = self.moment(family, &horizons, &view.ranges);
            let ready =
                |(level, table): (usize, &Arc<TableFile>)| can_be_erased(&view.version, moment, level, table);
            view.version.tables().any(ready)
                || holds_dead_since(&view.version, moment.erase_ms)
                || has_outlived(&view.version, moment)
                || oldest_range_ms(&view.ranges).is_some_and(|written_ms| written_ms <= moment.erase_ms)
        };
        if store.families().iter().any(due) {
            store.work.announce(Task::Compact);
        }
        Ok(())
    }

    fn close_old_segment(&self, now: Duration, most: Duration) -> Result<()> {
        let store = &self.store;
        store.with_writer(|writer| {
            if !writer.wal.holds_records() {
                self.watched.lock().segment = None;
                return Ok(());
            }
            if age_of(&mut self.watched.lock().segment, writer.wal.current(), now) < most {
                return Ok(());
            }
            let synced = store.durable.lsn();
            store.watching_log(writer, |writer| writer.wal.seal(|| store.next_number(), synced))
        })
    }

    /// Removes the log segments of which everything is in tables.
    pub(super) fn release_log(&self) -> Result<()> {
        let store = &self.store;
        let leaving = store.with_writer(|writer| store.leaving(writer, store.oldest_wal(writer, 0)));
        if store.with_manifest(|manifest| manifest.state().oldest_wal >= leaving.oldest) {
            return Ok(());
        }
        // What stands in the manifest must not run ahead of the log.
        store.wait_durable(store.visible_seq())?;
        let gone = store.with_manifest(|manifest| -> Result<_> {
            let mut edit = Edit::default();
            let gone = store.let_leave(manifest.state(), &leaving, &mut edit);
            store.commit_edit(manifest, edit)?;
            Ok(gone)
        })?;
        store.remove_segments(leaving.oldest, gone, false);
        Ok(())
    }

    fn rewrite_old_manifest(&self, now: Duration, most: Duration) -> Result<()> {
        let store = &self.store;
        store.with_manifest(|manifest| {
            if !manifest.names_removed() {
                self.watched.lock().manifest = None;
                return Ok(());
            }
            if age_of(&mut self.watched.lock().manifest, manifest.number(), now) < most {
                return Ok(());
            }
            store.shorten_manifest(manifest)
        })
    }

    /// What a family hides since then is to be compacted before all else, in ms since the epoch.
    pub(super) fn late_ms(&self, family: &Family) -> Option<u64> {
        let within = family.rules().erase_within_ms?;
        Some(self.store.clock.now_ms().saturating_sub(within - within / SHARE_LEFT))
    }

    /// What the picker must know beside the version of a family: of `horizons`, and of the ranges of the
    /// family's view.
    #[must_use]
    pub fn moment<'a>(&self, family: &Family, horizons: &'a [Horizon], ranges: &'a RangeSet) -> Moment<'a> {
        let erase_ms = family
            .rules()
            .erase_within_ms
            .map_or(0, |within| self.store.clock.now_ms().saturating_sub(within / SHARE_OF_TABLES));
        Moment {
            style: family.rules().style,
            held_seq: self.store.snapshots.newest(),
            oldest_seq: horizons.first().map_or(0, |h| h.seq),
            oldest_ms: horizons.iter().map(|h| h.now_ms).min().unwrap_or(0),
            horizons,
            ranges,
            erase_ms,
            room: self.store.reserve.room_to_compact().unwrap_or(u64::MAX),
        }
    }
}
