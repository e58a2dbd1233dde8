//! Options of a store and of its column families. This file only composes: what a field means to
//! the engine stands in the folder that uses it.

use crate::base::coding::{Decoder, Malformed, put_bytes, put_varint};
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_VALUE_BYTES;
use crate::commit::{CommitOptions, Durability, FeedOptions, StallLimits};
use crate::compaction::ShapeOptions;
use crate::compress::Codec;
use crate::filter::{FilterPolicy, PrefixExtractor};
use crate::table::{TableOptions, TablePolicy};
use crate::tree::FamilyRules;
use crate::version::CompactionStyle;
use std::time::Duration;

/// Options of a store. Whoever sets nothing but `memory_budget` gets an engine tuned to it; the
/// fields that are `None` are derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Memory that the store may use for memtables, cached and pinned blocks, in bytes. Default:
    /// 512 MiB; at least 1 MiB.
    pub memory_budget: u64,
    /// Whether a store is created where there is none. Default: true.
    pub create_if_missing: bool,
    /// What `put`, `delete` and the like use. Default: [`Durability::Sync`].
    pub default_durability: Durability,
    /// How long an [`Durability::Os`] write may be lost to a loss of power. Default: 1 s; between
    /// 1 ms and 1 h.
    pub sync_interval: Duration,
    /// How many table files are kept open. Default: 512; between 16 and a million.
    pub max_open_files: usize,
    /// If the log is damaged in its middle, recover what stands before the damage instead of
    /// refusing to open. What stands behind it is lost. Default: false.
    pub recover_to_damage: bool,
    /// The size of a log segment in bytes. Default: 64 MiB; between 4 KiB and 4 GiB.
    pub wal_segment_bytes: u64,
    /// Whether the log is written by copies into mapped memory, where nobody waits for a sync: twice as
    /// fast. Only on file systems that write in place (ext4, XFS, tmpfs); elsewhere by calls all the same. A
    /// disk that fails to read back a page of the log then ends the process instead of giving an
    /// error. Default: true.
    pub map_log: bool,
    /// A memtable is flushed when its first entry is older than this. Default: 30 min; at least 1 s.
    pub wal_age: Duration,
    /// The size at which a memtable is flushed, in bytes. Default: a sixteenth of the budget, at
    /// most 1 GiB.
    pub memtable_bytes: Option<usize>,
    /// The size of the tables that compactions write, in bytes. Default: that of a memtable, at
    /// least 2 MiB.
    pub target_file_bytes: Option<u64>,
    /// The target size of the first level below level 0, in bytes. Default: four memtables.
    pub level_base_bytes: Option<u64>,
    /// The manifest is rewritten when it reaches this size, in bytes, or more if what it names is
    /// large. Default: 1 MiB.
    pub manifest_bytes: u64,
    /// Space that is set aside in the store's directory, in bytes, so that a store on a full disk
    /// can be opened and things removed from it. 0 does without. Default: a memtable and 1 MiB,
    /// the room that a flush and an edit need; otherwise at least 16 KiB, at most 64 GiB.
    pub reserve_bytes: Option<u64>,
    /// How long a write waits for a key that a transaction has locked, before it gives up with
    /// [`Error::LockTimeout`]. Default: 1 s; at most 1 h.
    pub lock_timeout: Duration,
    /// The table of recent writes, against which transactions and conditions are validated without
    /// looking into the tree, in bytes, roughly. It takes memory only while there are such. Default: a
    /// 64th of the budget, at most 16 MiB. 0 keeps none: each of them looks into the tree.
    pub recent_writes_bytes: Option<usize>,
    /// How many transactions may be [prepared](crate::Transaction::prepare) at a time. Default: 1024; at most
    /// 65,536. 0 allows none.
    pub max_prepared: usize,
    /// How much these may hold together, in bytes: names, keys and values. It stays in memory beside the
    /// budget. Default: 64 MiB; at most 1 GiB.
    pub max_prepared_bytes: u64,
    /// How many deleted and dropped ranges a family keeps on record, until no table holds anything of
    /// them. Beyond that many, or a 64th of the budget in memory, compacting the oldest away comes before
    /// all else; from twice as many on, those who delete or drop ranges are slowed. Default: two for each MiB
    /// of the budget, at least 64 and at most 4096; otherwise between 1 and 65,536.
    pub max_ranges: Option<usize>,
    /// For how long changes are kept for those who read them with [`Db::changes`](crate::Db::changes); `None`
    /// keeps none, and costs nothing. A store that is opened once without it lets go of all that was kept.
    /// Default: `None`.
    pub feed: Option<FeedOptions>,
    /// One in so many writes, gets, looks for many keys and seeks is timed for [`crate::Db::metrics`], on
    /// each thread; 0 for none. Each that is timed looks at the clock twice, some 50 ns: with 100 that is
    /// nothing, with 1 it is a tenth of a get from memory. What uses the disk in the background is always
    /// timed. Default: 0.
    pub time_one_in: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            memory_budget: 512 << 20,
            create_if_missing: true,
            default_durability: Durability::Sync,
            sync_interval: Duration::from_secs(1),
            max_open_files: 512,
            recover_to_damage: false,
            wal_segment_bytes: 64 << 20,
            map_log: true,
            wal_age: Duration::from_secs(30 * 60),
            memtable_bytes: None,
            target_file_bytes: None,
            level_base_bytes: None,
            manifest_bytes: 1 << 20,
            reserve_bytes: None,
            lock_timeout: Duration::from_secs(1),
            recent_writes_bytes: None,
            max_prepared: 1024,
            max_prepared_bytes: 64 << 20,
            max_ranges: None,
            feed: None,
            time_one_in: 0,
        }
    }
}

