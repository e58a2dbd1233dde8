//! Writing a group: order, log, memtable, publish.

use super::checks::Refused;
use super::request::{Answer, Durability, Request, Ticket};
use super::reserve::Drawer;
use super::rotation::MOST_RANGES;
use super::stall::RANGE_COST_BYTES;
use super::store::{Store, Writer};
use super::work::Task;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, Kind, SeqNum};
use crate::base::limits::MAX_BATCH_BYTES;
use crate::base::sync::Arc;
use crate::base::sync::atomic::Ordering;
use crate::batch::WriteBatch;
use crate::ranges::{Range, RangeKind};
use crate::record::Way;
use crate::wal::{GroupHeader, LoggedBatch, RecordKind, Room, begin_group, push_batch};
use std::time::Duration;

/// What an operation on a range counts for in the size of a group, in bytes: those of a group are sorted
/// among all that stand beside a memtable while others wait.
const RANGE_GROUP_BYTES: usize = 1 << 10;

/// Operations of a batch of so many are inserted together.
const LEAST_IN_STEP: usize = 4;
/// And so many at most.
const MOST_WAITING: usize = 64;

/// What is shorter is no stall.
const SHORTEST_STALL: Duration = Duration::from_micros(100);

/// Refuses a batch of more bytes than one may have.
fn check_size(bytes: usize) -> Result<()> {
    if bytes > MAX_BATCH_BYTES { Err(Error::BatchTooLarge { bytes }) } else { Ok(()) }
}

impl Store {
    /// Writes a batch and returns when it is published: in the log (unless its durability is
    /// [`Durability::None`]), in the memtables, and visible to every read that starts from now on.
    pub fn commit(&self, batch: WriteBatch, durability: Durability) -> Result<Ticket> {
        if batch.has_conditions() {
            return self.commit_conditional(batch, durability);
        }
        if let Some(ticket) = self.admit(&batch)? {
            return Ok(ticket);
        }
        match self.submit(Request { batch, durability, checks: None }) {
            Ok(ticket) => Ok(ticket),
            Err(refused) => self.wait_and_submit(refused),
        }
    }

    /// Refuses what cannot be written, and waits until there is room for the rest. A batch without
    /// operations gets its ticket at once.
    pub(super) fn admit(&self, batch: &WriteBatch) -> Result<Option<Ticket>> {
        self.check_writable()?;
        if let Some(refused) = batch.refused() {
            return Err(refused.clone());
        }
        if batch.store_id().is_some_and(|handle| handle != self.handle) {
            return Err(Error::WrongDatabase);
        }
        let bytes = batch.size_bytes();
        check_size(bytes)?;
        if batch.is_empty() {
            let seq = self.read_seq();
            return Ok(Some(Ticket { first_seq: seq, seq }));
        }
        self.check_room(batch, || self.refill())?;
        if !self.ingest_gate.is_open() {
            self.ingest_gate.admit(0, || self.check_writable())?;
        }
        if !self.gate.is_open() {
            match self.stalled(|| self.gate.admit(bytes as u64, || self.check_progress())) {
                // It makes room for the very job that has found none.
                Err(Error::DiskFull(_)) if batch.is_let_through() && self.holds_removals() => {}
                admitted => admitted?,
            }
        }
        if batch.range_count() > 0 {
            // Nobody is refused because of ranges: what a snapshot holds, its holder alone can release.
            let bytes = batch.range_count() as u64 * RANGE_COST_BYTES;
            if !self.range_gate.is_open() {
                self.stalled(|| self.range_gate.admit_whole(bytes, || self.check_writable()))?;
            }
        }
        Ok(None)
    }

    /// Passes a gate that is not open, and notes how long that took.
    #[cold]
    fn stalled(&self, pass: impl FnOnce() -> Result<()>) -> Result<()> {
        let _span = tracing::info_span!(target: "esker", "stall").entered();
        let clock = self.clock.source();
        let begun = clock.monotonic();
        let passed = pass();
        let took = clock.monotonic().saturating_sub(begun);
        // Short waits are saved up: most writers who are slowed go on at once.
        if took >= SHORTEST_STALL {
            self.timings.stall.record_time(took);
        }
        passed
    }

    pub(super) fn submit(&self, request: Request) -> Answer {
        let lost = || {
            let why = self.poison.why().unwrap_or_else(|| "the leader of the group was lost".into());
            Err(Refused::Failed(Error::Poisoned { why }))
        };
        self.queue.submit(
            request,
            |request| request.batch.size_bytes() + request.batch.range_count() * RANGE_GROUP_BYTES,
            self.group_bytes,
            lost,
            |requests, answers| self.write_group(requests, answers),
        )
    }

