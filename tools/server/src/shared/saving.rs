//! Backups of the store that is served (BGSAVE, LASTSAVE).

use esker::{BackupOptions, Backups};
use esker_structures::Store;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where BGSAVE puts backups, and how.
#[derive(Clone, Debug)]
pub struct BackupTo {
    /// The directory of the backups; created where there is none.
    pub dir: PathBuf,
    /// As for a backup that a program makes.
    pub options: BackupOptions,
}

/// Why no backup was begun.
#[derive(Debug)]
pub(crate) enum NotBegun {
    /// Nobody has said where to.
    Nowhere,
    /// There is one under way.
    Busy,
    /// No thread could be started.
    Thread(io::Error),
}

impl fmt::Display for NotBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotBegun::Nowhere => f.write_str("ERR no directory for backups: start the server with --backups"),
            NotBegun::Busy => f.write_str("ERR Background save already in progress"),
            NotBegun::Thread(error) => write!(f, "ERR cannot start a thread for the backup: {error}"),
        }
    }
}

/// How backups went.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) in_progress: bool,
    /// When the last good one ended, or the server started, in seconds since the epoch.
    pub(crate) last_s: u64,
    /// The number of the last good one that this server has made; 0 if there is none.
    pub(crate) number: u64,
    /// Why the last one failed, if it did.
    pub(crate) failure: Option<String>,
}

/// The backups of a server.
#[derive(Debug)]
pub(crate) struct Saving {
    to: Option<BackupTo>,
    saved: Mutex<Saved>,
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Saving {
    pub(crate) fn new(to: Option<BackupTo>) -> Arc<Saving> {
        let saved = Saved { in_progress: false, last_s: now_s(), number: 0, failure: None };
        Arc::new(Saving { to, saved: Mutex::new(saved) })
    }

    pub(crate) fn saved(&self) -> Saved {
        self.saved.lock().clone()
    }

    /// Begins a backup on a thread of its own. It ends with an error when the store is closed.
    pub(crate) fn begin(self: &Arc<Self>, store: &Store) -> Result<(), NotBegun> {
        let to = self.to.clone().ok_or(NotBegun::Nowhere)?;
        if std::mem::replace(&mut self.saved.lock().in_progress, true) {
            return Err(NotBegun::Busy);
        }
        let (saving, store) = (self.clone(), store.clone());
        let run = move || {
            let make = AssertUnwindSafe(|| Backups::at(&to.dir).create_with(store.engine(), to.options));
            let made = catch_unwind(make);
            drop(store);
            let mut saved = saving.saved.lock();
            saved.in_progress = false;
            match made {
                Ok(Ok(made)) => {
                    (saved.last_s, saved.number, saved.failure) = (now_s(), made.number, None);
                }
                Ok(Err(error)) => saved.failure = Some(error.to_string()),
                Err(_) => saved.failure = Some("a panic, which is a bug".to_owned()),
            }
        };
        thread::Builder::new().name("esker-backup".into()).spawn(run).map(drop).map_err(|error| {
            self.saved.lock().in_progress = false;
            NotBegun::Thread(error)
        })
    }
}
