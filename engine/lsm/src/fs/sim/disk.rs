//! The handles: the disk, its open files and locks, and the moment that an observer sees.

use super::fault::{Fault, FaultRule};
use super::image::Image;
use super::operation::{Operation, OperationKind, Phase, Stats};
use super::state::{Inode, State, normal};
use super::{content, damage};
use crate::base::random::Random;
use crate::base::sync::{Arc, Mutex};
use crate::fs::{File, FileHandle, FileSystem, LockGuard, LockToken};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A processor writes memory line by line, in bytes.
const LINE_BYTES: usize = 64;

/// Stands before and after each operation that can change the disk.
///
/// It is called while the disk stands still: it must not call the disk that it observes, except
/// through the [`Moment`]; disks made from it are independent and can be used freely.
pub type Observer = Box<dyn FnMut(&Operation, Phase, &mut Moment<'_>) + Send>;

/// A disk in memory. Clones are further handles to the same disk.
#[derive(Clone)]
pub struct SimFs {
    shared: Arc<Mutex<Inner>>,
}

pub(super) struct Inner {
    pub(super) state: State,
    off: bool,
    stats: Stats,
    observer: Option<Observer>,
    fault: Option<FaultRule>,
    crash_at: Option<(u64, Phase)>,
}

/// The disk at the very point of an operation.
pub struct Moment<'a> {
    state: &'a State,
    write: Option<Write<'a>>,
    power_off: bool,
}

/// A write that is under way.
#[derive(Clone, Copy)]
struct Write<'a> {
    inode: Inode,
    buf: &'a [u8],
    offset: u64,
}

/// An open file of a [`SimFs`].
pub struct SimFile {
    fs: SimFs,
    inode: Inode,
    path: PathBuf,
    writable: bool,
    /// Keeps the file's content while it has no name.
    _open: Arc<()>,
}

struct SimLock {
    fs: SimFs,
    path: PathBuf,
}

/// What an operation is about, before it has a number.
struct Call<'a> {
    kind: OperationKind,
    path: &'a Path,
    to: Option<&'a Path>,
    offset: u64,
    bytes: u64,
    write: Option<Write<'a>>,
}

impl<'a> Call<'a> {
    fn new(kind: OperationKind, path: &'a Path) -> Call<'a> {
        Call { kind, path, to: None, offset: 0, bytes: 0, write: None }
    }
}

fn off() -> io::Error {
    io::Error::other("the simulated machine is switched off")
}

impl Moment<'_> {
    /// The disk as a power loss at this point may leave it. See [`SimFs::image`].
    #[must_use]
    pub fn image(&self, image: Image, seed: u64) -> SimFs {
        SimFs::with(self.state.after_power_loss(image, seed))
    }

    /// The disk as a power loss may leave it while the write is under way: a part of its sectors,
    /// at the front or at the back as the seed decides, has been written and `image` says what of
    /// it and of all else survives. `None` unless this is the moment before a write of more than
    /// one sector.
    #[must_use]
    pub fn image_amid(&self, image: Image, seed: u64) -> Option<SimFs> {
        Some(SimFs::with(self.state_amid(seed)?.after_power_loss(image, seed)))
    }

    /// The disk as a kill of the process at this point leaves it. What is being observed goes on.
    #[must_use]
    pub fn kill_image(&self) -> SimFs {
        SimFs::with(self.state.after_kill())
    }

    /// The disk as a kill of the process leaves it while the write is under way: the front of it has been
    /// written, or the back, or some of it here and there, as a copy in memory may leave it. `None` unless
    /// this is the moment before a write.
    #[must_use]
    pub fn kill_image_amid(&self, seed: u64) -> Option<SimFs> {
        let Write { inode, buf, offset } = self.write?;
        let mut state = self.state.clone();
        let stamp = state.tick();
        let random = Random::seeded(seed);
        let cut = random.below(buf.len() as u64 + 1) as usize;
        match random.below(4) {
            0 | 1 => state.file_mut(inode).write(&buf[..cut], offset, stamp),
            2 => state.file_mut(inode).write(&buf[cut..], offset + cut as u64, stamp),
            _ => {
                for (line, bytes) in (0..).zip(buf.chunks(LINE_BYTES)) {
                    if random.below(2) == 0 {
                        state.file_mut(inode).write(bytes, offset + line * LINE_BYTES as u64, stamp);
                    }
                }
            }
        }
        Some(SimFs::with(state.after_kill()))
    }

