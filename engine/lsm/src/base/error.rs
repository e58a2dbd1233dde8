//! The errors that a user of the engine can meet.

use super::limits;
use super::position::Position;
use super::refusal::{Expected, FoundInstead, IngestRefusal, LockWait};
use crate::base::sync::Arc;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Each kind that a caller may want to treat differently is its own variant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    Io(Arc<IoFailure>),
    /// The disk is full (or a quota is used up). Reads go on; writes come back when space does.
    DiskFull(Arc<IoFailure>),
    /// Bytes on disk are not what was written. They are never served.
    Corruption(Box<Corruption>),
    /// A file or a store was written by a version that this one cannot read.
    UnsupportedVersion {
        /// The file that says so.
        file: PathBuf,
        /// The version it names.
        found: u64,
        /// The newest version that this build reads.
        supported: u64,
    },
    /// The directory holds something else than an Esker store, or nothing where a store must be.
    NotADatabase {
        /// The directory.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
    /// Another process (or another handle of this one) has the store open.
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as far as it can be told.
        holder: String,
    },
    /// An argument or option is out of its range.
    InvalidArgument {
        /// The argument or the option's field.
        what: &'static str,
        /// What is wrong with it, with the limit.
        why: String,
    },
    /// A key is longer than [`limits::MAX_KEY_BYTES`].
    KeyTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A value is longer than [`limits::MAX_VALUE_BYTES`].
    ValueTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A write batch is larger than [`limits::MAX_BATCH_BYTES`].
    BatchTooLarge {
        /// Its encoded length.
        bytes: usize,
    },
    /// No column family has this name.
    NoSuchFamily {
        /// The name asked for.
        name: String,
    },
    /// A column family of this name exists already.
    FamilyExists {
        /// The name asked for.
        name: String,
    },
    /// The column family behind this handle was dropped.
    FamilyDropped {
        /// The name it had.
        name: String,
    },
    /// The operands of a key could not be merged. They are kept, and other keys are not concerned; the
    /// key reads again once it is overwritten or deleted, or the family's operator can merge them.
    MergeFailed {
        /// The key.
        key: Box<[u8]>,
        /// Why, in the words of the operator.
        why: Arc<str>,
    },
    /// A merge operator or a compaction filter panicked, or gave what it must not, while its family was
    /// being compacted. Nothing is lost; the family is compacted again after a while.
    HookFailed(Box<HookFailure>),
    /// A merge operator or a compaction filter has called the store that it works for. Nothing was done.
    CalledFromHook,
    /// A handle or a snapshot of one store was used with another.
    WrongDatabase,
    /// Somebody else has written what a transaction has read or writes. Nothing was written; a new
    /// attempt may succeed. Rarely the conflict is a false one, never is one missed.
    Conflict {
        /// The column family's name.
        family: Box<str>,
        /// A key that was written by somebody else; of a range that was removed, the first that is concerned;
        /// or one whose value has expired. If looking was given up, one that may be as it was.
        key: Box<[u8]>,
    },
    /// Another transaction holds the lock on a key and did not give it back in time.
    LockTimeout {
        /// The column family's name.
        family: Box<str>,
        /// The key.
        key: Box<[u8]>,
        /// The number of the transaction (or write) that holds it.
        holder: u64,
    },
    /// Transactions wait for one another in a circle. The one that gets this error must be rolled
    /// back (or let go of its locks) so that the others go on.
    Deadlock {
        /// Each transaction in the circle with the key that it waits for, which the next one holds.
        /// The first is the one that gets the error.
        cycle: Box<[LockWait]>,
    },
    /// A condition of a batch does not hold. Nothing of the batch was written.
    ConditionFailed {
        /// Which of the batch's conditions, counted from zero.
        index: usize,
        /// The column family's name.
        family: Box<str>,
        /// The key.
        key: Box<[u8]>,
        /// What the condition asks for.
        expected: Expected,
        /// What is there.
        found: FoundInstead,
    },
    /// A prepared transaction holds a key that somebody else wants to write, and was neither committed nor
    /// rolled back in time.
    HeldByPrepared {
        /// The column family's name.
        family: Box<str>,
        /// The key.
        key: Box<[u8]>,
        /// The name under which the transaction was prepared.
        name: Box<str>,
    },
    /// A transaction of this name is prepared already.
    AlreadyPrepared {
        /// The name asked for.
        name: Box<str>,
    },
    /// No transaction of this name is prepared: it never was, or was committed or rolled back.
    NotPrepared {
        /// The name asked for.
        name: Box<str>,
    },
    /// As many transactions are prepared as [`max_prepared`](crate::Options::max_prepared) allows.
    TooManyPrepared {
        /// That many.
        limit: usize,
    },
    /// Prepared transactions would take more than
    /// [`max_prepared_bytes`](crate::Options::max_prepared_bytes) allows.
    PreparedTooLarge {
        /// What all of them would take, in bytes.
        bytes: u64,
        /// What they may take.
        limit: u64,
    },
    /// A column family cannot be dropped, because a prepared transaction writes to it or relies on it.
    FamilyPrepared {
        /// The column family's name.
        family: Box<str>,
        /// The name under which the transaction was prepared.
        name: Box<str>,
    },
    /// A transaction holds more than its options allow.
    TransactionTooLarge {
        /// What its writes would take, in bytes.
        bytes: usize,
        /// What they may take.
        limit: usize,
    },
    /// A key was put into a table that does not come behind the one before.
    KeysOutOfOrder {
        /// The key before.
        previous: Box<[u8]>,
        /// The key that was refused.
        key: Box<[u8]>,
    },
    /// A file cannot be ingested. Nothing of what was to be ingested with it was.
    IngestRefused {
        /// The file.
        file: Box<Path>,
        /// Why.
        why: IngestRefusal,
    },
    /// A file that a reader without the lock of the store needs is gone: whoever writes to the store has
    /// removed it meanwhile, since nothing needs it any more. What the store holds now can be read.
    FileGone {
        /// The file.
        file: Box<Path>,
    },
    /// The log of a store holds more that was not flushed than a reader may keep in memory. Whoever writes to
    /// the store flushes it sooner or later; with a larger
    /// [`memory_budget`](crate::Options::memory_budget) it fits.
    LogTooLarge {
        /// What was met so far, in bytes.
        bytes: u64,
        /// What it may take.
        limit: u64,
    },
    /// Changes behind a position cannot all be read: some are no longer kept, or the position is of a history
    /// that this store has not had, or has lost the end of. Whoever read them before must read what is there
    /// now, and may then go on.
    FeedGap {
        /// The position that was asked for, or reached.
        asked: Position,
        /// The first one from which all changes can be read.
        first_available: Position,
    },
    /// No feed consumer has this name.
    NoSuchConsumer {
        /// The name asked for.
        name: Box<str>,
    },
    /// The store was closed.
    Closed,
    /// A failed sync or a panic in background work has made the store read-only until it is
    /// opened again. Reads go on at the last durable state.
    Poisoned {
        /// What happened first.
        why: Arc<str>,
    },
}

