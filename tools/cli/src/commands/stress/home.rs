//! The directory of a run: the store, what a kill left, and a marker by which it is known again.

use crate::failure::{Failure, Outcome};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MARKER: &str = "esker-stress";
const MARKER_LINE: &str = "esker stress: this directory may be emptied by another run\n";

/// A directory that is ours. Nothing else in it is touched than what is named here.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    created: bool,
    /// Held locked while the run lasts.
    marker: File,
}

impl Home {
    /// Takes a directory: one that is empty or is made now, or one with our marker, whose old content goes.
    ///
    /// # Errors
    /// It holds anything else, another run has it, or it cannot be made.
    pub fn take(dir: &Path) -> Outcome<Home> {
        let created = !dir.exists();
        fs::create_dir_all(dir).map_err(|e| Failure::file("create", dir, &e))?;
        let marker_path = dir.join(MARKER);
        if fs::read(&marker_path).ok().as_deref() != Some(MARKER_LINE.as_bytes()) {
            let mut entries = fs::read_dir(dir).map_err(|e| Failure::file("read", dir, &e))?;
            if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lost+found")) {
                let dir = dir.display();
                let why = "name a new or empty directory, or one of an earlier stress run";
                return Err(Failure::error(format!("{dir} holds something else: {why}")));
            }
        }
        let opened = File::options().create(true).append(true).open(&marker_path);
        let mut marker = opened.map_err(|e| Failure::file("create", &marker_path, &e))?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::error(format!("another run has {}", dir.display())));
            }
            Err(TryLockError::Error(e)) => return Err(Failure::file("lock", &marker_path, &e)),
        }
        let len = marker.metadata().map_err(|e| Failure::file("read", &marker_path, &e))?.len();
        if len == 0 {
            let written = marker.write_all(MARKER_LINE.as_bytes());
            written.map_err(|e| Failure::file("write", &marker_path, &e))?;
        }
        let home = Home { dir: dir.to_owned(), created, marker };
        home.clear()?;
        Ok(home)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// What the last kill left, as it was before the store was opened again.
    #[must_use]
    pub fn as_left(&self) -> PathBuf {
        self.dir.join("as-left")
    }

    /// What is told of a violation.
    #[must_use]
    pub fn violation(&self) -> PathBuf {
        self.dir.join("violation.txt")
    }

    /// Removes all that a run makes, the marker apart.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn clear(&self) -> Outcome {
        for path in [self.store(), self.as_left()] {
            absent_is_fine(fs::remove_dir_all(&path)).map_err(|e| Failure::file("remove", &path, &e))?;
        }
        let path = self.violation();
        absent_is_fine(fs::remove_file(&path)).map_err(|e| Failure::file("remove", &path, &e))
    }

    /// Keeps what a kill left: tables, which nobody changes, by a second name, all else as a copy.
    ///
    /// # Errors
    /// Something cannot be copied.
    pub fn keep_as_left(&self) -> Outcome {
        let (from, to) = (self.store(), self.as_left());
        absent_is_fine(fs::remove_dir_all(&to))
            .and_then(|()| fs::create_dir(&to))
            .and_then(|()| {
                for entry in fs::read_dir(&from)? {
                    let entry = entry?;
                    let (source, target) = (entry.path(), to.join(entry.file_name()));
                    let table = source.extension().is_some_and(|extension| extension == "sst");
                    if !(table && fs::hard_link(&source, &target).is_ok()) {
                        fs::copy(&source, &target)?;
                    }
                }
                Ok(())
            })
            .map_err(|e| Failure::file("copy", &from, &e))
    }

    /// Puts what the last kill left back in the place of the store.
    ///
    /// # Errors
    /// Something cannot be removed or renamed.
    pub fn restore_as_left(&self) -> Outcome {
        let store = self.store();
        fs::remove_dir_all(&store)
            .and_then(|()| fs::rename(self.as_left(), &store))
            .map_err(|e| Failure::file("replace", &store, &e))
    }

    /// How many files the store has, and how many bytes they have together. What a kill left is not
    /// counted: it shares its tables with the store.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn sizes(&self) -> Outcome<Sizes> {
        let read = |dir: &Path| -> io::Result<Sizes> {
            let mut sizes = Sizes::default();
            for entry in fs::read_dir(dir)? {
                sizes.files += 1;
                sizes.bytes += entry?.metadata()?.len();
            }
            Ok(sizes)
        };
        let store = self.store();
        read(&store).map_err(|e| Failure::file("read", &store, &e))
    }

    /// Ends the run; unless the directory is to be kept nothing of the run stays behind.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn leave(self, keep: bool) -> Outcome {
        if keep {
            return Ok(());
        }
        self.clear()?;
        let marker = self.dir.join(MARKER);
        fs::remove_file(&marker).map_err(|e| Failure::file("remove", &marker, &e))?;
        drop(self.marker);
        if self.created {
            // It stays if somebody has put something into it.
            let _ = fs::remove_dir(&self.dir);
        }
        Ok(())
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_our_own_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let home = Home::take(&dir).unwrap();
        assert!(Home::take(&dir).unwrap_err().to_string().contains("another run"));
        fs::create_dir(home.store()).unwrap();
        fs::write(home.store().join("000001.sst"), "x").unwrap();
        home.keep_as_left().unwrap();
        home.leave(true).unwrap();

        fs::write(dir.join("mine"), "a file of somebody else").unwrap();
        let home = Home::take(&dir).unwrap();
        assert!(!home.store().exists() && !home.as_left().exists());
        home.leave(false).unwrap();
        assert_eq!(fs::read_to_string(dir.join("mine")).unwrap(), "a file of somebody else");

        assert!(Home::take(&dir).unwrap_err().to_string().contains("holds something else"));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_was_made_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b");
        Home::take(&dir).unwrap().leave(false).unwrap();
        assert!(!dir.exists());
    }
}