    /// Switches the observed disk off at this point. The operation does not happen if it has not.
    pub fn power_off(&mut self) {
        self.power_off = true;
    }

    /// A hash of everything visible, as [`SimFs::digest`].
    #[must_use]
    pub fn digest(&self) -> u64 {
        damage::digest(self.state)
    }

    fn state_amid(&self, seed: u64) -> Option<State> {
        let Write { inode, buf, offset } = self.write?;
        let end = offset + buf.len() as u64;
        let inner = content::sectors(offset, end).skip(1);
        let cuts: Vec<u64> = inner.map(|sector| sector * content::SECTOR_BYTES as u64).collect();
        let random = Random::seeded(seed);
        let cut = *cuts.get(random.below(cuts.len().max(1) as u64) as usize)?;
        let (head, tail) = buf.split_at((cut - offset) as usize);
        let mut state = self.state.clone();
        let stamp = state.tick();
        if random.below(4) > 0 {
            state.file_mut(inode).write(head, offset, stamp);
        } else {
            state.file_mut(inode).write(tail, cut, stamp);
        }
        Some(state)
    }
}

impl Inner {
    /// Shows the observer an operation and switches off where that was asked for.
    fn reach(&mut self, operation: &Operation, phase: Phase, write: Option<Write<'_>>) -> io::Result<()> {
        if operation.kind.is_mutating()
            && let Some(observer) = &mut self.observer
        {
            let mut moment = Moment { state: &self.state, write, power_off: false };
            observer(operation, phase, &mut moment);
            self.off |= moment.power_off;
        }
        self.off |= self.crash_at == Some((operation.index, phase));
        if self.off { Err(off()) } else { Ok(()) }
    }
}

impl Default for SimFs {
    fn default() -> Self {
        SimFs::new()
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFs").finish_non_exhaustive()
    }
}

impl SimFs {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimFs {
        SimFs::with(State::new())
    }

    fn with(state: State) -> SimFs {
        let inner =
            Inner { state, off: false, stats: Stats::default(), observer: None, fault: None, crash_at: None };
        SimFs { shared: Arc::new(Mutex::new(inner)) }
    }

