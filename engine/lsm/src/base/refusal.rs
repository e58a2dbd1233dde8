//! The details of writes that are refused because of what others have written, or of what they are.

use std::fmt;
use std::path::Path;

/// What a condition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expected {
    /// No value.
    Absent,
    /// A certain value.
    Value,
    /// The value that a read returned, not written since.
    Version,
}

/// What a condition found instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FoundInstead {
    /// No value: the key was never written, was removed, or has expired.
    Absent,
    /// A value where there must be none.
    Present,
    /// Another value.
    OtherValue,
    /// A value that was written at another time.
    OtherVersion,
}

/// Why a file is not ingested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IngestRefusal {
    /// It is a table that a store has written, whose entries have sequence numbers of that store.
    NotFromOutside,
    /// It holds no entry.
    Empty,
    /// It holds merge operands, whose time is that of the commit.
    HoldsOperands,
    /// It shares keys with another file for the same family.
    Overlaps(Box<Path>),
    /// The store has it already, as this table.
    KnownAs(u64),
    /// Another file of the same batch is a copy of it.
    CopyOf(Box<Path>),
}

/// A transaction in a circle of transactions that wait for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// Its number.
    pub transaction: u64,
    /// The column family's name.
    pub family: Box<str>,
    /// The key that it waits for.
    pub key: Box<[u8]>,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Absent => "absent",
            Expected::Value => "a certain value",
            Expected::Version => "of a certain version",
        })
    }
}

impl fmt::Display for FoundInstead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FoundInstead::Absent => "absent",
            FoundInstead::Present => "present",
            FoundInstead::OtherValue => "another value",
            FoundInstead::OtherVersion => "of another version",
        })
    }
}

impl fmt::Display for IngestRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IngestRefusal::NotFromOutside => f.write_str("it is a table of a store, not one made for this"),
            IngestRefusal::Empty => f.write_str("it holds no entry"),
            IngestRefusal::HoldsOperands => f.write_str("it holds merge operands"),
            IngestRefusal::Overlaps(other) => write!(f, "it shares keys with {}", other.display()),
            IngestRefusal::KnownAs(number) => write!(f, "the store has it already, as table {number}"),
            IngestRefusal::CopyOf(other) => write!(f, "it is a copy of {}", other.display()),
        }
    }
}

impl fmt::Display for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {} of {:?};", self.transaction, self.key.escape_ascii(), self.family)
    }
}
