//! What jobs use of a family's hooks, and families whose compaction rests because one of them failed.
//!
//! A merge operator or a filter that panics in a compaction ends it; nothing was changed. The family is
//! then left alone, at first for a second and twice as long each time it fails again; other families go
//! on, and so do flushes: they ask no hooks of a family that rests, and without its operator write
//! operands as they are. So do compactions that erasure asks for, which do not wait for anybody's code.

use super::jobs::Jobs;
use crate::base::error::{Error, HookFailure, Result};
use crate::base::key::{NEVER, SeqNum};
use crate::base::limits::LEVELS;
use crate::commit::Task;
use crate::compaction::{FoldLimits, JobHooks, OnPanic, Plan, Reason, Shown};
use crate::hooks::FilterContext;
use crate::tree::{Family, Sealed, View};
use std::time::Duration;

/// How long a family rests when a hook has failed for the first time.
const FIRST_REST: Duration = Duration::from_secs(1);
/// How long it rests at most.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// A family that rests.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    failure: HookFailure,
    failures: u32,
    /// By monotonic time.
    until: Duration,
}

/// A column family whose compaction rests because one of its hooks has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestingFamily {
    /// Which family, which hook, and what it said.
    pub failure: HookFailure,
    /// How often in a row it has failed.
    pub failures: u32,
    /// When the family is compacted again: in so much time, or as soon as there is something to do.
    pub next_try_in: Duration,
}

impl Jobs {
    /// Whether compaction must leave the family alone for now.
    pub(super) fn rests(&self, family: &Family) -> bool {
        let until = self.resting.lock().get(&family.id()).map(|rest| rest.until);
        until.is_some_and(|until| self.store.clock.source().monotonic() < until)
    }

    /// Leaves a family alone for a while.
    pub(super) fn rest(&self, family: &Family, failure: &HookFailure) {
        let mut resting = self.resting.lock();
        let failures = resting.get(&family.id()).map_or(0, |rest| rest.failures).saturating_add(1);
        let pause = FIRST_REST.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_REST);
        let until = self.store.clock.source().monotonic() + pause;
        resting.insert(family.id(), Rest { failure: failure.clone(), failures, until });
        drop(resting);
        self.store.work.set_resting(family.id(), Some(Error::HookFailed(Box::new(failure.clone()))));
        // Whoever waits for what this compaction would have done need not.
        self.store.gate.wake();
        self.store.work.progressed();
    }

    /// Its hooks have worked.
    pub(super) fn rested(&self, family: &Family) {
        if self.resting.lock().remove(&family.id()).is_some() {
            self.store.work.set_resting(family.id(), None);
        }
    }

    /// Has families whose rest is over compacted again.
    pub(super) fn wake_rested(&self) {
        let now = self.store.clock.source().monotonic();
        if self.resting.lock().values().any(|rest| rest.until <= now) {
            self.store.work.announce(Task::Compact);
        }
    }

    /// The families that rest.
    #[must_use]
    pub fn resting(&self) -> Vec<RestingFamily> {
        let now = self.store.clock.source().monotonic();
        let resting = self.resting.lock();
        let families = self.store.families();
        let there = |id: &u32| families.iter().any(|family| family.id() == *id);
        let shown = |rest: &Rest| RestingFamily {
            failure: rest.failure.clone(),
            failures: rest.failures,
            next_try_in: rest.until.saturating_sub(now),
        };
        resting.iter().filter(|(id, _)| there(id)).map(|(_, rest)| shown(rest)).collect()
    }

    /// What a flush asks of the family's hooks.
    pub(super) fn flush_hooks<'f>(
        &self,
        family: &'f Family,
        view: &View,
        sealed: &Sealed,
    ) -> Option<JobHooks<'f>> {
        if !family.hooks().can_merge() || self.rests(family) {
            return None;
        }
        Some(JobHooks {
            family: family.name(),
            hooks: family.hooks(),
            may_expire: may_expire(view) || sealed.memtable.earliest_expiry() != NEVER,
            on_panic: OnPanic::Keep,
            limits: FoldLimits::default(),
            filter: None,
        })
    }

    /// What a compaction asks of the family's hooks. No held snapshot sees values newer than `above`.
    pub(super) fn compaction_hooks<'f>(
        &self,
        family: &'f Family,
        view: &View,
        plan: &Plan,
        above: Option<SeqNum>,
    ) -> Result<Option<JobHooks<'f>>> {
        let hooks = family.hooks();
        let filters = hooks.filters() && asks_filter(plan);
        if !hooks.can_merge() && !filters {
            return Ok(None);
        }
        let context = FilterContext {
            family: family.name().into(),
            output_level: plan.output_level,
            is_bottom: is_bottom(view, plan),
        };
        let failed = |words| {
            let hook = "compaction filter factory".into();
            Error::HookFailed(Box::new(HookFailure { family: family.name().into(), hook, words }))
        };
        let filter = if filters { hooks.make_filter(&context).map_err(failed)? } else { None };
        let now_ms = self.store.clock.now_ms();
        Ok(Some(JobHooks {
            family: family.name(),
            hooks,
            may_expire: may_expire(view),
            on_panic: OnPanic::End,
            limits: FoldLimits::default(),
            filter: filter.map(|filter| (filter, Shown { above, now_ms })),
        }))
    }
}

/// Whether a compaction shows values to the family's filter. One that collects dead values does not: what a
/// filter replaces is dead in its blob file, and one that always does would have files collected without end.
pub(super) fn asks_filter(plan: &Plan) -> bool {
    plan.reason != Reason::DeadValues
}

/// Whether anything in the tables may expire.
fn may_expire(view: &View) -> bool {
    view.version.tables().any(|(_, table)| table.meta.earliest_expiry != NEVER)
}

/// Whether nothing older of the keys of a plan lies below its output.
pub(super) fn is_bottom(view: &View, plan: &Plan) -> bool {
    let Some((from, to)) = plan.range() else { return true };
    let empty = |level| view.version.overlapping(level, Some(from), Some(to)).is_empty();
    plan.output_level > 0 && (plan.output_level + 1..LEVELS).all(empty)
}