    /// Does something with the disk beside the numbered operations; works after power-off, too.
    pub(super) fn aside<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.shared.lock())
    }

    /// A new, independent disk as a power loss at this point may leave this one; everything on it
    /// is durable, and nothing is open or locked. Works after [`SimFs::power_off`], too.
    #[must_use]
    pub fn image(&self, image: Image, seed: u64) -> SimFs {
        SimFs::with(self.aside(|inner| inner.state.after_power_loss(image, seed)))
    }

    /// What a kill of the process leaves: a new disk with everything that is visible, as durable or
    /// not as it was, nothing open or locked. This handle and its files fail from then on.
    #[must_use]
    pub fn kill_image(&self) -> SimFs {
        SimFs::with(self.aside(|inner| {
            inner.off = true;
            inner.state.after_kill()
        }))
    }

    /// From now on every call to this disk and its files fails.
    pub fn power_off(&self) {
        self.aside(|inner| inner.off = true);
    }

    /// Whether the disk is switched off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.aside(|inner| inner.off)
    }

    /// Switches off by itself before or after the operation with this index: `Before`, it does not
    /// happen; `After`, it has happened and the caller gets an error all the same.
    pub fn crash_at(&self, index: u64, phase: Phase) {
        self.aside(|inner| inner.crash_at = Some((index, phase)));
    }

    /// Sets who stands before and after each operation that can change the disk, in place of an
    /// earlier one.
    pub fn observe(&self, observer: Observer) {
        let earlier = self.aside(|inner| inner.observer.replace(observer));
        drop(earlier);
    }

    /// Takes the observer away, and hands it back.
    pub fn stop_observing(&self) -> Option<Observer> {
        self.aside(|inner| inner.observer.take())
    }

    /// Sets the rule that lets operations go wrong, in place of an earlier one. It is asked about
    /// every operation and must not call the disk.
    pub fn set_fault(&self, rule: FaultRule) {
        let earlier = self.aside(|inner| inner.fault.replace(rule));
        drop(earlier);
    }

    /// Nothing goes wrong any more.
    pub fn clear_fault(&self) {
        let earlier = self.aside(|inner| inner.fault.take());
        drop(earlier);
    }

    /// Limits the disk to so many bytes, or to none. What is stored already stays; images keep the
    /// limit. Space is counted in whole sectors of content; names are free, but a full disk refuses
    /// new files.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.aside(|inner| inner.state.capacity = bytes);
    }

    /// The space in use, in bytes: written and reserved sectors of files that have a name or a
    /// handle.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.aside(|inner| {
            inner.state.collect_orphans();
            inner.state.used()
        })
    }

    /// How many handles of files are open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.aside(|inner| inner.state.files.values().map(|node| node.open.strong_count()).sum())
    }

    /// Whether any lock is held.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.aside(|inner| !inner.state.locks.is_empty())
    }

    /// How many operations of each kind have been called for.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.aside(|inner| inner.stats)
    }

    /// Numbers an operation, shows it, and lets it happen or go wrong.
    fn run<T>(
        &self,
        call: Call<'_>,
        act: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut inner = self.shared.lock();
        let inner = &mut *inner;
        if inner.off {
            return Err(off());
        }
        let operation = Operation {
            index: inner.stats.total(),
            kind: call.kind,
            path: normal(call.path),
            to: call.to.map(normal),
            offset: call.offset,
            bytes: call.bytes,
        };
        inner.stats.count(call.kind);
        inner.reach(&operation, Phase::Before, call.write)?;
        let fault = inner.fault.as_mut().and_then(|rule| rule(&operation));
        let result = match (fault, fault.and_then(Fault::instead)) {
            (_, Some(error)) => Err(error),
            (Some(Fault::ErrnoAfter(number)), _) => {
                act(&mut inner.state, None).and(Err(io::Error::from_raw_os_error(number)))
            }
            _ => act(&mut inner.state, fault),
        };
        inner.reach(&operation, Phase::After, None)?;
        result
    }

    fn open_file(&self, state: &mut State, inode: Inode, path: &Path, writable: bool) -> FileHandle {
        let open = state.open(inode);
        FileHandle::Sim(SimFile { fs: self.clone(), inode, path: normal(path), writable, _open: open })
    }
}

