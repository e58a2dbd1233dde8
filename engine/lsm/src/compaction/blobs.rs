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
//! written is written `1 / (1 - u)` times. At 35 % dead, `u` is 0.65: space is 1.23 times what lives, and 2.9
//! times is written what values come to when they are compressed. A later collection writes less and takes
//! more space: at 50 % it would be 1.39 and 2. (M. Rosenblum, J. Ousterhout: The design and implementation of
//! a log-structured file system, 1992, on the cost of cleaning.)
//!
//! What is said of copying leaves the tables out, which are written again for it: all that refer to the file,
//! be it with one entry. So a file is left until enough others are to go with it to free more bytes than
//! tables are written again ([`WORTH_PERCENT`] bounds the waiting). And where many are to go, not all of them
//! do so at once: the live values of as many as [`at_once`] allows are copied before the first of these files
//! are gone and others come, so that space is never taken by more than that besides.
//!
//! Where what was deleted has to be gone within a time, a file of which something is dead for long enough is
//! collected whatever its share.
//!
//! Collecting leaves small files behind: a table refers to little of each file. A compaction that comes by,
//! for whatever reason, takes small ones along whole ([`small_blobs`]).

use super::picker::{Moment, ShapeOptions};
use super::plan::{Claims, Plan, Reason};
use crate::base::filename::FileNumber;
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::version::{BlobUse, TableFile, Version};
use std::collections::{BTreeMap, BTreeSet};

/// A blob file is collected from this share of dead bytes on.
pub const DEAD_PERCENT: u64 = 35;

/// From this share of all blob files on, collecting goes before the sizes of levels.
const URGENT_PERCENT: u64 = 30;

/// From this share of all blob files on, collecting does not wait until more can be freed at once.
const WORTH_PERCENT: u64 = 25;

/// The size at which a blob file is closed, in tables of the size at which one of those is.
const TABLES_IN_A_BLOB_FILE: u64 = 4;

/// What is copied before anything is freed is at most one part in so many of all blob files, or as much as
/// all tables take, or a file.
const PARTS: u64 = 32;

/// From so many blob files on, small ones are taken along.
const MANY_FILES: usize = 64;
/// A file is small if less than one part in so many of a whole one lives.
const SMALL_PART: u64 = 4;

/// The dead share of so few files, or so few bytes, is nothing that writers have to wait for.
const FEW_FILES: usize = 8;
const FEW_BYTES: u64 = 64 << 20;

/// The size at which a blob file is closed, in bytes.
#[must_use]
pub fn blob_file_bytes(options: &ShapeOptions) -> u64 {
    options.table_bytes.saturating_mul(TABLES_IN_A_BLOB_FILE)
}

/// How much of all blob files is dead, in thousandths, where that is something to wait for.
#[must_use]
pub fn dead_pressure(version: &Version) -> u64 {
    let (all, dead) = version.blobs().bytes();
    if version.blobs().files().len() <= FEW_FILES || dead < FEW_BYTES {
        return 0;
    }
    (u128::from(dead) * 1000 / u128::from(all.max(1))) as u64
}

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

/// The blob files that nothing is to refer to any more, oldest first. What was found damaged is not among
/// them.
fn dead_files<'v>(version: &'v Version, claims: &Claims, erase_ms: u64) -> Vec<&'v BlobUse> {
    let dead =
        |of: &&BlobUse| is_share(of.dead_bytes(), of.file.meta.bytes, DEAD_PERCENT) || is_due(of, erase_ms);
    version.blobs().files().iter().filter(dead).filter(|of| !claims.has(of.live.file)).collect()
}

/// The numbers of all of them.
#[must_use]
pub fn dead_blobs(version: &Version, claims: &Claims, erase_ms: u64) -> BTreeSet<FileNumber> {
    dead_files(version, claims, erase_ms).into_iter().map(|of| of.live.file).collect()
}

/// Whether so much is dead that collecting it cannot wait for levels to have their sizes.
pub(super) fn is_pressing(version: &Version) -> bool {
    let (all, dead) = version.blobs().bytes();
    is_share(dead, all, URGENT_PERCENT)
}

/// How many bytes of values may be copied before the first are freed.
fn at_once(version: &Version, options: &ShapeOptions) -> u64 {
    let (all, _) = version.blobs().bytes();
    let tables = version.tables().map(|(_, table)| table.meta.size).sum();
    blob_file_bytes(options).max(all / PARTS).max(tables)
}

/// The bytes of values that a table has in any of the files.
fn share_of(table: &TableFile, files: &BTreeSet<FileNumber>) -> u64 {
    table.meta.blobs.iter().filter(|share| files.contains(&share.file)).map(|share| share.bytes).sum()
}

