//! The file of a store's own options, as text. The grammar stands in `docs/format/options.md`.
//!
//! Nothing in it is needed to read the data: what must agree with that is a family's options, which the
//! manifest holds. So a file that is missing, damaged or cannot be written is told and holds nothing up.

use super::option_fields::{FIELDS, Field};
use super::options::{FamilyOptions, Options};
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::fs::Fs;
use crate::version::{FamilyState, load_manifest};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

const VERSION: u64 = 1;

/// No file is larger.
const MOST_BYTES: u64 = 64 << 10;

/// What stands in the file of a store's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredOptions {
    /// The file.
    pub path: PathBuf,
    /// The options. Those that are not stored, because they are about one opening alone
    /// ([`Options::create_if_missing`], [`Options::recover_to_damage`]), have their defaults, and so have
    /// those that the file does not have.
    pub options: Options,
    /// Options that this version does not know, with their values. They are kept as they are.
    pub unknown: Vec<(String, String)>,
}

/// An option that differs from the one that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionChange {
    /// Its name.
    pub name: String,
    /// What was stored.
    pub stored: String,
    /// What is in force.
    pub given: String,
}

/// The text of a file.
pub(super) fn encode(store: u64, options: &Options, unknown: &[(String, String)]) -> String {
    let mut text = format!("esker-options {VERSION}\nstore {store:016x}\n");
    // Writing to a string cannot fail.
    for Field { name, show, .. } in FIELDS {
        let _ = writeln!(text, "{name} = {}", show(options));
    }
    for (name, value) in unknown {
        let _ = writeln!(text, "{name} = {value}");
    }
    let _ = writeln!(text, "end {} {:08x}", FIELDS.len() + unknown.len(), crc32fast::hash(text.as_bytes()));
    text
}

/// Reads a file. `store` is the one that it must be of, if that is known.
pub(super) fn read(fs: &Fs, path: &Path, store: Option<u64>) -> Result<StoredOptions> {
    let bytes = fs.read_all(path, MOST_BYTES)?;
    decode(path, &bytes, store)
}

fn decode(path: &Path, bytes: &[u8], store: Option<u64>) -> Result<StoredOptions> {
    let wrong = |at: usize, expected: &str| {
        let found: String = String::from_utf8_lossy(&bytes[at.min(bytes.len())..]).chars().take(80).collect();
        Error::from(Corruption::new(path, at as u64, expected, format!("{found:?}")))
    };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(0, "text in UTF-8"))?;
    let version = text.strip_prefix("esker-options ").and_then(|rest| rest.lines().next()?.parse().ok());
    match version {
        Some(VERSION) => {}
        Some(found) => {
            return Err(Error::UnsupportedVersion { file: path.into(), found, supported: VERSION });
        }
        None => return Err(wrong(0, "a line `esker-options` and a version")),
    }
    let end = text.strip_suffix('\n').and_then(|text| text.rfind('\n')).map(|at| at + 1);
    let end = end.ok_or_else(|| wrong(0, "lines up to one that begins with `end`"))?;
    let body = &text[..end];
    let mut lines = body.lines().skip(1);
    let of = lines.next().and_then(|line| u64::from_str_radix(line.strip_prefix("store ")?, 16).ok());
    let of = of.ok_or_else(|| wrong(0, "a second line `store` and its number"))?;
    let mut stored = StoredOptions { path: path.into(), ..StoredOptions::default() };
    let mut count = 0;
    for line in lines {
        let at = line.as_ptr() as usize - text.as_ptr() as usize;
        let (name, value) = line.split_once(" = ").ok_or_else(|| wrong(at, "a line `name = value`"))?;
        count += 1;
        match FIELDS.iter().find(|field| field.name == name) {
            Some(field) => (field.set)(&mut stored.options, value).ok_or_else(|| wrong(at, field.takes))?,
            None => stored.unknown.push((name.into(), value.into())),
        }
    }
    if text[end..] != format!("end {count} {:08x}\n", crc32fast::hash(body.as_bytes())) {
        return Err(wrong(end, "`end`, the number of options, and the checksum of all lines before"));
    }
    if let Some(store) = store.filter(|store| *store != of) {
        return Err(wrong(0, &format!("the options of the store {store:016x}")));
    }
    stored.options.validate().map_err(|error| wrong(0, &format!("options within their limits ({error})")))?;
    Ok(stored)
}

