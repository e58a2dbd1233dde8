//! The merge: entries in, tables out. Flushes and compactions differ only in what they are given.

use super::below::Below;
use super::hooks::{JobHooks, deletion};
use super::values::{ValueOutput, ValueSpec};
use crate::base::blob_ref::BlobRef;
use crate::base::cursor::Cursor;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::iter::{Fate, Horizon, Retain};
use crate::ranges::{RangeSet, RangeWalk, Stretch};
use crate::table::{Origin, TablePolicy, TableWriter, Tables};
use crate::version::{BlobMeta, TableMeta};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a merge needs besides its input.
pub struct MergeSpec<'a> {
    /// Makes and removes the output tables.
    pub tables: &'a Tables,
    /// Numbers them.
    pub next_number: &'a dyn Fn() -> FileNumber,
    /// How they are written.
    pub policy: &'a TablePolicy,
    /// Their level.
    pub level: usize,
    /// The size at which one is closed, in bytes.
    pub table_bytes: u64,
    /// What readers see; the last is the present.
    pub horizons: Vec<Horizon>,
    /// What may hold older entries than the input.
    pub below: Below,
    /// Whether what is deleted has to be gone from every file within a time.
    pub reminds: bool,
    /// Deleted and dropped ranges: all that are registered for the family, and those beside the memtable
    /// that is flushed.
    pub ranges: &'a RangeSet,
    /// There is no range up to here that is neither in `ranges` nor known to concern nothing of the input.
    pub ranges_seq: SeqNum,
    /// Family, history, and the time of the oldest deletion in the input.
    pub origin: Origin,
    /// What ends later is noted in [`Merged::next_end_ms`], in milliseconds since the epoch.
    pub ended_ms: u64,
    /// Asked now and then; an error ends the merge and removes what it made.
    pub check: &'a dyn Fn() -> Result<()>,
    /// The file that is wrong if the input has the same entry of this key twice.
    pub blame: &'a dyn Fn(&[u8]) -> PathBuf,
    /// What the family has hooked in; `None` keeps values as they are, and operands that count.
    pub hooks: Option<JobHooks<'a>>,
    /// What becomes of large values; without it they stay beside their keys, and no entry of the input may
    /// refer to one elsewhere.
    pub values: Option<ValueSpec<'a>>,
}

/// What came of a merge.
#[derive(Debug, Default)]
pub struct Merged {
    /// The new tables in key order, synced, their directory entries too.
    pub tables: Vec<Arc<TableMeta>>,
    /// The new blob files, synced as the tables are.
    pub blobs: Vec<BlobMeta>,
    /// Entries that were read.
    pub entries_in: u64,
    /// Entries that were written.
    pub entries_out: u64,
    /// Bytes of tables and blob files that were written.
    pub bytes_out: u64,
    /// The blob files of which it met a value whose key was deleted or has ended.
    pub ended_in: BTreeSet<FileNumber>,
    /// Values that a filter removed or replaced.
    pub filtered: u64,
    /// The earliest end of an entry written that is later than [`MergeSpec::ended_ms`].
    pub next_end_ms: u64,
    /// The newest range that an entry was kept from, for a snapshot from before it; 0 without any.
    pub kept_from_range: SeqNum,
}

/// A table refers to about so many blob files at most: what it says of them stands in its properties and in
/// the manifest.
const MOST_BLOB_FILES: usize = 4096;

/// So much is read between two questions whether to go on, in bytes: little beside the room on a full disk
/// that a merge has to leave to others.
const CHECK_BYTES: usize = 64 << 10;
/// What an entry counts for besides its key and value: a merge of small ones is asked now and then, too.
const ENTRY_BYTES: usize = 64;

