//! What a repair found, saved and lost.

use crate::base::key::SeqNum;
use std::fmt;

/// What a repair found, saved and lost.
///
/// Nothing in it is a guess: a number that is not known is `None`, and what may be wrong without being
/// known to be wrong is named as such.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// How much of the manifest could be believed.
    pub manifest: ManifestUse,
    /// Every file of the damaged directory that is a store's, and those that the manifest names and
    /// that are missing, by name.
    pub files: Vec<FileReport>,
    /// The column families that were saved, by number.
    pub families: Vec<FamilyReport>,
    /// Keys of which entries were lost with a table or a part of one.
    pub lost: Vec<LostRange>,
    /// Where the log has gaps.
    pub gaps: Vec<LogGap>,
    /// Keys that may read as something older than what they last were: deleted ones may have come
    /// back, overwritten ones may have an earlier value.
    pub comebacks: Vec<Comeback>,
}

/// How much of the manifest could be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestUse {
    /// The whole of it: which tables are live is known.
    Whole {
        /// The name of the file.
        name: String,
    },
    /// None, or not enough: every table in the directory was taken.
    #[default]
    None,
    /// As [`ManifestUse::None`], but names and options of column families were found in what is left.
    NamesOnly {
        /// What is wrong.
        why: String,
    },
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its name in the damaged directory.
    pub name: String,
    /// What became of it.
    pub state: FileState,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Entries (of a table), operations (of the log) or changes (of a manifest) that were read.
    pub saved: u64,
    /// Entries that were lost; `None` if that is not known.
    pub lost: Option<u64>,
    /// The first and the last sequence number that is known to have stood in it.
    pub seqs: Option<(SeqNum, SeqNum)>,
    /// What is wrong with it, or why it was not used.
    pub why: Option<String>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileState {
    /// Every byte that counts is as it was written.
    Intact,
    /// Some of it could be read.
    Partial,
    /// Nothing could be read.
    Unreadable,
    /// It is named, but not there.
    Missing,
    /// It is no part of the store, or no longer: nothing was to be read from it.
    Unused,
}

/// A column family in the repaired store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyReport {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Whether the name is the one that it had; otherwise it was made up.
    pub name_known: bool,
    /// Entries in the new store, every version of a key counted, deletions too; `None` in a dry run.
    pub entries: Option<u64>,
}

/// Keys of which entries were lost. The bounds belong to it; `None` is unbounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The column family's number; `None` if it is not known.
    pub family: Option<u32>,
    /// The file that held them.
    pub file: String,
    /// The first key.
    pub from: Option<Vec<u8>>,
    /// The last key.
    pub to: Option<Vec<u8>>,
    /// The least and the greatest sequence number that they can have had; `None` if not known.
    pub seqs: Option<(SeqNum, SeqNum)>,
    /// How many entries; `None` if not known.
    pub entries: Option<u64>,
}

/// A place in the log where writes are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGap {
    /// The segment in which it begins, or which is missing.
    pub file: String,
    /// The last sequence number before it that was read; 0 if there is none.
    pub after: SeqNum,
    /// The first one behind it; `None` if nothing follows.
    pub before: Option<SeqNum>,
    /// Whether it is certain that writes which had been reported durable are lost. Otherwise this may
    /// be no more than the end of a write that was never completed.
    pub certain: bool,
    /// What was found.
    pub why: String,
}

/// Keys that may read as something older than what they last were. The bounds belong to it; `None` is
/// unbounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comeback {
    /// The column family's number; `None` for all of them.
    pub family: Option<u32>,
    /// The first key.
    pub from: Option<Vec<u8>>,
    /// The last key.
    pub to: Option<Vec<u8>>,
    /// Why.
    pub why: String,
}

