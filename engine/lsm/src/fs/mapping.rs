//! Writing into a file through memory.
//!
//! A copy into a shared mapping of a file is a tenth of the work of a call that writes: no system call, no
//! locks of the file system. What was copied is in the system's page cache like what a call has written, so
//! that a kill of the process loses nothing of it, and a sync of the file covers it.
//!
//! # What must hold, and who sees to it
//! - **The space is there.** Where the system finds no block for a page that is copied to, or cannot read it,
//!   it ends the process (SIGBUS): there is no call that could fail. So a mapping is only made of a part that
//!   was allocated, and only on file systems that write in place what was allocated ([`writes_in_place`]).
//!   What is left: a disk that cannot read back a page of the log which the system had put out of memory; a
//!   file system that has shut itself down after an error of its own, and makes no page writable any more;
//!   and a segment that somebody else has copied by sharing its blocks (`cp --reflink`), whose pages then
//!   need new ones. Each ends the process, where a call would have given an error.
//! - **The file is not cut** below its mapped length: `truncate` ends the mapping first.
//! - **Nobody holds a reference** into the mapping; it is written by pointer, under a lock, and never read.

use crate::base::sync::Mutex;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;

/// So much is left behind the writing position before its pages are given back, in bytes: they count as
/// memory of the process for as long as they are mapped in.
const KEPT_BYTES: usize = 4 << 20;

/// So much has to be mapped in for it to be given back before a sync, in bytes; and how it is rounded.
const MANY_BYTES: usize = 64 << 10;

/// Who has written so much since the last sync does not sync each record: pages are brought in ahead ...
const STREAM_BYTES: usize = 1 << 20;
/// ... so much at a time, in bytes. The next sync writes what of it is still empty, too.
const AHEAD_BYTES: usize = 32 << 10;

/// The mapped front of a file; empty until something is mapped.
#[derive(Debug, Default)]
pub(super) struct Mapping(Mutex<Option<Mapped>>);

#[derive(Debug)]
struct Mapped {
    memory: MmapRaw,
    /// Everything before this was given back.
    given_back: usize,
    /// Behind what was written last.
    written_to: usize,
    /// What of that is synced.
    synced_to: usize,
    /// Up to here pages were brought in.
    there_to: usize,
}

impl Mapping {
    /// Maps the first `size` bytes of `file`, which must be allocated.
    pub(super) fn map(&self, file: &File, size: u64) -> io::Result<()> {
        let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
        let size = usize::try_from(size).map_err(|_| unsupported())?;
        if size == 0 || !writes_in_place(file)? || file.metadata()?.len() < size as u64 {
            return Err(unsupported());
        }
        let memory = MmapOptions::new().len(size).map_raw(file)?;
        // Where pages are read ahead, the system makes ever larger ones, up to 2 MiB; and a page is what a
        // sync writes when a byte of it has changed. (It is a hint, which a system without it refuses.)
        #[cfg(unix)]
        let _ = memory.advise(memmap2::Advice::Random);
        *self.0.lock() = Some(Mapped { memory, given_back: 0, written_to: 0, synced_to: 0, there_to: 0 });
        Ok(())
    }

    /// Ends the mapping.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }

    /// Copies `bytes` to `offset`; false if not all of that place is mapped.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> bool {
        let mut mapped = self.0.lock();
        let Some(mapped) = &mut *mapped else { return false };
        let range = usize::try_from(offset).ok().and_then(|from| Some(from..from.checked_add(bytes.len())?));
        let Some(range) = range.filter(|range| range.end <= mapped.memory.len()) else { return false };
        if range.end > mapped.there_to && range.start >= mapped.synced_to + STREAM_BYTES {
            mapped.bring_in(&range);
        }
        // SAFETY: the range lies within the mapping, which lives as long as the lock is held; `bytes` is
        // memory of this process that is no part of it, since no reference into it is ever made; and nobody
        // else writes there meanwhile, or reads: all goes through the lock.
        unsafe {
            let to = mapped.memory.as_mut_ptr().add(range.start);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        mapped.written_to = range.end;
        if range.start >= mapped.given_back + 2 * KEPT_BYTES {
            mapped.give_back(range.start);
        }
        true
    }

    /// Called before a sync, which takes the right to write from each page that it writes, and tells every
    /// processor on which the process runs, page by page: of what is given back nobody is told.
    pub(super) fn before_sync(&self) {
        if let Some(mapped) = &mut *self.0.lock() {
            let until = mapped.written_to - mapped.written_to % MANY_BYTES;
            if until > mapped.given_back {
                mapped.give_back_to(until);
            }
            mapped.synced_to = mapped.written_to;
        }
    }
}

impl Mapped {
    /// Brings in the pages ahead of a stream of writes: together they cost a third of what they do one by
    /// one, by a fault at the first byte of each. Where the system cannot, it is left to do that.
    #[cold]
    fn bring_in(&mut self, range: &std::ops::Range<usize>) {
        let from = self.there_to.max(range.start - range.start % MANY_BYTES);
        let until = (range.end + AHEAD_BYTES).min(self.memory.len());
        self.there_to = until;
        #[cfg(target_os = "linux")]
        let _ = self.memory.advise_range(memmap2::Advice::PopulateWrite, from, until - from);
        #[cfg(not(target_os = "linux"))]
        let _ = from;
    }

    /// Gives back the pages that lie well before `position`. Their content stays in the page cache.
    #[cold]
    fn give_back(&mut self, position: usize) {
        let until = position - KEPT_BYTES;
        self.give_back_to(until - until % KEPT_BYTES);
    }

