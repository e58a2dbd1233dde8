//! The names of the files of a store: one flat directory, the names that the field knows.

use super::limits::MAX_FILE_NUMBER;
use std::path::{Path, PathBuf};

/// The number of a file. Numbers of tables, logs, blobs and manifests come from one counter and are
/// never used twice.
pub type FileNumber = u64;

/// What a file is, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// `000123.sst`: a sorted table.
    Table(FileNumber),
    /// `000124.log`: a segment of the write-ahead log.
    Wal(FileNumber),
    /// `000125.blob`: values that stand apart from their keys.
    Blob(FileNumber),
    /// `MANIFEST-000126`: the log of what exists.
    Manifest(FileNumber),
    /// `OPTIONS-000128`: the store's own options, as text.
    Options(FileNumber),
    /// `CURRENT`: names the manifest in force.
    Current,
    /// `LOCK`: held while a process has the store open.
    Lock,
    /// `RESERVE`: space set aside for when the disk is full.
    Reserve,
    /// `UNFINISHED`: a checkpoint, a restore or a repair is making a store here. Without meaning beside
    /// [`FileKind::Current`], which comes last.
    Unfinished,
    /// `000127.tmp`: being written; meaningless after a crash.
    Temp(FileNumber),
}

impl FileKind {
    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            FileKind::Table(n) => format!("{n:06}.sst"),
            FileKind::Wal(n) => format!("{n:06}.log"),
            FileKind::Blob(n) => format!("{n:06}.blob"),
            FileKind::Manifest(n) => format!("MANIFEST-{n:06}"),
            FileKind::Options(n) => format!("OPTIONS-{n:06}"),
            FileKind::Current => "CURRENT".into(),
            FileKind::Lock => "LOCK".into(),
            FileKind::Reserve => "RESERVE".into(),
            FileKind::Unfinished => "UNFINISHED".into(),
            FileKind::Temp(n) => format!("{n:06}.tmp"),
        }
    }

    /// The file's path in the directory `dir`.
    #[must_use]
    pub fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.name())
    }

    /// What a name means; `None` for a name that is not one of ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<FileKind> {
        let kind = match name {
            "CURRENT" => FileKind::Current,
            "LOCK" => FileKind::Lock,
            "RESERVE" => FileKind::Reserve,
            "UNFINISHED" => FileKind::Unfinished,
            _ => {
                if let Some(number) = name.strip_prefix("MANIFEST-") {
                    FileKind::Manifest(number.parse().ok()?)
                } else if let Some(number) = name.strip_prefix("OPTIONS-") {
                    FileKind::Options(number.parse().ok()?)
                } else {
                    let (number, extension) = name.split_once('.')?;
                    let number = number.parse().ok()?;
                    match extension {
                        "sst" => FileKind::Table(number),
                        "log" => FileKind::Wal(number),
                        "blob" => FileKind::Blob(number),
                        "tmp" => FileKind::Temp(number),
                        _ => return None,
                    }
                }
            }
        };
        // Only the canonical spelling counts: `+5.sst` and `5.sst` are somebody else's files.
        let ours = kind.number().is_none_or(|number| number <= MAX_FILE_NUMBER);
        (ours && kind.name() == name).then_some(kind)
    }

    /// The number in the name, if it has one.
    #[must_use]
    pub fn number(self) -> Option<FileNumber> {
        match self {
            FileKind::Table(n)
            | FileKind::Wal(n)
            | FileKind::Blob(n)
            | FileKind::Manifest(n)
            | FileKind::Options(n)
            | FileKind::Temp(n) => Some(n),
            FileKind::Current | FileKind::Lock | FileKind::Reserve | FileKind::Unfinished => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_foreign_names_are_left_alone() {
        for kind in [
            FileKind::Table(1),
            FileKind::Wal(123_456_789),
            FileKind::Blob(7),
            FileKind::Manifest(0),
            FileKind::Options(11),
            FileKind::Table(MAX_FILE_NUMBER),
            FileKind::Temp(9),
            FileKind::Current,
            FileKind::Lock,
            FileKind::Reserve,
            FileKind::Unfinished,
        ] {
            assert_eq!(FileKind::parse(&kind.name()), Some(kind));
        }
        for name in ["5.sst", "+00005.sst", "000005.SST", "MANIFEST-", "notes.txt", "000005.sst.bak", ""] {
            assert_eq!(FileKind::parse(name), None, "{name}");
        }
        for kind in [FileKind::Table(MAX_FILE_NUMBER + 1), FileKind::Manifest(u64::MAX)] {
            assert_eq!(FileKind::parse(&kind.name()), None, "{kind:?}");
        }
    }
}
