//! Sets of options under which the same operations must give the same answers.

use esker::{Durability, FamilyOptions, Options};
use std::time::Duration;

/// How a store does its background work, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// On the simulated disk, on the calling thread.
    Simulated,
    /// On the simulated disk, on threads of its own.
    Threads,
    /// In a directory of the operating system's, on threads of its own.
    Directory,
}

/// Options of a store and of its families, with a name for messages.
#[derive(Clone, Copy, Debug)]
pub struct OptionSet {
    /// What it is about.
    pub name: &'static str,
    /// Where the store works.
    pub home: Home,
    /// What differs from [`small`].
    options: fn(&mut Options),
    /// What differs from [`small_family`]; families whose name ends in an odd number hear `true`.
    family: fn(&mut FamilyOptions, bool),
}

/// Everything is kept small, so that short histories fill memtables, levels, log segments and manifests.
fn small() -> Options {
    Options {
        memory_budget: 1 << 20,
        sync_interval: Duration::from_millis(100),
        wal_segment_bytes: 8 << 10,
        memtable_bytes: Some(4 << 10),
        target_file_bytes: Some(2 << 10),
        level_base_bytes: Some(4 << 10),
        manifest_bytes: 2 << 10,
        max_open_files: 16,
        ..Options::default()
    }
}

/// Small blocks, and a split index for some.
fn small_family(odd: bool) -> FamilyOptions {
    FamilyOptions {
        block_bytes: 256,
        index_partition_bytes: if odd { 256 } else { 256 << 10 },
        uncompressed_levels: if odd { 0 } else { 2 },
        ..FamilyOptions::default()
    }
}

const fn set(
    name: &'static str,
    home: Home,
    options: fn(&mut Options),
    family: fn(&mut FamilyOptions, bool),
) -> OptionSet {
    OptionSet { name, home, options, family }
}

impl OptionSet {
    /// What most tests use.
    pub const SMALL: OptionSet = set("small", Home::Simulated, |_| {}, |_, _| {});

    /// The sets that are compared with each other.
    pub const ALL: [OptionSet; 16] = [
        OptionSet::SMALL,
        set("as small as allowed", Home::Simulated, least, |f, _| {
            (f.block_bytes, f.index_partition_bytes) = (64, 1)
        }),
        set("all in memory", Home::Simulated, roomy, |_, _| {}),
        set("defaults", Home::Simulated, |o| *o = defaults(), |f, _| *f = FamilyOptions::default()),
        set("nothing compressed", Home::Simulated, |_| {}, |f, _| f.zstd_level = None),
        set(
            "all compressed well",
            Home::Simulated,
            |_| {},
            |f, _| (f.zstd_level, f.uncompressed_levels) = (Some(19), 0),
        ),
        set(
            "compressed fast from level 1 on",
            Home::Simulated,
            |_| {},
            |f, _| {
                (f.zstd_level, f.uncompressed_levels) = (Some(-7), 1);
            },
        ),
        set("weak filters", Home::Simulated, |_| {}, |f, _| f.filter_bits_per_key = 1),
        set(
            "strong filters, split with the index",
            Home::Simulated,
            |_| {},
            |f, _| {
                (f.filter_bits_per_key, f.index_partition_bytes) = (64, 100);
            },
        ),
        set("a table is one block", Home::Simulated, |_| {}, |f, _| f.block_bytes = 16 << 20),
        set(
            "Os by default, synced at once",
            Home::Simulated,
            |o| {
                (o.default_durability, o.sync_interval) = (Durability::Os, Duration::from_millis(1));
            },
            |_, _| {},
        ),
        set(
            "None by default, hardly ever synced",
            Home::Simulated,
            |o| {
                (o.default_durability, o.sync_interval) = (Durability::None, Duration::from_secs(3600));
            },
            |_, _| {},
        ),
        set("many levels of many tables", Home::Simulated, deep, |_, _| {}),
        set(
            "large tables, an old log",
            Home::Simulated,
            |o| {
                (o.target_file_bytes, o.level_base_bytes) = (Some(64 << 20), Some(64 << 20));
                (o.wal_segment_bytes, o.wal_age) = (4 << 10, Duration::from_secs(1));
            },
            |_, _| {},
        ),
        set("threads", Home::Threads, |_| {}, |_, _| {}),
        set("threads in a directory", Home::Directory, |o| o.recover_to_damage = true, |_, _| {}),
    ];

    /// The options of a store.
    #[must_use]
    pub fn options(&self) -> Options {
        let mut options = small();
        (self.options)(&mut options);
        options
    }

    /// The options of a family.
    #[must_use]
    pub fn family_options(&self, name: &str) -> FamilyOptions {
        let odd = name.bytes().last().is_some_and(|last| last % 2 == 1);
        let mut options = small_family(odd);
        (self.family)(&mut options, odd);
        options
    }
}

fn least(options: &mut Options) {
    options.wal_segment_bytes = 4 << 10;
    options.memtable_bytes = Some(1 << 10);
    options.target_file_bytes = Some(1 << 10);
    options.level_base_bytes = Some(1 << 10);
    options.manifest_bytes = 256;
    options.sync_interval = Duration::from_millis(1);
}

fn roomy(options: &mut Options) {
    options.memory_budget = 64 << 20;
    options.memtable_bytes = Some(16 << 20);
    options.wal_segment_bytes = 1 << 20;
    options.manifest_bytes = 1 << 20;
    options.max_open_files = 512;
}

/// Log segments apart: the simulated disk holds them in memory.
fn defaults() -> Options {
    Options { wal_segment_bytes: 1 << 20, ..Options::default() }
}

fn deep(options: &mut Options) {
    options.memtable_bytes = Some(2 << 10);
    options.target_file_bytes = Some(1 << 10);
    options.level_base_bytes = Some(1 << 10);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_sets_are_valid_and_different() {
        let all = OptionSet::ALL;
        for set in &all {
            set.options().validate().unwrap();
            for name in ["f0", "f1"] {
                set.family_options(name).validate().unwrap();
            }
        }
        let shown =
            |set: &OptionSet| format!("{:?} {:?} {:?}", set.home, set.options(), set.family_options("f0"));
        assert_eq!(all.iter().map(shown).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|set| set.name).collect::<BTreeSet<_>>().len(), all.len());
    }
}
