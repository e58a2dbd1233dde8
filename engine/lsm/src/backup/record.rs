//! What makes up one backup, as a text file. The grammar stands in `docs/format/backup.md`.

use super::object::ObjectId;
use crate::base::checksum::Identity;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::FileNumber;
use crate::base::key::SeqNum;
use crate::base::limits::MAX_FILE_NUMBER;
use std::fmt::Write;
use std::path::Path;

const VERSION: u64 = 1;

/// A backup, and what is known of it without looking at its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Its number; a later one has a greater one.
    pub number: u64,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// The random number of the store.
    pub store: u64,
    /// The history that was being written.
    pub history: u64,
    /// The last write in it.
    pub seq: SeqNum,
    /// Tables, blob files and segments of the log in it.
    pub files: usize,
    /// The bytes of all its objects.
    pub bytes: u64,
    /// How many of them no earlier backup had.
    pub new_bytes: u64,
}

/// An object as a backup names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) id: ObjectId,
    pub(super) bytes: u64,
}

/// A file of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredFile {
    /// A table; the identity is the random number in its footer.
    Table { number: FileNumber, identity: Identity, object: Stored },
    /// A blob file; the identity is the random number in its header.
    Blob { number: FileNumber, identity: Identity, object: Stored },
    /// A segment of the log, which is `length` bytes long; behind those of the object are zeros.
    Log { number: FileNumber, length: u64, object: Stored },
    /// The store's own options.
    Options { number: FileNumber, object: Stored },
}

impl StoredFile {
    pub(super) fn object(&self) -> Stored {
        match self {
            StoredFile::Table { object, .. }
            | StoredFile::Blob { object, .. }
            | StoredFile::Log { object, .. }
            | StoredFile::Options { object, .. } => *object,
        }
    }
}

/// All that a backup's file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) backup: Backup,
    /// What the manifest says, as one edit.
    pub(super) state: Stored,
    pub(super) files: Vec<StoredFile>,
}

impl Record {
    /// Every object that it needs.
    pub(super) fn objects(&self) -> impl Iterator<Item = Stored> + '_ {
        self.files.iter().map(StoredFile::object).chain([self.state])
    }

    pub(super) fn encode(&self) -> String {
        let Backup { number, created_ms, store, history, seq, bytes, new_bytes, .. } = &self.backup;
        let mut text = format!("esker-backup {VERSION}\nnumber {number}\ncreated {created_ms}\n");
        // Writing to a string cannot fail.
        let _ = write!(text, "store {store:016x}\nhistory {history:016x}\nseq {seq}\n");
        let _ = write!(text, "bytes {bytes} {new_bytes}\nstate {} {}\n", self.state.bytes, self.state.id);
        for file in &self.files {
            let Stored { id, bytes } = file.object();
            let _ = match file {
                StoredFile::Table { number, identity, .. } => {
                    writeln!(text, "table {number} {identity:016x} {bytes} {id}")
                }
                StoredFile::Blob { number, identity, .. } => {
                    writeln!(text, "blob {number} {identity:016x} {bytes} {id}")
                }
                StoredFile::Log { number, length, .. } => {
                    writeln!(text, "log {number} {length} {bytes} {id}")
                }
                StoredFile::Options { number, .. } => writeln!(text, "options {number} {bytes} {id}"),
            };
        }
        let _ = writeln!(text, "end {} {:08x}", self.files.len(), crc32fast::hash(text.as_bytes()));
        text
    }

    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Record> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = Lines { path, at: 0, rest: &text };
        let version = lines.field("esker-backup")?;
        if version != VERSION.to_string() {
            let found = version.parse().map_err(|_| lines.wrong("esker-backup and a version"))?;
            return Err(Error::UnsupportedVersion { file: path.into(), found, supported: VERSION });
        }
        let number = lines.number("number")?;
        let created_ms = lines.number("created")?;
        let store = lines.hex("store")?;
        let history = lines.hex("history")?;
        let seq = lines.number("seq")?;
        let [bytes, new_bytes] = lines.fields("bytes")?;
        let (bytes, new_bytes) = (lines.parsed(bytes)?, lines.parsed(new_bytes)?);
        let [state_bytes, state] = lines.fields("state")?;
        let state = lines.stored(state_bytes, state)?;
        let mut files = Vec::new();
        loop {
            let checked = &text[..lines.at];
            let line = lines.next()?;
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["table", number, identity, bytes, id] => files.push(StoredFile::Table {
                    number: lines.file_number(number)?,
                    identity: lines.parsed_hex(identity)?,
                    object: lines.stored(bytes, id)?,
                }),
                ["blob", number, identity, bytes, id] => files.push(StoredFile::Blob {
                    number: lines.file_number(number)?,
                    identity: lines.parsed_hex(identity)?,
                    object: lines.stored(bytes, id)?,
                }),
                ["log", number, length, bytes, id] => files.push(StoredFile::Log {
                    number: lines.file_number(number)?,
                    length: lines.parsed(length)?,
                    object: lines.stored(bytes, id)?,
                }),
                ["options", number, bytes, id] => files.push(StoredFile::Options {
                    number: lines.file_number(number)?,
                    object: lines.stored(bytes, id)?,
                }),
                ["end", count, checksum] => {
                    let checksum_holds = checksum == format!("{:08x}", crc32fast::hash(checked.as_bytes()));
                    if count != files.len().to_string() || !checksum_holds || !lines.rest.is_empty() {
                        return Err(
                            lines.wrong("end, the number of files, and the checksum of all lines before")
                        );
                    }
                    let files_count = files.len();
                    let backup = Backup {
                        number,
                        created_ms,
                        store,
                        history,
                        seq,
                        files: files_count,
                        bytes,
                        new_bytes,
                    };
                    return Ok(Record { backup, state, files });
                }
                _ => return Err(lines.wrong("table, blob, log, options or end")),
            }
        }
    }
}

