//! The traits that a file system implements, and the handles through which the engine uses one. The
//! contract itself stands in the documentation of [`crate::fs`].

use super::os::{OsFile, OsFs, open_dir};
use super::sim::{SimFile, SimFs};
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A file system, as a user can bring one along.
///
/// Implementations keep the contract in the documentation of [`crate::fs`]. All methods may be called from
/// several threads at once.
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// Creates a file that must not exist, for reading and writing.
    fn create_new(&self, path: &Path) -> io::Result<FileHandle>;
    /// Opens an existing file; for writing too if `writable`. What is no file, such as a directory or
    /// a named pipe, is refused at once: nothing is waited for.
    fn open(&self, path: &Path, writable: bool) -> io::Result<FileHandle>;
    /// Renames a file, replacing `to` if it exists.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must not exist: each name stands for the same content from then on.
    /// Errors with [`io::ErrorKind::Unsupported`] where it cannot, which is what it does unless it is
    /// overridden.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names of the entries of a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates a directory and its missing parents; it may exist already. The new entries are
    /// durable when it returns.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Where a path leads, with all links followed, as an absolute path without `.` and `..`; an error of
    /// kind [`io::ErrorKind::NotFound`] if nothing is there. A file system without links only has to
    /// take `.` and `..` away, which is what this does unless it is overridden.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        let mut plain = PathBuf::new();
        for component in std::path::absolute(path)?.components() {
            match component {
                Component::ParentDir => drop(plain.pop()),
                Component::CurDir => {}
                other => plain.push(other),
            }
        }
        Ok(plain)
    }
    /// How many bytes are free for files in a directory; `None` where that cannot be told. A hint:
    /// a quota may leave less, and others may take it.
    fn free_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        let _ = dir;
        Ok(None)
    }
    /// Takes the lock file at `path` (created if missing) for this handle alone and writes `holder`
    /// into it. `Ok(Err(text))` if it is held, with what the holder wrote.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<std::result::Result<LockGuard, String>>;
    /// Keeps everybody else from taking the lock file at `path`, and writes nothing: for reading what
    /// may stand on a medium that cannot be written to. `Ok(Ok(None))` if there is no such file,
    /// `Ok(Err(text))` if it is held, with what the holder wrote.
    fn hold(&self, path: &Path) -> io::Result<std::result::Result<Option<LockGuard>, String>>;
}

/// An open file, as a user's file system hands it out.
pub trait File: fmt::Debug + Send + Sync + 'static {
    /// Reads into `buf` from `offset`; returns how many bytes (0 at or behind the end).
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes from `buf` at `offset`, growing the file if needed; returns how many bytes.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes content and length durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// Says that a part of the file will be read soon: a hint, which may be ignored.
    fn will_read(&self, offset: u64, bytes: u64) {
        let _ = (offset, bytes);
    }
    /// Says that the file will be synced soon: a hint, which may be ignored. It may begin to write what the
    /// system holds of it, and does not wait for that.
    fn will_sync(&self) {}
    /// Reserves space for `size` bytes and extends the file to them with zeros, so that writing
    /// there cannot meet a full disk. Errors with [`io::ErrorKind::Unsupported`] where it cannot.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Maps the first `size` bytes, which were allocated, into memory, for [`File::write_mapped`]. Errors
    /// with [`io::ErrorKind::Unsupported`] where it cannot, which is what it does unless it is overridden.
    /// Whatever changes the length ends the mapping.
    fn map(&self, size: u64) -> io::Result<()> {
        let _ = size;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Writes all of `buf` at `offset` by copying it into memory that is mapped there; false if not all of it
    /// is. To those who read, sync, or are killed it is like a [`File::write_at`] that cannot fail.
    fn write_mapped(&self, buf: &[u8], offset: u64) -> bool {
        let _ = (buf, offset);
        false
    }
}

/// Releases a lock when it is dropped.
#[derive(Debug)]
pub struct LockGuard(
    /// Whatever must be dropped to release it.
    pub Box<dyn LockToken>,
);

/// What a [`LockGuard`] holds on to.
pub trait LockToken: fmt::Debug + Send + Sync {}

/// The file system behind a store.
#[derive(Clone, Debug)]
pub enum Fs {
    /// The operating system's.
    Os(OsFs),
    /// The simulated one, for tests.
    Sim(SimFs),
    /// A user's own.
    Custom(Arc<dyn FileSystem>),
}

impl Default for Fs {
    fn default() -> Self {
        Fs::Os(OsFs)
    }
}

macro_rules! each {
    ($self:expr, $inner:ident => $call:expr) => {
        match $self {
            Fs::Os($inner) => $call,
            Fs::Sim($inner) => $call,
            Fs::Custom($inner) => $call,
        }
    };
}

