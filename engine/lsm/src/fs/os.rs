//! The operating system's files.

use super::mapping::Mapping;
use super::{File, FileHandle, FileSystem, LockGuard, LockToken};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much of a lock holder's text is read back.
const HOLDER_BYTES: u64 = 256;

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFs;

/// A file of the operating system.
#[derive(Debug)]
pub struct OsFile {
    file: fs::File,
    mapping: Mapping,
}

impl OsFile {
    fn handle(file: fs::File) -> FileHandle {
        FileHandle::Os(OsFile { file, mapping: Mapping::default() })
    }
}

#[derive(Debug)]
struct OsLock(fs::File);

impl LockToken for OsLock {}

/// The lock is given back and not just closed: a process that is being started holds copies of all
/// descriptors until it runs its program, and the lock would last as long as the last of them.
impl Drop for OsLock {
    fn drop(&mut self) {
        // What fails here is released by the close that follows.
        let _ = self.0.unlock();
    }
}

/// The system calls know no empty path, which is what the parent of a bare name looks like.
fn or_current(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

/// A directory, opened to be synced.
pub(super) fn open_dir(dir: &Path) -> io::Result<fs::File> {
    let dir = fs::File::open(or_current(dir))?;
    if dir.metadata()?.is_dir() { Ok(dir) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

impl FileSystem for OsFs {
    fn create_new(&self, path: &Path) -> io::Result<FileHandle> {
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(OsFile::handle(file))
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<FileHandle> {
        let file = open_regular(fs::OpenOptions::new().read(true).write(writable), path)?;
        Ok(OsFile::handle(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(or_current(dir))? {
            // A name that is not UTF-8 cannot be one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists()).collect();
        fs::create_dir_all(or_current(dir))?;
        for created in &missing {
            if let Some(parent) = created.parent() {
                self.sync_dir(parent)?;
            }
        }
        // A directory that was there may be what an earlier attempt created and did not get to
        // sync. A parent that this process may not read belongs to someone who made it ready.
        if missing.is_empty()
            && let Some(parent) = dir.parent()
        {
            match self.sync_dir(parent) {
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        open_dir(dir)?.sync_all()
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(or_current(path))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        free_bytes(or_current(dir)).map(Some)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Result<LockGuard, String>> {
        // Not truncated: until the lock is taken the text is another's.
        let mut file =
            open_regular(fs::OpenOptions::new().read(true).write(true).create(true).truncate(false), path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                match file.write_all(holder.as_bytes()) {
                    // The text is for people only. A store on a full disk must open all the same,
                    // so that something can be deleted from it.
                    Err(e) if is_full(&e) => {}
                    written => written?,
                }
                Ok(Ok(LockGuard(Box::new(OsLock(file)))))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(Err(holder_of(file)?)),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn hold(&self, path: &Path) -> io::Result<Result<Option<LockGuard>, String>> {
        let file = match open_regular(fs::OpenOptions::new().read(true), path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
            file => file?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Ok(Some(LockGuard(Box::new(OsLock(file)))))),
            Err(fs::TryLockError::WouldBlock) => Ok(Err(holder_of(file)?)),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }
}

/// Opens a regular file and nothing else: opening a named pipe waits until somebody opens its other end,
/// and a device may hand out bytes without end.
fn open_regular(options: &mut fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    // The flag keeps the call itself from waiting; a regular file knows no difference.
    let opened = options.custom_flags(libc::O_NONBLOCK).open(path);
    let kind = match &opened {
        Ok(file) => file.metadata()?.file_type(),
        // This is what a socket answers, and a pipe that is opened for writing only.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => fs::metadata(path)?.file_type(),
        Err(_) => return opened,
    };
    let found = match kind {
        kind if kind.is_file() => return opened,
        kind if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {found}, not a regular file")))
}

fn holder_of(file: fs::File) -> io::Result<String> {
    let mut text = Vec::new();
    file.take(HOLDER_BYTES).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.mapping.before_sync();
        self.file.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        // Behind the end of the file a mapping must not be written to.
        self.mapping.end();
        self.file.set_len(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        allocate(&self.file, size)
    }

    fn map(&self, size: u64) -> io::Result<()> {
        self.mapping.map(&self.file, size)
    }

    fn write_mapped(&self, buf: &[u8], offset: u64) -> bool {
        self.mapping.write(buf, offset)
    }

    fn will_read(&self, offset: u64, bytes: u64) {
        will_read(&self.file, offset, bytes);
    }

    fn will_sync(&self) {
        will_sync(&self.file);
    }
}

#[cfg(target_os = "linux")]
fn will_sync(file: &fs::File) {
    use std::os::fd::AsRawFd;

    // SAFETY: as below. What could not be written, the sync will tell.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn will_sync(_: &fs::File) {}

#[cfg(target_os = "linux")]
fn will_read(file: &fs::File, offset: u64, bytes: u64) {
    use std::os::fd::AsRawFd;

    let (Ok(offset), Ok(bytes)) = (libc::off_t::try_from(offset), libc::off_t::try_from(bytes)) else {
        return;
    };
    // SAFETY: the descriptor is open for as long as `file` is borrowed; the call touches no memory of
    // this process. What it returns is of no concern: it is a hint.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, bytes, libc::POSIX_FADV_WILLNEED) };
}

#[cfg(not(target_os = "linux"))]
fn will_read(_: &fs::File, _: u64, _: u64) {}

/// What processes without privileges may still use.
#[expect(clippy::unnecessary_cast, reason = "the fields are of 32 bits on other systems")]
fn free_bytes(dir: &Path) -> io::Result<u64> {
    use std::os::unix::ffi::OsStrExt;

    let path = std::ffi::CString::new(dir.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero byte, and the call writes at most one `statvfs` to where
    // there is room for one.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and has filled it in.
    let stat = unsafe { stat.assume_init() };
    Ok((stat.f_bavail as u64).saturating_mul(stat.f_frsize as u64))
}

#[cfg(target_os = "linux")]
fn allocate(file: &fs::File, size: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // The system call refuses a length of 0, which asks for nothing.
    if size == 0 {
        return Ok(());
    }
    let size = libc::off_t::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    loop {
        // SAFETY: the descriptor is open for as long as `file` is borrowed; fallocate touches no
        // memory of this process.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // File systems without it; its kind in `std` is not everywhere `Unsupported`.
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Err(io::ErrorKind::Unsupported.into()),
            _ => return Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(_: &fs::File, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that was closed while the application started another process could not be opened again:
    /// the process held a copy of the lock until it ran its program.
    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let file = fs::File::create_new(&path).unwrap();
        file.try_lock().unwrap();
        let copy = file.try_clone().unwrap();
        drop(OsLock(file));
        drop(OsFs.lock(&path, "the next").unwrap().unwrap());
        drop(copy);
    }
}
