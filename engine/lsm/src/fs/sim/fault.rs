//! What a disk may do to an operation other than losing power.

use super::operation::Operation;
use std::io;

/// Decides for each operation, before it happens, whether something goes wrong with it.
pub type FaultRule = Box<dyn FnMut(&Operation) -> Option<Fault> + Send>;

/// Something that goes wrong with one operation. A fault that does not fit the kind of operation
/// (a short write of a rename) is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not happen and fails with this kind.
    Kind(io::ErrorKind),
    /// It does not happen and fails with this number of the operating system. A failed sync leaves
    /// what was unsynced as it was.
    Errno(i32),
    /// It happens, and yet fails with this number.
    ErrnoAfter(i32),
    /// A write: only its first bytes, at most so many, are written, and the call says so.
    ShortWrite(usize),
    /// A read: at most so many bytes are read, and the call says so.
    ShortRead(usize),
    /// A sync of a file or directory: says `Ok` and makes nothing durable. All of it stays
    /// unsynced; a later, honest sync writes it.
    LyingSync,
    /// A sync of a file or directory: fails with `EIO`, and what was unsynced counts as clean from
    /// then on although it never reached the disk. A later sync returns `Ok` without writing it;
    /// reads go on seeing it until [`super::SimFs::drop_caches`] or a power loss.
    FailedSyncDropsPages,
    /// A read: one bit of the bytes handed out is wrong. The disk itself is as it was.
    FlipBit {
        /// Which byte of those read, taken modulo their number.
        byte: u64,
        /// Which bit of it, taken modulo 8.
        bit: u8,
    },
}

impl Fault {
    /// An input or output error.
    pub const EIO: Fault = Fault::Errno(libc::EIO);
    /// No space is left.
    pub const ENOSPC: Fault = Fault::Errno(libc::ENOSPC);
    /// A signal interrupted the call.
    pub const EINTR: Fault = Fault::Errno(libc::EINTR);
    /// The process has no descriptor left.
    pub const EMFILE: Fault = Fault::Errno(libc::EMFILE);

    /// The error with which the operation fails instead of happening, if it does.
    pub(super) fn instead(self) -> Option<io::Error> {
        match self {
            Fault::Kind(kind) => Some(kind.into()),
            Fault::Errno(number) => Some(io::Error::from_raw_os_error(number)),
            _ => None,
        }
    }
}
