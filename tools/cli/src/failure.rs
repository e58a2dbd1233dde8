//! Why a command did not succeed, and the exit code that says so.

use std::fmt;
use std::io;
use std::path::Path;

/// Success.
pub const OK: u8 = 0;
/// Something went wrong; the line on stderr says what.
pub const ERROR: u8 = 1;
/// The command line itself is wrong.
pub const USAGE: u8 = 2;
/// `get`: there is no such key.
pub const NOT_FOUND: u8 = 3;
/// `verify`: the store is damaged; `stress`: something was lost.
pub const DAMAGED: u8 = 4;
/// `repair`: nothing is damaged, but the store was not closed in good order.
pub const OPEN_END: u8 = 5;
/// `stress`: the disk is too full to go on; nothing wrong was found.
pub const DISK_FULL: u8 = 6;
/// Ctrl-C stopped the command.
pub const INTERRUPTED: u8 = 130;

/// The words of the engine for a disk without room, by which a process that has ended tells of it too.
const FULL: &str = "the disk is full";

/// The outcome of a command or of a part of it.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command ends before its work is done.
#[derive(Debug)]
pub enum Failure {
    /// Printed as one line on stderr; the exit code goes with it.
    Told {
        /// One of the codes of this module.
        code: u8,
        /// What went wrong.
        message: String,
    },
    /// The outcome was printed already; only the exit code is left.
    Quiet {
        /// One of the codes of this module.
        code: u8,
    },
    /// The reader of our output went away (`esker scan | head`): nobody is left to be told.
    BrokenPipe,
}

impl Failure {
    /// An error, exit code 1.
    pub fn error(message: impl Into<String>) -> Failure {
        Failure::Told { code: ERROR, message: message.into() }
    }

    /// A mistake in the command line, exit code 2.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::Told { code: USAGE, message: message.into() }
    }

    /// A failed operation on a file that the user named.
    pub fn file(operation: &str, path: &Path, source: &io::Error) -> Failure {
        let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let prefix = if full { format!("{FULL}: ") } else { String::new() };
        Failure::error(format!("{prefix}cannot {operation} {}: {}", path.display(), plain(source)))
    }

    /// A failed write to standard output.
    pub fn output(source: &io::Error) -> Failure {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Failure::BrokenPipe;
        }
        Failure::error(format!("cannot write the output: {}", plain(source)))
    }

    /// Whether the disk had no room; nothing was wrong otherwise.
    #[must_use]
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Failure::Told { message, .. } if message.contains(FULL))
    }

    /// The exit code of the process.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Failure::Told { code, .. } | Failure::Quiet { code } => *code,
            Failure::BrokenPipe => OK,
        }
    }
}

impl From<esker::Error> for Failure {
    fn from(error: esker::Error) -> Self {
        Failure::error(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Told { message, .. } => f.write_str(message),
            Failure::Quiet { code } => write!(f, "exit code {code}"),
            Failure::BrokenPipe => f.write_str("the output was closed"),
        }
    }
}

/// The operating system's word without its `(os error 2)`, which means nothing to a reader.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_whoever_met_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = Path::new("x");
        assert!(Failure::file("copy", path, &full()).is_full_disk());
        let engine = Failure::from(esker::Error::io("write", path, full()));
        assert!(engine.is_full_disk() && engine.code() == ERROR);
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!Failure::file("copy", path, &other).is_full_disk());
        assert!(!Failure::Quiet { code: DAMAGED }.is_full_disk());
    }
}
