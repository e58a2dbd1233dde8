//! What a repair found, saved and lost. Nothing in it is a guess: what is not known is `None`, or a
//! doubt that names the keys and sequence numbers which it is about.

use crate::base::filename::FileNumber;
use crate::base::key::SeqNum;

/// Keys from one to another, both included; `None` is unbounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub from: Option<Vec<u8>>,
    /// The last key.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const ALL: KeyRange = KeyRange { from: None, to: None };

    /// Whether a key lies in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_deref().is_none_or(|from| from <= key) && self.to.as_deref().is_none_or(|to| key <= to)
    }
}

/// Sequence numbers from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    /// The first.
    pub first: SeqNum,
    /// The last; `None` if nobody knows how far it went.
    pub last: Option<SeqNum>,
}

impl SeqRange {
    /// Every sequence number.
    pub const ALL: SeqRange = SeqRange { first: 0, last: None };

    /// Whether a sequence number lies in it.
    #[must_use]
    pub fn contains(&self, seq: SeqNum) -> bool {
        self.first <= seq && self.last.is_none_or(|last| seq <= last)
    }
}

/// What said which files make up the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The manifest that `CURRENT` names, which is whole.
    InForce(FileNumber),
    /// `CURRENT` is lost or damaged: the newest manifest that is whole.
    Newest(FileNumber),
    /// No manifest is whole. What could still be read of them gave names and options of families;
    /// every table and every segment of the log that can be read counts.
    Parts,
    /// There is no trace of a manifest. Every table and every segment that can be read counts.
    Nothing,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// A sorted table.
    Table,
    /// Separated values. What of them cannot be read is told of the tables that refer to them.
    Blob,
    /// A segment of the write-ahead log.
    Log,
    /// A manifest.
    Manifest,
    /// `CURRENT`.
    Current,
    /// `LOCK`, which holds no data.
    Lock,
    /// `RESERVE`, which holds no data.
    Reserve,
    /// The store's own options, which the new store takes over if they are sound.
    Options,
    /// Something that was being written: without meaning.
    Temporary,
    /// Not a name of the store's.
    Foreign,
}

/// How much of a file could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// All of it.
    Intact,
    /// All that is there; whether it went on, nothing tells. The last segment of the log of a store
    /// that was not closed.
    OpenEnd,
    /// Some of it.
    PartlyRead,
    /// Nothing of it.
    Unreadable,
    /// It ought to be there and is not.
    Missing,
    /// It was not looked into, since it is no part of the store.
    NotRead,
}

/// What became of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It went into the new store.
    Taken,
    /// It is no longer part of the store, and only filled in where something that is was lost.
    Filled,
    /// It was left out.
    LeftOut,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairedFile {
    /// Its name.
    pub name: String,
    /// What it is.
    pub role: FileRole,
    /// How much of it could be read.
    pub state: FileState,
    /// What became of it.
    pub used: Use,
    /// Its size in bytes, unless it is missing.
    pub bytes: Option<u64>,
    /// Entries, deletions and all versions included, that could be read of it; of a segment of the log
    /// that was taken, those that stand in no table yet.
    pub entries_saved: u64,
    /// Entries in it that could not be read; `None` if nobody knows how many there were. They may
    /// stand elsewhere, too.
    pub entries_lost: Option<u64>,
    /// Of these, so many at least stand nowhere else.
    pub entries_gone: u64,
    /// The family that a table belongs to, if that is known.
    pub family: Option<String>,
    /// The keys of the entries that could not be read lie in these ranges. Empty for a log, whose
    /// entries may have any key.
    pub lost_keys: Vec<KeyRange>,
    /// Their sequence numbers lie in this range, where that is known.
    pub lost_seqs: Option<SeqRange>,
    /// What is wrong with it, or why it is no part of the store.
    pub why: String,
}

/// One column family of the new store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairedFamily {
    /// Its number, the same as before.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Whether it was called so before. Otherwise its name was lost.
    pub name_known: bool,
    /// Whether it has the options that it had. Otherwise it has the default ones.
    pub options_known: bool,
    /// Its name and its options were lost, and are those of [`super::Repair::layer`].
    pub assumed: bool,
    /// How many keys a scan of the new store shows; `None` if nothing was written.
    pub keys: Option<u64>,
    /// How many more it has that have expired; `None` if nothing was written.
    pub expired: Option<u64>,
}

/// How the log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// With the mark of a close in good order: nothing stood behind it.
    Closed,
    /// Without one, as after a crash: nothing tells whether more had been written.
    Open,
    /// In bytes that are no record: a write that was never completed, or damage.
    Torn,
    /// In damage: more was known to be on disk.
    Damaged,
    /// The store needs no log, or there is none to be read.
    None,
}

