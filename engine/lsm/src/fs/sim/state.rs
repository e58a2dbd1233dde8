//! The whole disk: directories, files, and the changes of entries that are not durable yet.

use super::content::{self, Content, SECTOR_BYTES};
use super::file::FileState;
use crate::base::sync::{Arc, Weak};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

/// How much of a lock holder's text is read back.
const HOLDER_BYTES: usize = 256;

/// What a file is apart from its names.
pub type Inode = u64;

/// The names in a directory.
pub type Names = Arc<BTreeMap<Arc<str>, Inode>>;

/// A directory's entries. Subdirectories are found by their paths.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub visible: Names,
    pub durable: Names,
}

/// A file and whether it is open.
#[derive(Clone, Debug)]
pub struct Node {
    pub state: Arc<FileState>,
    /// Alive while a handle is.
    pub open: Weak<()>,
}

/// A place in a directory and the file that a change puts there or takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub dir: Arc<Path>,
    pub name: Arc<str>,
    pub inode: Inode,
}

/// A change of entries that is not durable. A rename both takes away and puts; within one
/// directory it survives as a whole or not at all. Between two directories the new name may
/// survive without the old one's removal, never the other way round.
#[derive(Clone, Debug)]
pub struct Change {
    pub stamp: u64,
    pub take: Option<Entry>,
    pub put: Option<Entry>,
}

/// The whole disk.
#[derive(Clone, Debug)]
pub struct State {
    pub dirs: BTreeMap<Arc<Path>, Directory>,
    pub files: BTreeMap<Inode, Node>,
    /// Oldest first.
    pub changes: Vec<Change>,
    pub next_inode: Inode,
    /// Counts the changes of content and entries.
    pub stamp: u64,
    /// The size of the disk in bytes.
    pub capacity: Option<u64>,
    /// The paths of the locks that are held.
    pub locks: BTreeSet<PathBuf>,
    /// Files that have lost a name, and so perhaps their last.
    pub orphans: BTreeSet<Inode>,
}

/// Resolves `.` and `..` by text alone; the empty path is the current directory.
pub fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts
}

/// A path's directory and name.
fn split(path: &Path) -> io::Result<(PathBuf, String)> {
    let path = normal(path);
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(dir), Some(name)) => Ok((dir.to_owned(), name.to_owned())),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

impl State {
    /// An empty disk: the root and the current directory exist.
    pub fn new() -> State {
        let roots = ["/", ""].map(|root| (Arc::from(Path::new(root)), Directory::default()));
        State {
            dirs: roots.into(),
            files: BTreeMap::new(),
            changes: Vec::new(),
            next_inode: 1,
            stamp: 0,
            capacity: None,
            locks: BTreeSet::new(),
            orphans: BTreeSet::new(),
        }
    }

