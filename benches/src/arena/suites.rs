//! The suites, as data: rounds of workloads over entries of one kind.

use super::engines::Kind;
use super::keys::{Pick, Shape};
use super::phases::{PHASES, Phase, Start, Work, all, get, phase};
use crate::workload::VALUE_BYTES;

/// What a suite tells apart, beside the engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing: each engine as it is.
    Engines,
    /// Large values in files of their own, and beside their keys.
    LargeValues,
    /// Compaction in levels and in tiers.
    Compaction,
}

/// A round of phases over entries of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// Its name in reports.
    pub name: &'static str,
    /// What is special about it, in words.
    pub what: &'static str,
    /// What it tells apart.
    pub subject: Subject,
    /// The shape of its keys.
    pub shape: Shape,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// It has one entry for so many that are asked for, since its values are large.
    pub one_in: u32,
    /// Whether the entries are four times as large as the cache, instead of fitting in.
    pub beyond_cache: bool,
    /// Its phases.
    pub phases: &'static [Phase],
}

use Start::{Fresh, Loaded, Settled};

/// Values from so many bytes on stand in files of their own, in engines that are told to.
pub(super) const LARGE_BYTES: usize = 4 << 10;
/// Few entries say nothing.
const FEWEST: u32 = 200;

const FILL: Phase =
    phase("fillrandom", Fresh, Work::Fill { in_order: false, batch: 1 }, 10, "puts at random");
const READ: Phase = phase("readrandom", Settled, get(Pick::Uniform), 4, "gets at random");
const SEEK: Phase = phase("seek10", Settled, Work::Seek(10), 3, "seek and ten entries");
const SCAN: Phase = phase("scan", Settled, Work::Scan { reverse: false }, 5, "all entries, forward");
const SETTLE: Phase = phase("settle", Loaded, Work::Settle, 60, "flush, and compactions until none is due");
const SETTLE_AGAIN: Phase =
    phase("settle-again", Loaded, Work::Settle, 60, "as settle, behind the last writes");
/// It is long enough for all entries, so that every engine has written the same when it ends.
const FILL_ALL: Phase = Phase { cap_s: 40, ..FILL };
const OVERWRITE_ALL: Phase =
    phase("overwrite", Settled, Work::Overwrite, 40, "puts of all keys again, compactions running");

/// The phases that other shapes are measured on.
const FOUR: &[Phase] =
    &[FILL, READ, phase("readmissing", Settled, Work::Missing, 3, "gets of keys that are not there"), SEEK];

/// The phases that sizes beyond the cache are measured on: those that read blocks.
const FOUR_BEYOND: &[Phase] = &[FILL, READ, SCAN, SEEK];

/// Scans of prefixes over many runs, and over as few as there will be.
const PREFIXES: &[Phase] = &[
    all(FILL),
    all(phase(
        "prefixscan-loaded",
        Loaded,
        Work::PrefixScan,
        5,
        "all of a prefix, half of which are absent, right after the load",
    )),
    all(phase("prefixscan", Settled, Work::PrefixScan, 5, "all of a prefix, half of which are absent")),
];

/// What large values change.
const LARGE_VALUES: &[Phase] = &[FILL_ALL, SETTLE, READ, SEEK, SCAN, OVERWRITE_ALL, SETTLE_AGAIN];

/// What tiers change. The load is overwritten as it was left.
const TIERS: &[Phase] = &[FILL_ALL, Phase { start: Loaded, ..OVERWRITE_ALL }, SETTLE_AGAIN, READ];

const fn suite(name: &'static str, shape: Shape, phases: &'static [Phase], what: &'static str) -> Suite {
    let (subject, value_bytes, one_in) = (Subject::Engines, VALUE_BYTES, 1);
    Suite { name, what, subject, shape, value_bytes, one_in, beyond_cache: false, phases }
}

const fn large_values(name: &'static str, value_bytes: usize, one_in: u32, what: &'static str) -> Suite {
    let ordinary = suite(name, Shape::User, LARGE_VALUES, what);
    Suite { subject: Subject::LargeValues, value_bytes, one_in, ..ordinary }
}