    /// Refuses a batch that does not make room while the disk is full: what is left is for those that do.
    fn check_room(&self, batch: &WriteBatch, refill: impl FnOnce() -> Result<bool>) -> Result<()> {
        if !self.reserve.is_short() || batch.is_let_through() || refill()? {
            return Ok(());
        }
        self.reserve.why().map_or(Ok(()), Err)
    }

    /// Whether a stopped writer has a reason to go on waiting: background work that is stuck on a
    /// full disk or the like will not open the gate.
    fn check_progress(&self) -> Result<()> {
        self.check_writable()?;
        if let Some(error) = self.work.failure(Task::Flush) {
            return Err(error);
        }
        // What compactions have met is no reason while it is a flush that is waited for, or was.
        match self.work.failure(Task::Compact) {
            Some(error) if self.waits_for_compaction() => Err(error),
            _ => self.rest_in_the_way().map_or(Ok(()), Err),
        }
    }

    /// Writes a group, and gives each of its requests its answer.
    pub(crate) fn write_group(&self, requests: &mut [Request], answers: &mut [Option<Answer>]) {
        let mut writer = self.writer.lock();
        let written =
            self.latching("writing a group", || self.write_in_order(&mut writer, requests, answers));
        if let Err(error) = written {
            if error.is_failed_sync() {
                self.latch(error.to_string(), error.clone());
            }
            // Who was sent back, or refused for a reason of its own, is told that.
            for answer in answers.iter_mut().filter(|answer| !matches!(answer, Some(Err(_)))) {
                *answer = Some(Err(error.clone().into()));
            }
        }
    }

    fn write_in_order(
        &self,
        writer: &mut Writer,
        requests: &mut [Request],
        answers: &mut [Option<Answer>],
    ) -> Result<()> {
        self.check_writable()?;
        self.reserve(writer, requests.iter().map(|r| r.batch.len() as u64).sum())?;
        if requests.iter().any(|request| request.batch.range_count() > 0) {
            self.seal_covered(writer, requests);
        }
        let first_seq = writer.next_seq;
        let watched = writer.recent.watched();
        // One look for all: what is judged here, and the times of operands, which ascend with their numbers.
        // Where nothing hangs on it, the log need only learn of times that somebody was shown.
        let exact = watched || requests.iter().any(|r| r.batch.has_stamps() || r.batch.range_count() > 0);
        let now_ms = if exact { self.clock.now_ms() } else { self.clock.shown_ms() };
        let (mut next, mut admitted) = (first_seq, 0);
        for (request, answer) in requests.iter_mut().zip(&mut *answers) {
            let judged = self.judge(writer, request, watched.then_some(now_ms), next);
            *answer = Some(judged.map(|()| {
                let ticket = Ticket { first_seq: next, seq: next + request.batch.len() as u64 - 1 };
                next = ticket.seq + 1;
                admitted += 1;
                ticket
            }));
        }
        if next == first_seq {
            // Nothing is published: numbers that an earlier group has used up in vain stay unseen, so that
            // a refused write is never taken for one that was published and then failed.
            return Ok(());
        }
        writer.groups.record(admitted);
        // Numbers are used up even if the log refuses them: none is ever handed out twice.
        writer.next_seq = next;
        for request in requests.iter_mut() {
            request.batch.stamp(now_ms);
        }
        let group = GroupHeader { first_seq, clock_ms: now_ms };
        let before = writer.wal.current();
        let logged = self.log(writer, group, requests, answers);
        self.tell_of_segment(writer, before);
        if let Err(error) = logged {
            // None of it will ever be visible: nobody is in conflict with it.
            writer.recent.start_anew(self.visible_seq());
            return Err(error);
        }
        for (request, answer) in requests.iter().zip(&*answers) {
            if let Some(Ok(ticket)) = answer {
                self.insert(writer, request, *ticket, now_ms);
            }
        }
        self.visible.store(next - 1, Ordering::Release);
        self.choose_heads(writer);
        self.rotate_if_due(writer);
        if writer.crowded {
            self.seal_crowded(writer);
        }
        Ok(())
    }

    /// Whether a request may be written with the numbers from `first_seq` on; what it depends on is judged
    /// at `now_ms` if anybody watches.
    #[inline]
    fn judge(
        &self,
        writer: &mut Writer,
        request: &mut Request,
        now_ms: Option<u64>,
        first_seq: SeqNum,
    ) -> Result<(), Refused> {
        self.check_room(&request.batch, || Ok(false))?;
        let is_unknown = |id: &u32| writer.targets.get(*id).is_none();
        let hold = request.checks.as_ref().and_then(|checks| checks.hold.as_ref());
        let unknown = request.batch.families().find(is_unknown);
        let unknown = unknown.or_else(|| hold.and_then(|hold| hold.families().find(is_unknown)));
        if let Some(id) = unknown {
            return Err(Error::FamilyDropped { name: format!("#{id}") }.into());
        }
        now_ms.map_or(Ok(()), |now_ms| self.validate(&mut writer.recent, request, first_seq, now_ms))
    }

