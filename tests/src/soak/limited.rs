//! The operating system's files on a disk that can become full and empty again.

use esker::fs::{File, FileHandle, FileSystem, LockGuard, OsFs};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A directory with room for only so many bytes more, if somebody says so. Removed files give their bytes
/// back at once, and what a file already holds may be overwritten.
#[derive(Clone, Debug, Default)]
pub struct LimitedFs {
    space: Arc<Mutex<Space>>,
}

#[derive(Debug, Default)]
struct Space {
    /// Bytes left; `None` without a limit.
    room: Option<u64>,
    sizes: HashMap<PathBuf, Size>,
}

/// The length of a file, in bytes, shared by all who have it open.
type Size = Arc<AtomicU64>;

impl LimitedFs {
    /// Sets how many bytes are left.
    pub fn set_room(&self, room: Option<u64>) {
        lock(&self.space).room = room;
    }

    fn file(&self, path: &Path, inner: FileHandle) -> io::Result<FileHandle> {
        let length = as_file(&inner).size()?;
        let size = lock(&self.space).sizes.entry(path.into()).or_default().clone();
        size.store(length, Ordering::Relaxed);
        Ok(FileHandle::Custom(Arc::new(LimitedFile { inner, size, space: self.space.clone() })))
    }
}

fn lock(space: &Mutex<Space>) -> MutexGuard<'_, Space> {
    space.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Space {
    /// Takes up to `bytes` of the room; none left is an error.
    fn take(&mut self, bytes: u64) -> io::Result<u64> {
        let Some(room) = &mut self.room else { return Ok(bytes) };
        let taken = bytes.min(*room);
        if taken == 0 && bytes > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= taken;
        Ok(taken)
    }

    fn give_back(&mut self, bytes: u64) {
        if let Some(room) = &mut self.room {
            *room += bytes;
        }
    }

    fn forget(&mut self, path: &Path) -> Option<Size> {
        self.sizes.remove(path)
    }
}

impl FileSystem for LimitedFs {
    fn create_new(&self, path: &Path) -> io::Result<FileHandle> {
        if lock(&self.space).room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inner = OsFs.create_new(path)?;
        lock(&self.space).forget(path);
        self.file(path, inner)
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<FileHandle> {
        self.file(path, OsFs.open(path, writable)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.rename(from, to)?;
        let mut space = lock(&self.space);
        if let Some(replaced) = space.forget(to) {
            space.give_back(replaced.load(Ordering::Relaxed));
        }
        if let Some(size) = space.forget(from) {
            space.sizes.insert(to.into(), size);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFs.remove(path)?;
        let mut space = lock(&self.space);
        if let Some(size) = space.forget(path) {
            space.give_back(size.load(Ordering::Relaxed));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsFs.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        OsFs.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsFs.sync_dir(dir)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        OsFs.canonical(path)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Result<LockGuard, String>> {
        OsFs.lock(path, holder)
    }

    fn hold(&self, path: &Path) -> io::Result<Result<Option<LockGuard>, String>> {
        OsFs.hold(path)
    }
}

#[derive(Debug)]
struct LimitedFile {
    inner: FileHandle,
    size: Size,
    space: Arc<Mutex<Space>>,
}

fn as_file(handle: &FileHandle) -> &dyn File {
    match handle {
        FileHandle::Os(file) => file,
        FileHandle::Sim(file) => file,
        FileHandle::Custom(file) => file.as_ref(),
    }
}

impl File for LimitedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        as_file(&self.inner).read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset + buf.len() as u64;
        let held = self.size.load(Ordering::Relaxed);
        let growth = end.saturating_sub(held);
        // As much as there is room for is written, as a real disk does it.
        let taken = lock(&self.space).take(growth)?;
        let bytes = buf.len() - (growth - taken) as usize;
        if bytes == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = as_file(&self.inner).write_at(&buf[..bytes], offset)?;
        self.size.fetch_max(offset + written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn sync(&self) -> io::Result<()> {
        as_file(&self.inner).sync()
    }

    fn size(&self) -> io::Result<u64> {
        as_file(&self.inner).size()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        as_file(&self.inner).truncate(size)?;
        let held = self.size.swap(size, Ordering::Relaxed);
        lock(&self.space).give_back(held.saturating_sub(size));
        Ok(())
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let growth = size.saturating_sub(self.size.load(Ordering::Relaxed));
        {
            let mut space = lock(&self.space);
            if space.room.is_some_and(|room| room < growth) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let _ = space.take(growth)?;
        }
        as_file(&self.inner).allocate(size)?;
        self.size.fetch_max(size, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_refuses_growth_until_something_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let fs = LimitedFs::default();
        let file = fs.create_new(&a).unwrap();
        assert_eq!(as_file(&file).write_at(&[1; 100], 0).unwrap(), 100);
        fs.set_room(Some(10));
        assert_eq!(as_file(&file).write_at(&[2; 100], 50).unwrap(), 60, "a short write comes first");
        let full = |result: io::Result<usize>| result.unwrap_err().kind() == io::ErrorKind::StorageFull;
        assert!(full(as_file(&file).write_at(&[3; 1], 110)));
        assert!(fs.create_new(&b).is_err());
        assert_eq!(as_file(&file).write_at(&[4; 110], 0).unwrap(), 110, "what is held may be overwritten");
        fs.set_room(Some(1));
        let other = fs.create_new(&b).unwrap();
        assert!(as_file(&other).allocate(100).is_err());
        fs.remove(&a).unwrap();
        as_file(&other).allocate(100).unwrap();
        assert_eq!(as_file(&other).size().unwrap(), 100);
    }
}