impl FileSystem for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<FileHandle> {
        self.run(Call::new(OperationKind::Create, path), |state, _| {
            let inode = state.create(path)?;
            Ok(self.open_file(state, inode, path, true))
        })
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<FileHandle> {
        self.run(Call::new(OperationKind::Open, path), |state, _| {
            let inode = state.lookup(path)?;
            Ok(self.open_file(state, inode, path, writable))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let call = Call { to: Some(to), ..Call::new(OperationKind::Rename, from) };
        self.run(call, |state, _| state.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let call = Call { to: Some(to), ..Call::new(OperationKind::Link, from) };
        self.run(call, |state, _| state.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(Call::new(OperationKind::Remove, path), |state, _| state.remove(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.run(Call::new(OperationKind::List, dir), |state, _| state.list(dir))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.run(Call::new(OperationKind::CreateDir, dir), |state, _| state.create_dirs(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(Call::new(OperationKind::SyncDir, dir), |state, fault| match fault {
            Some(Fault::LyingSync) => Ok(()),
            Some(Fault::FailedSyncDropsPages) => {
                state.lose_entries(dir)?;
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            _ => state.sync_dir(dir),
        })
    }

    fn free_bytes(&self, _: &Path) -> io::Result<Option<u64>> {
        // Not an operation of its own: nothing of the disk depends on it.
        Ok(self.aside(|inner| inner.state.capacity.map(|all| all.saturating_sub(inner.state.used()))))
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Result<LockGuard, String>> {
        let call = Call { bytes: holder.len() as u64, ..Call::new(OperationKind::Lock, path) };
        let whole = normal(path);
        // The guard is made outside of `run`: dropping it inside would wait for itself.
        let mut taken = false;
        let result = self.run(call, |state, _| {
            let holder_before = state.lock(&whole, holder)?;
            taken = holder_before.is_none();
            Ok(holder_before)
        });
        let guard = taken.then(|| LockGuard(Box::new(SimLock { fs: self.clone(), path: whole })));
        match (result?, guard) {
            (Some(text), _) => Ok(Err(text)),
            (None, Some(guard)) => Ok(Ok(guard)),
            (None, None) => Err(io::ErrorKind::Other.into()),
        }
    }

    fn hold(&self, path: &Path) -> io::Result<Result<Option<LockGuard>, String>> {
        let whole = normal(path);
        let mut taken = false;
        let result = self.run(Call::new(OperationKind::Open, path), |state, _| match state.hold(&whole) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            holder => {
                let holder = holder?;
                taken = holder.is_none();
                Ok(holder)
            }
        });
        let guard = taken.then(|| LockGuard(Box::new(SimLock { fs: self.clone(), path: whole })));
        Ok(match result? {
            Some(text) => Err(text),
            None => Ok(guard),
        })
    }
}

impl SimFile {
    fn call(&self, kind: OperationKind) -> Call<'_> {
        Call::new(kind, &self.path)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EBADF)) }
    }
}

impl File for SimFile {
    fn will_read(&self, _offset: u64, bytes: u64) {
        self.fs.aside(|inner| inner.stats.count_ahead(bytes));
    }

    fn will_sync(&self) {
        self.fs.aside(|inner| inner.stats.count_syncs_ahead());
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let call = Call { offset, bytes: buf.len() as u64, ..self.call(OperationKind::Read) };
        self.fs.run(call, |state, fault| {
            let most = match fault {
                Some(Fault::ShortRead(most)) => most.min(buf.len()),
                _ => buf.len(),
            };
            let count = state.file(self.inode).volatile.read(&mut buf[..most], offset);
            if let Some(Fault::FlipBit { byte, bit }) = fault
                && count > 0
            {
                buf[(byte % count as u64) as usize] ^= 1 << (bit % 8);
            }
            Ok(count)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let write = Some(Write { inode: self.inode, buf, offset })
            .filter(|_| self.writable && content::check_len(offset, buf.len() as u64).is_ok());
        let call = Call { offset, bytes: buf.len() as u64, write, ..self.call(OperationKind::Write) };
        self.fs.run(call, |state, fault| {
            self.check_writable()?;
            let most = match fault {
                Some(Fault::ShortWrite(most)) => most.min(buf.len()),
                _ => buf.len(),
            };
            let count = state.room_for(self.inode, offset, most as u64)? as usize;
            if count > 0 {
                let stamp = state.tick();
                state.file_mut(self.inode).write(&buf[..count], offset, stamp);
            }
            Ok(count)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.run(self.call(OperationKind::Sync), |state, fault| match fault {
            Some(Fault::LyingSync) => Ok(()),
            Some(Fault::FailedSyncDropsPages) => {
                state.file_mut(self.inode).lose_unsynced();
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            _ => {
                if !state.file(self.inode).is_settled() {
                    state.file_mut(self.inode).sync();
                }
                Ok(())
            }
        })
    }

    fn size(&self) -> io::Result<u64> {
        let call = self.call(OperationKind::Size);
        self.fs.run(call, |state, _| Ok(state.file(self.inode).volatile.len()))
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let call = Call { bytes: size, ..self.call(OperationKind::Truncate) };
        self.fs.run(call, |state, _| {
            self.check_writable()?;
            content::check_len(size, 0)?;
            let stamp = state.tick();
            state.file_mut(self.inode).truncate(size, stamp);
            Ok(())
        })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let call = Call { bytes: size, ..self.call(OperationKind::Allocate) };
        self.fs.run(call, |state, _| {
            self.check_writable()?;
            if size > 0 && state.room_for(self.inode, 0, size)? < size {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let stamp = state.tick();
            state.file_mut(self.inode).allocate(size, stamp);
            Ok(())
        })
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").field("path", &self.path).finish_non_exhaustive()
    }
}

impl LockToken for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.aside(|inner| inner.state.locks.remove(&self.path));
    }
}