    /// Logs a group. If the disk is full and some of its batches make room, these go on with
    /// whatever space there is, the reserve too; the others get the error.
    fn log(
        &self,
        writer: &mut Writer,
        group: GroupHeader,
        requests: &[Request],
        answers: &mut [Option<Answer>],
    ) -> Result<()> {
        match self.append(writer, group, requests, answers, Room::Reserved) {
            Err(error @ Error::DiskFull(_)) if !error.is_failed_sync() => {
                self.log_what_removes(writer, group, requests, answers, error)
            }
            result => result,
        }
    }

    #[cold]
    fn log_what_removes(
        &self,
        writer: &mut Writer,
        group: GroupHeader,
        requests: &[Request],
        answers: &mut [Option<Answer>],
        full: Error,
    ) -> Result<()> {
        self.ask_room_of_feed();
        for (request, answer) in requests.iter().zip(answers.iter_mut()) {
            if matches!(answer, Some(Ok(_))) && !request.batch.is_let_through() {
                *answer = Some(Err(full.clone().into()));
            }
        }
        if !answers.iter().any(|answer| matches!(answer, Some(Ok(_)))) {
            return Err(full);
        }
        self.draw(Drawer::Anybody, || self.append(writer, group, requests, answers, Room::Any))
    }

    /// Appends what of a group goes to the log.
    fn append(
        &self,
        writer: &mut Writer,
        group: GroupHeader,
        requests: &[Request],
        answers: &[Option<Answer>],
        room: Room,
    ) -> Result<()> {
        // Of what is logged: numbers behind it may have gone to writes that are not.
        let (mut way, mut last_seq) = (Way::Copy, 0);
        let buffer = writer.wal.begin();
        begin_group(buffer, group);
        for (request, answer) in requests.iter().zip(answers) {
            let Some(Ok(ticket)) = answer else { continue };
            match request.durability {
                Durability::None => continue,
                // A sync follows, beside which a call costs nothing; and what the call meets, it says.
                Durability::Sync => way = Way::Call,
                Durability::Os => {}
            }
            let (count, ops) = (request.batch.len() as u32, request.batch.encoded());
            push_batch(buffer, group, LoggedBatch { first_seq: ticket.first_seq, count, ops });
            last_seq = ticket.seq;
        }
        if last_seq == 0 {
            return Ok(());
        }
        let synced = self.durable.lsn();
        let number = || self.next_number();
        writer.wal.append_by(way, RecordKind::Group, synced, last_seq, room, number)
    }

    fn insert(&self, writer: &mut Writer, request: &Request, ticket: Ticket, now_ms: u64) {
        let unlogged = request.durability == Durability::None;
        writer.unlogged |= unlogged;
        let mut seq = ticket.first_seq;
        let mut ops = request.batch.iter();
        let (mut waiting, in_step) = (Vec::new(), request.batch.len() >= LEAST_IN_STEP);
        let mut next = ops.next();
        while let Some(Ok(mut op)) = next {
            let family = op.family;
            let Some(target) = writer.targets.get_mut(family) else { break };
            target.since.get_or_insert_with(|| self.clock.source().monotonic());
            if unlogged {
                target.active.set_has_unlogged();
            }
            // A run of operations on one family shares one entry into its memtable.
            let mut inserter = target.active.writer();
            let mut ranges = Vec::new();
            loop {
                let (key, kind, expires_at, value) = (op.key, op.kind, op.expires_at, op.value);
                if let Some(kind) = RangeKind::of(kind) {
                    ranges.push(Arc::new(Range::new(kind, seq, key, value, now_ms)));
                } else {
                    if kind == Kind::Delete {
                        target.active.note_deletion_at(now_ms);
                    }
                    let entry = EntryRef { key, seq, kind, expires_at, value };
                    if in_step {
                        waiting.push(entry);
                    } else {
                        inserter.insert(&entry);
                    }
                    if waiting.len() == MOST_WAITING {
                        inserter.insert_all(&waiting);
                        waiting.clear();
                    }
                }
                seq += 1;
                next = ops.next();
                match next {
                    Some(Ok(same)) if same.family == family => op = same,
                    _ => break,
                }
            }
            inserter.insert_all(&waiting);
            waiting.clear();
            if !ranges.is_empty() {
                // Before the group is published: who sees any of a batch finds its ranges here.
                writer.crowded |= inserter.add_ranges(ranges) >= MOST_RANGES;
            }
        }
        debug_assert_eq!(seq, ticket.seq + 1, "every operation of the batch was inserted");
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "write_tests.rs"]
mod tests;
