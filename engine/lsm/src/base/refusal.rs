//! The details of writes that are refused because of what others have written.

use std::fmt;

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

impl fmt::Display for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {} of {:?};", self.transaction, self.key.escape_ascii(), self.family)
    }
}
