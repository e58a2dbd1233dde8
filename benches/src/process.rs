//! What this process and its files took.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Whatever goes wrong ends what was going on.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What the process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    at: Instant,
    /// User and system time of all threads.
    pub cpu: Duration,
    /// Bytes handed to the system for writing; 0 where the system does not count them.
    pub written_bytes: u64,
    /// The most memory that was resident at any time, in bytes.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// Reads the clocks and counters.
    #[must_use]
    pub fn now() -> Usage {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to a whole `rusage`, which is plain numbers (so that zeroes are a
        // value, should the call fail) and which the call only writes to.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
            usage.assume_init()
        };
        let time =
            |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        Usage {
            at: Instant::now(),
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            written_bytes: written_bytes().unwrap_or(0),
            peak_rss_bytes: usage.ru_maxrss as u64 * unit,
        }
    }

    /// What was used since `before`: wall time, processor time, bytes written.
    #[must_use]
    pub fn since(&self, before: &Usage) -> (Duration, Duration, u64) {
        (self.at - before.at, self.cpu - before.cpu, self.written_bytes - before.written_bytes)
    }
}

/// What the disk has to write: a page that is changed many times before it is written counts once. Calls
/// alone would leave out what is written through memory.
fn written_bytes() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

/// Bytes of the files in `dir`, as many as were written to them or allocated for them.
#[must_use]
pub fn dir_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len())
        .sum()
}

/// Bytes that the disk holds for the files in `dir` and below it: holes do not count, space that is
/// allocated and not used does.
#[must_use]
pub fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, meta)| if meta.is_dir() { disk_bytes(&path) } else { allocated_bytes(&meta) })
        .sum()
}

#[cfg(unix)]
fn allocated_bytes(meta: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(meta) * 512
}

#[cfg(not(unix))]
fn allocated_bytes(meta: &std::fs::Metadata) -> u64 {
    meta.len()
}

/// Waits until the process uses hardly any processor, at most for `limit`: its background work is done.
pub(crate) fn wait_until_idle(limit: Duration) {
    let began = Instant::now();
    let mut quiet = 0;
    while quiet < 3 && began.elapsed() < limit {
        let start = Usage::now();
        thread::sleep(Duration::from_millis(50));
        let (wall, cpu, _) = Usage::now().since(&start);
        quiet = if cpu < wall / 20 { quiet + 1 } else { 0 };
    }
}

/// The most memory that was resident since the last call of [`forget_peak`], in bytes; since the
/// process began where the system cannot forget.
pub(crate) fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or_else(|| Usage::now().peak_rss_bytes, |kib| kib << 10)
}

/// Has [`peak_rss_bytes`] begin anew.
pub(crate) fn forget_peak() {
    // Not every system has this file; then the peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Removes a folder and all in it, if it is there.
pub(crate) fn remove_tree(dir: &Path) -> Fallible<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
