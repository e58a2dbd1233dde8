//! The parts of an open store that writers, readers and background jobs share.
//!
//! # Locks, in the order in which they may be taken
//! 1. `writer`: the ordering section. Held while a group is logged, inserted and published, while
//!    memtables are rotated, and while families come and go.
//! 2. `manifest`: held while an edit is made durable and installed in the families' views.
//! 3. `families`: the table of families; held for the moment of a look-up or a change.
//!
//! Readers take none of them: they pin a family's view and load the visible sequence number.

use super::counts::{CopyCounts, TransactionCounts};
use super::durable::{Durable, Synced};
use super::options::CommitOptions;
use super::poison::Poison;
use super::prepared::PreparedTable;
use super::queue::Queue;
use super::request::{Answer, Request};
use super::reserve::{Drawer, Reserve};
use super::retention::Retention;
use super::stall::Gate;
use super::targets::{Target, Targets};
use super::work::{Task, Work};
use crate::base::clock::ExpiryClock;
use crate::base::error::{Error, Result};
use crate::base::filename::FileNumber;
use crate::base::in_hook::in_hook_of;
use crate::base::key::{MAX_SEQ, SeqNum};
use crate::base::limits::RESERVED_SEQS;
use crate::base::panics::{catch, words};
use crate::base::random::Random;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::base::sync::{Arc, Mutex, RwLock};
use crate::blob::Blobs;
use crate::fs::Fs;
use crate::hooks::{BecameReadOnly, Event, Events, FamilyCreated, FamilyDropped, FamilyHooks};
use crate::locks::{KeyLocks, OpenTransactions, RecentWrites};
use crate::memtable::{Memtable, Spare};
use crate::metrics::{Histogram, Timings};
use crate::ranges::RangeSet;
use crate::table::Tables;
use crate::tree::{Family, FamilyRules, Pins, Snapshots};
use crate::version::{Edit, EditOp, Manifest, Purgatory, StoreState, Version};
use crate::wal::{CloseMark, ManifestEnd, RecordKind, Room, Wal};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::PathBuf;

/// What a store is made of when it is opened.
#[derive(Debug)]
pub struct Parts {
    /// The file system.
    pub fs: Fs,
    /// The store's directory.
    pub dir: PathBuf,
    /// A number that no other open store of this process has.
    pub handle: u64,
    /// Random numbers.
    pub random: Random,
    /// The expiry clock.
    pub clock: ExpiryClock,
    /// Options of the write path.
    pub options: CommitOptions,
    /// What opens tables.
    pub tables: Arc<Tables>,
    /// What opens blob files.
    pub blobs: Arc<Blobs>,
    /// Where unreferenced tables and blob files gather.
    pub purgatory: Arc<Purgatory>,
    /// The column families.
    pub families: Vec<Arc<Family>>,
    /// The manifest in force.
    pub manifest: Manifest,
    /// An empty log.
    pub wal: Wal,
    /// Space for when the disk is full.
    pub reserve: Arc<Reserve>,
    /// What is on its way to those who listen.
    pub events: Arc<Events>,
    /// The next file number.
    pub next_number: FileNumber,
    /// The last sequence number that may have been handed out.
    pub last_seq: SeqNum,
}

