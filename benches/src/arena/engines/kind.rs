//! Which engines there are, and which of them this program was built with.

use crate::arena::engine::{Engine, Settings};
use crate::process::Fallible;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An engine, and for Esker and RocksDB which of its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// This project's.
    Esker,
    /// Esker with large values beside their keys.
    EskerInline,
    /// Esker, compacted in tiers.
    EskerTiered,
    /// RocksDB, zstd on every level.
    RocksdbZstd,
    /// RocksDB, levels 0 and 1 not compressed, zstd below.
    RocksdbMixed,
    /// RocksDB with large values in files of their own.
    RocksdbBlobs,
    /// RocksDB, compacted in tiers.
    RocksdbUniversal,
    /// fjall.
    Fjall,
    /// LMDB.
    Lmdb,
    /// redb.
    Redb,
}

impl Kind {
    /// All of them, in the order of reports.
    pub const ALL: [Kind; 10] = [
        Kind::Esker,
        Kind::EskerInline,
        Kind::EskerTiered,
        Kind::RocksdbZstd,
        Kind::RocksdbMixed,
        Kind::RocksdbBlobs,
        Kind::RocksdbUniversal,
        Kind::Fjall,
        Kind::Lmdb,
        Kind::Redb,
    ];

    /// Those that this program was built with.
    pub fn built() -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| kind.is_built())
    }

    /// Whether this program was built with it.
    #[must_use]
    pub fn is_built(self) -> bool {
        match self {
            kind if kind.is_esker() => true,
            kind if kind.is_rocksdb() => cfg!(feature = "rocksdb"),
            Kind::Fjall => cfg!(feature = "fjall"),
            Kind::Lmdb => cfg!(feature = "lmdb"),
            Kind::Redb => cfg!(feature = "redb"),
            _ => false,
        }
    }

    /// Whether it is this project's.
    #[must_use]
    pub fn is_esker(self) -> bool {
        matches!(self, Kind::Esker | Kind::EskerInline | Kind::EskerTiered)
    }

    /// Whether it is RocksDB, which every row is compared with.
    #[must_use]
    pub fn is_rocksdb(self) -> bool {
        use Kind::{RocksdbBlobs, RocksdbMixed, RocksdbUniversal, RocksdbZstd};
        matches!(self, RocksdbZstd | RocksdbMixed | RocksdbBlobs | RocksdbUniversal)
    }

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Esker => "esker",
            Kind::EskerInline => "esker-inline",
            Kind::EskerTiered => "esker-tiered",
            Kind::RocksdbZstd => "rocksdb-zstd",
            Kind::RocksdbMixed => "rocksdb-mixed",
            Kind::RocksdbBlobs => "rocksdb-blobs",
            Kind::RocksdbUniversal => "rocksdb-universal",
            Kind::Fjall => "fjall",
            Kind::Lmdb => "lmdb",
            Kind::Redb => "redb",
        }
    }

    /// What the figures of this engine mean beyond its name.
    #[must_use]
    pub fn note(self) -> &'static str {
        match self {
            Kind::Esker => "zstd 1 on every level; values of 4 KiB and more in files of their own",
            Kind::EskerInline => "zstd 1 on every level; large values beside their keys",
            Kind::EskerTiered => "zstd 1 on every level; tiers as they are by default",
            Kind::RocksdbZstd => "zstd 1 on every level; large values beside their keys",
            Kind::RocksdbMixed => "levels 0 and 1 not compressed, zstd 1 below",
            Kind::RocksdbBlobs => {
                "as rocksdb-zstd, with values of 4 KiB and more in blob files: zstd 1, read through the \
                 cache of blocks, collected from the oldest quarter of the files (the default), at once \
                 where two fifths of those are dead (35 % in Esker; by default it waits for compactions)"
            }
            Kind::RocksdbUniversal => "as rocksdb-zstd, universal compaction as it is by default",
            Kind::Fjall => "lz4, it has no zstd; waits that it imposes are not counted",
            Kind::Lmdb => {
                "no compression, no cache but the system's; a transaction for each write, \
                           not synced unless the row says so"
            }
            Kind::Redb => {
                "no compression; 1,000 writes in a transaction, which a kill of the process may \
                           undo unless the row is synced"
            }
        }
    }

    /// Opens or makes a store.
    ///
    /// # Errors
    /// What the engine gives; if this program was built without it.
    pub fn open(self, settings: &Settings) -> Fallible<Box<dyn Engine>> {
        match self {
            Kind::Esker | Kind::EskerInline | Kind::EskerTiered => super::esker::open(settings, self),
            #[cfg(feature = "rocksdb")]
            kind if kind.is_rocksdb() => super::rocksdb::open(settings, kind),
            #[cfg(feature = "fjall")]
            Kind::Fjall => super::fjall::open(settings),
            #[cfg(feature = "lmdb")]
            Kind::Lmdb => super::lmdb::open(settings),
            #[cfg(feature = "redb")]
            Kind::Redb => super::redb::open(settings),
            #[allow(unreachable_patterns, reason = "with every feature there is nothing left")]
            other => Err(format!("this program was built without {other}").into()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        let names = || Kind::ALL.map(Kind::name).join(", ");
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        let kind = found.ok_or_else(|| format!("one of {}", names()))?;
        let feature = text.split('-').next().unwrap_or(text);
        if kind.is_built() { Ok(kind) } else { Err(format!("it needs --features {feature}")) }
    }
}