impl Options {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field and its limits.
    pub fn validate(&self) -> Result<()> {
        within("memory_budget", self.memory_budget, 1 << 20, 1 << 46)?;
        within("max_open_files", self.max_open_files as u64, 16, 1 << 20)?;
        within("wal_segment_bytes", self.wal_segment_bytes, 4 << 10, 4 << 30)?;
        within("memtable_bytes", self.memtable_bytes() as u64, 1 << 10, 64 << 30)?;
        within("target_file_bytes", self.target_file_bytes(), 1 << 10, 1 << 40)?;
        within("level_base_bytes", self.level_base_bytes(), 1 << 10, 1 << 50)?;
        within("manifest_bytes", self.manifest_bytes, 256, 1 << 30)?;
        if self.reserve_bytes() != 0 {
            within("reserve_bytes", self.reserve_bytes(), 16 << 10, 65 << 30)?;
        }
        within("recent_writes_bytes", self.recent_writes_bytes() as u64, 0, 1 << 40)?;
        within("lock_timeout", self.lock_timeout.as_secs(), 0, 3600)?;
        within("max_prepared", self.max_prepared as u64, 0, 1 << 16)?;
        within("max_prepared_bytes", self.max_prepared_bytes, 0, 1 << 30)?;
        within("max_ranges", self.max_ranges() as u64, 1, 1 << 16)?;
        self.feed.map_or(Ok(()), |feed| feed.validate())?;
        within("wal_age", self.wal_age.as_secs(), 1, 10 * 365 * 24 * 3600)?;
        let interval = Duration::from_millis(1)..=Duration::from_secs(3600);
        if !interval.contains(&self.sync_interval) {
            let why = format!("{:?} is not between 1 ms and 1 h", self.sync_interval);
            return Err(Error::invalid("sync_interval", why));
        }
        Ok(())
    }

    fn memtable_bytes(&self) -> usize {
        self.memtable_bytes.unwrap_or((self.memory_budget / 16).min(1 << 30) as usize)
    }

    fn target_file_bytes(&self) -> u64 {
        self.target_file_bytes.unwrap_or((self.memtable_bytes() as u64).max(2 << 20))
    }

    fn level_base_bytes(&self) -> u64 {
        self.level_base_bytes.unwrap_or(self.memtable_bytes() as u64 * 4)
    }

    fn recent_writes_bytes(&self) -> usize {
        self.recent_writes_bytes.unwrap_or((self.memory_budget / 64).min(16 << 20) as usize)
    }

