//! What is done to the simulated disk, one numbered operation after the other.

use std::fmt;
use std::path::PathBuf;

/// A call that was made to the simulated file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its number: 0 for the first call to the disk (each image starts at 0 again).
    pub index: u64,
    /// What is asked for.
    pub kind: OperationKind,
    /// The file or directory: for an open file the path that it was opened under.
    pub path: PathBuf,
    /// The target of a rename or of a link.
    pub to: Option<PathBuf>,
    /// Where a read or a write begins, in bytes; 0 otherwise.
    pub offset: u64,
    /// How many bytes a read or a write asks for; the size that truncate and allocate name; the
    /// length of a lock holder's text; 0 otherwise.
    pub bytes: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} {}", self.index, self.kind, self.path.display())?;
        if let Some(to) = &self.to {
            write!(f, " -> {}", to.display())?;
        }
        match self.kind {
            OperationKind::Read | OperationKind::Write => {
                write!(f, " [{}, +{}]", self.offset, self.bytes)
            }
            OperationKind::Truncate | OperationKind::Allocate => write!(f, " to {}", self.bytes),
            _ => Ok(()),
        }
    }
}

/// The kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// A new file.
    Create,
    /// An existing file is opened.
    Open,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// A file's content and length are made durable.
    Sync,
    /// A file's length is asked for.
    Size,
    /// A file is cut or extended.
    Truncate,
    /// Space is reserved.
    Allocate,
    /// A file gets another name.
    Rename,
    /// A name is taken away.
    Remove,
    /// A directory is listed.
    List,
    /// A directory and its parents are created.
    CreateDir,
    /// A directory's entries are made durable.
    SyncDir,
    /// A lock is asked for.
    Lock,
    /// A file gets a second name.
    Link,
}

impl OperationKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [OperationKind; 15] = [
        OperationKind::Create,
        OperationKind::Open,
        OperationKind::Read,
        OperationKind::Write,
        OperationKind::Sync,
        OperationKind::Size,
        OperationKind::Truncate,
        OperationKind::Allocate,
        OperationKind::Rename,
        OperationKind::Remove,
        OperationKind::List,
        OperationKind::CreateDir,
        OperationKind::SyncDir,
        OperationKind::Lock,
        OperationKind::Link,
    ];

    /// Whether it can change what is on the disk or what of it is durable. Only such operations are
    /// shown to an observer.
    #[must_use]
    pub fn is_mutating(self) -> bool {
        use OperationKind::{List, Open, Read, Size};
        !matches!(self, Open | Read | Size | List)
    }

    /// Its name, as [`fmt::Display`] shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OperationKind::Create => "create",
            OperationKind::Open => "open",
            OperationKind::Read => "read",
            OperationKind::Write => "write",
            OperationKind::Sync => "sync",
            OperationKind::Size => "size",
            OperationKind::Truncate => "truncate",
            OperationKind::Allocate => "allocate",
            OperationKind::Rename => "rename",
            OperationKind::Remove => "remove",
            OperationKind::List => "list",
            OperationKind::CreateDir => "create-dir",
            OperationKind::SyncDir => "sync-dir",
            OperationKind::Lock => "lock",
            OperationKind::Link => "link",
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// On which side of an operation something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The call has been made and nothing has happened yet.
    Before,
    /// It has happened (or failed) and the caller does not know yet.
    After,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Before => "before",
            Phase::After => "after",
        })
    }
}

/// How many operations of each kind have been called for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    counts: [u64; OperationKind::ALL.len()],
    asked_ahead: u64,
    syncs_ahead: u64,
}

impl Stats {
    pub(super) fn count(&mut self, kind: OperationKind) {
        self.counts[kind as usize] += 1;
    }

    pub(super) fn count_ahead(&mut self, bytes: u64) {
        self.asked_ahead += bytes;
    }

    pub(super) fn count_syncs_ahead(&mut self) {
        self.syncs_ahead += 1;
    }

    /// How often it was told that a file will be synced soon, which is no operation.
    #[must_use]
    pub fn syncs_ahead(&self) -> u64 {
        self.syncs_ahead
    }

    /// How many bytes it was told will be read soon, which is no operation.
    #[must_use]
    pub fn asked_ahead_bytes(&self) -> u64 {
        self.asked_ahead
    }

    /// How many operations of this kind.
    #[must_use]
    pub fn of(&self, kind: OperationKind) -> u64 {
        self.counts[kind as usize]
    }

    /// How many operations in all: the index that the next one will have.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for kind in OperationKind::ALL {
            if self.of(kind) > 0 {
                write!(f, "{space}{kind}={}", self.of(kind))?;
                space = " ";
            }
        }
        Ok(())
    }
}
