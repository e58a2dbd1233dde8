//! Explanations in plain words.

use super::explain::{Answer, EntryKind, Explanation, FoundEntry, HiddenBy, Place, PlaceKind, ValuePlace};
use std::fmt;

impl fmt::Display for Explanation {
    /// Several lines, without an end of line behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.escape_ascii();
        writeln!(f, "\"{key}\" in the family {:?}, at sequence number {}", self.family, self.seq)?;
        writeln!(f, "a get answers: {}", self.answer)?;
        if let Some(range) = self.deleted_range {
            writeln!(f, "a range over the key was deleted by sequence number {range}")?;
        }
        for place in &self.places {
            writeln!(f, "  {place}")?;
        }
        write!(f, "cost: {}", self.cost)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Value { bytes, seq, expires_at_ms, operands } => {
                write!(f, "a value of {bytes} bytes, written by sequence number {seq}")?;
                if *operands > 0 {
                    write!(f, " and merged from {operands} operands")?;
                }
                match expires_at_ms {
                    Some(at_ms) => write!(f, ", which expires at {at_ms} (ms since 1970)"),
                    None => Ok(()),
                }
            }
            Answer::Nowhere => f.write_str("nothing; there is no entry of it anywhere"),
            Answer::Deleted { seq } => write!(f, "nothing; sequence number {seq} deleted it"),
            Answer::RangeDeleted { range } => {
                write!(f, "nothing; sequence number {range} deleted a range that it lies in")
            }
            Answer::Expired { seq, at_ms } => {
                write!(f, "nothing; the value of sequence number {seq} expired at {at_ms} (ms since 1970)")
            }
            Answer::MergedToNothing => {
                f.write_str("nothing; what its operands make has expired or was deleted with a range")
            }
            Answer::Failed(error) => write!(f, "an error: {error}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PlaceKind::ActiveMemtable => f.write_str("the active memtable: ")?,
            PlaceKind::SealedMemtable => f.write_str("a memtable that waits to be flushed: ")?,
            PlaceKind::Table { level, number } => write!(f, "level {level}, table {number:06}: ")?,
            PlaceKind::Level { level } => write!(f, "level {level}: ")?,
        }
        if let Some(error) = &self.error {
            return write!(f, "cannot be read: {error}");
        }
        match (self.kind, self.covers, self.filter) {
            (PlaceKind::ActiveMemtable | PlaceKind::SealedMemtable, false, _) => {
                return f.write_str("empty");
            }
            (PlaceKind::Level { .. }, ..) => return f.write_str("no table covers the key"),
            (_, false, _) => return f.write_str("does not cover the key"),
            (_, _, Some(false)) => return f.write_str("the filter says that the key is not there"),
            (_, _, Some(true)) => f.write_str("the filter says maybe, ")?,
            (_, _, None) => {}
        }
        match self.cached {
            Some(true) => f.write_str("the block is cached, ")?,
            Some(false) => f.write_str("the block was read, ")?,
            None => {}
        }
        match &self.entry {
            Some(entry) => write!(f, "{entry}"),
            None => f.write_str("has no entry of it"),
        }
    }
}

impl fmt::Display for FoundEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            EntryKind::Value => write!(f, "a value of {} bytes", self.value_bytes)?,
            EntryKind::Operand => write!(f, "an operand of {} bytes", self.value_bytes)?,
            EntryKind::Deletion => f.write_str("a deletion")?,
        }
        if let Some(ValuePlace { file, offset, stored_bytes }) = self.apart {
            write!(f, " in blob file {file:06} at {offset}, {stored_bytes} bytes there")?;
        }
        write!(f, ", sequence number {}", self.seq)?;
        if let Some(at_ms) = self.expires_at_ms {
            write!(f, ", expires at {at_ms}")?;
        }
        match self.hidden_by {
            Some(HiddenBy::Newer) => f.write_str(", hidden by what is newer"),
            Some(HiddenBy::Range(range)) => write!(f, ", hidden by the range that {range} deleted"),
            Some(HiddenBy::Expiry) => f.write_str(", has expired"),
            None => Ok(()),
        }
    }
}
