//! A reader that catches up with whoever writes.

use super::position::{Position, Settled, newest_seq};
use super::read_only::ReadOnlyDb;
use super::source::{OpenTables, Source, gone};
use super::state::State;
use super::stats::{Counts, FollowerStats};
use super::worker::Worker;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::FileKind;
use crate::base::key::SeqNum;
use crate::base::sync::{Arc, Mutex};
use crate::db::{Builder, DEFAULT_FAMILY, Db};
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A reader of a store that somebody else writes to, in this process or another, which catches up when it is
/// asked to ([`Follower::catch_up`]) or all the time ([`Follower::follow_every`]).
///
/// What it shows is a [`ReadOnlyDb`] at a time ([`Follower::view`]): a whole prefix of the writes, which no
/// kill of the writer can take back. Within one history of the store it never goes back, but for a write that
/// was refused after all ([`Restart::TakenBack`]). The writer knows nothing of it, and keeps nothing for it:
/// where it was too slow, it begins anew by itself and says so.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("data");
/// let db = esker::Db::open(&path)?; // most often in another process
/// let follower = esker::Db::follow(&path)?;
/// db.put("k", "v")?;
/// assert!(follower.view().get("k")?.is_none(), "it has not looked yet");
/// let reached = follower.catch_up()?;
/// assert_eq!(reached.seq, db.visible_seq());
/// assert_eq!(follower.view().get("k")?.unwrap(), b"v");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    worker: Mutex<Option<Worker>>,
}

/// What the handle and the thread that catches up have in common.
#[derive(Debug)]
pub(super) struct Shared {
    source: Arc<Source>,
    shown: ArcSwap<State>,
    /// Or why everything has to be read anew.
    position: Mutex<Result<Position, Restart>>,
    counts: Counts,
}

/// What catching up has come to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CaughtUp {
    /// The sequence number of the last write that is shown now.
    pub seq: SeqNum,
    /// How far the follower was behind: by how many sequence numbers it has moved on.
    pub behind: u64,
    /// The history that is shown.
    pub history: u64,
    /// Whether that is another one than before: the writer has ended in disorder since, and after a loss of
    /// power or a failed sync something that was shown may be gone.
    pub new_history: bool,
    /// Why all was read anew, if it was.
    pub restarted: Option<Restart>,
}

/// Why a follower has read everything anew.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Restart {
    /// It was asked to.
    Asked,
    /// The store has a new manifest: the old one had grown, or the store was opened again.
    NewManifest,
    /// A write that the log held, and that was shown, has been refused after all: it is gone.
    TakenBack,
    /// A file that was needed is gone: the writer has moved on.
    FileGone(PathBuf),
    /// Reading on has failed.
    Failed(Error),
}

/// How far a follower is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// By how many sequence numbers the store is ahead of what is shown.
    pub seqs: u64,
    /// How long ago the follower was at the end.
    pub age: Duration,
}

impl Db {
    /// Follows the store in the directory `path`, with default options.
    ///
    /// # Errors
    /// See [`Builder::follow`].
    pub fn follow(path: impl AsRef<Path>) -> Result<Follower> {
        Db::builder(path).follow()
    }
}

impl Builder {
    /// Follows the store; see [`Follower`]. What counts of the options is as for [`Builder::open_read_only`].
    ///
    /// # Errors
    /// As [`Builder::open_read_only`].
    pub fn follow(self) -> Result<Follower> {
        let source = Arc::new(Source::new(self)?);
        let (position, state) = Position::load(&source, OpenTables::new())?;
        // It has the default family, which views are asked for.
        state.place_of(DEFAULT_FAMILY)?;
        let (shown, counts) = (ArcSwap::from_pointee(state), Counts::new(source.now()));
        let shared = Shared { source, shown, position: Mutex::new(Ok(position)), counts };
        Ok(Follower { shared: Arc::new(shared), worker: Mutex::default() })
    }
}

impl Follower {
    /// What is shown at this moment. It stands still; ask again to see what was caught up with since.
    #[must_use]
    pub fn view(&self) -> ReadOnlyDb {
        self.shared.view()
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.source.dir()
    }

    /// Reads what has come to the manifest and to the log since, to the end, and shows it. Where that cannot
    /// be done because the writer has moved on, everything is read anew, and [`CaughtUp::restarted`] says
    /// why.
    ///
    /// Costs a look at two small files if nothing has come; otherwise the reading of what has come. After a
    /// flush of the writer's, what has not been flushed is copied in memory.
    ///
    /// # Errors
    /// [`Error::FileGone`] with the file if the writer was faster each time, of many;
    /// [`Error::LogTooLarge`]; [`Error::NotADatabase`] if the store, or the one that was followed, is not
    /// there any more; [`Error::Corruption`]; I/O errors. What was shown is shown on, and the next call
    /// begins anew.
    pub fn catch_up(&self) -> Result<CaughtUp> {
        self.shared.catch_up(false)
    }

    /// Reads everything anew, from `CURRENT` on; tables that are open stay so. Needed only where the
    /// directory was replaced by that of another store, which [`Follower::catch_up`] refuses.
    ///
    /// # Errors
    /// As [`Follower::catch_up`].
    pub fn restart(&self) -> Result<CaughtUp> {
        self.shared.catch_up(true)
    }

