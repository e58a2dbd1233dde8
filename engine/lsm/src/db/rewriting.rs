//! What was replayed becomes tables, while the log is read further.

use super::options::FamilyOptions;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{NEVER, SeqNum};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Arc, thread};
use crate::compaction::{Below, MergeSpec, merge};
use crate::iter::Horizon;
use crate::memtable::{Memtable, MemtableCursor};
use crate::table::{Origin, Tables};
use crate::version::{Edit, EditOp, TableMeta};
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::path::PathBuf;

/// A memtable that is to become tables of level 0, and all that is needed for it.
pub(super) struct Rewrite {
    pub(super) memtable: Arc<Memtable>,
    pub(super) options: FamilyOptions,
    pub(super) tables: Arc<Tables>,
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) dir: PathBuf,
    pub(super) family: u32,
    pub(super) store: u64,
    pub(super) history: u64,
    pub(super) last_seq: SeqNum,
    pub(super) now_ms: u64,
}

type Made = Vec<Arc<TableMeta>>;

impl Rewrite {
    fn run(self) -> Result<Made> {
        let policy = self.options.policy();
        let numbers = self.numbers;
        let next_number = || -> FileNumber { numbers.fetch_add(1, Ordering::Relaxed) };
        // Whatever may lie below is left to compactions: no deletion is dropped here. Ranges that were
        // flushed, or replayed before, are older than what is written.
        let beside = self.memtable.ranges().clone();
        let spec = MergeSpec {
            tables: &self.tables,
            next_number: &next_number,
            policy: &policy,
            level: 0,
            table_bytes: u64::MAX,
            horizons: vec![Horizon { seq: self.last_seq, now_ms: self.now_ms }],
            below: Below::unknown(),
            reminds: self.options.erase_within.is_some(),
            ranges: &beside,
            ranges_seq: self.last_seq,
            origin: Origin {
                family: self.family,
                store: self.store,
                history: self.history,
                created_ms: self.now_ms,
                newest_ms: 0,
                oldest_deletion_ms: self.memtable.oldest_deletion_ms().unwrap_or(NEVER),
                outside: false,
            },
            ended_ms: NEVER,
            check: &|| Ok(()),
            blame: &|_| FileKind::Current.path(&self.dir),
            // A store opens without anybody's code: operands stay as they are.
            hooks: None,
            // Compactions separate values when they come to them.
            values: None,
        };
        Ok(merge(&mut MemtableCursor::new(self.memtable), spec)?.tables)
    }
}

/// Memtables that are written at once. Each takes most of a processor, to compress; reading the log takes
/// a fifth of one.
const MOST_AT_ONCE: usize = 2;

/// Writes tables: on threads of their own, if it may.
pub(super) struct Rewriter {
    threads: bool,
    /// What is being written, the oldest first.
    running: VecDeque<(u32, thread::JoinHandle<Result<Made>>)>,
    edit: Edit,
}

impl Rewriter {
    pub(super) fn new(threads: bool) -> Rewriter {
        Rewriter { threads, running: VecDeque::new(), edit: Edit::default() }
    }

    /// Begins to write a memtable, when there is a thread for it.
    pub(super) fn begin(&mut self, rewrite: Rewrite) -> Result<()> {
        if self.running.len() == MOST_AT_ONCE {
            self.wait()?;
        }
        let family = rewrite.family;
        for range in rewrite.memtable.ranges().ranges() {
            self.edit.push(EditOp::AddRange { family, range: range.clone() });
        }
        if self.threads {
            let dir = rewrite.dir.clone();
            let thread = thread::Builder::new().name("esker-replay".into()).spawn(|| rewrite.run());
            let thread = thread.map_err(|error| Error::io("start a thread for", &dir, error))?;
            self.running.push_back((family, thread));
            return Ok(());
        }
        let made = rewrite.run()?;
        self.keep(family, made);
        Ok(())
    }

    fn keep(&mut self, family: u32, made: Made) {
        for meta in made {
            self.edit.push(EditOp::AddTable { family, level: 0, meta });
        }
    }

    /// Waits for the oldest of what is being written.
    fn wait(&mut self) -> Result<()> {
        if let Some((family, thread)) = self.running.pop_front() {
            let made = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            self.keep(family, made);
        }
        Ok(())
    }

    /// Waits for all that is being written. The edit names what was.
    pub(super) fn finish(mut self) -> Result<Edit> {
        while !self.running.is_empty() {
            self.wait()?;
        }
        Ok(std::mem::take(&mut self.edit))
    }
}

impl Drop for Rewriter {
    /// An opening that fails removes what it has made, and nothing may come after that.
    fn drop(&mut self) {
        for (_, thread) in self.running.drain(..) {
            let _ = thread.join();
        }
    }
}
