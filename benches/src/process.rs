//! What this process and its files took.

use std::path::Path;
use std::time::{Duration, Instant};

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

fn written_bytes() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
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
