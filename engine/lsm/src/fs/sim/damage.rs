//! Reaching past the file system: reading and damaging what is stored, and telling disks apart.
//!
//! None of this is a numbered operation, and all of it works on a disk that is switched off.

use super::content::{self, Content};
use super::disk::SimFs;
use super::file::FileState;
use super::state::State;
use crate::base::sync::Arc;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

impl SimFs {
    /// The paths of all visible files, sorted by directory and name.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.aside(|inner| inner.state.named_files().map(|(path, _)| path).collect())
    }

    /// All bytes of a file, as reads see them.
    pub fn read_raw(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.aside(|inner| {
            let inode = inner.state.lookup(path)?;
            Ok(inner.state.file(inode).volatile.to_vec())
        })
    }

    /// Replaces all bytes of a file, or creates it and its directories; durably.
    pub fn write_raw(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        content::check_len(0, bytes.len() as u64)?;
        self.aside(|inner| {
            let state = &mut inner.state;
            if let Some(dir) = path.parent() {
                state.create_dirs(dir)?;
            }
            let content = Content::from_bytes(bytes);
            let inode = match state.lookup(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => state.add_file(content),
                found => {
                    let inode = found?;
                    *state.file_mut(inode) = FileState::settled(content);
                    inode
                }
            };
            state.put_durably(path, inode)
        })
    }

    /// Lets `damage` change the bytes of a file from `offset` to its end, in what reads see; the
    /// file is durable as a whole afterwards. Takes time in proportion to those bytes.
    pub fn corrupt(&self, path: &Path, offset: u64, damage: impl FnOnce(&mut [u8])) -> io::Result<()> {
        self.aside(|inner| {
            let inode = inner.state.lookup(path)?;
            let mut content = inner.state.file(inode).volatile.clone();
            let mut bytes = vec![0; content.len().saturating_sub(offset) as usize];
            content.read(&mut bytes, offset);
            damage(&mut bytes);
            content.write(&bytes, offset.min(content.len()));
            *inner.state.file_mut(inode) = FileState::settled(content);
            Ok(())
        })
    }

    /// Changes one byte of a file by exclusive or with `mask`, as [`SimFs::corrupt`] does but in
    /// constant time. An offset behind the end is an error of kind `UnexpectedEof`.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        self.aside(|inner| {
            let inode = inner.state.lookup(path)?;
            let mut content = inner.state.file(inode).volatile.clone();
            let mut byte = [0];
            if content.read(&mut byte, offset) == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            content.write(&[byte[0] ^ mask], offset);
            *inner.state.file_mut(inode) = FileState::settled(content);
            Ok(())
        })
    }

    /// Reads what counts as clean from the disk again: what a failed sync dropped
    /// ([`super::Fault::FailedSyncDropsPages`]) is not seen any more.
    pub fn drop_caches(&self) {
        self.aside(|inner| {
            for node in inner.state.files.values_mut().filter(|node| !node.state.is_settled()) {
                Arc::make_mut(&mut node.state).drop_cache();
            }
        });
    }

    /// A hash of every visible name and byte. Two images with the same digest are the same to
    /// whoever opens them.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.aside(|inner| digest(&inner.state))
    }
}

/// A hash of every visible name and byte.
pub fn digest(state: &State) -> u64 {
    let mut hash = Xxh3::new();
    for dir in state.dirs.keys() {
        hash.update(dir.as_os_str().as_encoded_bytes());
        hash.update(&[0]);
    }
    for (path, inode) in state.named_files() {
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(&[0]);
        state.file(inode).volatile.hash_into(&mut hash);
    }
    hash.digest()
}