/// An open store, below the handles that users hold.
#[derive(Debug)]
pub struct Store {
    /// The file system.
    pub fs: Fs,
    /// The store's directory.
    pub dir: PathBuf,
    /// A number that no other open store of this process has.
    pub handle: u64,
    /// Random numbers.
    pub random: Random,
    /// The expiry clock.
    pub clock: ExpiryClock,
    pub(super) options: ArcSwap<CommitOptions>,
    /// Batches of at most this many bytes together form a group.
    pub(super) group_bytes: usize,
    /// What opens tables.
    pub tables: Arc<Tables>,
    /// What opens blob files.
    pub blobs: Arc<Blobs>,
    /// Where unreferenced tables and blob files gather.
    pub purgatory: Arc<Purgatory>,
    /// The snapshots that are held.
    pub snapshots: Snapshots,
    /// Who holds old states.
    pub pins: Arc<Pins>,
    /// The durable watermark.
    pub durable: Durable,
    /// Background work.
    pub work: Work,
    /// Backpressure.
    pub gate: Gate,
    /// Backpressure on those who delete or drop ranges faster than compactions clean tables of them.
    pub range_gate: Gate,
    /// Holds all writers back while an ingest that they would overtake without end goes on.
    pub(super) ingest_gate: Gate,
    /// By one ingest at a time.
    pub(super) holding: Mutex<()>,
    /// The latch.
    pub poison: Poison,
    /// Space for when the disk is full.
    pub reserve: Arc<Reserve>,
    /// What is on its way to those who listen.
    pub events: Arc<Events>,
    /// Removes segments of the log.
    pub retention: Arc<Retention>,
    /// What memtables leave to those that follow them.
    pub spare: Arc<Spare>,
    /// The keys that transactions have locked.
    pub locks: KeyLocks,
    /// The transactions that are open.
    pub transactions: OpenTransactions,
    /// The transactions that are prepared.
    pub prepared: PreparedTable,
    /// What became of transactions and conditional writes.
    pub transaction_counts: TransactionCounts,
    /// Checkpoints, backups and ingests.
    pub copy_counts: CopyCounts,
    /// How long operations take.
    pub timings: Timings,
    pub(super) queue: Queue<Request, Answer>,
    pub(super) visible: AtomicU64,
    pub(super) last_ingest: AtomicU64,
    /// Whether the log has met a full disk since it was last looked what could go.
    pub(super) log_was_full: AtomicBool,
    pub(super) writer: Mutex<Writer>,
    manifest: Mutex<Manifest>,
    families: RwLock<BTreeMap<u32, Arc<Family>>>,
    pub(super) numbers: AtomicU64,
    closed: AtomicBool,
    /// Held while the pressure on writers is judged; nothing else is taken under it but `families`.
    pub(super) judging: Mutex<()>,
}

/// What only the holder of the ordering section touches.
#[derive(Debug)]
pub struct Writer {
    /// The log.
    pub wal: Wal,
    pub(super) next_seq: SeqNum,
    ceiling: SeqNum,
    pub(super) targets: Targets,
    /// Whether any active memtable holds unlogged entries.
    pub(super) unlogged: bool,
    /// Whether some active memtable has as many ranges beside it as it may have.
    pub(super) crowded: bool,
    pub(super) seals: u64,
    /// What was written of late, while somebody watches.
    pub(super) recent: RecentWrites,
    /// How many batches were written together.
    pub groups: Histogram,
    /// The options in force.
    pub(super) options: Arc<CommitOptions>,
}

impl Store {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Store {
        let targets = Targets::new(parts.families.iter());
        let options = Arc::new(parts.options);
        let writer = Writer {
            wal: parts.wal,
            next_seq: parts.last_seq + 1,
            ceiling: parts.manifest.state().seq_ceiling,
            targets,
            unlogged: false,
            crowded: false,
            seals: 0,
            recent: RecentWrites::new(options.recent_bytes),
            groups: Histogram::default(),
            options: options.clone(),
        };
        let feed = parts.manifest.state().feed.as_ref();
        let last_ingest = feed.and_then(|feed| feed.ingests.last()).map_or(0, |mark| mark.seq);
        Store {
            retention: Arc::new(Retention::new(&parts.fs, &parts.dir, &parts.events)),
            spare: Spare::new(options.memtable_bytes),
            fs: parts.fs,
            dir: parts.dir,
            handle: parts.handle,
            random: parts.random,
            locks: KeyLocks::new(parts.clock.source().clone()),
            transactions: OpenTransactions::default(),
            prepared: PreparedTable::new(parts.manifest.state().prepared_family),
            transaction_counts: TransactionCounts::default(),
            copy_counts: CopyCounts::default(),
            timings: Timings::default(),
            clock: parts.clock,
            group_bytes: options.group_bytes,
            options: ArcSwap::new(options),
            tables: parts.tables,
            blobs: parts.blobs,
            purgatory: parts.purgatory,
            snapshots: Snapshots::default(),
            pins: Arc::default(),
            durable: Durable::new(parts.last_seq),
            work: Work::default(),
            gate: Gate::default(),
            range_gate: Gate::default(),
            ingest_gate: Gate::default(),
            holding: Mutex::new(()),
            poison: Poison::default(),
            reserve: parts.reserve,
            events: parts.events,
            queue: Queue::default(),
            visible: AtomicU64::new(parts.last_seq),
            last_ingest: AtomicU64::new(last_ingest),
            log_was_full: AtomicBool::new(false),
            writer: Mutex::new(writer),
            manifest: Mutex::new(parts.manifest),
            families: RwLock::new(parts.families.into_iter().map(|f| (f.id(), f)).collect()),
            numbers: AtomicU64::new(parts.next_number),
            closed: AtomicBool::new(false),
            judging: Mutex::new(()),
        }
    }

