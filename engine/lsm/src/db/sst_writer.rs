//! Writing tables outside of a store, to be ingested.

use super::options::FamilyOptions;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, Kind, NEVER};
use crate::base::limits::LEVELS;
use crate::base::random::Random;
use crate::base::refusal::IngestRefusal;
use crate::fs::Fs;
use crate::table::{Origin, TableWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a [`SstWriter`] has its file, time and random numbers from; the operating system's by default.
#[derive(Clone, Debug, Default)]
pub struct SstSettings {
    /// The file system.
    pub fs: Fs,
    /// What times to live are counted from.
    pub clock: Clock,
    /// Where the identity of the file comes from: no two may have the same.
    pub random: Random,
}

/// A table that was written outside of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SstFile {
    /// Where it stands.
    pub path: PathBuf,
    /// How many entries it holds.
    pub entries: u64,
    /// How many of them are deletions.
    pub deletions: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The first key.
    pub smallest: Vec<u8>,
    /// The last key.
    pub largest: Vec<u8>,
}

/// Writes a table outside of a store, in the order of keys, for [`Db::ingest`](super::Db::ingest) to take in.
///
/// The file is one of the store's own kind, but that its entries have no sequence numbers: those they get
/// when they are ingested. An unfinished file is removed when the writer is dropped.
///
/// ```
/// # use std::time::Duration;
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("users.sst");
/// let mut writer = esker::SstWriter::create(&path, &esker::FamilyOptions::default())?;
/// writer.put(b"user:1", b"Ada")?;
/// writer.put_with_ttl(b"user:2", b"a guest", Duration::from_secs(3600))?;
/// writer.delete(b"user:3")?;
/// assert!(matches!(writer.put(b"user:2", b"late"), Err(esker::Error::KeysOutOfOrder { .. })));
/// let file = writer.finish()?;
/// assert_eq!((file.entries, file.deletions, &file.largest[..]), (3, 1, &b"user:3"[..]));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SstWriter {
    fs: Fs,
    clock: Clock,
    path: PathBuf,
    default_ttl_ms: Option<u64>,
    /// `None` once it has failed or is finished.
    writer: Option<TableWriter>,
    failure: Option<Error>,
    finished: bool,
}

impl SstWriter {
    /// A writer into the new file `path`, as a family with these options would write its last level. Merge
    /// operator and erasure do not matter; a default time to live does.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an option out of its range; what creating the file gives, above all if
    /// it is there already.
    pub fn create(path: impl AsRef<Path>, options: &FamilyOptions) -> Result<SstWriter> {
        SstWriter::create_with(path, options, SstSettings::default())
    }

    /// As [`SstWriter::create`], on another file system or by another clock.
    ///
    /// # Errors
    /// As [`SstWriter::create`].
    pub fn create_with(
        path: impl AsRef<Path>,
        options: &FamilyOptions,
        settings: SstSettings,
    ) -> Result<SstWriter> {
        options.validate()?;
        let SstSettings { fs, clock, random } = settings;
        let now_ms = clock.wall_ms();
        let origin =
            Origin { created_ms: now_ms, oldest_deletion_ms: now_ms, outside: true, ..Origin::default() };
        let table = options.policy().for_level(LEVELS - 1, origin);
        let path = path.as_ref().to_owned();
        let file = fs.create_new(&path)?;
        let default_ttl_ms = options.rules().default_ttl_ms;
        let (writer, failure, finished) = (None, None, false);
        let mut made = SstWriter { fs, clock, path, default_ttl_ms, writer, failure, finished };
        made.writer = Some(TableWriter::new(file, random.next_u64(), table)?);
        Ok(made)
    }

    /// Adds `key` with `value`, for the family's default time if it has one, from now on.
    ///
    /// # Errors
    /// [`Error::KeysOutOfOrder`] if the key does not come behind the last one, [`Error::KeyTooLarge`],
    /// [`Error::ValueTooLarge`]: then the next one may be tried. What writing the file gives, from then on
    /// always.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let expires_at = self.default_ttl_ms.map_or(NEVER, |ttl_ms| self.in_ms(ttl_ms));
        self.add(Kind::Put, key.as_ref(), value.as_ref(), expires_at)
    }

    /// Adds `key` with `value`, for `ttl` from now on.
    ///
    /// # Errors
    /// As [`SstWriter::put`].
    pub fn put_with_ttl(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<()> {
        let expires_at = self.in_ms(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self.add(Kind::Put, key.as_ref(), value.as_ref(), expires_at)
    }

    /// Adds `key` with `value` until the moment `expires_at_ms`, in milliseconds since the epoch; `u64::MAX`
    /// is never, whatever the family's default.
    ///
    /// # Errors
    /// As [`SstWriter::put`].
    pub fn put_until(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expires_at_ms: u64,
    ) -> Result<()> {
        self.add(Kind::Put, key.as_ref(), value.as_ref(), expires_at_ms)
    }

    /// Adds the removal of `key`, if the store has it.
    ///
    /// # Errors
    /// As [`SstWriter::put`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        self.add(Kind::Delete, key.as_ref(), b"", NEVER)
    }

    /// How many entries were added.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.writer.as_ref().map_or(0, TableWriter::entries)
    }

    /// About how many bytes the file would have if it were finished now.
    #[must_use]
    pub fn estimated_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, TableWriter::estimated_bytes)
    }

    /// Writes what is left and syncs the file and its directory.
    ///
    /// # Errors
    /// [`Error::IngestRefused`] for a table without an entry; what writing and syncing give. The file is gone
    /// then.
    pub fn finish(mut self) -> Result<SstFile> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let Some(writer) = self.writer.take().filter(|writer| writer.entries() > 0) else {
            let (file, why) = (self.path.clone().into(), IngestRefusal::Empty);
            return Err(Error::IngestRefused { file, why });
        };
        let written = writer.finish()?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        self.fs.sync_dir(parent.unwrap_or(Path::new(".")))?;
        self.finished = true;
        let properties = written.properties;
        Ok(SstFile {
            path: self.path.clone(),
            entries: properties.entries,
            deletions: properties.deletions,
            bytes: written.size_bytes,
            smallest: properties.smallest.user_key,
            largest: properties.largest.user_key,
        })
    }

    fn in_ms(&self, ttl_ms: u64) -> u64 {
        self.clock.wall_ms().saturating_add(ttl_ms).min(NEVER - 1)
    }

    #[inline]
    fn add(&mut self, kind: Kind, key: &[u8], value: &[u8], expires_at: u64) -> Result<()> {
        let Some(writer) = &mut self.writer else {
            return Err(self.failure.clone().unwrap_or(Error::Closed));
        };
        let added = writer.add(&EntryRef { key, seq: 0, kind, expires_at, value });
        if let Err(Error::Io(_) | Error::DiskFull(_) | Error::InvalidArgument { .. }) = &added {
            self.failure = added.clone().err();
            self.writer = None;
        }
        added
    }
}

impl Drop for SstWriter {
    fn drop(&mut self) {
        self.writer = None;
        if !self.finished {
            // What cannot be removed is no table, and refused wherever it is offered.
            let _ = self.fs.remove(&self.path);
        }
    }
}