/// The write-ahead log as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairedLog {
    /// Segments that were read.
    pub segments: u64,
    /// Groups of writes in them.
    pub groups: u64,
    /// The last sequence number in them.
    pub last_seq: Option<SeqNum>,
    /// How it ended.
    pub end: LogEnd,
    /// Writes that could not be read had sequence numbers in these ranges.
    pub missing: Vec<SeqRange>,
}

/// How sure it is that something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubtKind {
    /// Entries there could not be read, and at least some of them stand nowhere else.
    Lost,
    /// Nobody can tell.
    MayBeLost,
    /// The log ended as it does after every crash: what had not reached the disk was lost then.
    OpenEnd,
}

/// Keys whose state in the new store may be an older one than they had: a value that was
/// overwritten or deleted may be back, or a key may be missing. Only writes with the sequence numbers
/// named can be missing. Sequence numbers in the last level of a family are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// How sure it is.
    pub kind: DoubtKind,
    /// The family by its name in the new store; `None` for every family.
    pub family: Option<String>,
    /// The keys.
    pub keys: KeyRange,
    /// The sequence numbers of the writes that are or may be missing.
    pub seqs: SeqRange,
    /// Whether families that were dropped, or this one if it is named, may be back, and ones that were
    /// created last may be missing.
    pub families_may_be_back: bool,
    /// Where this comes from.
    pub why: String,
}

/// Whether what was saved is a prefix of the order of commits, as after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is.
    Holds,
    /// It may not be: a write may be there without one before it, or a batch in part.
    MayBeBroken,
}

/// The worst that a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Everything is there: the store was closed in good order, and nothing of it is damaged.
    NoneFound,
    /// Nothing that is there is damaged. But the store was not closed in good order, so that nothing
    /// tells whether its log and its manifest end where they should: after a crash they do, and
    /// all that is missing is what had not reached the disk.
    OpenEnd,
    /// Something may be lost; nobody can tell.
    Possible,
    /// Entries of the store, older versions and deletions among them, are gone.
    Certain,
}

/// What a repair found, saved and lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Whether a new store was written, or only looked at what one would hold.
    pub written: bool,
    /// What said which files make up the store.
    pub basis: Basis,
    /// The layer whose keys the new store has: `plain`, none above this crate.
    pub layer: String,
    /// Whether a manifest says so. Otherwise it is that of [`super::Repair::layer`], or `plain` without one.
    pub layer_known: bool,
    /// The families of the new store.
    pub families: Vec<RepairedFamily>,
    /// Every file of the old one: those that are there, and those that ought to be.
    pub files: Vec<RepairedFile>,
    /// The log as a whole.
    pub log: RepairedLog,
    /// Where the new store may not be what the old one was. Outside of these every key has the
    /// state that was last written.
    pub doubts: Vec<Doubt>,
    /// Whether what was saved is a prefix of the order of commits.
    pub order: Order,
}

impl RepairReport {
    /// The worst that the report says.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let unread = |file: &RepairedFile| file.state != FileState::OpenEnd && file.entries_lost != Some(0);
        let entries = self.counted().any(unread);
        let worst = |kind| self.doubts.iter().any(|doubt| doubt.kind == kind);
        if worst(DoubtKind::Lost) {
            Loss::Certain
        } else if worst(DoubtKind::MayBeLost) || entries {
            Loss::Possible
        } else if worst(DoubtKind::OpenEnd) {
            Loss::OpenEnd
        } else {
            Loss::NoneFound
        }
    }

    /// The files that count and have entries of their own: values that cannot be read of a blob file are told
    /// with the tables that refer to them.
    fn counted(&self) -> impl Iterator<Item = &RepairedFile> {
        self.files.iter().filter(|file| file.used == Use::Taken && file.role != FileRole::Blob)
    }

    /// Entries, deletions and all versions included, that could be read of what counts: of the tables,
    /// and of the log as far as it stands in no table yet. Where no manifest tells what counts, an entry
    /// may be counted in several files.
    #[must_use]
    pub fn entries_saved(&self) -> u64 {
        self.files.iter().filter(|file| file.used == Use::Taken).map(|file| file.entries_saved).sum()
    }

    /// Entries that are gone; `None` if there may be more or fewer than are known of.
    #[must_use]
    pub fn entries_lost(&self) -> Option<u64> {
        let known = self.counted().all(|file| file.entries_lost == Some(file.entries_gone));
        let certain = self.doubts.iter().all(|doubt| doubt.kind == DoubtKind::Lost);
        (known && certain).then(|| self.entries_gone())
    }

    /// Entries that are gone for certain.
    #[must_use]
    pub fn entries_gone(&self) -> u64 {
        self.files.iter().filter(|file| file.used == Use::Taken).map(|file| file.entries_gone).sum()
    }
}