    /// The sequence number to read at. A view must be pinned before it is asked for.
    #[must_use]
    pub fn read_seq(&self) -> SeqNum {
        let visible = self.visible.load(Ordering::Acquire);
        self.readable(visible)
    }

    /// What a read at `seq` may see now: after a failed sync, only what is durable of it. This goes
    /// for snapshots and iterators that were taken before the failure, too.
    #[must_use]
    pub fn readable(&self, seq: SeqNum) -> SeqNum {
        if self.poison.is_set() { seq.min(self.durable.seq()) } else { seq }
    }

    /// The last published sequence number, whatever has become of the log since.
    #[must_use]
    pub fn visible_seq(&self) -> SeqNum {
        self.visible.load(Ordering::Acquire)
    }

    /// Takes the next file number.
    pub fn next_number(&self) -> FileNumber {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The families by number.
    #[must_use]
    pub fn families(&self) -> Vec<Arc<Family>> {
        self.families.read().values().cloned().collect()
    }

    /// A family of the user's by name.
    #[must_use]
    pub fn family(&self, name: &str) -> Option<Arc<Family>> {
        let families = self.families.read();
        families.values().find(|f| f.name() == name && !self.is_of_prepared(f.id())).cloned()
    }

    /// A family by number.
    #[must_use]
    pub fn family_by_id(&self, id: u32) -> Option<Arc<Family>> {
        self.families.read().get(&id).cloned()
    }

    /// An error to who calls from within a hook of this store.
    pub fn check_caller(&self) -> Result<()> {
        if in_hook_of(self.handle) { Err(Error::CalledFromHook) } else { Ok(()) }
    }

    /// An error once the store was closed, and as [`Store::check_caller`].
    pub fn check_open(&self) -> Result<()> {
        self.check_caller()?;
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// An error once the store was closed or became read-only.
    #[inline]
    pub fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        self.poison.check()
    }

    /// Ends writing, for good.
    pub fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.gate.wake();
        self.range_gate.wake();
        self.ingest_gate.wake();
    }

    /// Makes everything written so far durable. Does nothing if it is already.
    pub fn sync_log(&self) -> Result<Synced> {
        self.poison.check()?;
        let (unsynced, seq) = {
            let writer = self.writer.lock();
            (writer.wal.unsynced(), writer.next_seq - 1)
        };
        if unsynced.lsn > self.durable.lsn() {
            let clock = self.clock.source();
            let begun = clock.monotonic();
            for file in &unsynced.files {
                if let Err(error) = file.sync() {
                    self.latch(error.to_string(), error.clone());
                    return Err(error);
                }
            }
            self.timings.sync.end(Some(begun), clock);
            self.writer.lock().wal.synced(unsynced.lsn);
        }
        Ok(Synced { seq, lsn: unsynced.lsn })
    }

    /// Writes the mark of a close in good order, and makes it and the clock durable. Everything
    /// before it must be durable.
    pub fn write_close_mark(&self) -> Result<()> {
        let manifest = {
            let mut manifest = self.manifest.lock();
            self.commit_edit(&mut manifest, Edit::default())?;
            // Nothing is committed any more: each of the two tells where the other ends.
            ManifestEnd { number: manifest.number(), lsn: manifest.lsn() }
        };
        let mut writer = self.writer.lock();
        let mark = CloseMark { last_seq: writer.next_seq - 1, manifest: Some(manifest) };
        let last_seq = mark.last_seq;
        self.draw(Drawer::Anybody, || {
            mark.encode(writer.wal.begin());
            let synced = self.durable.lsn();
            self.watching_log(&mut writer, |writer| {
                writer.wal.append(RecordKind::Close, synced, last_seq, Room::Any, || self.next_number())
            })
        })?;
        let unsynced = writer.wal.unsynced();
        unsynced.files.iter().try_for_each(|file| file.sync())?;
        writer.wal.synced(unsynced.lsn);
        writer.wal.trim()
    }

    /// Makes the store read-only because of `error`: `why` in words.
    pub fn latch(&self, why: impl Into<Arc<str>>, error: Error) {
        // The watermark stands still before anybody is told to read at it: a sync that is under way
        // cannot raise it in between, to the middle of what a reader has seen already. And nobody hears
        // of the failure before the latch is set: no later write of theirs may succeed.
        let (why, mut first): (Arc<str>, bool) = (why.into(), false);
        self.durable.fail_and(error, || first = self.poison.set(why.clone()));
        if first {
            self.emit(|at_ms| Event::BecameReadOnly(BecameReadOnly { at_ms, why }));
        }
        self.work.announce(Task::Callbacks);
        self.work.progressed();
        self.gate.wake();
        self.range_gate.wake();
        self.ingest_gate.wake();
    }