/// What a directory has of such files.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The newest that is sound, with its number and text.
    pub(super) newest: Option<(FileNumber, StoredOptions)>,
    /// What is wrong with newer ones.
    pub(super) damaged: Vec<Error>,
}

/// Looks for the newest file that is sound.
pub(super) fn find(fs: &Fs, dir: &Path, names: &[String], store: Option<u64>) -> Found {
    let number = |name: &String| match FileKind::parse(name) {
        Some(FileKind::Options(number)) => Some(number),
        _ => None,
    };
    let mut numbers: Vec<FileNumber> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    let mut found = Found::default();
    for number in numbers.into_iter().rev() {
        match read(fs, &FileKind::Options(number).path(dir), store) {
            Ok(stored) => {
                found.newest = Some((number, stored));
                break;
            }
            Err(error) => found.damaged.push(error),
        }
    }
    found
}

/// Writes a file, synced but for its name in the directory. What a failure leaves is removed.
pub(crate) fn write(fs: &Fs, dir: &Path, number: FileNumber, text: &str) -> Result<()> {
    let path = FileKind::Options(number).path(dir);
    let written = fs.create_new(&path).and_then(|file| {
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync()
    });
    if written.is_err() {
        // One that stays is damaged, and an older one counts.
        let _ = fs.remove(&path);
    }
    written
}

/// The options that differ between two texts' options, in their order.
pub(super) fn changes(stored: &Options, given: &Options) -> Vec<OptionChange> {
    let change = |field: &Field| {
        let (stored, given) = ((field.show)(stored), (field.show)(given));
        (stored != given).then(|| OptionChange { name: field.name.into(), stored, given })
    };
    FIELDS.iter().filter_map(change).collect()
}

impl fmt::Display for StoredOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Field { name, show, .. } in FIELDS {
            writeln!(f, "{name} = {}", show(&self.options))?;
        }
        self.unknown.iter().try_for_each(|(name, value)| writeln!(f, "{name} = {value} (not known)"))
    }
}

impl StoredOptions {
    /// The text of a file of another store with the same options.
    pub(crate) fn text_for(&self, store: u64) -> String {
        encode(store, &self.options, &self.unknown)
    }

    /// Reads what the store in `dir` was last used with, without opening it.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] if there is no such file; [`Error::Corruption`] if none is sound, with the
    /// newest.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// esker::Db::builder(&path).memory_budget(64 << 20).open()?.close()?;
    /// let stored = esker::StoredOptions::load(&esker::fs::Fs::default(), &path)?;
    /// assert_eq!(stored.options.memory_budget, 64 << 20);
    /// let db = esker::Db::builder(&path).options(stored.options).open()?;
    /// assert!(db.recovery().changed_options.is_empty());
    /// # db.close() }
    /// ```
    pub fn load(fs: &Fs, dir: impl AsRef<Path>) -> Result<StoredOptions> {
        let dir = dir.as_ref();
        let Found { newest, damaged } = find(fs, dir, &fs.list(dir)?, None);
        let none = || Error::NotADatabase { path: dir.into(), why: "there are no stored options".into() };
        match newest {
            Some((_, stored)) => Ok(stored),
            None => Err(damaged.into_iter().next().unwrap_or_else(none)),
        }
    }

