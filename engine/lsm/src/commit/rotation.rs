//! Closing memtables: by size, by the size and age of the log, and on request.
//!
//! While any active memtable holds unlogged entries, all families are sealed together: a flush
//! makes all memtables with one seal number durable in one edit, so that an unlogged batch across
//! families stays whole, and unlogged writes stay a prefix among themselves.

use super::options::CommitOptions;
use super::request::Request;
use super::stall::{Pressure, Stall, stall, stall_ranges};
use super::store::{Store, Writer};
use super::targets::Target;
use super::work::Task;
use crate::base::error::{Error, Result};
use crate::base::filename::FileNumber;
use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::compaction::{dead_pressure, debt_bytes, level0_pressure};
use crate::hooks::{Event, MemtableSealed, SealReason, Stalled};
use crate::memtable::Memtable;
use crate::tree::Seal;
use std::time::Duration;

/// What part of the time that is allowed for erasing memtables, log segments and manifest may each take.
pub(super) const SHARE_OF_LOGS: u64 = 8;

/// Entries after which it is judged what prefix the keys of a family have in common.
const SAMPLE_ENTRIES: u64 = 256;

/// A deleted range that covers so many entries of a memtable, or a quarter of them, seals it first ...
const LEAST_COVERED: u64 = 1024;
/// ... and at the latest when it covers so many: more are not counted while writers wait.
const MOST_COVERED: u64 = 8 * LEAST_COVERED;

/// So many ranges stand beside one memtable at most, but for those of one group of writes.
pub const MOST_RANGES: usize = 256;

impl Store {
    /// Seals what has grown too large or pins too much of the log.
    pub(super) fn rotate_if_due(&self, writer: &mut Writer) {
        let (mut total, largest) = writer.targets.sizes();
        let CommitOptions { memtable_bytes, memtables_bytes, wal_bytes, .. } = *writer.options;
        if largest >= memtable_bytes {
            let full = |target: &Target| target.active.allocated_bytes() >= memtable_bytes;
            self.rotate(writer, SealReason::Full, full);
            total = writer.targets.sizes().0;
        }
        if let Some(small) = self.reserve.small() {
            self.rotate_before(writer, small);
            total = writer.targets.sizes().0;
        }
        if total > memtables_bytes {
            let largest = writer.targets.values().max_by_key(|t| t.active.allocated_bytes());
            if let Some(id) = largest.map(|t| t.family.id()) {
                self.rotate(writer, SealReason::Memory, |target| target.family.id() == id);
            }
        }
        if writer.wal.bytes() > wal_bytes {
            let pinned = writer.wal.sealed().next().map(|segment| segment.last_seq);
            if let Some(pinned) = pinned {
                let pins = |target: &Target| target.active.first_seq().is_some_and(|seq| seq <= pinned);
                self.rotate(writer, SealReason::LogSize, pins);
            }
        }
    }

    /// While the reserve is a small one of so many bytes: has it made whole in time, and where it could not
    /// be, seals what flushes could else not write with it.
    #[cold]
    fn rotate_before(&self, writer: &mut Writer, small: u64) {
        let used = writer.targets.values().filter(|target| !target.active.is_empty());
        let held: u64 = used.map(|target| target.active.entry_bytes() as u64).sum();
        if held > small / 4 && self.reserve.want() {
            self.work.announce(Task::Flush);
        }
        // As long as it is being made the disk is not known to be short, and nobody waits for that.
        if held > small / 2 && self.reserve.has_failed() {
            self.rotate(writer, SealReason::SmallReserve, |_| true);
        }
    }

    /// With everything in tables, which take `table_bytes`, a small reserve will do. They are only added up
    /// where nothing waits for a flush.
    pub fn shrink_reserve(&self, table_bytes: impl FnOnce() -> u64) {
        if self.with_writer(|writer| self.is_flushed(writer, 0)) && self.reserve.shrink(table_bytes()) {
            // What was written meanwhile did not see a small one.
            self.with_writer(|writer| self.rotate_if_due(writer));
        }
    }

    /// Before ranges are deleted or dropped: seals each memtable of which one of them covers much, so that
    /// all of its entries are older than the range, and readers pass over it in one step.
    #[cold]
    pub(super) fn seal_covered(&self, writer: &mut Writer, requests: &[Request]) {
        let ops =
            requests.iter().filter(|r| r.batch.range_count() > 0).flat_map(|r| r.batch.iter().flatten());
        for op in ops.filter(|op| op.kind.is_range()) {
            let Some(target) = writer.targets.get(op.family) else { continue };
            let least = (target.active.entries() / 4).clamp(LEAST_COVERED, MOST_COVERED);
            if target.active.entries() >= least && target.active.holds_at_least(least, op.key, op.value) {
                self.rotate(writer, SealReason::RangeDeleted, |target| target.family.id() == op.family);
            }
        }
    }