/// Carries out a merge over `input`. On an error nothing that was made is left behind, as far as
/// the file system lets itself be cleaned up; the rest is removed when the store is opened.
pub fn merge(input: &mut impl Cursor, spec: MergeSpec<'_>) -> Result<Merged> {
    let mut out = Output {
        tables: spec.tables,
        next_number: spec.next_number,
        policy: spec.policy,
        level: spec.level,
        origin: spec.origin,
        blame: spec.blame,
        ranges_seq: spec.ranges_seq,
        cleaned_seq: spec.ranges_seq,
        writer: None,
        made: Vec::new(),
        values: ValueOutput::new(spec.values),
        ended_ms: spec.ended_ms,
        done: Merged { next_end_ms: NEVER, ..Merged::default() },
    };
    let retain = Retain::new(spec.horizons).with_reminders(spec.reminds);
    let run = Run {
        everybody_sees: retain.horizons().first().map_or(0, |h| h.seq),
        renumber: out.level == LEVELS - 1 && !out.policy.keep_versions,
        last_key: Vec::new(),
        unchecked: 0,
        retain,
        below: spec.below,
        table_bytes: spec.table_bytes,
        hooks: spec.hooks,
        ranges: spec.ranges.walk(),
        out: &mut out,
    };
    let result = run.run(input, spec.check);
    match result.and_then(|()| out.complete()) {
        Ok(()) => Ok(out.done),
        Err(error) => {
            out.writer = None;
            out.values.give_up();
            for kind in out.made {
                // What stays behind is not named by the manifest and goes when the store is opened.
                let _ = spec.tables.remove(kind);
            }
            Err(error)
        }
    }
}

/// A merge under way.
pub(super) struct Run<'a, 'o> {
    pub(super) retain: Retain,
    pub(super) below: Below,
    pub(super) hooks: Option<JobHooks<'a>>,
    pub(super) out: &'o mut Output<'a>,
    /// Along the keys.
    pub(super) ranges: RangeWalk<'a>,
    table_bytes: u64,
    /// Up to here everything is seen by all readers.
    everybody_sees: SeqNum,
    /// Whether numbers that all readers see may go: nothing is older, and nobody asks for them.
    renumber: bool,
    last_key: Vec<u8>,
    /// Bytes read since somebody was asked whether to go on.
    unchecked: usize,
}

impl Run<'_, '_> {
    /// Counts an entry of the input, and asks now and then whether to go on.
    pub(super) fn took(&mut self, entry: &EntryRef<'_>, check: &dyn Fn() -> Result<()>) -> Result<()> {
        self.out.done.entries_in += 1;
        self.unchecked += entry.key.len() + entry.value.len() + ENTRY_BYTES;
        self.unchecked += std::mem::take(&mut self.out.values.moved_bytes);
        if self.unchecked < CHECK_BYTES {
            return Ok(());
        }
        self.unchecked = 0;
        check()
    }

    fn run(mut self, input: &mut impl Cursor, check: &dyn Fn() -> Result<()>) -> Result<()> {
        let filters = self.hooks.as_ref().is_some_and(JobHooks::filters);
        input.seek_to_first()?;
        while input.valid() {
            let mut entry = input.entry();
            self.took(&entry, check)?;
            let stretch = self.ranges.at(entry.key);
            let range = stretch.behind(entry.seq);
            let nothing_below = |key: &[u8]| self.below.nothing(key);
            let (seq, kind, expires_at) = (entry.seq, entry.kind, entry.expires_at);
            let fate = self.retain.decide(entry.key, seq, kind, expires_at, range, nothing_below);
            if kind == Kind::BlobRef && fate != Fate::Keep && !self.retain.overwritten() {
                self.out.note_ended(&entry);
            }
            if fate == Fate::Delete {
                // The deletion is as old as the expiry that it stands for.
                self.out.note_deletion(entry.expires_at);
                entry = deletion(entry.key, entry.seq);
            }
            if fate != Fate::Drop {
                if entry.kind == Kind::Merge {
                    // It takes all that is left of the key.
                    self.fold_key(input, check)?;
                    continue;
                }
                if filters { self.filter(&entry, stretch)? } else { self.write(&entry, stretch)? }
            }
            input.next()?;
        }
        Ok(())
    }

    /// Writes an entry that stays, of a key in `stretch`.
    pub(super) fn write(&mut self, entry: &EntryRef<'_>, stretch: Stretch<'_>) -> Result<()> {
        let mut entry = *entry;
        // All versions of a key stay in one table, so that tables of a level share no user key.
        if self.out.is_full(self.table_bytes)? && entry.key != self.last_key.as_slice() {
            self.out.close_table()?;
        }
        if let Some(range) = stretch.behind(entry.seq) {
            // It is kept for a snapshot from before the range, and has to go when that is gone.
            self.out.cleaned_seq = self.out.cleaned_seq.min(range - 1);
            self.out.done.kept_from_range = self.out.done.kept_from_range.max(range);
        }
        if self.renumber && entry.kind.is_value() && entry.seq <= self.everybody_sees && stretch.is_free() {
            // Nothing is older than the last level: the number says nothing any more there, and
            // zeros compress away. In a range it says that the entry is newer.
            entry.seq = 0;
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(entry.key);
        self.out.add(&entry)
    }
}

pub(super) struct Output<'a> {
    tables: &'a Tables,
    next_number: &'a dyn Fn() -> FileNumber,
    policy: &'a TablePolicy,
    level: usize,
    pub(super) origin: Origin,
    blame: &'a dyn Fn(&[u8]) -> PathBuf,
    ranges_seq: SeqNum,
    /// What the open table is clean of.
    cleaned_seq: SeqNum,
    writer: Option<(FileNumber, TableWriter)>,
    made: Vec<FileKind>,
    pub(super) values: ValueOutput<'a>,
    ended_ms: u64,
    pub(super) done: Merged,
}

