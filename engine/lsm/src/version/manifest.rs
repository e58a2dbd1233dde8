//! The manifest: a log of edits, each synced before it counts.
//!
//! # Steps of an edit
//! 1. It is applied to a copy of the state; what does not fit is refused before anything is written.
//! 2. It is appended and synced.
//! 3. The copy becomes the state.
//!
//! An append that fails (a full disk) may have left any part of the record behind. Were it to turn
//! up again after a crash, it would name tables that have been removed since; so the file is cut
//! back and synced before the failure is reported. If that fails too, or a sync does, nothing is
//! certain any more: [`Manifest::broken`] says so, and the store becomes read-only.
//!
//! # Steps of a new manifest
//! 1. The new file is written with the whole state, synced, and its directory entry made durable.
//! 2. `CURRENT` is switched to it (temporary file, sync, rename, sync of the directory).
//! 3. Only then may the old one be removed.
//!
//! If the rename finds the disk full, `CURRENT` is read again and the directory is synced: when it
//! still names the old manifest, that is durable, and the attempt has changed nothing. After any
//! other failure of this step either of the two may be in force: the store becomes read-only, or is not
//! opened, and what the new one names stays.

use super::current::{Current, read_current};
use super::edit::{Edit, EditOp, decode_edit, encode_edit};
use super::state::StoreState;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::random::Random;
use crate::fs::{Fs, OpenFile};
use crate::record::{FileHeader, LogKind, RECORD_HEADER_BYTES, RecordReader, RecordWriter, Step, Stop};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The kind byte of a manifest's records.
const EDIT: u8 = 1;

/// A manifest is rewritten when it is this many times larger than its own first record ...
const GROWTH: u64 = 8;
/// ... and at least this large.
const LEAST_BYTES: u64 = 1 << 20;

/// The manifest in force, as its one writer holds it.
#[derive(Debug)]
pub struct Manifest {
    fs: Fs,
    dir: PathBuf,
    random: Random,
    number: FileNumber,
    writer: RecordWriter,
    state: StoreState,
    rewrite_at: u64,
    least_bytes: u64,
    broken: bool,
    names_removed: bool,
}

impl Manifest {
    /// Writes a new manifest with the whole of `state` and switches `CURRENT` to it. Two file
    /// numbers are taken: `state.next_file` and the one after.
    pub fn create(
        fs: Fs,
        dir: &Path,
        random: Random,
        mut state: StoreState,
    ) -> std::result::Result<Manifest, NotSwitched> {
        let number = state.next_file;
        state.next_file += 2;
        let writer = write_new(&fs, dir, &random, number, number + 1, &state)?;
        let dir = dir.to_owned();
        let mut manifest = Manifest {
            fs,
            dir,
            random,
            number,
            writer,
            state,
            rewrite_at: 0,
            least_bytes: LEAST_BYTES,
            broken: false,
            names_removed: false,
        };
        manifest.rewrite_at = manifest.next_rewrite();
        Ok(manifest)
    }

    /// Rewrites the manifest at a smaller size than usual, so that tests see it happen.
    pub fn set_least_bytes(&mut self, bytes: u64) {
        self.least_bytes = bytes;
        self.rewrite_at = self.next_rewrite();
    }

    fn next_rewrite(&self) -> u64 {
        (self.writer.offset() * GROWTH).max(self.least_bytes)
    }

    /// The state after all committed edits.
    #[must_use]
    pub fn state(&self) -> &StoreState {
        &self.state
    }

    /// The number of the file in force.
    #[must_use]
    pub fn number(&self) -> FileNumber {
        self.number
    }

    /// The position behind the last edit in the stream of the file in force.
    #[must_use]
    pub fn lsn(&self) -> u64 {
        self.writer.lsn()
    }