    /// Seals memtables with many ranges beside them: each range that joins costs as much as there are.
    #[cold]
    pub(super) fn seal_crowded(&self, writer: &mut Writer) {
        writer.crowded = false;
        let crowded = |target: &Target| target.active.ranges().len() >= MOST_RANGES;
        self.rotate(writer, SealReason::ManyRanges, crowded);
    }

    /// The first memtable of a family is created before anything is known of its keys. Once it
    /// holds a few, it is built anew with heads that suit these: searching one without compares whole
    /// keys, where heads would do.
    ///
    /// To a reader this is as a rotation is: a view that was pinned before shows what was visible
    /// then.
    pub(super) fn choose_heads(&self, writer: &mut Writer) {
        let memtable_bytes = writer.options.memtable_bytes;
        for target in writer.targets.values_mut() {
            if target.heads_chosen || target.active.entries() < SAMPLE_ENTRIES {
                continue;
            }
            target.heads_chosen = true;
            let heads = target.active.suggested_heads();
            // A large batch may have come at once: then the next memtable will do better.
            if heads.are_plain() || target.active.entries() > 16 * SAMPLE_ENTRIES {
                continue;
            }
            target.active = Arc::new(target.active.rebuilt(heads, memtable_bytes));
            target.family.exchange(target.active.clone());
        }
    }

    /// How old memtables, log segments and what the manifest says of removed tables may become for
    /// the sake of what was deleted; `None` if no family promises anything about that.
    #[must_use]
    pub fn oldest_log(&self) -> Option<Duration> {
        let within = self.families().iter().filter_map(|family| family.rules().erase_within_ms).min()?;
        Some(Duration::from_millis(within / SHARE_OF_LOGS))
    }

    /// Seals the memtables that have been taking writes for too long.
    pub fn rotate_aged(&self) {
        let now = self.clock.source().monotonic();
        let wal_age = self.options().wal_age;
        let most = self.oldest_log().map_or(wal_age, |most| most.min(wal_age));
        let old = |since: Duration| now.saturating_sub(since) >= most;
        self.with_writer(|writer| {
            if writer.targets.values().any(|t| t.since.is_some_and(old)) {
                self.rotate(writer, SealReason::Age, |target| target.since.is_some_and(old));
            }
        });
    }

    /// Seals every memtable that holds anything. Returns the number of the last seal.
    pub fn rotate_all(&self) -> u64 {
        self.with_writer(|writer| {
            self.rotate(writer, SealReason::Asked, |_| true);
            writer.seals
        })
    }

    /// Whether any family holds entries that are neither logged nor flushed.
    #[must_use]
    pub fn holds_unlogged(&self) -> bool {
        let sealed = |target: &Target| target.family.pin().sealed.iter().any(|s| s.memtable.has_unlogged());
        self.with_writer(|writer| writer.unlogged || writer.targets.values().any(sealed))
    }

    pub(super) fn rotate(&self, writer: &mut Writer, why: SealReason, which: impl Fn(&Target) -> bool) {
        let (order, last_seq) = (writer.seals + 1, writer.next_seq - 1);
        let together = writer.unlogged;
        let mut sealed = false;
        let memtable_bytes = writer.options.memtable_bytes;
        for target in writer.targets.values_mut() {
            if target.active.is_empty() || !(together || which(target)) {
                continue;
            }
            let reason = if which(target) { why } else { SealReason::Together };
            let heads = target.active.suggested_heads();
            let next = Memtable::new(self.next_number(), heads, memtable_bytes).with_spare(&self.spare);
            let next = Arc::new(next);
            target.family.rotate(Seal { order, last_seq, reason }, next.clone());
            let memtable = std::mem::replace(&mut target.active, next);
            self.emit(|at_ms| {
                let (bytes, entries) = (memtable.allocated_bytes() as u64, memtable.entries());
                let family = target.family.name().into();
                Event::MemtableSealed(MemtableSealed { at_ms, family, reason, bytes, entries })
            });
            target.since = None;
            target.heads_chosen = true;
            sealed = true;
        }
        if !sealed {
            return;
        }
        writer.seals = order;
        writer.unlogged = false;
        self.update_pressure();
        self.work.announce(Task::Flush);
    }

