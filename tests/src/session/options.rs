//! The options under which histories are run: everything that decides when something is flushed, compacted,
//! rolled over or split is small in some and large in others.

use super::place::{RESERVE_BYTES, SYNC_INTERVAL_MS};
use crate::history::{Operator, Sum};
use esker::hooks::{Append, CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
use esker::{
    Builder, Changes, CompactionStyle, Durability, FamilyChanges, FamilyOptions, FeedOptions, FilterPolicy,
    PrefixExtractor, Tiered,
};
use std::time::Duration;

/// A set of options. Bytes unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct OptionSet {
    memtable: usize,
    table: u64,
    level_base: u64,
    segment: u64,
    manifest: u64,
    open_files: usize,
    budget: u64,
    block: usize,
    partition: usize,
    uncompressed_levels: usize,
    zstd_level: Option<i32>,
    /// For tables of the last level; 0 for none.
    dictionary: usize,
    filter_bits: u32,
    /// Of all families but `default`.
    style: CompactionStyle,
    /// Of the same.
    prefix: Option<PrefixExtractor>,
    durability: Durability,
    /// Of the table of recent writes.
    recent_writes: usize,
    /// In milliseconds; at most what the oracle reckons with.
    sync_interval: u64,
    /// Ranges on record.
    ranges: usize,
    /// Whether values are filtered when they are compacted: see [`Likewise`].
    filter: bool,
    /// From which size on values stand apart from their keys, in all families.
    blobs: Option<usize>,
    /// Whether the log is kept for readers of changes.
    feed: bool,
}

/// A filter that replaces half of the values by themselves: it may be asked or not, and nothing differs.
#[derive(Clone, Copy, Debug)]
struct Likewise;

impl CompactionFilterFactory for Likewise {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        Box::new(|key: &[u8], value: &[u8], _: u64| {
            let half = key.last().is_some_and(|last| last % 2 == 1);
            if half { Verdict::Replace(value.to_vec()) } else { Verdict::Keep }
        })
    }
}

/// How many sets there are.
pub const OPTION_SETS: usize = SETS.len();

/// Short histories fill memtables, levels, log segments and manifests.
const SMALL: OptionSet = OptionSet {
    memtable: 4 << 10,
    table: 2 << 10,
    level_base: 4 << 10,
    segment: 8 << 10,
    manifest: 2 << 10,
    open_files: 16,
    budget: 1 << 20,
    block: 256,
    partition: 256 << 10,
    uncompressed_levels: 2,
    zstd_level: Some(1),
    dictionary: 0,
    filter_bits: 10,
    style: CompactionStyle::Leveled,
    prefix: Some(PrefixExtractor::Fixed { bytes: 14 }),
    durability: Durability::Sync,
    recent_writes: 64 << 10,
    sync_interval: SYNC_INTERVAL_MS,
    ranges: 8,
    filter: false,
    blobs: None,
    feed: false,
};

/// As small as can be: few writes reach many levels.
const SMALLEST: OptionSet = OptionSet {
    memtable: 1 << 10,
    table: 1 << 10,
    level_base: 1 << 10,
    segment: 4 << 10,
    manifest: 256,
    block: 64,
    recent_writes: 1 << 10,
    ranges: 1,
    prefix: Some(PrefixExtractor::Fixed { bytes: 1 }),
    ..SMALL
};

/// Nothing is filled by a short history.
const LARGE: OptionSet = OptionSet {
    memtable: 256 << 10,
    table: 64 << 10,
    level_base: 1 << 20,
    segment: 1 << 20,
    manifest: 1 << 20,
    open_files: 512,
    budget: 64 << 20,
    block: 8 << 10,
    ranges: 1_000,
    prefix: None,
    ..SMALL
};

/// Tiers that short histories fill.
const NARROW: CompactionStyle = CompactionStyle::Tiered(Tiered { width: 2, runs: 4, space_percent: 100 });
/// Many runs, which are seldom merged.
const WIDE: CompactionStyle = CompactionStyle::Tiered(Tiered { width: 4, runs: 12, space_percent: 1000 });

/// All up to the first zero: of numbered keys that is what they have in common, of binary ones anything.
const FIRST_ZERO: Option<PrefixExtractor> = Some(PrefixExtractor::Delimited { delimiter: b'0', nth: 1 });

/// However long a history is.
const ALL_CHANGES: FeedOptions = FeedOptions {
    keep_bytes: 1 << 40,
    keep_age: Duration::from_secs(3650 * 24 * 3600),
    consumer_bytes: 1 << 40,
    yield_on_full_disk: true,
};

/// Some sets separate values, others do not: a store that goes from one to the other has both.
const SETS: [OptionSet; 16] = [
    SMALL,
    SMALLEST,
    LARGE,
    OptionSet { segment: 4 << 10, durability: Durability::Os, feed: true, ..LARGE },
    OptionSet { segment: 1 << 20, style: NARROW, ..SMALLEST },
    OptionSet { block: 64, filter_bits: 1, prefix: Some(PrefixExtractor::Capped { bytes: 2 }), ..SMALL },
    OptionSet { block: 64 << 10, zstd_level: None, blobs: Some(1), ..SMALL },
    // Blocks so small, and tables so large, that a dictionary pays where keys share a long prefix.
    OptionSet {
        uncompressed_levels: 0,
        zstd_level: Some(19),
        block: 64,
        table: 16 << 10,
        dictionary: 256,
        style: WIDE,
        ..SMALL
    },
    OptionSet { uncompressed_levels: 0, zstd_level: Some(-7), block: 1 << 10, feed: true, ..SMALL },
    OptionSet { partition: 64, sync_interval: 1, prefix: FIRST_ZERO, ..SMALL },
    OptionSet { manifest: 256, segment: 4 << 10, filter: true, style: NARROW, blobs: Some(64), ..SMALL },
    OptionSet { level_base: 64 << 10, table: 1 << 10, durability: Durability::None, ..SMALL },
    OptionSet { filter_bits: 64, partition: 256, uncompressed_levels: 7, prefix: FIRST_ZERO, ..SMALL },
    OptionSet { table: 32 << 10, level_base: 1 << 10, filter: true, blobs: Some(16), feed: true, ..SMALL },
    OptionSet { memtable: 64 << 10, manifest: 256, style: NARROW, ..SMALLEST },
    OptionSet { memtable: 2 << 10, open_files: 512, budget: 64 << 20, ..LARGE },
];

