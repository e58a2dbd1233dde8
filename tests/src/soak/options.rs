//! The options under which the store of a soak is opened in turn. Memory and descriptors stay the same: they
//! must be flat.

use esker::{Changes, Durability, FamilyChanges, FamilyOptions, FilterPolicy, Options, PrefixExtractor};
use std::time::Duration;

/// What the store may use for memtables and blocks, in bytes.
pub const MEMORY_BUDGET: u64 = 16 << 20;

/// How many tables are kept open; there are more of them.
pub const MAX_OPEN_FILES: usize = 48;

/// How many sets there are.
pub const SETS: u32 = 6;

/// The options with this number: behind the last set they come again, with everything a quarter of its size.
#[must_use]
pub fn options(number: u32) -> Options {
    let mut options = large(number % SETS);
    if number >= SETS {
        options.wal_segment_bytes /= 4;
        options.memtable_bytes = options.memtable_bytes.map(|bytes| bytes / 4);
        options.target_file_bytes = options.target_file_bytes.map(|bytes| bytes / 4);
        options.level_base_bytes = options.level_base_bytes.map(|bytes| bytes / 4);
        options.manifest_bytes /= 4;
    }
    options
}

fn large(number: u32) -> Options {
    let base = Options {
        memory_budget: MEMORY_BUDGET,
        sync_interval: Duration::from_millis(200),
        wal_segment_bytes: 1 << 20,
        memtable_bytes: Some(512 << 10),
        target_file_bytes: Some(512 << 10),
        level_base_bytes: Some(1 << 20),
        manifest_bytes: 64 << 10,
        max_open_files: MAX_OPEN_FILES,
        ..Options::default()
    };
    match number {
        0 => base,
        1 => Options { memtable_bytes: Some(128 << 10), wal_segment_bytes: 256 << 10, ..base },
        2 => Options { target_file_bytes: Some(2 << 20), manifest_bytes: 4 << 10, ..base },
        3 => Options { target_file_bytes: Some(256 << 10), ..base },
        4 => Options { memtable_bytes: Some(1 << 20), level_base_bytes: Some(512 << 10), ..base },
        _ => Options { sync_interval: Duration::from_millis(20), default_durability: Durability::Os, ..base },
    }
}

/// What an open store takes over of the options with this number.
#[must_use]
pub fn changes(number: u32) -> Changes {
    let options = options(number);
    Changes {
        memtable_bytes: Some(options.memtable_bytes),
        target_file_bytes: Some(options.target_file_bytes),
        level_base_bytes: Some(options.level_base_bytes),
        manifest_bytes: Some(options.manifest_bytes),
        sync_interval: Some(options.sync_interval),
        ..Changes::default()
    }
}

/// What its families take over, all the same: nothing that a table's size would show.
#[must_use]
pub fn family_changes(number: u32) -> FamilyChanges {
    let bits = 8 + number % 4;
    FamilyChanges { filter_bits_per_key: Some(bits), ..FamilyChanges::default() }
}

/// The options of a family.
#[must_use]
pub fn family_options(name: &str) -> FamilyOptions {
    match name {
        "f0" => FamilyOptions {
            uncompressed_levels: 0,
            block_bytes: 4 << 10,
            filter: FilterPolicy::Keyed,
            prefix: Some(PrefixExtractor::Fixed { bytes: 8 }),
            ..FamilyOptions::default()
        },
        // Of this one, most values stand in blob files.
        "f1" => FamilyOptions {
            zstd_level: None,
            index_partition_bytes: 4 << 10,
            blob_values_from: Some(200),
            ..FamilyOptions::default()
        },
        _ => FamilyOptions::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_valid() {
        for number in 0..SETS * 2 {
            options(number).validate().unwrap();
        }
        ["default", "f0", "f1", "f2"].iter().for_each(|name| family_options(name).validate().unwrap());
    }
}