    /// The oldest log segment that is needed once the memtables of each family up to the given seal
    /// are flushed.
    #[must_use]
    pub fn oldest_wal(&self, writer: &Writer, flushed: u64) -> FileNumber {
        let mut first_needed = SeqNum::MAX;
        for target in writer.targets.values() {
            let view = target.family.pin();
            let waiting = view.sealed.iter().filter(|s| s.seal.order > flushed).map(|s| &s.memtable);
            for memtable in waiting.chain([&target.active]) {
                first_needed = first_needed.min(memtable.first_seq().unwrap_or(SeqNum::MAX));
            }
        }
        writer.wal.oldest_needed(first_needed.saturating_sub(1))
    }

    /// Whether no memtable holds anything once those up to the given seal are flushed.
    #[must_use]
    pub fn is_flushed(&self, writer: &Writer, flushed: u64) -> bool {
        let waits = |target: &Target| target.family.pin().sealed.iter().any(|s| s.seal.order > flushed);
        writer.targets.values().all(|target| target.active.is_empty() && !waits(target))
    }

    /// If nobody has written since the memtables up to the given seal were sealed: lets the log go on in a
    /// small segment, so that nothing of a large one is needed once they are flushed. Whoever writes again
    /// finds it made.
    ///
    /// # Errors
    /// A failed sync; that there is no room is none.
    pub fn settle_log(&self, writer: &mut Writer, flushed: u64) -> Result<()> {
        if !self.is_flushed(writer, flushed) || self.reserve.is_short() {
            return Ok(());
        }
        let synced = self.durable.lsn();
        let shrunk = self.watching_log(writer, |w| w.wal.shrink(|| self.next_number(), synced));
        match shrunk {
            Err(error) if error.is_failed_sync() => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether memory holds what only removes though no memtable can be flushed: up to twice what stops
    /// others.
    pub(super) fn holds_removals(&self) -> bool {
        self.pressure().sealed < 2 * self.options().stall.sealed.1
    }

    /// Whether tables have become so many that writers are stopped.
    pub(super) fn waits_for_compaction(&self) -> bool {
        let pressure = Pressure { sealed: 0, ..self.pressure() };
        stall(pressure, &self.options().stall) == Stall::Stop
    }

    /// Why families rest that are themselves a reason for which writers are stopped: what is left of it when
    /// all others have been compacted.
    pub(super) fn rest_in_the_way(&self) -> Option<Error> {
        let (resting, options) = (self.work.resting(), self.options());
        let mut pressure = Pressure::default();
        let mut worst = None;
        for family in self.families().into_iter().filter(|family| resting.contains_key(&family.id())) {
            let (version, shape, style) = (&family.pin().version, &options.shape, family.rules().style);
            let level0 = level0_pressure(version, shape, style);
            let debt_bytes = debt_bytes(version, shape, style);
            pressure.level0 = pressure.level0.max(level0);
            pressure.debt_bytes += debt_bytes;
            worst = worst.max(Some((level0, debt_bytes, family.id())));
        }
        let (.., worst) = worst.filter(|_| stall(pressure, &options.stall) == Stall::Stop)?;
        resting.get(&worst).cloned()
    }

    /// Judges the pressure anew; called whenever a memtable was sealed or the tables changed.
    pub fn update_pressure(&self) -> Pressure {
        // Judging and setting are one step: a stale judgement must not overwrite a newer one.
        let _judging = self.judging.lock();
        let (pressure, options) = (self.pressure(), self.options());
        for (who, gate, new) in [
            (Stalled::Writers, &self.gate, stall(pressure, &options.stall)),
            (Stalled::RangeWriters, &self.range_gate, stall_ranges(pressure, &options.stall)),
        ] {
            let old = gate.set(new);
            self.stall_judged(who, old, new, pressure);
        }
        pressure
    }

    fn pressure(&self) -> Pressure {
        let options = self.options();
        let mut pressure = Pressure::default();
        let mut sealed_bytes = 0;
        for family in self.families() {
            let view = family.pin();
            pressure.sealed = pressure.sealed.max(view.sealed.len());
            sealed_bytes += view.sealed.iter().map(|s| s.memtable.allocated_bytes()).sum::<usize>();
            let (version, shape, style) = (&view.version, &options.shape, family.rules().style);
            pressure.level0 = pressure.level0.max(level0_pressure(version, shape, style));
            pressure.dead = pressure.dead.max(dead_pressure(version));
            pressure.ranges = pressure.ranges.max(options.shape.range_fullness(&view.ranges));
            pressure.debt_bytes += debt_bytes(version, shape, style);
        }
        // Many families with a few sealed memtables each are as much memory as one with many.
        pressure.sealed = pressure.sealed.max(sealed_bytes / options.memtable_bytes.max(1));
        pressure
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "rotation_tests.rs"]
mod tests;