/// All suites.
pub const SUITES: &[Suite] = &[
    suite(
        "main",
        Shape::User,
        PHASES,
        "keys of 16 bytes in decimal, which fit into the cache with their values",
    ),
    suite("random-keys", Shape::Random, FOUR, "keys of 16 random bytes"),
    suite("long-prefix", Shape::Prefix, FOUR, "keys of 56 bytes, of which all share the first 40"),
    Suite {
        beyond_cache: true,
        ..suite(
            "beyond-cache",
            Shape::User,
            FOUR_BEYOND,
            "entries four times as large as the cache; what the cache lacks comes from the system's page \
             cache, not from the disk",
        )
    },
    suite(
        "prefixes",
        Shape::Groups,
        PREFIXES,
        "ten keys to each prefix of 14 bytes, known to who can use it",
    ),
    large_values(
        "values-4k",
        4 << 10,
        20,
        "values of 4 KiB, which compress to half, one for each 20 entries: in files of their own, and \
         beside their keys",
    ),
    large_values("values-1k", 1 << 10, 5, "as values-4k, of 1 KiB, one for each 5 entries"),
    large_values("values-2k", 2 << 10, 10, "as values-4k, of 2 KiB, one for each 10 entries"),
    large_values("values-64k", 64 << 10, 300, "as values-4k, of 64 KiB, one for each 300 entries"),
    Suite {
        subject: Subject::Compaction,
        ..suite("tiers", Shape::User, TIERS, "tables merged in levels, and in tiers")
    },
];

impl Suite {
    /// The suite of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Suite> {
        SUITES.iter().find(|suite| suite.name == name)
    }

    /// How many entries it has where so many are asked for.
    #[must_use]
    pub fn entries(&self, asked: u32) -> u32 {
        if self.one_in == 1 { asked } else { (asked / self.one_in).max(FEWEST) }
    }

    /// Whether an engine, or a setting of one, takes part.
    #[must_use]
    pub fn is_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::Esker | Kind::RocksdbZstd => true,
            Kind::EskerInline | Kind::RocksdbBlobs => self.subject == Subject::LargeValues,
            Kind::EskerTiered | Kind::RocksdbUniversal => self.subject == Subject::Compaction,
            Kind::RocksdbMixed | Kind::Fjall | Kind::Lmdb | Kind::Redb => self.subject == Subject::Engines,
        }
    }
}

impl Phase {
    /// All phases, each name once: those of the main suite, and what others have beside them.
    #[must_use]
    pub fn all() -> Vec<&'static Phase> {
        let mut all: Vec<&'static Phase> = Vec::new();
        for phase in SUITES.iter().flat_map(|suite| suite.phases) {
            if all.iter().all(|known| known.name != phase.name) {
                all.push(phase);
            }
        }
        all
    }

    /// The phase of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Phase> {
        Phase::all().into_iter().find(|phase| phase.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn suites_and_their_phases_have_names_of_their_own() {
        let names: BTreeSet<_> = SUITES.iter().map(|suite| suite.name).collect();
        assert_eq!(names.len(), SUITES.len());
        for suite in SUITES {
            assert_eq!(Suite::named(suite.name).unwrap().what, suite.what);
            let phases: BTreeSet<_> = suite.phases.iter().map(|phase| phase.name).collect();
            assert_eq!(phases.len(), suite.phases.len(), "{}", suite.name);
            // A name is of one work, whichever suite it stands in.
            for phase in suite.phases {
                assert_eq!(Phase::named(phase.name).unwrap().work, phase.work, "{}", suite.name);
            }
        }
    }

    #[test]
    fn settings_take_part_where_they_differ() {
        let names = |name: &str| {
            let suite = Suite::named(name).unwrap();
            Kind::ALL.into_iter().filter(|&kind| suite.is_for(kind)).map(Kind::name).collect::<Vec<_>>()
        };
        assert_eq!(names("main"), ["esker", "rocksdb-zstd", "rocksdb-mixed", "fjall", "lmdb", "redb"]);
        for suite in ["values-4k", "values-64k"] {
            assert_eq!(names(suite), ["esker", "esker-inline", "rocksdb-zstd", "rocksdb-blobs"]);
        }
        assert_eq!(names("tiers"), ["esker", "esker-tiered", "rocksdb-zstd", "rocksdb-universal"]);
    }

    #[test]
    fn entries_of_large_values_are_fewer() {
        let entries = |name: &str, asked| Suite::named(name).unwrap().entries(asked);
        assert_eq!(entries("main", 3_000_000), 3_000_000);
        assert_eq!((entries("values-4k", 3_000_000), entries("values-64k", 3_000_000)), (150_000, 10_000));
        assert_eq!((entries("main", 7), entries("values-64k", 7)), (7, 200));
    }
}