    /// Runs a job of ours; a panic in it is a bug and makes the store read-only before it goes on
    /// its way. `doing` says what was being done.
    pub fn latching<R>(&self, doing: &str, job: impl FnOnce() -> R) -> R {
        catch(job).unwrap_or_else(|panic| {
            let why: Arc<str> = format!("a panic while {doing}: {}", words(&panic)).into();
            self.latch(why.clone(), Error::Poisoned { why });
            resume_unwind(panic)
        })
    }

    /// Waits until `seq` survives a loss of power.
    pub fn wait_durable(&self, seq: SeqNum) -> Result<()> {
        let result = self.durable.wait(seq, || self.latching("syncing the log", || self.sync_log()));
        if self.durable.has_settled() {
            self.work.announce(Task::Callbacks);
        }
        result
    }

    /// Runs `job` in the ordering section.
    pub fn with_writer<R>(&self, job: impl FnOnce(&mut Writer) -> R) -> R {
        job(&mut self.writer.lock())
    }

    /// Runs `job` with the manifest.
    pub fn with_manifest<R>(&self, job: impl FnOnce(&mut Manifest) -> R) -> R {
        job(&mut self.manifest.lock())
    }

    /// What the manifest says.
    #[must_use]
    pub fn manifest_state(&self) -> StoreState {
        self.manifest.lock().state().clone()
    }

    /// Makes an edit durable, with the clock and the file numbers of the moment.
    pub fn commit_edit(&self, manifest: &mut Manifest, mut edit: Edit) -> Result<()> {
        self.poison.check()?;
        edit.push(EditOp::Clock(self.clock.now_ms()));
        edit.push(EditOp::NextFile(self.numbers.load(Ordering::Relaxed)));
        // The log does not say itself how far its last sync went.
        let synced = self.durable.lsn();
        if synced > manifest.state().synced_log {
            edit.push(EditOp::SyncedLog(synced));
        }
        let mut doubt = None;
        // However often it is tried again for room: what is in doubt is not written to.
        let result = self.draw(Drawer::Anybody, || match &doubt {
            Some(doubt) => Err(Error::clone(doubt)),
            None => {
                let result = self.watching_manifest(manifest, |m| m.commit(&edit, || self.next_number()));
                doubt = result.as_ref().err().filter(|_| manifest.broken()).cloned();
                result
            }
        });
        if let (Err(error), true) = (&result, manifest.broken()) {
            self.latch(format!("the manifest is in doubt: {error}"), error.clone());
        }
        result
    }

    /// Writes the manifest anew, without what was removed.
    pub fn shorten_manifest(&self, manifest: &mut Manifest) -> Result<()> {
        self.poison.check()?;
        let result = self.watching_manifest(manifest, |manifest| manifest.shorten(|| self.next_number()));
        if let (Err(error), true) = (&result, manifest.broken()) {
            self.latch(format!("the manifest is in doubt: {error}"), error.clone());
        }
        result
    }

    /// Makes sure that `count` sequence numbers may be handed out.
    #[inline]
    pub(super) fn reserve(&self, writer: &mut Writer, count: u64) -> Result<()> {
        let needed = writer.next_seq + count;
        if needed < writer.ceiling { Ok(()) } else { self.reserve_more(writer, needed) }
    }

    #[cold]
    fn reserve_more(&self, writer: &mut Writer, needed: u64) -> Result<()> {
        if needed > MAX_SEQ {
            return Err(Error::invalid("sequence numbers", "all of the 56 bits are used up"));
        }
        let ceiling = (needed + RESERVED_SEQS).min(MAX_SEQ);
        self.commit_edit(&mut self.manifest.lock(), Edit(vec![EditOp::SeqCeiling(ceiling)]))?;
        writer.ceiling = ceiling;
        Ok(())
    }

    /// Creates a column family; durable when it returns. `options` goes to the manifest as it is.
    pub fn create_family(
        &self,
        name: &str,
        options: Vec<u8>,
        rules: FamilyRules,
        hooks: FamilyHooks,
    ) -> Result<Arc<Family>> {
        self.check_writable()?;
        let mut writer = self.writer.lock();
        self.check_writable()?;
        if self.families().iter().any(|family| family.name() == name) {
            return Err(Error::FamilyExists { name: name.into() });
        }
        self.add_family(&mut writer, name, options, rules, hooks, |_| None)
    }

