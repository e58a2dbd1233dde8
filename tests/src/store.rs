//! Stores as directories of bytes: copied, listed, compared.

use esker::{Db, Result};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The files of a store by name, `LOCK` left out.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Reads the files of a directory; none if it does not exist.
///
/// # Panics
/// If a file cannot be read.
#[must_use]
pub fn files(dir: &Path) -> Files {
    let Ok(entries) = fs::read_dir(dir) else { return Files::new() };
    let mut files = Files::new();
    for entry in entries {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        if name != "LOCK" {
            files.insert(name, fs::read(entry.path()).expect("a readable file"));
        }
    }
    files
}

/// Writes files into a directory, which is created.
///
/// # Panics
/// If one cannot be written.
pub fn write(dir: &Path, files: &Files) {
    fs::create_dir_all(dir).expect("a directory");
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).expect("a file");
    }
}

/// Everything in a store as text: a line `family<TAB>key<TAB>value` for each entry, escaped.
///
/// # Errors
/// What reading meets.
pub fn listing(db: &Db) -> Result<String> {
    let mut text = String::new();
    for name in db.column_families() {
        let family = db.open_column_family(&name)?;
        for entry in family.iter()? {
            let (key, value) = entry?;
            line(&mut text, &name, &key, &value);
        }
    }
    Ok(text)
}

/// Appends one line of a listing.
pub fn line(text: &mut String, family: &str, key: &[u8], value: &[u8]) {
    let written = writeln!(text, "{family}\t{}\t{}", key.escape_ascii(), value.escape_ascii());
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}
