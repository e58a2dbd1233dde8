//! Where backups are kept, and how its files are named, written and read.
//!
//! ```text
//! FORMAT              esker-backups 1
//! LOCK                held by who changes something
//! objects/<64 digits> what backups are made of, by the hash of its bytes
//! backups/000001      which objects make up a backup
//! damaged/<64 digits> a mark: the object of that name was found damaged
//! staging/            what is being written; meaningless after a crash
//! ```
//!
//! # Invariants
//! - A file in `objects` or `backups` is complete and durable before it gets its name there, and is never
//!   changed, but for a damaged object, which another one with the bytes that its name says may replace.
//! - A backup is named in `backups` only when all of its objects are durable in `objects`, and an object is
//!   removed only when no backup names it, durably.
//!
//! So whatever is interrupted, each backup is there with all of its objects, or is not there at all.

use super::copy::read_pieces;
use super::object::ObjectId;
use super::record::{Backup, Record, Stored};
use crate::base::clock::Clock;
use crate::base::error::{Corruption, Error, Result};
use crate::fs::{Fs, LockGuard, OpenFile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const FORMAT: &str = "esker-backups 1\n";
/// The longest file that names the objects of a backup: some ten million of them.
const MOST_RECORD_BYTES: u64 = 1 << 30;

/// Backups of a store in a directory of their own: incremental, since each object is kept once however many
/// backups hold it; made while the store is being written; and complete or not there, whatever is
/// interrupted.
///
/// One directory may hold the backups of several stores. One process at a time changes it; others may read
/// meanwhile, unless what they read is pruned.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let at = |name: &str| dir.path().join(name);
/// let db = esker::Db::open(at("data"))?;
/// db.put(b"k", b"v")?;
/// let backups = esker::Backups::at(at("backups"));
/// let first = backups.create(&db)?;
/// db.put(b"k", b"later")?;
/// let second = backups.create(&db)?;
/// assert_eq!(backups.list()?.backups, [first.clone(), second.clone()]);
///
/// assert!(backups.verify()?.is_sound()); // every byte is what was written
/// assert_eq!(backups.drill(second.number)?.entries, 1); // and a store comes of it
/// backups.restore(first.number, at("restored"))?;
/// let restored = esker::Db::open(at("restored"))?;
/// assert_eq!(restored.get(b"k")?.unwrap(), b"v");
/// # restored.close()?; db.close() }
/// ```
#[derive(Clone, Debug)]
pub struct Backups {
    pub(super) fs: Fs,
    pub(super) dir: PathBuf,
    pub(super) clock: Clock,
}

/// What stands in a directory of backups.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BackupList {
    /// The backups, oldest first.
    pub backups: Vec<Backup>,
    /// Backups whose own file cannot be read, by number, and why.
    pub unreadable: Vec<(u64, Error)>,
}

/// All records that can be read, and the others.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) sound: BTreeMap<u64, Record>,
    pub(super) unreadable: Vec<(u64, Error)>,
}

impl Backups {
    /// The backups in a directory, which need not be there before the first is made.
    #[must_use]
    pub fn at(dir: impl AsRef<Path>) -> Backups {
        Backups { fs: Fs::default(), dir: dir.as_ref().into(), clock: Clock::System }
    }

    /// The same on another file system.
    #[must_use]
    pub fn fs(mut self, fs: Fs) -> Backups {
        self.fs = fs;
        self
    }

