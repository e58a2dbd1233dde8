//! The pool of open files: a bound on descriptors.

use crate::base::error::Result;
use crate::base::filename::FileKind;
use crate::base::sync::Arc;
use crate::fs::{Fs, OpenFile};
use std::fmt;
use std::path::{Path, PathBuf};

/// Files of one directory, opened when they are needed. At most as many as the pool's capacity stay
/// open besides those in use: a file in use when it is evicted is closed by its last user.
pub struct FilePool {
    fs: Fs,
    dir: PathBuf,
    open: quick_cache::sync::Cache<FileKind, Arc<OpenFile>>,
}

impl fmt::Debug for FilePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilePool").field("dir", &self.dir).field("open", &self.open.len()).finish()
    }
}

impl FilePool {
    /// A pool that keeps at most `capacity` files (at least 1) of `dir` open.
    #[must_use]
    pub fn new(fs: Fs, dir: &Path, capacity: usize) -> FilePool {
        let capacity = capacity.max(1);
        FilePool {
            fs,
            dir: dir.to_owned(),
            open: quick_cache::sync::Cache::with(
                capacity,
                capacity as u64,
                quick_cache::UnitWeighter,
                quick_cache::DefaultHashBuilder::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
        }
    }

    /// The file, opened for reading if it is not open.
    ///
    /// # Errors
    /// Those of [`Fs::open`].
    pub fn get(&self, kind: FileKind) -> Result<Arc<OpenFile>> {
        self.open.get_or_insert_with(&kind, || Ok(Arc::new(self.fs.open(&kind.path(&self.dir))?)))
    }

    /// Takes a file that is open already, such as one that was just written.
    pub fn adopt(&self, kind: FileKind, file: Arc<OpenFile>) {
        self.open.insert(kind, file);
    }

    /// Lets go of a file, before it is removed.
    pub fn forget(&self, kind: FileKind) {
        self.open.remove(&kind);
    }

    /// The path of a file.
    #[must_use]
    pub fn path(&self, kind: FileKind) -> PathBuf {
        kind.path(&self.dir)
    }

    /// How many files the pool holds open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether the pool holds no file open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_opened_once_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let pool = FilePool::new(Fs::default(), dir.path(), 10);
        for n in 0..100 {
            let kind = FileKind::Table(n);
            assert!(pool.get(kind).unwrap_err().is_not_found());
            std::fs::write(pool.path(kind), n.to_le_bytes()).unwrap();
            let file = pool.get(kind).unwrap();
            assert!(Arc::ptr_eq(&file, &pool.get(kind).unwrap()));
        }
        assert!(pool.len() <= 10 && !pool.is_empty());
        for n in 0..100 {
            let mut bytes = [0; 8];
            pool.get(FileKind::Table(n)).unwrap().read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(bytes, n.to_le_bytes());
        }
        pool.get(FileKind::Table(5)).unwrap();
        std::fs::remove_file(pool.path(FileKind::Table(5))).unwrap();
        pool.forget(FileKind::Table(5));
        assert!(pool.get(FileKind::Table(5)).unwrap_err().is_not_found());
    }
}