/// A failed file operation.
#[derive(Debug)]
pub struct IoFailure {
    /// What was tried, as a verb: `open`, `write`, `sync`.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The operating system's word.
    pub source: io::Error,
}

/// A merge operator or a compaction filter that failed while its family was being compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookFailure {
    /// The column family.
    pub family: String,
    /// Which hook: `merge operator` or `compaction filter`, with a name if it has one.
    pub hook: String,
    /// What its panic said, or what is wrong with its answer.
    pub words: String,
}

/// Bytes on disk that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The damaged file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What should have stood there.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Corruption {
    /// Describes damage.
    pub fn new(file: &Path, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Corruption { file: file.to_owned(), offset, expected: expected.into(), found: found.into() }
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Self {
        Error::Corruption(Box::new(corruption))
    }
}

impl Error {
    /// An I/O error with what was tried; a full disk becomes its own kind.
    #[must_use]
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Error {
        let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let failure = Arc::new(IoFailure { operation, path: path.to_owned(), source });
        if full { Error::DiskFull(failure) } else { Error::Io(failure) }
    }

    /// An argument that is out of its range.
    pub fn invalid(what: &'static str, why: impl Into<String>) -> Error {
        Error::InvalidArgument { what, why: why.into() }
    }

    /// Operands that cannot be merged.
    pub fn merge_failed(key: &[u8], why: impl Into<Arc<str>>) -> Error {
        Error::MergeFailed { key: key.into(), why: why.into() }
    }

    /// Whether this is a sync that failed: what it was to make durable may be lost for good.
    #[must_use]
    pub fn is_failed_sync(&self) -> bool {
        matches!(self, Error::Io(e) | Error::DiskFull(e) if e.operation.starts_with("sync"))
    }

    /// Whether a new attempt at the same transaction may succeed: it met another one.
    #[must_use]
    pub fn is_transient_conflict(&self) -> bool {
        matches!(
            self,
            Error::Conflict { .. }
                | Error::LockTimeout { .. }
                | Error::HeldByPrepared { .. }
                | Error::Deadlock { .. }
        )
    }