    /// The size of the file in force, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writer.offset()
    }

    /// Whether what is on disk is uncertain, so that nothing may be committed any more.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.broken
    }

    /// Makes an edit durable. On an error that leaves [`Manifest::broken`] false nothing has
    /// changed. `next_file` numbers a new manifest, should one be due.
    pub fn commit(&mut self, edit: &Edit, mut next_file: impl FnMut() -> FileNumber) -> Result<()> {
        debug_assert!(!self.broken, "the caller stops after a broken manifest");
        let mut state = self.state.clone();
        state.apply(edit).map_err(|why| self.misfit(why))?;
        let synced = self.writer.lsn();
        encode_edit(self.writer.begin(), edit);
        if let Err(error) = self.writer.finish(EDIT, synced) {
            let at = self.writer.offset();
            let file = self.writer.file();
            self.broken = file.truncate(at).and_then(|()| file.sync()).is_err();
            return Err(error);
        }
        if let Err(error) = self.writer.file().sync() {
            self.broken = true;
            return Err(error);
        }
        self.state = state;
        self.names_removed |= edit.0.iter().any(EditOp::removes_keys);
        if self.writer.offset() >= self.rewrite_at {
            // The edit is durable whatever becomes of the rewrite, which is tried again later.
            let result = self.rewrite(next_file(), next_file());
            if self.broken {
                return result;
            }
        }
        Ok(())
    }

    fn misfit(&self, why: String) -> Error {
        Corruption::new(self.writer.file().path(), self.writer.offset(), "an edit that fits", why).into()
    }

    /// Whether its file still names something that was removed.
    #[must_use]
    pub fn names_removed(&self) -> bool {
        self.names_removed
    }

    /// Writes it anew, without what was removed. On an error that leaves [`Manifest::broken`] false
    /// nothing has changed.
    pub fn shorten(&mut self, mut next_file: impl FnMut() -> FileNumber) -> Result<()> {
        self.rewrite(next_file(), next_file())
    }

    fn rewrite(&mut self, number: FileNumber, temp: FileNumber) -> Result<()> {
        let mut state = self.state.clone();
        state.next_file = state.next_file.max(number.max(temp) + 1);
        self.rewrite_at = self.writer.offset() * 2;
        let new = write_new(&self.fs, &self.dir, &self.random, number, temp, &state);
        let writer = new.map_err(|NotSwitched { error, in_doubt }| {
            // A directory that could not be synced may hold what others have put there.
            self.broken |= in_doubt || error.is_failed_sync();
            error
        })?;
        let old = std::mem::replace(&mut self.number, number);
        self.writer = writer;
        self.state = state;
        self.names_removed = false;
        self.rewrite_at = self.next_rewrite();
        self.fs.remove(&FileKind::Manifest(old).path(&self.dir))
    }
}

/// Why a new manifest is not in force, or may not be.
#[derive(Debug)]
pub struct NotSwitched {
    /// What failed.
    pub error: Error,
    /// Whether `CURRENT` may name it all the same, now or after a loss of power. If not, its files are gone.
    pub in_doubt: bool,
}

impl From<NotSwitched> for Error {
    fn from(NotSwitched { error, .. }: NotSwitched) -> Error {
        error
    }
}

fn write_new(
    fs: &Fs,
    dir: &Path,
    random: &Random,
    number: FileNumber,
    temp: FileNumber,
    state: &StoreState,
) -> std::result::Result<RecordWriter, NotSwitched> {
    let path = FileKind::Manifest(number).path(dir);
    let header = FileHeader {
        identity: random.next_u64(),
        store: state.store,
        number,
        start_lsn: 0,
        previous: 0,
        chain: 0,
        least_bytes: 0,
    };
    let write = || {
        let mut writer = RecordWriter::create(fs.create_new(&path)?, LogKind::Manifest, header)?;
        encode_edit(writer.begin(), &state.to_edit());
        writer.finish(EDIT, 0)?;
        writer.file().sync()?;
        let opened = fs.dir(dir)?;
        opened.sync()?;
        Current { manifest: number, store: state.store }.prepare(fs, dir, temp)?;
        Ok((writer, opened))
    };
    let (error, in_doubt) = match write() {
        Err(error) => (error, false),
        Ok((writer, opened)) => match Current::switch(fs, &opened, dir, temp) {
            Ok(()) => return Ok(writer),
            Err(error) => {
                let in_doubt = !Current::certainly_not(number, fs, &opened, dir, &error);
                (error, in_doubt)
            }
        },
    };
    if !in_doubt {
        let _ = fs.remove(&FileKind::Temp(temp).path(dir));
        let _ = fs.remove(&path);
    }
    Err(NotSwitched { error, in_doubt })
}