impl RepairReport {
    /// Whether it is certain that nothing was lost and nothing has come back.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        let whole = matches!(self.manifest, ManifestUse::Whole { .. });
        whole && self.lost.is_empty() && self.gaps.is_empty() && self.comebacks.is_empty()
    }

    /// Entries and operations that were read, in all files.
    #[must_use]
    pub fn saved(&self) -> u64 {
        self.files.iter().filter(|file| file.state != FileState::Unused).map(|file| file.saved).sum()
    }

    /// Entries that were lost from tables; `None` if that is not known for each.
    #[must_use]
    pub fn lost_entries(&self) -> Option<u64> {
        self.files.iter().filter(|file| file.state != FileState::Unused).map(|file| file.lost).sum()
    }

    fn family(&self, id: Option<u32>) -> String {
        let Some(id) = id else { return "any family".into() };
        let known = self.families.iter().find(|family| family.id == id);
        known.map_or_else(|| format!("family #{id}"), |family| format!("family {:?}", family.name))
    }
}

fn range(from: Option<&Vec<u8>>, to: Option<&Vec<u8>>) -> String {
    let key = |key: &Vec<u8>| format!("\"{}\"", key.escape_ascii());
    match (from, to) {
        (None, None) => "all keys".into(),
        (Some(from), None) => format!("keys from {} on", key(from)),
        (None, Some(to)) => format!("keys up to {}", key(to)),
        (Some(from), Some(to)) => format!("keys {} to {}", key(from), key(to)),
    }
}

fn count(number: Option<u64>) -> String {
    number.map_or_else(|| "an unknown number of".into(), |number| number.to_string())
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FileState::Intact => "intact",
            FileState::Partial => "partial",
            FileState::Unreadable => "unreadable",
            FileState::Missing => "missing",
            FileState::Unused => "unused",
        })
    }
}

/// The report for people: files, families, and then what was lost.
impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.manifest {
            ManifestUse::Whole { name } => writeln!(f, "manifest: {name}, intact")?,
            ManifestUse::NamesOnly { why } => {
                writeln!(f, "manifest: only names of families could be used: {why}")?;
            }
            ManifestUse::None => writeln!(f, "manifest: none; every table found was taken")?,
        }
        writeln!(f, "files:")?;
        for file in &self.files {
            write!(
                f,
                "  {:10} {:18} {:>12} bytes, {} entries",
                file.state, file.name, file.bytes, file.saved
            )?;
            match file.lost {
                Some(0) => {}
                lost => write!(f, ", {} lost", count(lost))?,
            }
            match &file.why {
                Some(why) => writeln!(f, ": {why}")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "families:")?;
        for family in &self.families {
            let made_up = if family.name_known { "" } else { " (its name is lost)" };
            let entries = family.entries.map_or(String::new(), |entries| format!(", {entries} entries"));
            writeln!(f, "  {:?}{made_up}{entries}", family.name)?;
        }
        for lost in &self.lost {
            let (family, keys) = (self.family(lost.family), range(lost.from.as_ref(), lost.to.as_ref()));
            write!(f, "lost: {} entries of {family}, {keys}, from {}", count(lost.entries), lost.file)?;
            match lost.seqs {
                Some((from, to)) => writeln!(f, ", sequence numbers {from} to {to}")?,
                None => writeln!(f)?,
            }
        }
        for gap in &self.gaps {
            let what = if gap.certain { "lost" } else { "possibly lost" };
            write!(f, "{what}: writes behind sequence number {}", gap.after)?;
            if let Some(before) = gap.before {
                write!(f, " and before {before}")?;
            }
            writeln!(f, ", from {}: {}", gap.file, gap.why)?;
        }
        for back in &self.comebacks {
            let (family, keys) = (self.family(back.family), range(back.from.as_ref(), back.to.as_ref()));
            writeln!(
                f,
                "may have come back: deleted or overwritten values of {family}, {keys}: {}",
                back.why
            )?;
        }
        writeln!(
            f,
            "{}",
            if self.is_lossless() { "nothing was lost" } else { "not everything could be saved" }
        )
    }
}
