//! How a table is written.

use super::format::MAX_BLOCK_OPTION_BYTES;
use crate::base::error::{Error, Result};
use crate::base::key::NEVER;
use crate::compress::{Codec, DEFAULT_ZSTD_LEVEL, MAX_DICTIONARY_BYTES, MIN_DICTIONARY_BYTES};
use crate::filter::{FilterPolicy, PrefixExtractor};

/// How a table is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// How data and index blocks are stored. Default: zstd.
    pub codec: Codec,
    /// The level for zstd. Default: 1.
    pub zstd_level: i32,
    /// The most that the table may spend on a dictionary for its data blocks; 0 for none, and none is written
    /// that does not save more than itself. Means nothing without [`Codec::Zstd`]. Default: 0; otherwise
    /// between 256 bytes and 1 MiB.
    pub dictionary_bytes: usize,
    /// A data block is finished before it grows beyond this many raw bytes; a larger entry gets a
    /// block of its own. Default: 8 KiB; between 64 bytes and 16 MiB.
    pub block_bytes: usize,
    /// Keys are stored whole at every n-th entry of a block. Default: 16; between 1 and 1024.
    pub restart_interval: u32,
    /// The filter policy. Default: blocked.
    pub filter: FilterPolicy,
    /// Bits of the filter for each distinct user key. Default: 10; between 1 and 64.
    pub bits_per_key: u32,
    /// Whose prefixes the filter holds beside the keys. Default: none.
    pub prefix: Option<PrefixExtractor>,
    /// A partition of index and filter is cut when the index has this many raw bytes. Default:
    /// 256 KiB; between 1 byte and 16 MiB.
    pub partition_bytes: usize,
    /// Where the entries come from, as the properties record it.
    pub origin: Origin,
}

/// Where the entries of a table come from; recorded, not interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The id of the column family.
    pub family: u32,
    /// The store's random number; 0 if none is known.
    pub store: u64,
    /// The history that the sequence numbers belong to.
    pub history: u64,
    /// When the table is written, in milliseconds since the epoch.
    pub created_ms: u64,
    /// When the newest entry was flushed, if the table only carries on others' entries and that is to be
    /// kept; otherwise 0.
    pub newest_ms: u64,
    /// The time of the oldest deletion among the entries, in milliseconds since the epoch: that of
    /// the flush, or the least of a compaction's inputs. Recorded only if there is a deletion.
    pub oldest_deletion_ms: u64,
    /// Whether the table is made outside of a store, where entries have no sequence numbers yet.
    pub outside: bool,
}

impl Default for Origin {
    fn default() -> Self {
        Origin {
            family: 0,
            store: 0,
            history: 0,
            created_ms: 0,
            newest_ms: 0,
            oldest_deletion_ms: NEVER,
            outside: false,
        }
    }
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions {
            codec: Codec::Zstd,
            zstd_level: DEFAULT_ZSTD_LEVEL,
            dictionary_bytes: 0,
            block_bytes: 8 << 10,
            restart_interval: 16,
            filter: FilterPolicy::Blocked,
            bits_per_key: 10,
            prefix: None,
            partition_bytes: 256 << 10,
            origin: Origin::default(),
        }
    }
}

impl TableOptions {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field and its limits.
    pub fn validate(&self) -> Result<()> {
        let check = |what: &'static str, value: usize, min: usize, max: usize| {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            Err(Error::invalid(what, format!("{value} is not between {min} and {max}")))
        };
        check("block_bytes", self.block_bytes, 64, MAX_BLOCK_OPTION_BYTES)?;
        if self.dictionary_bytes > 0 {
            check("dictionary_bytes", self.dictionary_bytes, MIN_DICTIONARY_BYTES, MAX_DICTIONARY_BYTES)?;
        }
        check("restart_interval", self.restart_interval as usize, 1, 1024)?;
        check("bits_per_key", self.bits_per_key as usize, 1, 64)?;
        check("partition_bytes", self.partition_bytes, 1, 16 << 20)?;
        self.prefix.map_or(Ok(()), |prefix| prefix.validate())
    }
}