impl OptionSet {
    /// The set with this number; numbers go round.
    #[must_use]
    pub fn numbered(number: u32) -> &'static OptionSet {
        &SETS[number as usize % SETS.len()]
    }

    /// Sets the options of a store.
    #[must_use]
    pub fn apply(&self, builder: Builder) -> Builder {
        let names = ["default", "f0", "f1", "f2", "f3"];
        // A family that keeps versions can have no filter.
        let filtered = names.iter().filter(|name| self.filter && !self.family(name).keep_versions);
        let builder = filtered.fold(builder, |builder, name| builder.compaction_filter(name, Likewise));
        // Those that exist already get it, too.
        let builder = names[1..].iter().fold(builder, |builder, name| {
            builder.prefix_extractor(name, self.prefix).compaction_style(name, self.style)
        });
        let separating = |builder: Builder, name: &&str| builder.blob_values_from(name, self.blobs);
        let builder = names.iter().fold(builder, separating);
        let builder = if self.feed { builder.feed(ALL_CHANGES) } else { builder };
        builder
            .merge_operator("default", Append::new())
            .register_merge_operator(Sum)
            .memory_budget(self.budget)
            .sync_interval(Duration::from_millis(self.sync_interval))
            .default_durability(self.durability)
            .wal_segment_bytes(self.segment)
            .memtable_bytes(self.memtable)
            .target_file_bytes(self.table)
            .level_base_bytes(self.level_base)
            .manifest_bytes(self.manifest)
            .max_open_files(self.open_files)
            .reserve_bytes(RESERVE_BYTES)
            .lock_timeout(Duration::ZERO)
            .recent_writes_bytes(self.recent_writes)
            .max_ranges(self.ranges)
    }

    /// The options of a family. Those of odd names have a split index, are compressed from level 0 on, keep
    /// versions, and promise that what was deleted is soon gone.
    #[must_use]
    pub fn family(&self, name: &str) -> FamilyOptions {
        let odd = name.bytes().last().is_some_and(|last| last % 2 == 1);
        FamilyOptions {
            block_bytes: self.block,
            index_partition_bytes: if odd { self.partition.min(256) } else { self.partition },
            uncompressed_levels: if odd { 0 } else { self.uncompressed_levels },
            zstd_level: self.zstd_level,
            dictionary_bytes: self.dictionary,
            filter: if odd { FilterPolicy::Keyed } else { FilterPolicy::Blocked },
            filter_bits_per_key: self.filter_bits,
            prefix: self.prefix.filter(|_| name != "default"),
            keep_versions: odd,
            merge_operator: Some(Operator::of_family(name).name().into()),
            // Short enough for histories to live through.
            erase_within: Some(Duration::from_secs(if odd { 2 } else { 24 * 3600 })),
            default_ttl: None,
            blob_values_from: self.blobs,
            compaction: if name == "default" { CompactionStyle::Leveled } else { self.style },
        }
    }

    /// What an open store may take over of it.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes {
            memory_budget: Some(self.budget),
            sync_interval: Some(Duration::from_millis(self.sync_interval)),
            memtable_bytes: Some(Some(self.memtable)),
            target_file_bytes: Some(Some(self.table)),
            level_base_bytes: Some(Some(self.level_base)),
            manifest_bytes: Some(self.manifest),
            recent_writes_bytes: Some(Some(self.recent_writes)),
            max_ranges: Some(Some(self.ranges)),
            ..Changes::default()
        }
    }

    /// What a family of an open store may take over of it.
    #[must_use]
    pub fn family_changes(&self, name: &str) -> FamilyChanges {
        let options = self.family(name);
        FamilyChanges {
            zstd_level: Some(options.zstd_level),
            uncompressed_levels: Some(options.uncompressed_levels),
            dictionary_bytes: Some(options.dictionary_bytes),
            block_bytes: Some(options.block_bytes),
            filter_bits_per_key: Some(options.filter_bits_per_key),
            index_partition_bytes: Some(options.index_partition_bytes),
            blob_values_from: Some(options.blob_values_from),
            compaction: Some(options.compaction),
            ..FamilyChanges::default()
        }
    }

    /// How durable a write is that names no durability.
    #[must_use]
    pub fn default_durability(&self) -> Durability {
        self.durability
    }

    /// Whether changes can be read.
    #[must_use]
    pub fn has_feed(&self) -> bool {
        self.feed
    }

    /// How many tables may be open at once.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.open_files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SMALLEST_OPTIONS;

    #[test]
    fn the_smallest_options_have_their_number_and_numbers_go_round() {
        assert_eq!(OptionSet::numbered(SMALLEST_OPTIONS).level_base, SMALLEST.level_base);
        assert_eq!(OptionSet::numbered(18).memtable, LARGE.memtable);
    }
}