/// The files that are collected next, all at once: those that hold something for too long first, the oldest
/// of these first; then the oldest. None if what they would free is not worth it.
fn collected(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
) -> Vec<FileNumber> {
    let mut dead = dead_files(version, claims, moment.erase_ms);
    if dead.is_empty() {
        return Vec::new();
    }
    let due = |of: &BlobUse| is_due(of, moment.erase_ms);
    dead.sort_by_key(|of| (!due(of), if due(of) { of.file.dead_since_ms() } else { None }, of.live.file));
    let (most, mut bytes) = (at_once(version, options), 0);
    let fits = |of: &&&BlobUse| {
        bytes += of.live.bytes;
        bytes <= most
    };
    let together = dead.iter().take_while(fits).count().max(1);
    let now = &dead[..together];
    let (all, all_dead) = version.blobs().bytes();
    let files: Vec<_> = now.iter().map(|of| of.live.file).collect();
    if now.iter().any(|of| due(of)) || is_share(all_dead, all, WORTH_PERCENT) {
        return files;
    }
    let set: BTreeSet<_> = files.iter().copied().collect();
    let refers = |table: &TableFile| table.meta.blobs.iter().any(|share| set.contains(&share.file));
    let written: u64 = version.tables().filter(|(_, t)| refers(t)).map(|(_, t)| t.meta.size).sum();
    let freed: u64 = now.iter().map(|of| of.dead_bytes()).sum();
    if freed >= written { files } else { Vec::new() }
}

/// Of the first blob file that is to go, a table that refers to it, with its neighbours as long as what is
/// written does not make more than a file: they are written again in their place. With `due`, only of those
/// that hold something for too long.
pub(super) fn pick_dead_values(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
    only_due: bool,
) -> Option<Plan> {
    let files = collected(version, claims, options, moment);
    let blobs = version.blobs();
    let due = |number: &&FileNumber| blobs.find(**number).is_some_and(|of| is_due(of, moment.erase_ms));
    let moved: BTreeSet<_> = files.iter().copied().collect();
    let written = |table: &TableFile| table.meta.size.saturating_add(share_of(table, &moved));
    for number in files.iter().filter(|number| !only_due || due(number)) {
        for level in 0..LEVELS {
            for (at, table) in version.level(level).iter().enumerate() {
                let meta = &table.meta;
                let refers = meta.blobs.binary_search_by_key(number, |share| share.file).is_ok();
                let free = refers
                    && !claims.has(meta.number)
                    && !claims.writes(level, &meta.smallest.0, &meta.largest.0);
                if !free || written(table) > moment.room {
                    continue;
                }
                // Tables of level 0 may share keys, and their order is that of their age.
                let most = if level == 0 { 0 } else { moment.room.min(blob_file_bytes(options)) };
                let inputs = neighbours(&version.level(level)[at..], (level, most), claims, &moved, written);
                let moved = moved.into_iter().collect();
                return Some(Plan { moved, ..Plan::merging(Reason::DeadValues, inputs, level) });
            }
        }
    }
    None
}

/// The first of some tables of a level, and those behind it that refer to any of the files, as long as `most`
/// bytes are written in all.
fn neighbours(
    tables: &[Arc<TableFile>],
    (level, most): (usize, u64),
    claims: &Claims,
    files: &BTreeSet<FileNumber>,
    written: impl Fn(&TableFile) -> u64,
) -> Vec<(usize, Arc<TableFile>)> {
    let mut bytes = 0u64;
    let first = tables.first().map(|table| &table.meta.smallest.0);
    let goes_along = |table: &&Arc<TableFile>| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(written(table));
        let free = || {
            let from = first.unwrap_or(&table.meta.smallest.0);
            !claims.has(table.meta.number) && !claims.writes(level, from, &table.meta.largest.0)
        };
        is_first || bytes <= most && share_of(table, files) > 0 && free()
    };
    tables.iter().take_while(goes_along).map(|table| (level, table.clone())).collect()
}

/// Of many blob files, the small ones to which none but the inputs of a plan refer: it may make one of them,
/// the oldest first, as long as that does not more than double what it writes.
#[must_use]
pub fn small_blobs(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    plan: &Plan,
) -> BTreeSet<FileNumber> {
    let files = version.blobs().files();
    if files.len() < MANY_FILES {
        return BTreeSet::new();
    }
    let mut met: BTreeMap<FileNumber, u64> = BTreeMap::new();
    for share in plan.inputs.iter().flat_map(|(_, table)| &table.meta.blobs) {
        *met.entry(share.file).or_default() += share.bytes;
    }
    let small = |of: &&BlobUse| {
        let live = of.live.bytes;
        live < blob_file_bytes(options) / SMALL_PART
            && met.get(&of.live.file) == Some(&live)
            && !claims.has(of.live.file)
    };
    let (most, mut bytes) = (plan.input_bytes(), 0);
    let fits = |of: &&BlobUse| {
        bytes += of.live.bytes;
        bytes <= most
    };
    let chosen: BTreeSet<_> = files.iter().filter(small).take_while(fits).map(|of| of.live.file).collect();
    if chosen.len() > 1 { chosen } else { BTreeSet::new() }
}