    pub fn tick(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    /// The file at a resolved path, if there is one.
    fn file_at(&self, path: &Path) -> Option<Inode> {
        self.dirs.get(path.parent()?)?.visible.get(path.file_name()?.to_str()?).copied()
    }

    fn dir(&self, path: &Path) -> io::Result<(&Arc<Path>, &Directory)> {
        self.dirs.get_key_value(path).ok_or_else(|| {
            if path.ancestors().any(|part| self.file_at(part).is_some()) {
                io::ErrorKind::NotADirectory.into()
            } else {
                io::ErrorKind::NotFound.into()
            }
        })
    }

    fn dir_mut(&mut self, path: &Path) -> &mut Directory {
        self.dirs.get_mut(path).expect("directories are never removed")
    }

    /// The file at a path.
    pub fn lookup(&self, path: &Path) -> io::Result<Inode> {
        if self.dirs.contains_key(normal(path).as_path()) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (dir, name) = split(path)?;
        match self.dir(&dir)?.1.visible.get(name.as_str()) {
            Some(&inode) => Ok(inode),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A place for a file, which must not be a directory's.
    fn entry(&self, path: &Path, inode: Inode) -> io::Result<Entry> {
        if self.dirs.contains_key(normal(path).as_path()) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (dir, name) = split(path)?;
        let (dir, directory) = self.dir(&dir)?;
        let name = match directory.visible.get_key_value(name.as_str()) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        Ok(Entry { dir: Arc::clone(dir), name, inode })
    }

    /// The state of a file that has a name or a handle.
    pub fn file(&self, inode: Inode) -> &FileState {
        &self.files[&inode].state
    }

    /// The same for changing; images keep what they share.
    pub fn file_mut(&mut self, inode: Inode) -> &mut FileState {
        Arc::make_mut(&mut self.files.get_mut(&inode).expect("a file with a name or a handle is kept").state)
    }

    /// Marks a file as open for as long as the token lives.
    pub fn open(&mut self, inode: Inode) -> Arc<()> {
        let node = self.files.get_mut(&inode).expect("a file with a name is kept");
        node.open.upgrade().unwrap_or_else(|| {
            let token = Arc::new(());
            node.open = Arc::downgrade(&token);
            token
        })
    }

    pub fn create(&mut self, path: &Path) -> io::Result<Inode> {
        match self.lookup(path) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(e) if e.kind() == io::ErrorKind::IsADirectory => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Err(_) => {}
        }
        let put = self.entry(path, self.next_inode)?;
        if self.capacity.is_some_and(|capacity| self.used() >= capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = self.add_file(Content::default());
        self.change(None, Some(put));
        Ok(inode)
    }

    /// A new file without a name.
    pub fn add_file(&mut self, content: Content) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        let node = Node { state: Arc::new(FileState::settled(content)), open: Weak::new() };
        self.files.insert(inode, node);
        inode
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.lookup(from)?;
        let take = self.entry(from, inode)?;
        let put = self.entry(to, inode)?;
        // Two names of one file: nothing is to be done (POSIX).
        if self.lookup(to).is_ok_and(|target| target == inode) {
            return Ok(());
        }
        self.change(Some(take), Some(put));
        Ok(())
    }

    pub fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.lookup(from)?;
        match self.lookup(to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() != io::ErrorKind::IsADirectory => return Err(e),
            _ => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        let put = self.entry(to, inode)?;
        self.change(None, Some(put));
        Ok(())
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.lookup(path)?;
        let take = self.entry(path, inode)?;
        self.change(Some(take), None);
        Ok(())
    }

    /// Carries out a change for all who look, and notes it as not durable.
    fn change(&mut self, take: Option<Entry>, put: Option<Entry>) {
        if let Some(entry) = &take {
            Arc::make_mut(&mut self.dir_mut(&entry.dir).visible).remove(&entry.name);
            self.orphans.insert(entry.inode);
        }
        if let Some(entry) = &put {
            let names = Arc::make_mut(&mut self.dir_mut(&entry.dir).visible);
            let replaced = names.insert(Arc::clone(&entry.name), entry.inode);
            self.orphans.extend(replaced);
        }
        let stamp = self.tick();
        self.changes.push(Change { stamp, take, put });
        self.collect_orphans();
    }

    pub fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = normal(path);
        let (_, directory) = self.dir(&path)?;
        let children = self.dirs.keys().filter(|dir| dir.parent() == Some(&path));
        let children = children.filter_map(|dir| dir.file_name()?.to_str());
        let mut names: Vec<String> =
            directory.visible.keys().map(|name| &**name).chain(children).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Creates a directory and its parents; directories are durable at once.
    pub fn create_dirs(&mut self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let missing: Vec<&Path> = path.ancestors().filter(|dir| !self.dirs.contains_key(*dir)).collect();
        for dir in &missing {
            if self.file_at(dir).is_some() {
                let whole = *dir == path;
                let kind = if whole { io::ErrorKind::AlreadyExists } else { io::ErrorKind::NotADirectory };
                return Err(kind.into());
            }
        }
        for dir in missing {
            self.dirs.insert(dir.into(), Directory::default());
        }
        Ok(())
    }

    /// Makes the entries of a directory durable.
    pub fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let path = Arc::clone(self.dir(&normal(path))?.0);
        let mut rest: Vec<Change> = Vec::new();
        for mut change in std::mem::take(&mut self.changes) {
            let takes_here = change.take.as_ref().is_some_and(|entry| entry.dir == path);
            let puts_here = change.put.as_ref().is_some_and(|entry| entry.dir == path);
            if takes_here && let Some(entry) = change.take.take() {
                Arc::make_mut(&mut self.dir_mut(&path).durable).remove(&entry.name);
            }
            // An old name's removal is never durable without the new name, wherever that stands.
            if (takes_here || puts_here)
                && let Some(entry) = change.put.take()
            {
                forget(&mut rest, &entry);
                let names = Arc::make_mut(&mut self.dir_mut(&entry.dir).durable);
                names.insert(entry.name, entry.inode);
            }
            rest.push(change);
        }
        rest.retain(|change| change.take.is_some() || change.put.is_some());
        self.changes = rest;
        self.collect_orphans();
        Ok(())
    }

    /// A failed sync of a directory: its unsynced changes count as clean and are never written.
    pub fn lose_entries(&mut self, path: &Path) -> io::Result<()> {
        let path = Arc::clone(self.dir(&normal(path))?.0);
        let here = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.dir == path);
        self.changes.retain(|change| !here(&change.take) && !here(&change.put));
        self.collect_orphans();
        Ok(())
    }

    /// Puts a file under a name, durably, whatever was there.
    pub fn put_durably(&mut self, path: &Path, inode: Inode) -> io::Result<()> {
        let entry = self.entry(path, inode)?;
        forget(&mut self.changes, &entry);
        let directory = self.dir_mut(&entry.dir);
        Arc::make_mut(&mut directory.durable).insert(Arc::clone(&entry.name), inode);
        let replaced = Arc::make_mut(&mut directory.visible).insert(entry.name, inode);
        self.orphans.extend(replaced);
        self.collect_orphans();
        Ok(())
    }