    /// Catches up on a thread of its own from now on, each time so long after the last time, until
    /// [`Follower::stop_following`] or the end of the follower. What goes wrong is tried again, and shows in
    /// [`Follower::stats`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an interval of nothing; the thread cannot be started.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::open(&path)?;
    /// let follower = esker::Db::follow(&path)?;
    /// follower.follow_every(Duration::from_millis(1))?;
    /// db.put("k", "v")?;
    /// while !follower.view().contains_key("k")? {
    ///     std::thread::yield_now();
    /// }
    /// # Ok(()) }
    /// ```
    pub fn follow_every(&self, interval: Duration) -> Result<()> {
        if interval.is_zero() {
            return Err(Error::invalid("interval", "it must be longer than nothing"));
        }
        let mut worker = self.worker.lock();
        // One that is there ends first.
        drop(worker.take());
        *worker = Some(Worker::start(self.shared.clone(), interval)?);
        Ok(())
    }

    /// Ends what [`Follower::follow_every`] has begun. A catching-up that is under way is waited for.
    pub fn stop_following(&self) {
        drop(self.worker.lock().take());
    }

    /// How far it is behind: the manifest is read, and the log from where the follower stands to its end, or
    /// from its beginning if the manifest is another one by now. Nothing of it is kept.
    ///
    /// # Errors
    /// [`Error::FileGone`] if the log does not go on where the follower stands, which
    /// [`Follower::catch_up`] copes with; otherwise as that.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::open(&path)?;
    /// let follower = esker::Db::follow(&path)?;
    /// db.put("k", "v")?;
    /// assert_eq!(follower.lag()?.seqs, 1);
    /// follower.catch_up()?;
    /// assert_eq!(follower.lag()?.seqs, 0);
    /// # Ok(()) }
    /// ```
    pub fn lag(&self) -> Result<Lag> {
        let shared = &self.shared;
        let position = shared.position.lock();
        let newest = match &*position {
            Ok(position) => position.newest_seq(),
            Err(Restart::Failed(error)) => return Err(error.clone()),
            Err(_) => newest_seq(&shared.source, None),
        };
        // Under the lock, or what is shown would go on meanwhile.
        let seqs = newest.map_err(gone)?.saturating_sub(shared.shown.load().seq);
        drop(position);
        Ok(Lag { seqs, age: shared.age() })
    }

    /// What it has done since it was opened.
    #[must_use]
    pub fn stats(&self) -> FollowerStats {
        let shown = self.shared.shown.load();
        self.shared.counts.read(&shown, self.shared.age())
    }
}

impl Shared {
    pub(super) fn path(&self) -> &Path {
        self.source.dir()
    }

    fn view(&self) -> ReadOnlyDb {
        ReadOnlyDb::of(self.shown.load_full())
    }

    /// How long ago it had read all that there was.
    fn age(&self) -> Duration {
        self.source.now().saturating_sub(self.counts.reached_at())
    }

    /// Reads on, or everything anew if that is needed or `asked` for, and shows it.
    pub(super) fn catch_up(&self, asked: bool) -> Result<CaughtUp> {
        let mut position = self.position.lock();
        let begun = self.source.now();
        let shown = self.shown.load_full();
        let advanced = match &mut *position {
            _ if asked => Err(Restart::Asked),
            Err(why) => Err(why.clone()),
            Ok(at) => match at.advance() {
                Ok(Settled::Reached(state)) => Ok(state),
                Ok(Settled::Replaced) => Err(Restart::NewManifest),
                Ok(Settled::TakenBack) => Err(Restart::TakenBack),
                Err(error) => Err(match gone(error) {
                    Error::FileGone { file } => Restart::FileGone(file.into()),
                    error => Restart::Failed(error),
                }),
            },
        };
        let (state, restarted) = match advanced {
            Ok(state) => (state, None),
            Err(why) => match self.load(&shown, &why) {
                Ok((at, state)) => {
                    *position = Ok(at);
                    (state, Some(why))
                }
                Err(error) => {
                    *position = Err(Restart::Failed(error.clone()));
                    self.counts.failed(&error);
                    return Err(error);
                }
            },
        };
        let state = state.behind(&shown);
        let caught_up = CaughtUp {
            seq: state.seq,
            behind: state.seq.saturating_sub(shown.seq),
            history: state.history.id,
            new_history: state.history != shown.history,
            restarted,
        };
        self.shown.store(Arc::new(state));
        self.counts.caught_up(&caught_up, begun);
        Ok(caught_up)
    }

    /// Reads everything anew. What comes of it may not be older than what was shown of the same history.
    fn load(&self, shown: &State, why: &Restart) -> Result<(Position, State)> {
        let (at, state) = Position::load(&self.source, shown.tables())?;
        let path = self.source.dir();
        if state.store != shown.store && !matches!(why, Restart::Asked) {
            let why = "another one than the store that was followed is there now".into();
            return Err(Error::NotADatabase { path: path.into(), why });
        }
        let steps_back = state.history == shown.history && state.seq < shown.seq;
        if steps_back && !matches!(why, Restart::TakenBack | Restart::Asked) {
            let expected = format!("what was shown before, up to the sequence number {}", shown.seq);
            let found = format!("nothing behind {}", state.seq);
            return Err(Corruption::new(&FileKind::Current.path(path), 0, expected, found).into());
        }
        Ok((at, state))
    }
}
