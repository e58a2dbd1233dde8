//! Writing a group: order, log, memtable, publish.

use super::checks::Refused;
use super::request::{Durability, Request, Ticket};
use super::reserve::Drawer;
use super::rotation::MOST_RANGES;
use super::stall::RANGE_COST_BYTES;
use super::store::{Store, Writer};
use super::work::Task;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, Kind};
use crate::base::limits::MAX_BATCH_BYTES;
use crate::base::sync::Arc;
use crate::base::sync::atomic::Ordering;
use crate::batch::WriteBatch;
use crate::ranges::{Range, RangeKind};
use crate::record::Way;
use crate::wal::{GroupHeader, LoggedBatch, RecordKind, Room, begin_group, push_batch};

/// What an operation on a range counts for in the size of a group, in bytes: those of a group are sorted
/// among all that stand beside a memtable while others wait.
const RANGE_GROUP_BYTES: usize = 1 << 10;

/// Operations of a batch of so many are inserted together.
const LEAST_IN_STEP: usize = 4;
/// And so many at most.
const MOST_WAITING: usize = 64;

/// Whether a batch adds nothing.
fn only_removes(batch: &WriteBatch) -> bool {
    batch.iter().flatten().all(|op| op.kind == Kind::Delete || op.kind.is_range())
}

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
        self.gate.admit(bytes as u64, || self.check_progress())?;
        if batch.range_count() > 0 {
            self.range_gate.admit(batch.range_count() as u64 * RANGE_COST_BYTES, || self.check_progress())?;
        }
        Ok(None)
    }

    pub(super) fn submit(&self, request: Request) -> Result<Ticket, Refused> {
        let lost = || {
            let why = self.poison.why().unwrap_or_else(|| "the leader of the group was lost".into());
            Err(Refused::Failed(Error::Poisoned { why }))
        };
        self.queue.submit(
            request,
            |request| request.batch.size_bytes() + request.batch.range_count() * RANGE_GROUP_BYTES,
            self.options.group_bytes,
            lost,
            |requests| self.write_group(requests),
        )
    }

    /// Refuses a batch that adds anything while the disk is full: what is left is for those who
    /// make room.
    fn check_room(&self, batch: &WriteBatch, refill: impl FnOnce() -> Result<bool>) -> Result<()> {
        if !self.reserve.is_short() || only_removes(batch) || refill()? {
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
        // What compactions have met is no reason while it is a flush that is waited for.
        match self.work.failure(Task::Compact).or_else(|| self.work.resting()) {
            Some(error) if !self.waits_for_flush() => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn write_group(&self, requests: &mut [Request]) -> Vec<Result<Ticket, Refused>> {
        let mut writer = self.writer.lock();
        match self.latching("writing a group", || self.write_in_order(&mut writer, requests)) {
            Ok(results) => results,
            Err(error) => {
                if error.is_failed_sync() {
                    self.latch(error.to_string(), error.clone());
                }
                requests.iter().map(|_| Err(error.clone().into())).collect()
            }
        }
    }

    fn write_in_order(
        &self,
        writer: &mut Writer,
        requests: &mut [Request],
    ) -> Result<Vec<Result<Ticket, Refused>>> {
        self.check_writable()?;
        self.reserve(writer, requests.iter().map(|r| r.batch.len() as u64).sum())?;
        if requests.iter().any(|request| request.batch.range_count() > 0) {
            self.seal_covered(writer, requests);
        }
        let first_seq = writer.next_seq;
        // One look for all: what is judged here, and the times of operands, which ascend with their numbers.
        let now_ms = self.clock.now_ms();
        let watched = writer.recent.watched();
        let mut next = first_seq;
        let mut tickets: Vec<Result<Ticket, Refused>> = requests
            .iter_mut()
            .map(|request| {
                self.check_room(&request.batch, || Ok(false))?;
                let unknown = request.batch.families().find(|id| !writer.targets.contains_key(id));
                if let Some(id) = unknown {
                    return Err(Error::FamilyDropped { name: format!("#{id}") }.into());
                }
                if watched {
                    self.validate(&mut writer.recent, request, next, now_ms)?;
                }
                let ticket = Ticket { first_seq: next, seq: next + request.batch.len() as u64 - 1 };
                next = ticket.seq + 1;
                Ok(ticket)
            })
            .collect();
        if tickets.iter().all(Result::is_err) {
            // Nothing is published: numbers that an earlier group has used up in vain stay unseen, so that
            // a refused write is never taken for one that was published and then failed.
            return Ok(tickets);
        }
        // Numbers are used up even if the log refuses them: none is ever handed out twice.
        writer.next_seq = next;
        for request in requests.iter_mut() {
            request.batch.stamp(now_ms);
        }
        let group = GroupHeader { first_seq, clock_ms: now_ms };
        if let Err(error) = self.log(writer, group, requests, &mut tickets) {
            // None of it will ever be visible: nobody is in conflict with it.
            writer.recent.start_anew(self.visible_seq());
            return Err(error);
        }
        for (request, ticket) in requests.iter().zip(&tickets) {
            if let Ok(ticket) = ticket {
                self.insert(writer, request, *ticket, now_ms);
            }
        }
        self.visible.store(next - 1, Ordering::Release);
        self.choose_heads(writer);
        self.rotate_if_due(writer);
        if writer.crowded {
            self.seal_crowded(writer);
        }
        Ok(tickets)
    }

    /// Logs a group. If the disk is full and some of its batches only remove, these go on with
    /// whatever space there is, the reserve too; the others get the error.
    fn log(
        &self,
        writer: &mut Writer,
        group: GroupHeader,
        requests: &[Request],
        tickets: &mut [Result<Ticket, Refused>],
    ) -> Result<()> {
        let full = match self.append(writer, group, requests, tickets, Room::Reserved) {
            Err(error @ Error::DiskFull(_)) if !error.is_failed_sync() => error,
            result => return result,
        };
        for (request, ticket) in requests.iter().zip(tickets.iter_mut()) {
            if ticket.is_ok() && !only_removes(&request.batch) {
                *ticket = Err(full.clone().into());
            }
        }
        if tickets.iter().all(Result::is_err) {
            return Err(full);
        }
        self.draw(Drawer::Anybody, || self.append(writer, group, requests, tickets, Room::Any))
    }

    /// Appends what of a group goes to the log.
    fn append(
        &self,
        writer: &mut Writer,
        group: GroupHeader,
        requests: &[Request],
        tickets: &[Result<Ticket, Refused>],
        room: Room,
    ) -> Result<()> {
        let last_seq = writer.next_seq - 1;
        let mut logged = requests
            .iter()
            .zip(tickets)
            .filter_map(|(request, ticket)| Some((request, ticket.as_ref().ok()?)))
            .filter(|(request, _)| request.durability != Durability::None)
            .peekable();
        if logged.peek().is_none() {
            return Ok(());
        }
        let mut way = Way::Copy;
        let buffer = writer.wal.begin();
        begin_group(buffer, group);
        for (request, ticket) in logged {
            let (count, ops) = (request.batch.len() as u32, request.batch.encoded());
            if request.durability == Durability::Sync {
                // A sync follows, beside which a call costs nothing; and what the call meets, it says.
                way = Way::Call;
            }
            push_batch(buffer, group, LoggedBatch { first_seq: ticket.first_seq, count, ops });
        }
        writer
            .wal
            .append_by(way, RecordKind::Group, self.durable.lsn(), last_seq, room, || self.next_number())
    }

    fn insert(&self, writer: &mut Writer, request: &Request, ticket: Ticket, now_ms: u64) {
        let unlogged = request.durability == Durability::None;
        writer.unlogged |= unlogged;
        let mut seq = ticket.first_seq;
        let mut ops = request.batch.iter().flatten().peekable();
        let (mut waiting, in_step) = (Vec::new(), request.batch.len() >= LEAST_IN_STEP);
        while let Some(family) = ops.peek().map(|op| op.family) {
            let Some(target) = writer.targets.get_mut(&family) else { break };
            target.since.get_or_insert_with(|| self.clock.source().monotonic());
            if unlogged {
                target.active.set_has_unlogged();
            }
            // A run of operations on one family shares one entry into its memtable.
            let mut inserter = target.active.writer();
            let mut ranges = Vec::new();
            while let Some(op) = ops.next_if(|op| op.family == family) {
                let (key, kind, expires_at, value) = (op.key, op.kind, op.expires_at, op.value);
                if kind == Kind::Delete {
                    target.active.note_deletion_at(now_ms);
                } else if let Some(kind) = RangeKind::of(kind) {
                    ranges.push(Arc::new(Range::new(kind, seq, key, value, now_ms)));
                    seq += 1;
                    continue;
                }
                let entry = EntryRef { key, seq, kind, expires_at, value };
                seq += 1;
                if !in_step {
                    inserter.insert(&entry);
                    continue;
                }
                waiting.push(entry);
                if waiting.len() == MOST_WAITING {
                    inserter.insert_all(&waiting);
                    waiting.clear();
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
