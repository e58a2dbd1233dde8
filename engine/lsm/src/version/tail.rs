//! Reading a manifest that somebody else may still be writing.
//!
//! # What the writer may do meanwhile
//! - **Append an edit.** One that is only partly there is not there yet.
//! - **Take an edit back** whose append failed: the file is cut, and another edit may come to the same place.
//!   So it is looked whether the edit that was read last is still there.
//! - **Write a new manifest**, switch `CURRENT` to it, and remove this one. `CURRENT` is replaced as a whole
//!   and names a manifest that is complete.
//!
//! Each edit is on disk before what it adds is needed or what it removes is removed. So whoever does not find
//! a file finds, behind that, a manifest that does not name it any more; or the file is missing.

use super::current::{Current, read_current};
use super::edit::EditOp;
use super::manifest::{check_store, open_named, open_records, read_edits};
use super::state::StoreState;
use crate::base::error::{Error, Result};
use crate::base::filename::FileNumber;
use crate::fs::{Fs, OpenFile};
use crate::record::{FileHeader, ReadPlace, RecordReader};
use std::path::{Path, PathBuf};

/// Whether a manifest says something else than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is as it was.
    No,
    /// Edits have come to it.
    Edits,
    /// Another one is in force, or an edit that was read was taken back: it must be opened anew.
    Replaced,
}

/// A position in the manifest that was in force when it was opened.
#[derive(Debug)]
pub struct ManifestTail {
    fs: Fs,
    dir: PathBuf,
    current: Current,
    file: OpenFile,
    header: FileHeader,
    place: ReadPlace,
    lsn: u64,
    state: StoreState,
    ingests: u64,
}

impl ManifestTail {
    /// Reads the manifest in force up to its end; `None` if there is no `CURRENT`.
    ///
    /// # Errors
    /// As [`super::load_manifest`].
    pub fn open(fs: &Fs, dir: &Path) -> Result<Option<ManifestTail>> {
        let Some(current) = read_current(fs, dir)? else { return Ok(None) };
        let file = open_named(fs, dir, current)?;
        let reader = open_records(&file, current)?;
        let (header, place, lsn) = (*reader.header(), reader.place(), reader.header().start_lsn);
        let (fs, dir, state) = (fs.clone(), dir.to_owned(), StoreState::default());
        let mut tail = ManifestTail { fs, dir, current, file, header, place, lsn, state, ingests: 0 };
        // The first record was there before CURRENT named the file.
        if tail.read_on()? == 0 {
            let stop = tail.reader()?.stopped();
            return Err(stop.corruption(&tail.file));
        }
        check_store(&tail.file, &tail.state, current)?;
        Ok(Some(tail))
    }

    /// What it says, as far as it was read.
    #[must_use]
    pub fn state(&self) -> &StoreState {
        &self.state
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> FileNumber {
        self.current.manifest
    }

    /// The position in its stream behind the last edit that was read.
    #[must_use]
    pub fn lsn(&self) -> u64 {
        self.lsn
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The offset in the file behind the last edit that was read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.place.offset
    }

    /// How many tables the edits that were read have taken in, moved ones counted again.
    #[must_use]
    pub fn ingests(&self) -> u64 {
        self.ingests
    }

    /// Reads what has come to it since.
    ///
    /// # Errors
    /// [`Error::Corruption`] if it was damaged; what reading gives. After one, it must not be used any more.
    pub fn advance(&mut self) -> Result<Moved> {
        if read_current(&self.fs, &self.dir)? != Some(self.current)
            || !RecordReader::<&OpenFile>::still_follows(&self.file, &self.header, self.place)?
        {
            return Ok(Moved::Replaced);
        }
        Ok(if self.read_on()? == 0 { Moved::No } else { Moved::Edits })
    }

    fn reader(&self) -> Result<RecordReader<&OpenFile>> {
        RecordReader::open_at(&self.file, self.header, self.place)
    }

    /// Applies what stands behind the place; returns how many edits there were.
    fn read_on(&mut self) -> Result<u64> {
        let before = self.read_once()?;
        // Edits behind the end say that more was synced: what they speak of was there before them.
        let evidence = match self.reader()?.synced_behind() {
            Err(error) if is_cut(&error) => 0,
            evidence => evidence?,
        };
        if self.lsn >= evidence {
            return Ok(before);
        }
        let records = before + self.read_once()?;
        if self.lsn < evidence {
            let stop = self.reader()?.stopped();
            return Err(stop.corruption(&self.file));
        }
        Ok(records)
    }

    fn read_once(&mut self) -> Result<u64> {
        let mut reader = RecordReader::open_at(&self.file, self.header, self.place)?;
        let (mut records, mut ingests) = (0, 0);
        let read = read_edits(&mut reader, &self.file, &mut self.state, |edit| {
            records += 1;
            ingests += edit.0.iter().filter(|op| takes_in(op)).count() as u64;
        });
        self.ingests += ingests;
        match read {
            // An edit was taken back under our eyes, before it was read.
            Err(error) if is_cut(&error) => {}
            read => drop(read?),
        }
        self.place = reader.place();
        self.lsn = reader.lsn_of(self.place.offset);
        Ok(records)
    }
}

/// Whether an operation names a table that was ingested.
fn takes_in(op: &EditOp) -> bool {
    matches!(op, EditOp::AddTable { meta, .. } if meta.ingested_seq > 0)
}

/// Whether a file was cut after its size was asked for.
fn is_cut(error: &Error) -> bool {
    matches!(error, Error::Io(failure) if failure.source.kind() == std::io::ErrorKind::UnexpectedEof)
}