    /// The options of the column families of the store in `dir`, by name, which the manifest holds.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] if there is no store; [`Error::Corruption`] if its manifest is damaged.
    pub fn families(fs: &Fs, dir: impl AsRef<Path>) -> Result<Vec<(String, FamilyOptions)>> {
        let dir = dir.as_ref();
        let none = || Error::NotADatabase { path: dir.into(), why: "there is no store".into() };
        let loaded = load_manifest(fs, dir)?.ok_or_else(none)?;
        let manifest = FileKind::Manifest(loaded.number).path(dir);
        let decode = |family: FamilyState| {
            let options = FamilyOptions::decode(&family.options).map_err(|e| e.in_file(&manifest, 0))?;
            Ok((family.name, options))
        };
        loaded.state.families.into_values().map(decode).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{Durability, FeedOptions};
    use std::time::Duration;

    const PATH: &str = "OPTIONS-000007";

    fn odd() -> Options {
        Options {
            memory_budget: 77 << 20,
            default_durability: Durability::Os,
            sync_interval: Duration::from_millis(1234),
            max_open_files: 99,
            wal_segment_bytes: 1 << 20,
            map_log: false,
            wal_age: Duration::from_secs(77),
            memtable_bytes: Some(1 << 20),
            target_file_bytes: Some(3 << 20),
            level_base_bytes: Some(9 << 20),
            manifest_bytes: 4096,
            reserve_bytes: Some(0),
            lock_timeout: Duration::from_millis(7),
            recent_writes_bytes: Some(5),
            max_prepared: 18,
            max_prepared_bytes: 19,
            max_ranges: Some(17),
            feed: Some(FeedOptions {
                keep_bytes: 20,
                keep_age: Duration::from_millis(21),
                consumer_bytes: 22,
                yield_on_full_disk: false,
            }),
            time_one_in: 100,
            ..Options::default()
        }
    }

    #[test]
    fn options_round_trip_with_what_is_not_known() {
        let unknown = vec![("later".to_owned(), "a = b".to_owned())];
        for options in [Options::default(), odd()] {
            let text = encode(5, &options, &unknown);
            let stored = decode(Path::new(PATH), text.as_bytes(), Some(5)).unwrap();
            assert_eq!((stored.options, &stored.unknown), (options, &unknown));
        }
        let all: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        let differing: Vec<String> =
            changes(&Options::default(), &odd()).into_iter().map(|change| change.name).collect();
        assert_eq!(differing, all, "each option is stored, and compared");
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        let text = encode(5, &odd(), &[]);
        let decode = |bytes: &[u8]| decode(Path::new(PATH), bytes, Some(5));
        for bit in 0..text.len() * 8 {
            let mut bad = text.clone().into_bytes();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
        for len in 0..text.len() {
            assert!(decode(&text.as_bytes()[..len]).is_err(), "{len}");
        }
        assert!(decode(format!("{text}\n").as_bytes()).is_err());
        assert!(decode(encode(6, &odd(), &[]).as_bytes()).is_err(), "of another store");
        let later = text.replace("esker-options 1", "esker-options 2");
        assert!(matches!(decode(later.as_bytes()), Err(Error::UnsupportedVersion { found: 2, .. })));
        let wrong = Options { max_open_files: 1, ..odd() };
        assert!(
            decode(encode(5, &wrong, &[]).as_bytes()).unwrap_err().to_string().contains("max_open_files")
        );
    }

    #[test]
    fn the_newest_that_is_sound_counts() {
        let sim = crate::fs::SimFs::new();
        let (fs, dir) = (Fs::Sim(sim.clone()), Path::new("/db"));
        fs.create_dir_all(dir).unwrap();
        let names = || fs.list(dir).unwrap();
        assert!(find(&fs, dir, &names(), Some(5)).newest.is_none());
        for (number, files) in [(3, 100), (9, 101), (12, 102)] {
            let options = Options { max_open_files: files, ..Options::default() };
            write(&fs, dir, number, &encode(5, &options, &[])).unwrap();
        }
        sim.flip(&FileKind::Options(12).path(dir), 30, 1).unwrap();
        let found = find(&fs, dir, &names(), Some(5));
        let (number, stored) = found.newest.unwrap();
        assert_eq!((number, stored.options.max_open_files, found.damaged.len()), (9, 101, 1));
    }
}