    pub(super) fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes.unwrap_or(self.memtable_bytes() as u64 + (1 << 20))
    }

    /// The log at rest takes no more than this.
    pub(super) fn wal_least_bytes(&self) -> u64 {
        (self.wal_segment_bytes / 4).min(1 << 20)
    }

    fn max_ranges(&self) -> usize {
        self.max_ranges.unwrap_or((self.memory_budget >> 19).clamp(64, 4096) as usize)
    }

    /// The share of the budget that caches blocks.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.memory_budget / 2
    }

    pub(crate) fn commit_options(&self) -> CommitOptions {
        let memtable_bytes = self.memtable_bytes();
        CommitOptions {
            segment_bytes: self.wal_segment_bytes,
            memtable_bytes,
            memtables_bytes: memtable_bytes * 2,
            wal_bytes: (memtable_bytes as u64 * 8).max(self.wal_segment_bytes * 2),
            sync_interval: self.sync_interval,
            wal_age: self.wal_age,
            cache_bytes: self.cache_bytes(),
            group_bytes: 1 << 20,
            lock_timeout: self.lock_timeout,
            max_prepared: self.max_prepared,
            max_prepared_bytes: self.max_prepared_bytes,
            recent_bytes: self.recent_writes_bytes(),
            feed: self.feed,
            shape: ShapeOptions {
                level0_tables: 4,
                base_bytes: self.level_base_bytes(),
                fanout: 10,
                table_bytes: self.target_file_bytes(),
                ranges: self.max_ranges(),
                range_bytes: (self.memory_budget / 64) as usize,
            },
            stall: StallLimits::default(),
        }
    }
}

fn within(what: &'static str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(what, format!("{value} is not between {least} and {most}")))
}

/// Options of a column family. They are stored beside the data when the family is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyOptions {
    /// The zstd level for tables below the uncompressed levels; `None` stores all raw. Default: 1;
    /// between -7 and 22.
    pub zstd_level: Option<i32>,
    /// Levels from 0 on whose tables are not compressed. With 1 or 2, flushes and the first compactions
    /// take a little less of the processor, and more is written. Default: 0.
    pub uncompressed_levels: usize,
    /// How many bytes a table of the last level may spend on a dictionary: what its blocks have in common
    /// then stands in it once, and small blocks of records that are alike take from a tenth to two thirds
    /// less. Writing such a table takes more of the processor and keeps up to 100 times as many bytes in
    /// memory until the dictionary is trained, at most 8 MiB, and about 12 MiB for the training itself;
    /// opening it reads the dictionary, which stays in memory. A table for which a dictionary does not pay
    /// has none; nor has any without `zstd_level`. Tables that move into the last level are written anew
    /// for it. docs/compaction.md says when it pays. Default: 0, for none; otherwise between 256 bytes and
    /// 1 MiB.
    pub dictionary_bytes: usize,
    /// The size of a data block, in bytes. Default: 8 KiB; between 64 bytes and 16 MiB.
    pub block_bytes: usize,
    /// The filter that spares a look into a table for a key that it does not have. Default:
    /// [`FilterPolicy::Blocked`]; [`FilterPolicy::Keyed`] where strangers choose the keys.
    pub filter: FilterPolicy,
    /// Bits of filter for each key. Default: 10; between 1 and 64.
    pub filter_bits_per_key: u32,
    /// Which part of a key is its prefix, if scans of one prefix are to pass over tables in which no key has
    /// it: the filters then hold prefixes beside keys, which costs `filter_bits_per_key` for each prefix in
    /// a table. Scans need nothing for it: any whose keys must all have one whole prefix asks.
    /// [`Builder::prefix_extractor`](crate::Builder::prefix_extractor) changes it; tables that were written
    /// before are then read as if they had no prefixes until they are written anew. Default: none.
    pub prefix: Option<PrefixExtractor>,
    /// The size at which an index is split into partitions, in bytes. Default: 256 KiB.
    pub index_partition_bytes: usize,
    /// Whether the number of each write is kept for as long as its value, so that
    /// [`WriteBatch::require_version`](crate::WriteBatch::require_version) can be asked. Costs up to eight
    /// bytes an entry in the last level before compression. Such a family can have no compaction filter.
    /// Default: false.
    pub keep_versions: bool,
    /// The name of the merge operator that changes values by operands, if any: one of those in
    /// [`crate::hooks`], or one that [`crate::Builder::register_merge_operator`] was given. 1 to 255
    /// bytes. Default: none.
    pub merge_operator: Option<String>,
    /// How long an entry lives that is put without a word about it. Default: `None`, for ever; at
    /// least 1 ms.
    pub default_ttl: Option<Duration>,
    /// Within what time the bytes of what was deleted or has expired are gone from every file:
    /// tables, log and manifest. What snapshots and iterators hold is exempt for as long as they do
    /// ([`crate::Db::pins`] lists them). A short time costs compactions. Default: 24 h; between 1 s and
    /// ten years; `None` leaves it to compactions that are due anyway.
    pub erase_within: Option<Duration>,
    /// Values of so many bytes or more stand apart from their keys, in blob files: compactions leave them
    /// where they are, and write the less for it; reading one costs a look into another file. `None` keeps
    /// all values beside their keys. What was written under another value of it stays readable and where it
    /// is, until compactions come to it. docs/blobs.md says when it pays. Default: 4 KiB; between 1 byte and
    /// 1 GiB.
    pub blob_values_from: Option<usize>,
    /// How its tables are kept in order. [`Builder::compaction_style`](crate::Builder::compaction_style)
    /// changes it. Default: [`CompactionStyle::Leveled`].
    pub compaction: CompactionStyle,
}

