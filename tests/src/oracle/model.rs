//! What was asked of the store and what it answered.

use super::contract::{Contract, Order, Survives};
use super::state::{FamilyId, State, Version};
use crate::history::Span;
use esker::Durability;
use std::collections::BTreeSet;

/// In place of a family: the names of the transactions that are prepared, each with an empty value. So a
/// commit that ends one is a change of two families, and the rules of these are all that it takes.
pub const PREPARED: FamilyId = FamilyId::MAX - 1;

/// A family that exists, or may.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) id: FamilyId,
    pub(super) name: String,
    pub(super) life: Life,
}

/// How sure it is that a family exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It does.
    Certain,
    /// Its creation or removal has been asked for and has not returned, or has failed: it may or may not.
    Open,
}

/// A commit that is not known to be durable.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) number: u32,
    pub(super) durability: Durability,
    pub(super) order: Order,
    pub(super) changes: Vec<(FamilyId, Vec<u8>, Version)>,
    /// When the call was made, by the clock of expiry.
    pub(super) begun_ms: u64,
    /// When the call returned successfully, in milliseconds of elapsed time.
    pub(super) returned_ms: Option<u64>,
    /// The sequence number of its last operation, once it is known.
    pub(super) seq: Option<u64>,
    /// It failed before it was published: it may turn up only if nothing committed behind it does.
    pub(super) refused: bool,
}

/// How a call to write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done {
        /// The sequence number of its last change, if it is known.
        seq: Option<u64>,
    },
    /// With an error, before anybody could see the write.
    Refused,
    /// With an error, after it had become visible: it may or may not survive.
    Published,
}

/// Knows what a store must hold. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Oracle {
    contract: Contract,
    sync_interval_ms: u64,
    /// What the wall clock shows, in milliseconds since the epoch; it may be set.
    wall_ms: u64,
    /// The time against which entries expire: it goes with the wall clock, but never back.
    pub(super) now_ms: u64,
    /// What of that survives everything: the time of a commit that does.
    pub(super) clock_floor_ms: u64,
    /// Whether a store was recovered before: what it then held of dropped ranges is not known.
    pub(super) recovered: bool,
    /// The time that has passed, whatever the wall clock shows, in milliseconds.
    elapsed_ms: u64,
    /// Up to when background syncs have had their chance to run.
    settled_ms: u64,
    pub(super) families: Vec<Family>,
    next_family: FamilyId,
    next_commit: u32,
    /// What reads see.
    pub(super) visible: State,
    /// What survives everything.
    pub(super) floor: State,
    /// What may be lost, in commit order.
    pub(super) pending: Vec<Commit>,
}

impl Oracle {
    /// For a store that does not exist yet.
    #[must_use]
    pub fn new(contract: Contract, now_ms: u64, sync_interval_ms: u64) -> Oracle {
        Oracle {
            contract,
            sync_interval_ms,
            wall_ms: now_ms,
            now_ms,
            clock_floor_ms: 0,
            recovered: false,
            elapsed_ms: 0,
            settled_ms: 0,
            families: vec![Family { id: 0, name: "default".into(), life: Life::Certain }],
            next_family: 1,
            next_commit: 1,
            visible: State::default(),
            floor: State::default(),
            pending: Vec::new(),
        }
    }

