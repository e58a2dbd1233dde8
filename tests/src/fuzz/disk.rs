//! Bytes as files.

use esker::fs::{Fs, OpenFile, SimFs};
use std::path::{Path, PathBuf};

/// The directory in which the files of a target stand.
pub(super) const DIR: &str = "/store";

/// The path of a file there.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A disk with these files in the directory.
pub(super) fn disk<'a>(files: impl IntoIterator<Item = (String, &'a [u8])>) -> SimFs {
    let disk = SimFs::new();
    for (name, bytes) in files {
        put(&disk, &name, bytes);
    }
    disk
}

/// Writes or replaces a file there.
pub(super) fn put(disk: &SimFs, name: &str, bytes: &[u8]) {
    disk.write_raw(&path(name), bytes).expect("a disk without faults takes all");
}

/// A disk with one file, and that file open.
pub(super) fn file(name: &str, bytes: &[u8]) -> OpenFile {
    let disk = disk([(name.to_string(), bytes)]);
    Fs::Sim(disk).open(&path(name)).expect("the file was just written")
}