/// From here on values that stand apart are read and scanned as fast as those beside their keys, and written
/// faster: docs/blobs.md has the figures.
const BLOB_VALUES_FROM: usize = 4 << 10;

impl Default for FamilyOptions {
    fn default() -> Self {
        let table = TableOptions::default();
        FamilyOptions {
            zstd_level: Some(table.zstd_level),
            uncompressed_levels: TablePolicy::default().uncompressed_levels,
            dictionary_bytes: table.dictionary_bytes,
            block_bytes: table.block_bytes,
            filter: table.filter,
            filter_bits_per_key: table.bits_per_key,
            prefix: None,
            index_partition_bytes: table.partition_bytes,
            keep_versions: false,
            merge_operator: None,
            default_ttl: None,
            erase_within: Some(Duration::from_secs(24 * 3600)),
            blob_values_from: Some(BLOB_VALUES_FROM),
            compaction: CompactionStyle::default(),
        }
    }
}

/// The longest name of a merge operator, in bytes.
const MAX_OPERATOR_BYTES: usize = 255;

/// Tags in the manifest; never reused.
mod tag {
    pub const ZSTD_LEVEL: u64 = 1;
    pub const UNCOMPRESSED_LEVELS: u64 = 2;
    pub const BLOCK_BYTES: u64 = 3;
    pub const FILTER_BITS: u64 = 4;
    pub const INDEX_PARTITION_BYTES: u64 = 5;
    pub const KEEP_VERSIONS: u64 = 6;
    /// Absent for the default.
    pub const FILTER: u64 = 7;
    /// The first option whose value is a byte string: its length stands where others have a number.
    pub const MERGE_OPERATOR: u64 = 12;
    /// A byte string; absent for none.
    pub const PREFIX: u64 = 24;
    /// A byte string; absent for the default.
    pub const COMPACTION: u64 = 25;
    /// In bytes; absent for none.
    pub const BLOB_VALUES_FROM: u64 = 26;
    /// In bytes; absent for none.
    pub const DICTIONARY_BYTES: u64 = 27;
    /// In ms; absent for none.
    pub const DEFAULT_TTL: u64 = 10;
    /// In ms; 0 for no bound.
    pub const ERASE_WITHIN: u64 = 11;
    /// A number that stands for no compression.
    pub const NO_ZSTD: u64 = u32::MAX as u64;
}

