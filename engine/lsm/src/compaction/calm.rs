//! Compactions for the sake of reads alone, while the store has nothing else to do.
//!
//! Every sorted run that stands above another is one more to look into. Leveled compaction leaves some: up to
//! three tables in level 0, and levels that are not full yet. While nobody writes they are merged down,
//! a table at a time, so that in the end one run is left.
//!
//! What this may cost is bounded by the ratio of the bytes that are rewritten to those that come down. At
//! the ratio that full levels have anyway, a byte that is moved early costs no more than one that waits.

use super::ShapeOptions;
use super::picker::{pick_level, pick_level0, targets};
use super::plan::{Claims, Plan, Reason};
use crate::base::limits::LEVELS;
use crate::table::TablePolicy;
use crate::version::Version;

/// How long nobody has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Calm {
    /// For a moment: what comes down must be a fourth of what it drags along.
    Short,
    /// For longer: a twelfth.
    Long,
}

impl Calm {
    /// So many times the bytes that come down may be rewritten with them.
    fn drag(self) -> u64 {
        match self {
            Calm::Short => 4,
            Calm::Long => 12,
        }
    }
}

/// The compaction that most helps reads, if the calm is worth it: of the uppermost run that stands above
/// another.
#[must_use]
pub fn pick_calm(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    policy: &TablePolicy,
    calm: Calm,
) -> Option<Plan> {
    if !claims.is_empty() {
        return None;
    }
    let mut used = (0..LEVELS).filter(|level| !version.level(*level).is_empty());
    let upper = used.next()?;
    if used.next().is_none() && (upper > 0 || version.level(0).len() == 1) {
        return None;
    }
    let plan = if upper == 0 {
        pick_level0(version, claims, targets(version, options).base_level, u64::MAX)
    } else if version.level_bytes(upper) * calm.drag() >= version.level_bytes(upper + 1) {
        pick_level(version, claims, options, upper)
    } else {
        None
    };
    let mut plan = plan?;
    plan.trivial_move &= policy.same_codec(upper, plan.output_level);
    let comes_down = |(level, _): &&(usize, _)| *level == upper;
    let bytes: u64 = plan.inputs.iter().filter(comes_down).map(|(_, table)| table.meta.size).sum();
    plan.reason = Reason::Calm;
    (plan.trivial_move || plan.input_bytes() <= bytes * (calm.drag() + 1)).then_some(plan)
}
