//! What a power loss may leave.

use super::content::{Content, SECTOR_BYTES, Sector};
use super::file::{FileState, Unsynced};
use super::state::{Change, Directory, Inode, Names, Node, State};
use crate::base::random::Random;
use crate::base::sync::{Arc, Weak};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// Which of the things that are not durable survive a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Image {
    /// Nothing.
    Nothing,
    /// Everything.
    All,
    /// Each sector, length and directory entry on its own, as the seed decides.
    Random,
    /// As [`Image::Random`], and the last sectors of writes are torn: partly old, partly new.
    Torn,
    /// What was written later, while what was written earlier is lost.
    LaterKept,
    /// As [`Image::Random`], and sectors written behind the durable length may hold bytes that
    /// nobody wrote, as a file system leaves them that extends a file before it writes to it.
    Garbage,
    /// All directory entries and no content.
    EntriesOnly,
    /// All content and no directory entries.
    ContentOnly,
}

impl Image {
    /// Every kind, in the order of declaration.
    pub const ALL: [Image; 8] = [
        Image::Nothing,
        Image::All,
        Image::Random,
        Image::Torn,
        Image::LaterKept,
        Image::Garbage,
        Image::EntriesOnly,
        Image::ContentOnly,
    ];

    /// Whether the seed matters.
    #[must_use]
    pub fn is_random(self) -> bool {
        matches!(self, Image::Random | Image::Torn | Image::LaterKept | Image::Garbage)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Image::Nothing => "nothing",
            Image::All => "all",
            Image::Random => "random",
            Image::Torn => "torn",
            Image::LaterKept => "later-kept",
            Image::Garbage => "garbage",
            Image::EntriesOnly => "entries-only",
            Image::ContentOnly => "content-only",
        })
    }
}

/// The decisions behind one image.
struct Loss<'a> {
    image: Image,
    random: &'a Random,
    /// For [`Image::LaterKept`]: from which stamp on content and entries survive.
    content_from: u64,
    entries_from: u64,
    /// For [`Image::LaterKept`]: each file has a point of its own instead of `content_from`.
    cut_per_file: bool,
}

/// How a change of entries survives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Survival {
    Lost,
    PutOnly,
    Whole,
}

impl State {
    /// The disk as a power loss may leave it; everything on it is durable.
    pub fn after_power_loss(&self, image: Image, seed: u64) -> State {
        let random = Random::seeded(seed);
        let mut loss = Loss {
            image,
            random: &random,
            content_from: u64::MAX,
            entries_from: u64::MAX,
            cut_per_file: false,
        };
        if image == Image::LaterKept {
            loss.choose_cut(self);
        }
        let dirs: BTreeMap<Arc<Path>, Directory> = loss
            .entries(self)
            .into_iter()
            .map(|(path, names)| (path, Directory { visible: Arc::clone(&names), durable: names }))
            .collect();
        let reached: BTreeSet<Inode> = dirs.values().flat_map(|dir| dir.visible.values().copied()).collect();
        let files = reached.into_iter().filter_map(|inode| {
            let state = loss.file(&self.files.get(&inode)?.state);
            Some((inode, Node { state, open: Weak::new() }))
        });
        State {
            files: files.collect(),
            dirs,
            changes: Vec::new(),
            next_inode: self.next_inode,
            stamp: self.stamp,
            capacity: self.capacity,
            locks: BTreeSet::new(),
            orphans: BTreeSet::new(),
        }
    }
}