impl FamilyOptions {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field and its limits.
    pub fn validate(&self) -> Result<()> {
        if self.zstd_level.is_some_and(|level| !(-7..=22).contains(&level)) {
            return Err(Error::invalid("zstd_level", "it must be between -7 and 22"));
        }
        if self.merge_operator.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_OPERATOR_BYTES)
        {
            return Err(Error::invalid("merge_operator", "a merge operator's name has 1 to 255 bytes"));
        }
        if self.default_ttl.is_some_and(|ttl| ttl < Duration::from_millis(1)) {
            return Err(Error::invalid("default_ttl", "it must be at least 1 ms"));
        }
        let bounds = Duration::from_secs(1)..=Duration::from_secs(10 * 365 * 24 * 3600);
        if self.erase_within.is_some_and(|within| !bounds.contains(&within)) {
            return Err(Error::invalid("erase_within", "it must be between 1 s and ten years"));
        }
        if self.blob_values_from.is_some_and(|from| !(1..=MAX_VALUE_BYTES).contains(&from)) {
            return Err(Error::invalid("blob_values_from", "it must be between 1 byte and 1 GiB"));
        }
        self.compaction.validate()?;
        if matches!(self.compaction, CompactionStyle::Fifo(_)) && self.merge_operator.is_some() {
            let why = "a family with a merge operator cannot drop its oldest: operands would lose what they \
                       stand on";
            return Err(Error::invalid("compaction", why));
        }
        self.policy().validate()
    }

    /// What they mean to the engine.
    pub(crate) fn rules(&self) -> FamilyRules {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        FamilyRules {
            policy: self.policy(),
            default_ttl_ms: self.default_ttl.map(ms),
            erase_within_ms: self.erase_within.map(ms),
            blob_values_from: self.blob_values_from,
            style: self.compaction,
        }
    }

    /// How the tables of the family are written.
    pub(crate) fn policy(&self) -> TablePolicy {
        let base = TableOptions {
            codec: if self.zstd_level.is_some() { Codec::Zstd } else { Codec::None },
            zstd_level: self.zstd_level.unwrap_or_default(),
            dictionary_bytes: self.dictionary_bytes,
            block_bytes: self.block_bytes,
            filter: self.filter,
            bits_per_key: self.filter_bits_per_key,
            prefix: self.prefix,
            partition_bytes: self.index_partition_bytes,
            ..TableOptions::default()
        };
        TablePolicy { base, uncompressed_levels: self.uncompressed_levels, keep_versions: self.keep_versions }
    }

    /// As the manifest stores them.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Offset so that negative levels are small numbers, too.
        let level = self.zstd_level.map_or(tag::NO_ZSTD, |level| (level + 128) as u64);
        for (tag, value) in [
            (tag::ZSTD_LEVEL, level),
            (tag::UNCOMPRESSED_LEVELS, self.uncompressed_levels as u64),
            (tag::BLOCK_BYTES, self.block_bytes as u64),
            (tag::FILTER_BITS, u64::from(self.filter_bits_per_key)),
            (tag::INDEX_PARTITION_BYTES, self.index_partition_bytes as u64),
        ] {
            put_varint(&mut out, tag);
            put_varint(&mut out, value);
        }
        if let Some(operator) = &self.merge_operator {
            put_varint(&mut out, tag::MERGE_OPERATOR);
            put_bytes(&mut out, operator.as_bytes());
        }
        if self.filter != FilterPolicy::default() {
            put_varint(&mut out, tag::FILTER);
            put_varint(&mut out, self.filter as u64);
        }
        if let Some(prefix) = self.prefix {
            let mut stored = Vec::new();
            prefix.encode(&mut stored);
            put_varint(&mut out, tag::PREFIX);
            put_bytes(&mut out, &stored);
        }
        if self.compaction != CompactionStyle::default() {
            let mut stored = Vec::new();
            self.compaction.encode(&mut stored);
            put_varint(&mut out, tag::COMPACTION);
            put_bytes(&mut out, &stored);
        }
        if let Some(from) = self.blob_values_from {
            put_varint(&mut out, tag::BLOB_VALUES_FROM);
            put_varint(&mut out, from as u64);
        }
        if self.dictionary_bytes > 0 {
            put_varint(&mut out, tag::DICTIONARY_BYTES);
            put_varint(&mut out, self.dictionary_bytes as u64);
        }
        if self.keep_versions {
            put_varint(&mut out, tag::KEEP_VERSIONS);
            put_varint(&mut out, 1);
        }
        let rules = self.rules();
        put_varint(&mut out, tag::ERASE_WITHIN);
        put_varint(&mut out, rules.erase_within_ms.unwrap_or(0));
        if let Some(ttl_ms) = rules.default_ttl_ms {
            put_varint(&mut out, tag::DEFAULT_TTL);
            put_varint(&mut out, ttl_ms);
        }
        out
    }

    /// Back from the manifest.
    pub(crate) fn decode(bytes: &[u8]) -> Result<FamilyOptions, Malformed> {
        // What is none is not stored.
        let mut options = FamilyOptions { blob_values_from: None, ..FamilyOptions::default() };
        let mut bytes = Decoder::new(bytes);
        while !bytes.is_empty() {
            let unknown = bytes.malformed("an option that this version knows");
            let tag = bytes.varint("the tag of an option")?;
            if tag == tag::MERGE_OPERATOR {
                let wrong = bytes.malformed("the name of a merge operator");
                let name = std::str::from_utf8(bytes.bytes("the name of a merge operator")?);
                let name = name.ok().filter(|name| (1..=MAX_OPERATOR_BYTES).contains(&name.len()));
                options.merge_operator = Some(name.ok_or(wrong)?.to_owned());
                continue;
            }
            if tag == tag::PREFIX {
                let wrong = bytes.malformed("a prefix extractor that this version knows");
                let stored = bytes.bytes("a prefix extractor")?;
                options.prefix = Some(PrefixExtractor::decode(stored).map_err(|_| wrong)?);
                continue;
            }
            if tag == tag::COMPACTION {
                let wrong = bytes.malformed("a compaction style that this version knows");
                let stored = bytes.bytes("a compaction style")?;
                options.compaction = CompactionStyle::decode(stored).map_err(|_| wrong)?;
                continue;
            }
            if let tag::DEFAULT_TTL | tag::ERASE_WITHIN = tag {
                let ms = bytes.varint("a time")?;
                let time = (ms > 0).then(|| Duration::from_millis(ms));
                match tag {
                    tag::DEFAULT_TTL => options.default_ttl = time,
                    _ => options.erase_within = time,
                }
                continue;
            }
            let value = bytes.varint32("the value of an option")?;
            match tag {
                tag::ZSTD_LEVEL if u64::from(value) == tag::NO_ZSTD => options.zstd_level = None,
                tag::ZSTD_LEVEL if value < 256 => options.zstd_level = Some(value as i32 - 128),
                tag::UNCOMPRESSED_LEVELS => options.uncompressed_levels = value as usize,
                tag::BLOCK_BYTES => options.block_bytes = value as usize,
                tag::FILTER => {
                    let policy = u8::try_from(value).ok().and_then(FilterPolicy::from_byte);
                    options.filter = policy.ok_or(unknown)?;
                }
                tag::FILTER_BITS => options.filter_bits_per_key = value,
                tag::BLOB_VALUES_FROM => options.blob_values_from = Some(value as usize),
                tag::DICTIONARY_BYTES => options.dictionary_bytes = value as usize,
                tag::KEEP_VERSIONS if value <= 1 => options.keep_versions = value == 1,
                tag::INDEX_PARTITION_BYTES => options.index_partition_bytes = value as usize,
                _ => return Err(unknown),
            }
        }
        // Nobody could have created a family with others.
        match options.validate() {
            Ok(()) => Ok(options),
            Err(_) => Err(bytes.malformed("options within their limits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_options_round_trip() {
        for zstd_level in [None, Some(-7), Some(1), Some(22)] {
            let merge_operator = zstd_level.map(|level| format!("operator {level}"));
            let default_ttl = zstd_level.map(|_| Duration::from_secs(7));
            let erase_within = zstd_level.map(|_| Duration::from_secs(9));
            let options = FamilyOptions {
                zstd_level,
                keep_versions: zstd_level.is_some(),
                filter: if zstd_level.is_some() { FilterPolicy::Keyed } else { FilterPolicy::None },
                block_bytes: 4096,
                compaction: zstd_level.map_or_else(CompactionStyle::default, |_| {
                    CompactionStyle::Tiered(crate::version::Tiered { runs: 9, ..Default::default() })
                }),
                blob_values_from: zstd_level.map(|_| 4096),
                dictionary_bytes: zstd_level.map_or(0, |_| 16 << 10),
                prefix: zstd_level.map(|_| PrefixExtractor::Delimited { delimiter: b'/', nth: 3 }),
                default_ttl,
                erase_within,
                merge_operator,
                ..FamilyOptions::default()
            };
            options.validate().unwrap();
            assert_eq!(FamilyOptions::decode(&options.encode()).unwrap(), options);
        }
        assert!(FamilyOptions::decode(&[99, 1]).is_err());
        assert!(FamilyOptions::decode(&[tag::FILTER as u8, 3]).is_err(), "a policy that nobody knows");
        let wrong = FamilyOptions { block_bytes: 2, ..FamilyOptions::default() };
        assert!(FamilyOptions::decode(&wrong.encode()).is_err());
    }

    #[test]
    fn a_wrong_value_names_its_field() {
        let wrong = Options { memory_budget: 5, ..Options::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("memory_budget"));
        let wrong = Options { sync_interval: Duration::ZERO, ..Options::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("sync_interval"));
        let wrong = Options { memtable_bytes: Some(usize::MAX), ..Options::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("memtable_bytes"));
        let wrong = FamilyOptions { block_bytes: 1, ..FamilyOptions::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("block_bytes"));
        let wrong = FamilyOptions { merge_operator: Some(String::new()), ..FamilyOptions::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("merge_operator"));
        let wrong = FamilyOptions { blob_values_from: Some(0), ..FamilyOptions::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("blob_values_from"));
        for dictionary_bytes in [1, 255, (1 << 20) + 1] {
            let wrong = FamilyOptions { dictionary_bytes, ..FamilyOptions::default() };
            assert!(wrong.validate().unwrap_err().to_string().contains("dictionary_bytes"));
            assert!(FamilyOptions::decode(&wrong.encode()).is_err());
        }
        let wrong = FamilyOptions { zstd_level: Some(99), ..FamilyOptions::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("zstd_level"));
    }
}
