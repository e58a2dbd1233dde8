//! How the tables of a column family are written, level by level.

use super::options::{Origin, TableOptions};
use crate::base::error::{Error, Result};
use crate::base::limits::LEVELS;
use crate::compress::Codec;

/// How the tables of a column family are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablePolicy {
    /// What holds for every level; its codec is the one below the uncompressed levels, its dictionaries are
    /// for the last level alone.
    pub base: TableOptions,
    /// Levels from 0 on whose blocks are stored raw, which costs writes and saves time of the processor.
    pub uncompressed_levels: usize,
    /// Whether sequence numbers stay in the last level, so that each write can be told from every other.
    pub keep_versions: bool,
}

impl TablePolicy {
    /// The options for a table of `level`.
    #[must_use]
    pub fn for_level(&self, level: usize, origin: Origin) -> TableOptions {
        let codec = if level < self.uncompressed_levels { Codec::None } else { self.base.codec };
        let dictionary_bytes = if self.has_dictionaries(level) { self.base.dictionary_bytes } else { 0 };
        TableOptions { codec, dictionary_bytes, origin, ..self.base.clone() }
    }

    /// Whether tables of `level` may have a dictionary. Those above the last are rewritten too soon for one
    /// to be worth training.
    fn has_dictionaries(&self, level: usize) -> bool {
        level == LEVELS - 1 && !self.is_raw(level) && self.base.dictionary_bytes > 0
    }

    fn is_raw(&self, level: usize) -> bool {
        level < self.uncompressed_levels || self.base.codec == Codec::None
    }

    /// Whether tables of both levels are stored with the same codec, so that one may become one of
    /// the other as it is.
    #[must_use]
    pub fn same_codec(&self, level: usize, other: usize) -> bool {
        self.is_raw(level) == self.is_raw(other)
            && self.has_dictionaries(level) == self.has_dictionaries(other)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field.
    pub fn validate(&self) -> Result<()> {
        if self.uncompressed_levels > LEVELS {
            return Err(Error::invalid("uncompressed_levels", "there are seven levels"));
        }
        self.base.validate()
    }
}
