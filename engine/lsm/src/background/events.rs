//! Telling those who listen of flushes and compactions.

use super::flush::Flushed;
use super::jobs::Jobs;
use crate::base::error::Result;
use crate::base::sync::Arc;
use crate::compaction::Plan;
use crate::hooks::{CompactionBegun, CompactionEnded, Event, FlushBegun, FlushEnded, TableInfo};
use crate::tree::{Family, Sealed};
use std::time::Duration;

impl Jobs {
    /// The memtables of a group are being flushed.
    pub(super) fn tell_flush_begun(&self, group: &[(Arc<Family>, Arc<Sealed>)]) {
        for (family, Sealed { memtable, seal }) in group.iter().map(|(family, sealed)| (family, &**sealed)) {
            self.store.emit(|at_ms| {
                let (bytes, entries) = (memtable.allocated_bytes() as u64, memtable.entries());
                let (family, reason) = (family.name().into(), seal.reason);
                Event::FlushBegun(FlushBegun { at_ms, family, reason, bytes, entries })
            });
        }
    }

    /// The group has been flushed, or could not be.
    pub(super) fn tell_flush_ended(
        &self,
        group: &[(Arc<Family>, Arc<Sealed>)],
        begun: Duration,
        flushed: &Result<Vec<Flushed>>,
    ) {
        for (at, (family, sealed)) in group.iter().enumerate() {
            self.store.emit(|at_ms| {
                // Of each family of the group one, in the same order.
                let of_family = flushed.iter().filter_map(|flushed| flushed.get(at)).flat_map(|f| &f.tables);
                Event::FlushEnded(FlushEnded {
                    at_ms,
                    family: family.name().into(),
                    reason: sealed.seal.reason,
                    tables: of_family.map(|table| table.shown(0)).collect(),
                    took: self.store.clock.source().monotonic().saturating_sub(begun),
                    error: flushed.as_ref().err().cloned(),
                })
            });
        }
    }

    /// A compaction begins.
    pub(super) fn tell_compaction_begun(&self, family: &Family, plan: &Plan) {
        self.store.emit(|at_ms| {
            Event::CompactionBegun(CompactionBegun {
                at_ms,
                family: family.name().into(),
                reason: plan.reason,
                way: plan.way(),
                inputs: plan.shown_inputs(),
                output_level: plan.output_level,
            })
        });
    }

    /// It has ended.
    pub(super) fn tell_compaction_ended(
        &self,
        family: &Family,
        plan: &Plan,
        begun: Duration,
        outputs: &Result<Vec<TableInfo>>,
    ) {
        self.store.emit(|at_ms| {
            Event::CompactionEnded(CompactionEnded {
                at_ms,
                family: family.name().into(),
                reason: plan.reason,
                way: plan.way(),
                inputs: plan.shown_inputs(),
                outputs: outputs.as_ref().map_or_else(|_| Vec::new(), Clone::clone),
                took: self.store.clock.source().monotonic().saturating_sub(begun),
                error: outputs.as_ref().err().cloned(),
            })
        });
    }
}