/// A manifest as it was found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub state: StoreState,
    /// Its number.
    pub number: FileNumber,
    /// Where its edits end: the offset in the file, and the position in its stream.
    pub end: (u64, u64),
    /// Bytes of an edit at its end that was never completed.
    pub torn_bytes: u64,
    /// Every table and blob file that any of its edits mentions. Whatever a loss of power may yet undo of the
    /// manifest, others have never been part of the store.
    pub mentioned: BTreeSet<FileNumber>,
}

/// Reads the manifest that `CURRENT` names; `None` if there is no `CURRENT`.
pub fn load_manifest(fs: &Fs, dir: &Path) -> Result<Option<Loaded>> {
    let Some(current) = read_current(fs, dir)? else { return Ok(None) };
    let file = open_named(fs, dir, current)?;
    let mut reader = open_records(&file, current)?;
    let mut state = StoreState::default();
    let mut mentioned = BTreeSet::new();
    let (records, stop) = read_edits(&mut reader, &file, &mut state, |edit| {
        mentioned.extend(edit.0.iter().filter_map(|op| match op {
            EditOp::AddTable { meta, .. } => Some(meta.number),
            EditOp::RemoveTable { number, .. } | EditOp::RemoveBlob { number, .. } => Some(*number),
            EditOp::AddBlob { meta, .. } => Some(meta.number),
            _ => None,
        }));
    })?;
    // The first record was synced before CURRENT named the file, and each later one repeats how far
    // the file was synced: only an edit that was never acknowledged may be torn.
    if records == 0 || stop.lsn < reader.synced_behind()? {
        return Err(stop.corruption(&file));
    }
    check_store(&file, &state, current)?;
    // The padding of the last record may be all that is missing.
    let torn_bytes = reader.size().saturating_sub(stop.offset);
    let end = (stop.offset, stop.lsn);
    Ok(Some(Loaded { state, number: current.manifest, end, torn_bytes, mentioned }))
}

/// Opens the manifest that `CURRENT` names.
pub(super) fn open_named(fs: &Fs, dir: &Path, current: Current) -> Result<OpenFile> {
    let path = FileKind::Manifest(current.manifest).path(dir);
    fs.open(&path).map_err(|error| match error.is_not_found() {
        true => Corruption::new(&path, 0, "the manifest that CURRENT names", "no such file").into(),
        false => error,
    })
}

/// Stands before the first edit of a manifest, which must be of the store that `CURRENT` names.
pub(super) fn open_records(file: &OpenFile, current: Current) -> Result<RecordReader<&OpenFile>> {
    let reader = RecordReader::open(file, LogKind::Manifest)?;
    if reader.header().store != current.store {
        let (expected, found) = (format!("store {:016x}", current.store), reader.header().store);
        return Err(Corruption::new(file.path(), 24, expected, format!("{found:016x}")).into());
    }
    Ok(reader)
}

/// Applies the edits of a manifest to `state`, up to the first thing that is none, and shows each to `see`.
/// Returns how many there were, and where it stopped.
pub(super) fn read_edits(
    reader: &mut RecordReader<&OpenFile>,
    file: &OpenFile,
    state: &mut StoreState,
    mut see: impl FnMut(&Edit),
) -> Result<(u64, Stop)> {
    let mut records = 0;
    loop {
        match reader.step()? {
            Step::Stop(stop) => return Ok((records, stop)),
            Step::Record { offset, payload, .. } => {
                let base = offset + RECORD_HEADER_BYTES;
                let edit = decode_edit(payload).map_err(|e| e.in_file(file.path(), base))?;
                state.apply(&edit).map_err(|why| {
                    Error::from(Corruption::new(file.path(), base, "an edit that fits", why))
                })?;
                see(&edit);
                records += 1;
            }
        }
    }
}

/// Refuses what a manifest says of another store than `CURRENT` names.
pub(super) fn check_store(file: &OpenFile, state: &StoreState, current: Current) -> Result<()> {
    if state.store == current.store {
        return Ok(());
    }
    let (expected, found) = (format!("store {:016x}", current.store), format!("{:016x}", state.store));
    Err(Corruption::new(file.path(), 0, expected, found).into())
}