    /// Every visible file with its path, sorted.
    pub fn named_files(&self) -> impl Iterator<Item = (PathBuf, Inode)> + '_ {
        self.dirs.iter().flat_map(|(path, directory)| {
            directory.visible.iter().map(move |(name, &inode)| (path.join(&**name), inode))
        })
    }

    fn has_name(&self, inode: Inode) -> bool {
        self.dirs.values().any(|directory| directory.visible.values().any(|&other| other == inode))
    }

    /// Whether a file takes up space: one that only a power loss could bring back does not.
    fn occupies(&self, inode: Inode, node: &Node) -> bool {
        !self.orphans.contains(&inode) || node.open.strong_count() > 0 || self.has_name(inode)
    }

    /// The space in use, in bytes: whole sectors.
    pub fn used(&self) -> u64 {
        let files = self.files.iter().filter(|(inode, node)| self.occupies(**inode, node));
        files.map(|(_, node)| node.state.volatile.backed_sectors() * SECTOR_BYTES as u64).sum()
    }

    /// How many of `bytes` bytes at `offset` find space, or that none does.
    pub fn room_for(&self, inode: Inode, offset: u64, bytes: u64) -> io::Result<u64> {
        content::check_len(offset, bytes)?;
        let Some(capacity) = self.capacity.filter(|_| bytes > 0) else { return Ok(bytes) };
        let content = &self.file(inode).volatile;
        let mut free = capacity.saturating_sub(self.used()) / SECTOR_BYTES as u64;
        let end = offset + bytes;
        for sector in content::sectors(offset, end) {
            if content.is_backed(sector) {
                continue;
            }
            if free == 0 {
                let fits = (sector * SECTOR_BYTES as u64).saturating_sub(offset);
                return if fits > 0 { Ok(fits) } else { Err(io::ErrorKind::StorageFull.into()) };
            }
            free -= 1;
        }
        Ok(bytes)
    }

    /// Takes the lock at a resolved path and writes `holder` into its file, or says what its holder
    /// wrote.
    pub fn lock(&mut self, path: &Path, holder: &str) -> io::Result<Option<String>> {
        let inode = match self.lookup(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.create(path)?,
            found => found?,
        };
        if self.locks.contains(path) {
            return Ok(Some(self.holder(inode)));
        }
        let stamp = self.tick();
        self.file_mut(inode).truncate(0, stamp);
        // A full disk shortens the text; the lock is held all the same.
        let fits = self.room_for(inode, 0, holder.len() as u64).unwrap_or(0);
        self.file_mut(inode).write(&holder.as_bytes()[..fits as usize], 0, stamp);
        self.locks.insert(path.to_owned());
        Ok(None)
    }

    /// Takes a lock file that must exist and leaves its content alone; who has it if it is taken.
    pub fn hold(&mut self, path: &Path) -> io::Result<Option<String>> {
        let inode = self.lookup(path)?;
        if self.locks.contains(path) {
            return Ok(Some(self.holder(inode)));
        }
        self.locks.insert(path.to_owned());
        Ok(None)
    }

    fn holder(&self, inode: Inode) -> String {
        let mut text = [0; HOLDER_BYTES];
        let count = self.file(inode).volatile.read(&mut text, 0);
        String::from_utf8_lossy(&text[..count]).into_owned()
    }

    /// Forgets files that have no name, no handle, and no way to come back.
    pub fn collect_orphans(&mut self) {
        let mut orphans = std::mem::take(&mut self.orphans);
        orphans.retain(|&inode| {
            if self.has_name(inode) {
                return false;
            }
            let returns = self.dirs.values().any(|dir| dir.durable.values().any(|&other| other == inode))
                || self.changes.iter().any(|c| c.put.as_ref().is_some_and(|entry| entry.inode == inode));
            let open = self.files.get(&inode).is_some_and(|node| node.open.strong_count() > 0);
            if !returns && !open {
                self.files.remove(&inode);
            }
            returns || open
        });
        self.orphans = orphans;
    }

    /// The disk as a new process finds it after the old one was killed: everything visible is
    /// there, nothing more is durable, nothing is open or locked.
    pub fn after_kill(&self) -> State {
        let mut state = self.clone();
        for node in state.files.values_mut() {
            node.open = Weak::new();
        }
        state.locks.clear();
        state.collect_orphans();
        state
    }
}

/// Forgets the changes of an entry's place: a later one has become durable.
fn forget(changes: &mut [Change], entry: &Entry) {
    let same = |other: &Option<Entry>| {
        other.as_ref().is_some_and(|other| other.dir == entry.dir && other.name == entry.name)
    };
    for change in changes {
        if same(&change.take) {
            change.take = None;
        }
        if same(&change.put) {
            change.put = None;
        }
    }
}