impl Output<'_> {
    fn is_full(&mut self, table_bytes: u64) -> Result<bool> {
        let Some((_, writer)) = &mut self.writer else { return Ok(false) };
        Ok(writer.blob_files() >= MOST_BLOB_FILES || writer.has_reached(table_bytes)?)
    }

    /// Notes a deletion that stands for something gone since `ms`.
    pub(super) fn note_deletion(&mut self, ms: u64) {
        self.origin.oldest_deletion_ms = self.origin.oldest_deletion_ms.min(ms);
    }

    /// Notes that the value goes to which an entry refers, because its key was deleted or has ended.
    pub(super) fn note_ended(&mut self, entry: &EntryRef<'_>) {
        // A reference that is none is met by whoever reads it.
        if let (Kind::BlobRef, Ok(at)) = (entry.kind, BlobRef::decode(entry.value)) {
            self.done.ended_in.insert(at.file);
        }
    }

    /// Writes an entry, its value wherever it belongs.
    fn add(&mut self, entry: &EntryRef<'_>) -> Result<()> {
        let called_back = self.values.called_back(entry)?;
        let entry = match &called_back {
            Some(value) => EntryRef { kind: Kind::Put, value, ..*entry },
            None => *entry,
        };
        let (made, next_number) = (&mut self.made, self.next_number);
        let reference = self.values.separate(&entry, &self.origin, || {
            let number = next_number();
            made.push(FileKind::Blob(number));
            number
        })?;
        match &reference {
            Some(value) => self.add_to_table(&EntryRef { kind: Kind::BlobRef, value, ..entry }),
            None => self.add_to_table(&entry),
        }
    }

    fn add_to_table(&mut self, entry: &EntryRef<'_>) -> Result<()> {
        if self.writer.is_none() {
            let number = (self.next_number)();
            let (file, identity) = self.tables.create(number)?;
            self.made.push(FileKind::Table(number));
            let options = self.policy.for_level(self.level, self.origin);
            self.writer = Some((number, TableWriter::new(file, identity, options)?));
        }
        if let Some((_, writer)) = &mut self.writer {
            writer.add(entry).map_err(|error| match error {
                Error::InvalidArgument { .. } => self.twice(entry),
                error => error,
            })?;
        }
        self.done.entries_out += 1;
        let end = entry.may_expire_at();
        if end > self.ended_ms {
            self.done.next_end_ms = self.done.next_end_ms.min(end);
        }
        Ok(())
    }

    /// Runs in order came out of order: each key and number is given to one entry alone, and two of these
    /// runs have one each.
    #[cold]
    fn twice(&self, entry: &EntryRef<'_>) -> Error {
        let expected = format!("one entry of {:?} with number {}", entry.key, entry.seq);
        Corruption::new(&(self.blame)(entry.key), 0, expected, "two of them, in different tables").into()
    }

    fn close_table(&mut self) -> Result<()> {
        let Some((number, mut writer)) = self.writer.take() else { return Ok(()) };
        writer.set_oldest_deletion_ms(self.origin.oldest_deletion_ms);
        let summary = writer.finish()?;
        self.done.bytes_out += summary.size_bytes;
        let cleaned_seq = std::mem::replace(&mut self.cleaned_seq, self.ranges_seq);
        self.done.tables.push(Arc::new(TableMeta::of(number, summary, cleaned_seq)));
        Ok(())
    }

    fn complete(&mut self) -> Result<()> {
        self.close_table()?;
        self.values.close()?;
        self.done.blobs = std::mem::take(&mut self.values.made);
        self.done.bytes_out += self.done.blobs.iter().map(|blob| blob.size).sum::<u64>();
        if self.made.is_empty() { Ok(()) } else { self.tables.sync_dir() }
    }
}