    /// The same with another clock: it says when backups are made, and how old they are.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Backups {
        self.clock = clock;
        self
    }

    /// What backups there are.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] if the directory holds none or something else; what reading it gives. A backup
    /// that cannot be read is in the list.
    pub fn list(&self) -> Result<BackupList> {
        let Records { sound, unreadable } = self.records()?;
        Ok(BackupList { backups: sound.into_values().map(|record| record.backup).collect(), unreadable })
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    pub(super) fn object(&self, id: ObjectId) -> PathBuf {
        self.objects().join(id.to_string())
    }

    pub(super) fn named(&self) -> PathBuf {
        self.dir.join("backups")
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.dir.join("staging")
    }

    /// Where backups are restored to be tried.
    pub(super) fn drilled(&self) -> PathBuf {
        self.staging().join("drill")
    }

    /// Where a mark stands for each object that was found damaged, by its name.
    fn marks(&self) -> PathBuf {
        self.dir.join("damaged")
    }

    /// Creates the directory if it is not there; refuses one that holds something else.
    pub(super) fn take_directory(&self) -> Result<()> {
        self.fs.create_dir_all(&self.dir)?;
        let names = self.fs.list(&self.dir)?;
        let ours = ["FORMAT", "LOCK", "lost+found", "objects", "backups", "staging", "damaged"];
        match names.iter().find(|name| !ours.contains(&name.as_str())) {
            Some(name) if !names.iter().any(|name| name == "FORMAT") => {
                let why = format!("it holds other files, such as {name:?}");
                Err(Error::NotADatabase { path: self.dir.clone(), why })
            }
            _ => Ok(()),
        }
    }

    /// Makes an empty directory one of backups, and any of them ready to be written to. The caller holds its
    /// lock.
    pub(super) fn prepare(&self) -> Result<()> {
        self.fs.create_dir_all(&self.staging())?;
        // Of an attempt that was interrupted, a drill among them.
        self.clear(&self.staging())?;
        match self.clear(&self.drilled()) {
            Err(error) if error.is_not_found() => {}
            cleared => cleared?,
        }
        if !self.fs.list(&self.dir)?.iter().any(|name| name == "FORMAT") {
            let temp = self.staging().join("FORMAT");
            self.write_new(&temp, FORMAT.as_bytes())?;
            let dir = self.fs.dir(&self.dir)?;
            self.fs.rename(&temp, &self.dir.join("FORMAT"))?;
            dir.sync()?;
        }
        self.check_format()?;
        self.fs.create_dir_all(&self.objects())?;
        self.fs.create_dir_all(&self.named())
    }

    /// Refuses a directory that holds no backups, or those of a later version.
    pub(super) fn check_format(&self) -> Result<()> {
        let path = self.dir.join("FORMAT");
        let nothing = |why: &str| Error::NotADatabase { path: self.dir.clone(), why: why.into() };
        let found = match self.fs.read_all(&path, 4096) {
            Err(error) if error.is_not_found() => return Err(nothing("there are no backups")),
            found => found?,
        };
        let text = String::from_utf8_lossy(&found);
        if text == FORMAT {
            return Ok(());
        }
        match text.strip_prefix("esker-backups ").and_then(|rest| rest.trim_end().parse().ok()) {
            Some(found) => Err(Error::UnsupportedVersion { file: path, found, supported: 1 }),
            None => Err(Corruption::new(&path, 0, "esker-backups and a version", format!("{text:?}")).into()),
        }
    }

    /// Keeps others from changing anything.
    pub(super) fn lock(&self) -> Result<LockGuard> {
        let holder = format!("process {}", std::process::id());
        let lock = self.fs.lock(&self.dir.join("LOCK"), &holder)?;
        lock.map_err(|holder| Error::Locked { path: self.dir.clone(), holder })
    }

    /// Removes all files of a directory.
    pub(super) fn clear(&self, dir: &Path) -> Result<()> {
        for name in self.fs.list(dir)? {
            match self.fs.remove(&dir.join(name)) {
                // A directory in it is nobody's of ours; nothing of it is in the way.
                Err(error) if is_directory(&error) => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Writes a file, whole and synced. On an error there is none.
    pub(super) fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let file = self.fs.create_new(path)?;
        let written = file.write_all_at(bytes, 0).and_then(|()| file.sync());
        written.inspect_err(|_| drop(self.fs.remove(path)))
    }

    /// The numbers of all backups that are named, ascending.
    pub(super) fn numbers(&self) -> Result<Vec<u64>> {
        let names = match self.fs.list(&self.named()) {
            Err(error) if error.is_not_found() => Vec::new(),
            names => names?,
        };
        // Others' files are left alone.
        let number = |name: &String| {
            name.parse().ok().filter(|number| *number < u64::MAX && *name == file_name(*number))
        };
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What a backup is made of.
    pub(super) fn record(&self, number: u64) -> Result<Record> {
        let path = self.named().join(file_name(number));
        let bytes = match self.fs.read_all(&path, MOST_RECORD_BYTES) {
            Err(error) if error.is_not_found() => {
                let why = format!("there is no backup {number} in {}", self.dir.display());
                return Err(Error::invalid("backup", why));
            }
            bytes => bytes?,
        };
        let record = Record::decode(&path, &bytes)?;
        if record.backup.number != number {
            let found = format!("number {}", record.backup.number);
            return Err(Corruption::new(&path, 0, format!("number {number}"), found).into());
        }
        Ok(record)
    }

    pub(super) fn records(&self) -> Result<Records> {
        self.check_format()?;
        let mut records = Records::default();
        for number in self.numbers()? {
            match self.record(number) {
                Ok(record) => drop(records.sound.insert(number, record)),
                Err(error @ (Error::Corruption(_) | Error::UnsupportedVersion { .. })) => {
                    records.unreadable.push((number, error));
                }
                // Somebody has pruned it meanwhile.
                Err(Error::InvalidArgument { .. }) if !self.numbers()?.contains(&number) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }

    /// The names of all objects that are there.
    pub(super) fn object_names(&self) -> Result<BTreeSet<ObjectId>> {
        Ok(self.fs.list(&self.objects())?.iter().filter_map(|name| ObjectId::parse(name)).collect())
    }

    /// The objects that were found damaged and not made anew since.
    pub(super) fn marked(&self) -> Result<BTreeSet<ObjectId>> {
        match self.fs.list(&self.marks()) {
            Err(error) if error.is_not_found() => Ok(BTreeSet::new()),
            names => Ok(names?.iter().filter_map(|name| ObjectId::parse(name)).collect()),
        }
    }

    /// Takes marks away. One that stays costs no more than making its object anew once more.
    pub(super) fn unmark(&self, objects: impl Iterator<Item = ObjectId>) {
        for id in objects {
            let _ = self.fs.remove(&self.marks().join(id.to_string()));
        }
    }

    /// Marks an object as damaged, for the backup that would use it next. Where that cannot be written down
    /// nobody makes backups either.
    fn mark(&self, id: ObjectId) {
        let mark = self.marks().join(id.to_string());
        let made = self.fs.create_dir_all(&self.marks()).and_then(|()| self.fs.create_new(&mark));
        let _ = made.and_then(|_| self.fs.sync_dir(&self.marks()));
    }

    /// Reads an object, and says whether it is what its name says only when all of it was read. One that is
    /// not is marked.
    pub(super) fn read_object(
        &self,
        object: Stored,
        each: impl FnMut(&[u8], u64) -> Result<()>,
    ) -> Result<OpenFile> {
        let read = self.check_object(object, each);
        read.inspect_err(|error| {
            if let Error::Corruption(_) = error {
                self.mark(object.id);
            }
        })
    }

    fn check_object(&self, object: Stored, each: impl FnMut(&[u8], u64) -> Result<()>) -> Result<OpenFile> {
        let path = self.object(object.id);
        let wrong = |found: String| -> Error {
            let expected = format!("{} bytes whose hash is the file's name", object.bytes);
            Corruption::new(&path, 0, expected, found).into()
        };
        let file = self.fs.open(&path).map_err(|error| match error.is_not_found() {
            true => wrong("no such file".into()),
            false => error,
        })?;
        let size = file.size()?;
        if size != object.bytes {
            return Err(wrong(format!("{size} bytes")));
        }
        let (mut each, mut hasher) = (each, blake3::Hasher::new());
        read_pieces(&file, size, |piece, at| {
            hasher.update(piece);
            each(piece, at)
        })?;
        match ObjectId::seen(&hasher) {
            found if found == object.id => Ok(file),
            found => Err(wrong(format!("bytes whose hash is {found}"))),
        }
    }
}

/// The name of a backup's file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:06}")
}

fn is_directory(error: &Error) -> bool {
    let Error::Io(failure) = error else { return false };
    matches!(failure.source.kind(), std::io::ErrorKind::IsADirectory | std::io::ErrorKind::PermissionDenied)
}