impl Loss<'_> {
    /// Picks the point in time before which things are lost.
    fn choose_cut(&mut self, state: &State) {
        let mut stamps: BTreeSet<u64> = state.changes.iter().map(|change| change.stamp).collect();
        for node in state.files.values() {
            stamps.extend(stamps_of(&node.state));
        }
        let cut = pick_later(self.random, stamps);
        (self.content_from, self.entries_from, self.cut_per_file) = match self.random.below(3) {
            0 => (cut, cut, false),
            // What was written is of use to a test only where the entries survive, too.
            1 => (cut, 0, false),
            _ => (cut, 0, true),
        };
    }

    /// The entries of every directory that survive.
    fn entries(&self, state: &State) -> BTreeMap<Arc<Path>, Names> {
        let mut dirs: BTreeMap<Arc<Path>, Names> = state
            .dirs
            .iter()
            .map(|(path, directory)| (Arc::clone(path), Arc::clone(&directory.durable)))
            .collect();
        let bias = match self.image {
            // A damaged sector is of use to a test only where its file survives.
            Image::Torn | Image::Garbage => [4, 7, 8],
            _ => [1, 4, 7],
        }[self.random.below(3) as usize];
        for change in &state.changes {
            let survival = self.survival(change, bias);
            if survival == Survival::Whole
                && let Some(entry) = &change.take
                && let Some(names) = dirs.get_mut(&entry.dir)
            {
                Arc::make_mut(names).remove(&entry.name);
            }
            if survival != Survival::Lost
                && let Some(entry) = &change.put
                && let Some(names) = dirs.get_mut(&entry.dir)
            {
                Arc::make_mut(names).insert(Arc::clone(&entry.name), entry.inode);
            }
        }
        dirs
    }

    fn survival(&self, change: &Change, bias: u64) -> Survival {
        let kept = match self.image {
            Image::Nothing | Image::ContentOnly => false,
            Image::All | Image::EntriesOnly => true,
            Image::Random | Image::Torn | Image::Garbage => self.random.below(8) < bias,
            Image::LaterKept => change.stamp >= self.entries_from,
        };
        let between_directories = match (&change.take, &change.put) {
            (Some(take), Some(put)) => take.dir != put.dir,
            _ => false,
        };
        match kept {
            false => Survival::Lost,
            true if between_directories && self.image.is_random() && self.random.below(2) == 0 => {
                Survival::PutOnly
            }
            true => Survival::Whole,
        }
    }

    /// A file with what survives of its content.
    fn file(&self, file: &Arc<FileState>) -> Arc<FileState> {
        if file.is_settled() {
            return Arc::clone(file);
        }
        let content = match self.image {
            Image::Nothing | Image::EntriesOnly => file.durable.clone(),
            Image::All | Image::ContentOnly => {
                let mut synced = FileState::clone(file);
                synced.sync();
                synced.durable
            }
            Image::LaterKept => self.later_content(file),
            Image::Random | Image::Torn | Image::Garbage => self.mixed_content(file),
        };
        Arc::new(FileState::settled(content))
    }

    fn later_content(&self, file: &FileState) -> Content {
        let from = match self.cut_per_file {
            true => pick_later(self.random, stamps_of(file).collect()),
            false => self.content_from,
        };
        let mut content = file.durable.clone();
        if stamps_of(file).any(|stamp| stamp >= from) {
            content.set_len(content.len().max(file.volatile.len()));
            for (&sector, _) in file.unsynced.iter().filter(|(_, unsynced)| unsynced.stamp >= from) {
                content.set_sector(sector, file.volatile.sector(sector));
            }
            content.set_len(file.volatile.len());
            content.back_like(file.durable.len(), &file.volatile);
        }
        content
    }

    fn mixed_content(&self, file: &FileState) -> Content {
        let random = self.random;
        let mut content = file.durable.clone();
        let durable_len = file.durable.len();
        let len = self.mixed_len(file);
        content.set_len(file.len.map_or(durable_len, |len| len.longest).max(durable_len));
        let bias = [1, 4, 7][random.below(3) as usize];
        for (&sector, unsynced) in &file.unsynced {
            let mut bytes = if random.below(8) < bias {
                self.written(file, sector, unsynced)
            } else {
                *file.durable.sector(sector)
            };
            match self.image {
                Image::Torn if unsynced.ends_write && random.below(4) > 0 => {
                    let newest = file.volatile.sector(sector);
                    let old = match unsynced.older.last().filter(|_| random.below(2) == 0) {
                        Some(older) => older,
                        None => file.durable.sector(sector),
                    };
                    bytes = torn(random, old, newest);
                }
                Image::Garbage if random.below(2) == 0 => {
                    let start = sector * SECTOR_BYTES as u64;
                    let trusted = durable_len.saturating_sub(start).min(SECTOR_BYTES as u64) as usize;
                    for byte in &mut bytes[trusted..] {
                        *byte = random.next_u64() as u8;
                    }
                }
                _ => {}
            }
            content.set_sector(sector, &bytes);
        }
        content.set_len(len);
        if len > durable_len {
            content.back_like(durable_len, &file.volatile);
        }
        content
    }

    /// One of the states that an unsynced sector has had, the newest most often.
    fn written(&self, file: &FileState, sector: u64, unsynced: &Unsynced) -> Sector {
        let states = unsynced.older.len() as u64;
        match self.random.below(states + 1 + states.min(1)) {
            n if n < states => *unsynced.older[n as usize],
            _ => *file.volatile.sector(sector),
        }
    }

    fn mixed_len(&self, file: &FileState) -> u64 {
        let Some(unsynced) = file.len else { return file.durable.len() };
        let choices = if self.image == Image::Random { 4 } else { 6 };
        match self.random.below(choices) {
            0 => file.durable.len(),
            1 => unsynced.shortest + self.random.below(unsynced.longest - unsynced.shortest + 1),
            _ => file.volatile.len(),
        }
    }
}

/// When the unsynced parts of a file were last changed.
fn stamps_of(file: &FileState) -> impl Iterator<Item = u64> + '_ {
    file.unsynced.values().map(|unsynced| unsynced.stamp).chain(file.len.map(|len| len.stamp))
}

/// One of the stamps, and not the first if there is another.
fn pick_later(random: &Random, stamps: BTreeSet<u64>) -> u64 {
    match stamps.len() as u64 {
        0 => 0,
        1 => stamps.first().copied().unwrap_or(0),
        n => stamps.into_iter().nth(1 + random.below(n - 1) as usize).unwrap_or(0),
    }
}

/// A sector that was being overwritten when power was lost: cut between the first and the last
/// byte that differ, so that it is neither the old nor the new one wherever that is possible.
fn torn(random: &Random, old: &Sector, new: &Sector) -> Sector {
    let differs = |&at: &usize| old[at] != new[at];
    let (Some(first), Some(last)) = ((0..SECTOR_BYTES).find(differs), (0..SECTOR_BYTES).rev().find(differs))
    else {
        return *new;
    };
    if first == last {
        return if random.below(2) == 0 { *old } else { *new };
    }
    let cut = first + 1 + random.below((last - first) as u64) as usize;
    let (head, tail) = if random.below(4) > 0 { (new, old) } else { (old, new) };
    let mut bytes = *tail;
    bytes[..cut].copy_from_slice(&head[..cut]);
    bytes
}