impl Fs {
    /// Creates a file that must not exist, for reading and writing.
    pub fn create_new(&self, path: &Path) -> Result<OpenFile> {
        let file = each!(self, fs => fs.create_new(path)).map_err(|e| Error::io("create", path, e))?;
        Ok(OpenFile { file, path: path.into() })
    }

    /// Opens a file for reading.
    pub fn open(&self, path: &Path) -> Result<OpenFile> {
        let file = each!(self, fs => fs.open(path, false)).map_err(|e| Error::io("open", path, e))?;
        Ok(OpenFile { file, path: path.into() })
    }

    /// Opens a file for reading and writing.
    pub fn open_writable(&self, path: &Path) -> Result<OpenFile> {
        let file = each!(self, fs => fs.open(path, true)).map_err(|e| Error::io("open", path, e))?;
        Ok(OpenFile { file, path: path.into() })
    }

    /// Renames a file, replacing `to` if it exists.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        each!(self, fs => fs.rename(from, to)).map_err(|e| Error::io("rename", from, e))
    }

    /// Gives a file a second name, which must not exist; `Ok(false)` where that cannot be done, as between
    /// two media, or with a file that has as many names as it may have.
    pub fn link(&self, from: &Path, to: &Path) -> Result<bool> {
        use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
        match each!(self, fs => fs.link(from, to)) {
            Ok(()) => Ok(true),
            // The last is what file systems without such names answer.
            Err(e) if matches!(e.kind(), Unsupported | CrossesDevices | TooManyLinks | PermissionDenied) => {
                Ok(false)
            }
            Err(e) => Err(Error::io("link", from, e)),
        }
    }

    /// Removes a file.
    pub fn remove(&self, path: &Path) -> Result<()> {
        each!(self, fs => fs.remove(path)).map_err(|e| Error::io("remove", path, e))
    }

    /// The names of the entries of a directory, sorted.
    pub fn list(&self, dir: &Path) -> Result<Vec<String>> {
        each!(self, fs => fs.list(dir)).map_err(|e| Error::io("list", dir, e))
    }

    /// Creates a directory and its missing parents, durably; it may exist already.
    pub fn create_dir_all(&self, dir: &Path) -> Result<()> {
        each!(self, fs => fs.create_dir_all(dir)).map_err(|e| Error::io("create directory", dir, e))
    }

    /// Makes the entries of a directory durable.
    pub fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.dir(dir)?.sync()
    }

    /// A directory that is to be synced. Who is about to change what stands in it takes it before that: where
    /// descriptors run out nothing is changed, and no sync has failed.
    pub fn dir(&self, dir: &Path) -> Result<OpenDir<'_>> {
        let file = match self {
            Fs::Os(_) => Some(open_dir(dir).map_err(|e| Error::io("open directory", dir, e))?),
            Fs::Sim(_) | Fs::Custom(_) => None,
        };
        Ok(OpenDir { fs: self, path: dir.into(), file })
    }

    /// Where a path leads that need not be there yet: its existing part with all links followed, and
    /// the rest behind it. Two paths that lead to the same place give the same.
    ///
    /// # Errors
    /// A part cannot be looked at, or `..` stands behind a directory that does not exist.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let failed = |e| Error::io("find the place of", path, e);
        let absolute = std::path::absolute(path).map_err(failed)?;
        let mut missing = Vec::new();
        for ancestor in absolute.ancestors() {
            match each!(self, fs => fs.canonical(ancestor)) {
                Ok(mut found) => {
                    found.extend(missing.into_iter().rev());
                    return Ok(found);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => match ancestor.file_name() {
                    Some(name) => missing.push(name),
                    None => {
                        let why = "`..` stands behind a directory that does not exist";
                        return Err(failed(io::Error::new(io::ErrorKind::NotFound, why)));
                    }
                },
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(absolute)
    }

    /// How many bytes are free for files in a directory, as far as it can be told.
    #[must_use]
    pub fn free_bytes(&self, dir: &Path) -> Option<u64> {
        each!(self, fs => fs.free_bytes(dir)).ok().flatten()
    }

    /// Takes a lock file, or says who holds it.
    pub fn lock(&self, path: &Path, holder: &str) -> Result<std::result::Result<LockGuard, String>> {
        each!(self, fs => fs.lock(path, holder)).map_err(|e| Error::io("lock", path, e))
    }

    /// Keeps others from taking a lock file without writing to it, or says who holds it; `None` if
    /// there is no such file.
    pub fn hold(&self, path: &Path) -> Result<std::result::Result<Option<LockGuard>, String>> {
        each!(self, fs => fs.hold(path)).map_err(|e| Error::io("lock", path, e))
    }

    /// Reads a whole file of at most `limit` bytes.
    pub fn read_all(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let file = self.open(path)?;
        let size = file.size()?;
        if size > limit {
            let why = format!("{} has {size} bytes; at most {limit} were expected", path.display());
            return Err(Error::invalid("file", why));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// A directory whose entries can be made durable.
#[derive(Debug)]
pub struct OpenDir<'f> {
    fs: &'f Fs,
    path: PathBuf,
    file: Option<std::fs::File>,
}

impl OpenDir<'_> {
    /// Makes its entries durable. A failure is final: see the contract.
    pub fn sync(&self) -> Result<()> {
        let synced = match &self.file {
            Some(file) => file.sync_all(),
            None => each!(self.fs, fs => fs.sync_dir(&self.path)),
        };
        synced.map_err(|e| Error::io("sync directory", &self.path, e))
    }
}

/// The file behind an [`OpenFile`].
#[derive(Debug)]
pub enum FileHandle {
    /// The operating system's.
    Os(OsFile),
    /// The simulated one.
    Sim(SimFile),
    /// A user's own.
    Custom(Arc<dyn File>),
}

/// An open file with its path, so that every error says which file it is about.
#[derive(Debug)]
pub struct OpenFile {
    file: FileHandle,
    path: PathBuf,
}

macro_rules! each_file {
    ($self:expr, $inner:ident => $call:expr) => {
        match &$self.file {
            FileHandle::Os($inner) => $call,
            FileHandle::Sim($inner) => $call,
            FileHandle::Custom($inner) => $call,
        }
    };
}

/// How often one call may be interrupted before it is given up: no signal comes so often by itself.
const INTERRUPTIONS: u32 = 1_000;

/// From so many bytes on a call that writes is cheaper than a copy into mapped memory, where each page is a
/// fault the first time.
const FEWEST_WRITTEN: usize = 2 << 10;

impl OpenFile {
    /// The path that it was opened under.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads as many bytes as there are from `offset`, at most `buf.len()`. Interrupted and short
    /// reads are continued; a call that is interrupted without end is an error.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        let mut patience = INTERRUPTIONS;
        while done < buf.len() {
            let at = offset + done as u64;
            match each_file!(self, file => file.read_at(&mut buf[done..], at)) {
                Ok(0) => break,
                Ok(n) => {
                    done += n;
                    patience = INTERRUPTIONS;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted && patience > 0 => patience -= 1,
                Err(e) => return Err(Error::io("read", &self.path, e)),
            }
        }
        Ok(done)
    }

    /// Fills `buf` from `offset`; a file that ends before is an error of kind `UnexpectedEof`.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if self.read_at(buf, offset)? == buf.len() {
            return Ok(());
        }
        Err(Error::io("read", &self.path, io::ErrorKind::UnexpectedEof.into()))
    }

    /// Writes all of `buf` at `offset`. Interrupted and short writes are continued; a call that is
    /// interrupted without end is an error.
    pub fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> Result<()> {
        let mut patience = INTERRUPTIONS;
        while !buf.is_empty() {
            match each_file!(self, file => file.write_at(buf, offset)) {
                Ok(0) => return Err(Error::io("write", &self.path, io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    buf = &buf[n..];
                    offset += n as u64;
                    patience = INTERRUPTIONS;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted && patience > 0 => patience -= 1,
                Err(e) => return Err(Error::io("write", &self.path, e)),
            }
        }
        Ok(())
    }

    /// As [`OpenFile::write_all_at`], by a copy where the place is [mapped](OpenFile::map) and the bytes are
    /// few.
    pub fn put_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        if buf.len() < FEWEST_WRITTEN && each_file!(self, file => file.write_mapped(buf, offset)) {
            return Ok(());
        }
        self.write_all_at(buf, offset)
    }

    /// Maps the first `size` bytes, which were allocated, into memory; false where that cannot be done.
    pub fn map(&self, size: u64) -> bool {
        each_file!(self, file => file.map(size)).is_ok()
    }

    /// Says that a part of the file will be read soon.
    pub fn will_read(&self, offset: u64, bytes: u64) {
        each_file!(self, file => file.will_read(offset, bytes));
    }

    /// Says that the file will be synced soon.
    pub fn will_sync(&self) {
        each_file!(self, file => file.will_sync());
    }

    /// Makes content and length durable. A failure is final: see the contract.
    pub fn sync(&self) -> Result<()> {
        each_file!(self, file => file.sync()).map_err(|e| Error::io("sync", &self.path, e))
    }

    /// The length in bytes.
    pub fn size(&self) -> Result<u64> {
        each_file!(self, file => file.size()).map_err(|e| Error::io("read the size of", &self.path, e))
    }

    /// Cuts or extends (with zeros) to `size` bytes.
    pub fn truncate(&self, size: u64) -> Result<()> {
        each_file!(self, file => file.truncate(size)).map_err(|e| Error::io("truncate", &self.path, e))
    }

    /// Reserves space; `Ok(false)` where the file system cannot.
    pub fn allocate(&self, size: u64) -> Result<bool> {
        match each_file!(self, file => file.allocate(size)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(e) => Err(Error::io("allocate space for", &self.path, e)),
        }
    }
}
