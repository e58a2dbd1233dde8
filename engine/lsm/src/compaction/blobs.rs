//! Collecting dead values.
//!
//! Compactions move keys and leave values where they are, so what was overwritten or deleted goes on standing
//! in its blob file. How much of a file that is follows from what the tables refer to. Once it is much
//! ([`DEAD_PERCENT`]) the tables that still refer to the file are written again, the oldest such file first,
//! and a merge writes the values that live to a new file. The last table frees the space.
//!
//! # The arithmetic
//! Where keys are overwritten uniformly and a file is collected when a share `u` of it is still live, files
//! have every share between `u` and 1 in equal parts of its logarithm, so that the live share of all of them
//! is `(1 - u) / -ln u`; and to free a byte `u / (1 - u)` bytes are copied, so that each byte that is
//! written is written `1 / (1 - u)` times. At 40 % dead, `u` is 0.6: space is 1.28 times what lives, and 2.5
//! times is written what values come to when they are compressed. A later collection writes less and takes
//! more space: at 50 % it would be 1.39 and 2. (M. Rosenblum, J. Ousterhout: The design and implementation of
//! a log-structured file system, 1992, on the cost of cleaning.)
//!
//! Where what was deleted has to be gone within a time, a file of which something is dead for long enough is
//! collected whatever its share.

use super::picker::Moment;
use super::plan::{Claims, Plan, Reason};
use crate::base::blob_ref::BlobShare;
use crate::base::filename::FileNumber;
use crate::version::{BlobUse, Version};
use std::collections::BTreeSet;

/// A blob file is collected from this share of dead bytes on.
pub const DEAD_PERCENT: u64 = 40;

/// From this share of all blob files on, collecting goes before the sizes of levels.
const URGENT_PERCENT: u64 = 30;

/// Whether so much of `all` bytes is dead.
fn is_share(dead: u64, all: u64, percent: u64) -> bool {
    dead > 0 && u128::from(dead) * 100 >= u128::from(all) * u128::from(percent)
}

/// Whether some of a file is dead for longer than allowed.
fn is_due(of: &BlobUse, erase_ms: u64) -> bool {
    of.dead_bytes() > 0 && of.file.dead_since_ms().is_some_and(|since_ms| since_ms <= erase_ms)
}

/// Whether some blob file holds dead values for longer than allowed.
#[must_use]
pub fn holds_dead_since(version: &Version, erase_ms: u64) -> bool {
    version.blobs().files().iter().any(|of| is_due(of, erase_ms))
}

/// The blob files that nothing is to refer to any more, ascending: the oldest first. What was found damaged
/// is not among them.
#[must_use]
pub fn dead_blobs(version: &Version, claims: &Claims, erase_ms: u64) -> BTreeSet<FileNumber> {
    let blobs = version.blobs().files().iter();
    let dead =
        |of: &&BlobUse| is_share(of.dead_bytes(), of.file.meta.bytes, DEAD_PERCENT) || is_due(of, erase_ms);
    blobs.filter(dead).map(|of| of.live.file).filter(|number| !claims.has(*number)).collect()
}

/// Whether so much is dead that collecting it cannot wait for levels to have their sizes.
pub(super) fn is_pressing(version: &Version) -> bool {
    let (all, dead) = version.blobs().bytes();
    is_share(dead, all, URGENT_PERCENT)
}

/// Of the oldest blob file that is to go, a table that refers to it: it is written again in its place. With
/// `due`, only of those that hold something for too long.
pub(super) fn pick_dead_values(
    version: &Version,
    claims: &Claims,
    moment: Moment<'_>,
    only_due: bool,
) -> Option<Plan> {
    if version.blobs().is_empty() {
        return None;
    }
    let dead = dead_blobs(version, claims, moment.erase_ms);
    let blobs = version.blobs();
    let due = |number: &&FileNumber| blobs.find(**number).is_some_and(|of| is_due(of, moment.erase_ms));
    for number in dead.iter().filter(|number| !only_due || due(number)) {
        for (level, table) in version.tables() {
            let meta = &table.meta;
            let refers = meta.blobs.binary_search_by_key(number, |share| share.file).is_ok();
            if !refers || claims.has(meta.number) {
                continue;
            }
            let moved = |share: &&BlobShare| dead.contains(&share.file);
            let moved_bytes: u64 = meta.blobs.iter().filter(moved).map(|share| share.bytes).sum();
            let free = !claims.writes(level, &meta.smallest.0, &meta.largest.0);
            if free && meta.size.saturating_add(moved_bytes) <= moment.room {
                return Some(Plan {
                    reason: Reason::DeadValues,
                    inputs: vec![(level, table.clone())],
                    output_level: level,
                    trivial_move: false,
                    drop_whole: false,
                });
            }
        }
    }
    None
}