    /// The time against which entries expire, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What the wall clock shows, in milliseconds since the epoch.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        self.wall_ms
    }

    /// Time passes.
    pub fn advance(&mut self, ms: u64) {
        self.wall_ms += ms;
        self.now_ms += ms;
        self.elapsed_ms += ms;
    }

    /// Somebody sets the wall clock, and the store looks at it.
    pub fn wall_set(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
        self.now_ms = self.now_ms.max(wall_ms);
    }

    /// Whether there are logged writes that a background sync ought to have made durable by now.
    #[must_use]
    pub fn sync_is_overdue(&self) -> bool {
        self.pending.iter().any(|commit| {
            let old = |returned: u64| returned + self.sync_interval_ms <= self.elapsed_ms;
            commit.order == Order::Logged && commit.returned_ms.is_some_and(old)
        })
    }

    /// Background work had its chance: from now on old writes must be durable.
    pub fn settled(&mut self) {
        self.settled_ms = self.elapsed_ms;
        let old = |commit: &Commit| {
            let returned = commit.returned_ms.filter(|ms| ms + self.sync_interval_ms <= self.settled_ms);
            self.contract.row(commit.durability).power == Survives::ReturnedBefore && returned.is_some()
        };
        if let Some(last) = self.pending.iter().filter(|c| old(c)).map(|c| c.number).max() {
            self.survives_up_to(Some(last), None);
        }
    }

    /// The family of that name that certainly exists.
    #[must_use]
    pub fn family(&self, name: &str) -> Option<FamilyId> {
        self.families.iter().find(|f| f.name == name && f.life == Life::Certain).map(|f| f.id)
    }

    /// The names of the families, in the order of their creation.
    #[must_use]
    pub fn family_names(&self) -> Vec<String> {
        self.families.iter().map(|family| family.name.clone()).collect()
    }

    /// What reads see.
    #[must_use]
    pub fn visible(&self) -> &State {
        &self.visible
    }

    /// What a commit makes of a range: a version of each key that there may be in it, `changes` being those
    /// of the same commit before it. No other key can be there by then.
    pub fn remove_range(
        &self,
        family: FamilyId,
        span: &Span,
        version: &Version,
        changes: &mut Vec<(FamilyId, Vec<u8>, Version)>,
    ) {
        let pending = self.pending.iter().flat_map(|commit| &commit.changes).chain(changes.iter());
        let pending = pending.filter(|(id, ..)| *id == family).map(|(_, key, _)| key.as_slice());
        let held = self.visible.keys(family).chain(self.floor.keys(family)).chain(pending);
        let keys: BTreeSet<Vec<u8>> = held.filter(|key| span.contains(key)).map(<[u8]>::to_vec).collect();
        changes.extend(keys.into_iter().map(|key| (family, key, version.clone())));
    }

    /// The number that the next commit will have.
    #[must_use]
    pub fn next_commit(&self) -> u32 {
        self.next_commit
    }

    /// A write is about to be asked for. Returns the number of the commit.
    pub fn begin_write(&mut self, durability: Durability, changes: Vec<(FamilyId, Vec<u8>, Version)>) -> u32 {
        let number = self.next_commit;
        self.next_commit += 1;
        let order = self.contract.row(durability).order;
        let begun_ms = self.now_ms;
        let (returned_ms, seq, refused) = (None, None, false);
        self.pending.push(Commit { number, durability, order, changes, begun_ms, returned_ms, seq, refused });
        number
    }

    /// The write with this number has returned.
    pub fn end_write(&mut self, number: u32, outcome: Outcome) {
        let Some(at) = self.pending.iter().position(|commit| commit.number == number) else { return };
        if outcome == Outcome::Refused {
            self.pending[at].refused = true;
            return;
        }
        let Oracle { pending, visible, elapsed_ms, .. } = self;
        for (family, key, version) in &pending[at].changes {
            visible.apply(*family, key, version);
        }
        let Outcome::Done { seq } = outcome else { return };
        pending[at].returned_ms = Some(*elapsed_ms);
        pending[at].seq = seq;
        let (durability, order) = (pending[at].durability, pending[at].order);
        if self.contract.row(durability).power == Survives::Returned {
            match order {
                Order::Logged => self.survives_up_to(Some(number), None),
                Order::Unlogged => self.survives_up_to(None, Some(number)),
            }
        }
    }

    /// Power is lost: from now on nothing is promised but what is known to survive that.
    pub fn power_lost(&mut self) {
        self.pending.iter_mut().for_each(|commit| commit.returned_ms = None);
    }

    /// Whatever was logged and published is durable: a sync returned.
    pub fn synced(&mut self) {
        self.survives_up_to(Some(self.next_commit), None);
    }

    /// What was logged up to a commit is durable: a callback that was asked for behind it says so.
    pub fn synced_up_to(&mut self, number: u32) {
        self.survives_up_to(Some(number), None);
    }

    /// The store was closed in good order: everything is durable, and so is the clock.
    pub fn closed(&mut self) {
        self.flushed();
        self.clock_floor_ms = self.now_ms;
    }

    /// Everything published is durable: a flush or a close returned.
    pub fn flushed(&mut self) {
        self.survives_up_to(Some(self.next_commit), Some(self.next_commit));
    }

    /// The store says that logged writes up to this sequence number are durable.
    pub fn durable_up_to(&mut self, seq: u64) {
        let covered = |commit: &&Commit| {
            commit.order == Order::Logged && commit.seq.is_some_and(|of_commit| of_commit <= seq)
        };
        if let Some(last) = self.pending.iter().filter(covered).map(|commit| commit.number).max() {
            self.survives_up_to(Some(last), None);
        }
    }

    /// Moves what is now known to survive from the pending commits to the floor. A refused commit is out of
    /// the question once something behind it survives; until then its bytes may stand at the end of the log.
    fn survives_up_to(&mut self, logged: Option<u32>, unlogged: Option<u32>) {
        let Oracle { pending, floor, clock_floor_ms, .. } = self;
        let last = |order| if order == Order::Logged { logged } else { unlogged };
        let survives = |commit: &Commit| last(commit.order).is_some_and(|last| commit.number <= last);
        let newest = |order| {
            let of_order = |commit: &&Commit| commit.order == order && !commit.refused && survives(commit);
            pending.iter().filter(of_order).map(|commit| commit.number).max().unwrap_or(0)
        };
        let (logged_end, unlogged_end) = (newest(Order::Logged), newest(Order::Unlogged));
        pending.retain(|commit| {
            let end = if commit.order == Order::Logged { logged_end } else { unlogged_end };
            if commit.number > end {
                return true;
            }
            if !commit.refused {
                *clock_floor_ms = commit.begun_ms.max(*clock_floor_ms);
                for (family, key, version) in &commit.changes {
                    floor.apply(*family, key, version);
                }
            }
            false
        });
    }

    /// The writes that must be there after a kill, as the last of each order.
    pub(super) fn kept_by_a_kill(&self, order: Order) -> u32 {
        let kept = |commit: &&Commit| {
            let row = self.contract.row(commit.durability);
            commit.order == order && commit.returned_ms.is_some() && row.kill == Survives::Returned
        };
        self.pending.iter().filter(kept).map(|commit| commit.number).max().unwrap_or(0)
    }

    /// A family is about to be created.
    pub fn begin_create(&mut self, name: &str) {
        let id = self.next_family;
        self.next_family += 1;
        self.families.retain(|family| family.name != name);
        self.families.push(Family { id, name: name.into(), life: Life::Open });
    }

    /// A family is about to be dropped.
    pub fn begin_drop(&mut self, name: &str) {
        if let Some(family) = self.families.iter_mut().find(|family| family.name == name) {
            family.life = Life::Open;
        }
    }

    /// The creation or removal of a family has returned well: it exists, or not.
    pub fn end_family(&mut self, name: &str, exists: bool) {
        if exists {
            let created = self.families.iter_mut().find(|family| family.name == name);
            created.into_iter().for_each(|family| family.life = Life::Certain);
        } else {
            self.families.retain(|family| family.name != name);
        }
    }
}