    /// Whether the operating system said that the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Io(failure) if failure.source.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(e) => write!(f, "cannot {} {}: {}", e.operation, e.path.display(), e.source),
            Error::DiskFull(e) => {
                write!(f, "the disk is full: cannot {} {}: {}", e.operation, e.path.display(), e.source)
            }
            Error::Corruption(c) => write!(
                f,
                "corruption in {} at offset {}: expected {}, found {}",
                c.file.display(),
                c.offset,
                c.expected,
                c.found
            ),
            Error::UnsupportedVersion { file, found, supported } => write!(
                f,
                "{} has format version {found}; this build reads versions up to {supported}",
                file.display()
            ),
            Error::NotADatabase { path, why } => {
                write!(f, "{} is not an Esker store: {why}", path.display())
            }
            Error::Locked { path, holder } => {
                write!(f, "{} is in use by {holder}", path.display())
            }
            Error::InvalidArgument { what, why } => write!(f, "{what}: {why}"),
            Error::KeyTooLarge { bytes } => {
                write!(f, "the key has {bytes} bytes; at most {} are allowed", limits::MAX_KEY_BYTES)
            }
            Error::ValueTooLarge { bytes } => {
                write!(f, "the value has {bytes} bytes; at most {} are allowed", limits::MAX_VALUE_BYTES)
            }
            Error::BatchTooLarge { bytes } => {
                write!(f, "the batch has {bytes} bytes; at most {} are allowed", limits::MAX_BATCH_BYTES)
            }
            Error::NoSuchFamily { name } => write!(f, "there is no column family {name:?}"),
            Error::FamilyExists { name } => write!(f, "a column family {name:?} exists already"),
            Error::FamilyDropped { name } => write!(f, "the column family {name:?} was dropped"),
            Error::MergeFailed { key, why } => {
                write!(f, "cannot merge the operands of the key {:?}: {why}", key.escape_ascii().to_string())
            }
            Error::HookFailed(failure) => write!(
                f,
                "the {} of the column family {:?} failed: {}",
                failure.hook, failure.family, failure.words
            ),
            Error::Conflict { family, key } => {
                write!(f, "a conflict: somebody else has written {} of {family:?}", key.escape_ascii())
            }
            Error::LockTimeout { family, key, holder } => {
                write!(f, "transaction {holder} holds the lock on {} of {family:?}", key.escape_ascii())
            }
            Error::Deadlock { cycle } => {
                f.write_str("a deadlock:")?;
                cycle.iter().try_for_each(|wait| write!(f, " {wait}"))
            }
            Error::ConditionFailed { index, family, key, expected, found } => write!(
                f,
                "condition {index} does not hold: {} of {family:?} must be {expected}, and is {found}",
                key.escape_ascii()
            ),
            Error::HeldByPrepared { family, key, name } => write!(
                f,
                "the prepared transaction {name:?} holds {} of {family:?} until it is resolved",
                key.escape_ascii()
            ),
            Error::AlreadyPrepared { name } => write!(f, "a transaction {name:?} is prepared already"),
            Error::NotPrepared { name } => write!(f, "no transaction {name:?} is prepared"),
            Error::TooManyPrepared { limit } => {
                write!(f, "{limit} transactions are prepared, as many as max_prepared allows")
            }
            Error::PreparedTooLarge { bytes, limit } => {
                write!(f, "prepared transactions would take {bytes} bytes; max_prepared_bytes allows {limit}")
            }
            Error::FamilyPrepared { family, name } => {
                write!(f, "the prepared transaction {name:?} needs the column family {family:?}")
            }
            Error::TransactionTooLarge { bytes, limit } => {
                write!(f, "the transaction has {bytes} bytes; its options allow {limit}")
            }
            Error::KeysOutOfOrder { previous, key } => {
                let (previous, key) = (previous.escape_ascii(), key.escape_ascii());
                write!(f, "the key \"{key}\" does not come behind \"{previous}\"")
            }
            Error::IngestRefused { file, why } => {
                write!(f, "{} cannot be ingested: {why}", file.display())
            }
            Error::FileGone { file } => {
                write!(f, "{} is gone: whoever writes to the store has moved on", file.display())
            }
            Error::LogTooLarge { bytes, limit } => write!(
                f,
                "the log holds more than fits into memory: {bytes} bytes so far, of {limit}; a larger memory \
                 budget helps"
            ),
            Error::FeedGap { asked, first_available } => {
                write!(f, "not all changes behind {asked} are kept; those behind {first_available} are")
            }
            Error::NoSuchConsumer { name } => write!(f, "there is no feed consumer {name:?}"),
            Error::CalledFromHook => {
                f.write_str("a merge operator or a compaction filter has called the store that it works for")
            }
            Error::WrongDatabase => f.write_str("a handle of another store was used"),
            Error::Closed => f.write_str("the store is closed"),
            Error::Poisoned { why } => {
                write!(f, "the store is read-only until it is opened again: {why}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(e) | Error::DiskFull(e) => Some(&e.source),
            _ => None,
        }
    }
}

// Results travel through every read: an error must not make them large.
const _: () = assert!(std::mem::size_of::<Error>() <= 56);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_its_own_kind_and_keeps_its_source() {
        let full = Error::io("write", Path::new("x"), io::ErrorKind::StorageFull.into());
        assert!(matches!(full, Error::DiskFull(_)));
        assert!(std::error::Error::source(&full).is_some());
        let missing = Error::io("open", Path::new("x"), io::ErrorKind::NotFound.into());
        assert!(missing.is_not_found());
    }
}