    /// Creates a column family of a name that no other has; `mark` may say more of it in the same edit.
    pub(super) fn add_family(
        &self,
        writer: &mut Writer,
        name: &str,
        options: Vec<u8>,
        rules: FamilyRules,
        hooks: FamilyHooks,
        mark: impl FnOnce(u32) -> Option<EditOp>,
    ) -> Result<Arc<Family>> {
        let mut manifest = self.manifest.lock();
        let id = manifest.state().next_family;
        let mut edit = Edit::default();
        edit.push(EditOp::CreateFamily { id, name: name.into(), options });
        edit.push(EditOp::Flushed { family: id, seq: writer.next_seq - 1 });
        edit.0.extend(mark(id));
        self.commit_edit(&mut manifest, edit)?;
        let active = Arc::new(Memtable::new(self.next_number(), b"", self.options().memtable_bytes));
        let (version, ranges, flushed) = (Version::default(), RangeSet::default(), writer.next_seq - 1);
        let family = Family::new(id, name, rules, active, version, ranges, flushed);
        let family = Arc::new(family.with_hooks(hooks));
        writer.targets.insert(Target::new(family.clone()));
        self.families.write().insert(id, family.clone());
        self.emit(|at_ms| Event::FamilyCreated(FamilyCreated { at_ms, family: name.into() }));
        Ok(family)
    }

    /// Drops a column family with all that is in it; durable when it returns.
    pub fn drop_family(&self, name: &str) -> Result<()> {
        self.check_writable()?;
        let mut writer = self.writer.lock();
        self.check_writable()?;
        let family = self.family(name).ok_or_else(|| Error::NoSuchFamily { name: name.into() })?;
        if let Some(prepared) = self.prepared.concerning(family.id()) {
            return Err(Error::FamilyPrepared { family: name.into(), name: prepared });
        }
        let mut manifest = self.manifest.lock();
        self.commit_edit(&mut manifest, Edit(vec![EditOp::DropFamily(family.id())]))?;
        writer.targets.remove(family.id());
        self.families.write().remove(&family.id());
        family.set_dropped();
        self.emit(|at_ms| Event::FamilyDropped(FamilyDropped { at_ms, family: name.into() }));
        self.work.set_resting(family.id(), None);
        // Whoever waited for its memtables, or because of its tables, need not any more.
        self.update_pressure();
        self.work.announce(Task::Flush);
        self.work.progressed();
        Ok(())
    }

    /// Makes the expiry clock durable if it has advanced by `every_ms` since it last was and entries
    /// can expire: what reads found expired must not come back after a crash with the wall clock set
    /// back.
    pub fn persist_clock(&self, every_ms: u64) -> Result<()> {
        if self.poison.is_set() || !self.families().iter().any(|family| family.can_expire()) {
            return Ok(());
        }
        let mut manifest = self.manifest.lock();
        if self.clock.now_ms().saturating_sub(manifest.state().clock_ms) < every_ms {
            return Ok(());
        }
        self.commit_edit(&mut manifest, Edit::default())
    }

    /// Gives the block cache what is left of its share of the memory budget: indexes and filters of
    /// open tables, what is known of blob files, and blocks and values of blob files that readers hold count,
    /// too. Called whenever the tables changed, and about once in a sync interval.
    pub fn balance_memory(&self) {
        let cache = self.tables.cache();
        let stats = cache.stats();
        let blocks = stats.alive_bytes.saturating_sub(stats.cached_bytes);
        let families = self.families();
        let blobs = families.iter().map(|family| family.pin().version.blobs().memory_bytes());
        let held = blocks + self.blobs.counts().held_bytes() + blobs.sum::<u64>();
        // However much is held, a little cache keeps reads from going to the file each time.
        let share = self.options().cache_bytes;
        cache.set_capacity_bytes(share.saturating_sub(held).max(share / 8));
    }

    /// Removes tables and blob files that nothing refers to any more. What cannot be removed is tried
    /// again with the next call, and when the store is opened.
    pub fn purge(&self) -> Result<()> {
        let mut result = Ok(());
        for kind in self.purgatory.take() {
            if let Err(error) = self.removing(kind, || self.tables.remove(kind))
                && !error.is_not_found()
            {
                self.purgatory.put_back(kind);
                result = Err(error);
            }
        }
        result
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "store_tests.rs"]
mod tests;