/// The lines of a record, one after the other.
struct Lines<'t> {
    path: &'t Path,
    at: usize,
    rest: &'t str,
}

impl<'t> Lines<'t> {
    fn wrong(&self, expected: &str) -> Error {
        let found: String = self.rest.chars().take(80).collect();
        Corruption::new(self.path, self.at as u64, expected, format!("{found:?} behind it")).into()
    }

    fn next(&mut self) -> Result<&'t str> {
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| self.wrong("another line"))?;
        self.at += line.len() + 1;
        self.rest = rest;
        Ok(line)
    }

    fn fields<const N: usize>(&mut self, name: &str) -> Result<[&'t str; N]> {
        let line = self.next()?;
        let words: Vec<&str> = line.strip_prefix(name).unwrap_or_default().split(' ').skip(1).collect();
        words.try_into().map_err(|_| self.wrong(&format!("before it a line that begins with {name}")))
    }

    fn field(&mut self, name: &str) -> Result<&'t str> {
        self.fields(name).map(|[field]| field)
    }

    fn number(&mut self, name: &str) -> Result<u64> {
        let field = self.field(name)?;
        self.parsed(field)
    }

    fn hex(&mut self, name: &str) -> Result<u64> {
        let field = self.field(name)?;
        self.parsed_hex(field)
    }

    fn parsed(&self, text: &str) -> Result<u64> {
        text.parse().map_err(|_| self.wrong("before it a number"))
    }

    fn parsed_hex(&self, text: &str) -> Result<u64> {
        u64::from_str_radix(text, 16).map_err(|_| self.wrong("before it a number of 16 digits"))
    }

    fn file_number(&self, text: &str) -> Result<FileNumber> {
        let number = self.parsed(text)?;
        if number > MAX_FILE_NUMBER { Err(self.wrong("before it the number of a file")) } else { Ok(number) }
    }

    fn stored(&self, bytes: &str, id: &str) -> Result<Stored> {
        let id = ObjectId::parse(id).ok_or_else(|| self.wrong("before it the name of an object"))?;
        Ok(Stored { id, bytes: self.parsed(bytes)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let object = |text: &str| Stored { id: ObjectId::of(text.as_bytes()), bytes: 7 };
        let files = vec![
            StoredFile::Table { number: 12, identity: 0xabc, object: object("t") },
            StoredFile::Blob { number: 13, identity: 0xdef, object: object("b") },
            StoredFile::Log { number: 15, length: 8192, object: object("l") },
            StoredFile::Options { number: 16, object: object("o") },
        ];
        let backup = Backup {
            number: 3,
            created_ms: 1_763_000_000_000,
            store: 0x1234,
            history: 0x99,
            seq: 77,
            files: 4,
            bytes: 35,
            new_bytes: 14,
        };
        Record { backup, state: object("s"), files }
    }

    #[test]
    fn a_record_round_trips() {
        let text = record().encode();
        assert_eq!(Record::decode(Path::new("3"), text.as_bytes()).unwrap(), record());
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        let text = record().encode();
        let decode = |bytes: &[u8]| Record::decode(Path::new("3"), bytes);
        for bit in 0..text.len() * 8 {
            let mut bad = text.clone().into_bytes();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
        for len in 0..text.len() {
            assert!(decode(&text.as_bytes()[..len]).is_err(), "{len}");
        }
        assert!(decode(format!("{text}\n").as_bytes()).is_err());
        let later = text.replace("esker-backup 1", "esker-backup 2");
        assert!(matches!(decode(later.as_bytes()), Err(Error::UnsupportedVersion { found: 2, .. })));
    }
}