    fn give_back_to(&mut self, until: usize) {
        let from = self.given_back;
        // SAFETY: the range lies within the mapping and begins at a page. The call only drops pages of a
        // shared mapping from the tables of the process; written ones stay dirty in the page cache.
        unsafe {
            let address = self.memory.as_mut_ptr().add(from);
            libc::madvise(address.cast(), until - from, libc::MADV_DONTNEED);
        }
        self.given_back = until;
    }
}

/// Whether the file system of a file keeps allocated space for what is written there, instead of finding new
/// space for each write.
#[cfg(target_os = "linux")]
fn writes_in_place(file: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd;

    // The numbers of ext2 to ext4, XFS and tmpfs in `statfs(2)`.
    const IN_PLACE: [i64; 3] = [0xEF53, 0x5846_5342, 0x0102_1994];
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call writes at most one
    // `statfs` to where there is room for one.
    if unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and has filled it in.
    let stat = unsafe { stat.assume_init() };
    #[expect(clippy::unnecessary_cast, reason = "the field is of another type with other libraries")]
    Ok(IN_PLACE.contains(&(stat.f_type as i64)))
}

#[cfg(not(target_os = "linux"))]
fn writes_in_place(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Fs, OsFs};
    use std::os::unix::fs::FileExt;

    /// On any file system: where a file cannot be mapped, it is written by calls.
    #[test]
    fn what_is_copied_is_read_and_what_lies_outside_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = Fs::Os(OsFs).create_new(&path).unwrap();
        assert!(!file.map(4096), "nothing is allocated");
        let allocated = file.allocate(16 << 20).unwrap();
        let mapped = allocated && file.map(16 << 20);
        let mut expected = vec![0; (16 << 20) + 10];
        let places = [(0, 10), (4090, 20), (12 << 20, 1000), ((16 << 20) - 5, 5), ((16 << 20) - 5, 15)];
        for (byte, (offset, len)) in (1..).zip(places) {
            file.put_at(&vec![byte; len], offset as u64).unwrap();
            expected[offset..offset + len].fill(byte);
        }
        file.write_all_at(b"by a call", 4092).unwrap();
        expected[4092..4101].copy_from_slice(b"by a call");
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        file.sync().unwrap();
        file.truncate(100).unwrap();
        file.put_at(b"behind the end", 200).unwrap();
        assert_eq!(file.size().unwrap(), 214, "mapped: {mapped}");
    }

    /// Each sync once wrote 2 MiB for a record of a few bytes: the system had read the log ahead in pages of
    /// that size.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_sync_writes_the_pages_that_have_changed_and_little_else() {
        /// What this thread had the system write, in bytes; `None` where nobody counts.
        fn written() -> Option<u64> {
            let counts = std::fs::read_to_string("/proc/thread-self/io").ok()?;
            counts.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
        }
        const ALL: u64 = 32 << 20;
        // Not in a folder for temporary files, which may be memory.
        let Ok(dir) = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")) else { return };
        let file = Fs::Os(OsFs).create_new(&dir.path().join("file")).unwrap();
        if !(file.allocate(ALL).unwrap() && file.map(ALL)) || written().is_none() {
            return;
        }
        let (record, records) = ([7; 160], ALL / 2 / 160);
        (0..records).for_each(|at| file.put_at(&record, at * 160).unwrap());
        file.sync().unwrap();
        let before = written().unwrap();
        for at in records..records + 100 {
            file.put_at(&record, at * 160).unwrap();
            file.sync().unwrap();
        }
        let bytes = written().unwrap() - before;
        // SAFETY: the call only looks up a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
        assert!(bytes <= 100 * 4 * page, "{bytes} bytes for a hundred records");
    }

    /// Pages are brought in ahead of a stream: they are zeros until something is written there.
    #[test]
    fn a_stream_is_what_was_written_and_zeros_behind_it() {
        const ALL: usize = 3 * STREAM_BYTES + 5000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = Fs::Os(OsFs).create_new(&path).unwrap();
        if !(file.allocate(ALL as u64).unwrap() && file.map(ALL as u64)) {
            return;
        }
        let mut expected = vec![0; ALL];
        let (mut at, mut syncs) = (0, 0);
        for len in (1..2000).cycle().step_by(7) {
            if at + len > ALL {
                break;
            }
            expected[at..at + len].fill(len as u8);
            file.put_at(&expected[at..at + len], at as u64).unwrap();
            at += len;
            if at > 2 * STREAM_BYTES && syncs < 3 {
                syncs += 1;
                file.sync().unwrap();
                assert!(std::fs::read(&path).unwrap() == expected, "behind {at} bytes");
            }
        }
        assert!(at > ALL - 2000 && syncs == 3);
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    #[test]
    fn only_what_is_mapped_is_copied_to() {
        let file = tempfile::tempfile().unwrap();
        let mapping = Mapping::default();
        assert!(!mapping.write(b"x", 0));
        file.set_len(8192).unwrap();
        if mapping.map(&file, 8192).is_err() {
            return;
        }
        assert!(mapping.write(b"xy", 8190));
        assert!(!mapping.write(b"xy", 8191));
        assert!(!mapping.write(b"x", u64::MAX));
        let mut found = [0; 2];
        file.read_exact_at(&mut found, 8190).unwrap();
        assert_eq!(&found, b"xy");
        mapping.end();
        assert!(!mapping.write(b"x", 0));
    }
}
