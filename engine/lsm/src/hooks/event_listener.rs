//! Hearing of what happens in a store.

use super::events::{
    BackgroundError, BackgroundErrorEnded, BackupEnded, BecameReadOnly, CheckpointEnded, Closed,
    CompactionBegun, CompactionEnded, Event, EventsDropped, FamilyCreated, FamilyDropped, FileCreated,
    FileRemoved, FlushBegun, FlushEnded, IngestEnded, MemtableSealed, StallChanged,
};

/// Hears of what happens in a store, for logs, metrics and tests. Given to
/// [`Builder::listener`](crate::Builder::listener); each method does nothing unless you write it.
///
/// # When it is called
/// Events are put into a queue where they happen, and told from there, one at a time and in the order in
/// which they happened, to each listener in the order in which they were given. A thread of the store's own
/// does that, and nothing else: most events happen under a lock, where a listener could hold up every writer,
/// or wait for itself, and callbacks ([`Db::on_durable`](crate::Db::on_durable)) are not to wait for a
/// listener. So an event may be told a little after it has happened; its `at_ms` says when that was. In a
/// [deterministic](crate::Builder::deterministic) store events are told by the thread that uses it, before
/// and after its operations. What is left when the store is closed is told before `close` returns.
///
/// The queue holds 4096 events. What happens while it is full is not told; in its place stands
/// [`EventsDropped`] with the number; [`Health::dropped_events`](crate::Health::dropped_events) adds them up.
///
/// # What it may do
/// Anything, reading from the store and writing to it included: no lock is held. It should be quick, or
/// events are dropped; nothing else waits for it but a close. A panic is caught and counted
/// ([`Health::panicked_listeners`](crate::Health::panicked_listeners)).
///
/// A listener that keeps a handle of the store keeps it open: then it ends by [`Db::close`](crate::Db::close)
/// alone.
///
/// # What is not told
/// What opening the store does: the tables that it makes from the log and the files that it removes. That is
/// what [`Db::recovery`](crate::Db::recovery) is about.
///
/// ```
/// use esker::hooks::{EventListener, FlushEnded};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Flushed(AtomicU64);
///
/// impl EventListener for Flushed {
///     fn flush_ended(&self, event: &FlushEnded) {
///         self.0.fetch_add(event.bytes(), Ordering::Relaxed);
///     }
/// }
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("data");
/// let flushed = Arc::new(Flushed::default());
/// let db = esker::Db::builder(path).listener(flushed.clone()).open()?;
/// db.put(b"k", b"v")?;
/// db.flush()?;
/// db.close()?;
/// assert!(flushed.0.load(Ordering::Relaxed) > 0);
/// # Ok(()) }
/// ```
pub trait EventListener: Send + Sync + 'static {
    /// Called for every event. Unless you write it, it calls the method below that is named like the event.
    fn event(&self, event: &Event) {
        match event {
            Event::MemtableSealed(event) => self.memtable_sealed(event),
            Event::FlushBegun(event) => self.flush_begun(event),
            Event::FlushEnded(event) => self.flush_ended(event),
            Event::CompactionBegun(event) => self.compaction_begun(event),
            Event::CompactionEnded(event) => self.compaction_ended(event),
            Event::StallChanged(event) => self.stall_changed(event),
            Event::BackgroundError(event) => self.background_error(event),
            Event::BackgroundErrorEnded(event) => self.background_error_ended(event),
            Event::FileCreated(event) => self.file_created(event),
            Event::FileRemoved(event) => self.file_removed(event),
            Event::FamilyCreated(event) => self.family_created(event),
            Event::FamilyDropped(event) => self.family_dropped(event),
            Event::CheckpointEnded(event) => self.checkpoint_ended(event),
            Event::BackupEnded(event) => self.backup_ended(event),
            Event::IngestEnded(event) => self.ingest_ended(event),
            Event::BecameReadOnly(event) => self.became_read_only(event),
            Event::Closed(event) => self.closed(event),
            Event::EventsDropped(event) => self.events_dropped(event),
        }
    }

    /// A memtable was closed.
    fn memtable_sealed(&self, _event: &MemtableSealed) {}
    /// A flush begins.
    fn flush_begun(&self, _event: &FlushBegun) {}
    /// A flush has ended.
    fn flush_ended(&self, _event: &FlushEnded) {}
    /// A compaction begins.
    fn compaction_begun(&self, _event: &CompactionBegun) {}
    /// A compaction has ended.
    fn compaction_ended(&self, _event: &CompactionEnded) {}
    /// Writers must do something else than before.
    fn stall_changed(&self, _event: &StallChanged) {}
    /// A kind of background work fails.
    fn background_error(&self, _event: &BackgroundError) {}
    /// That kind of background work succeeds again.
    fn background_error_ended(&self, _event: &BackgroundErrorEnded) {}
    /// A file was created.
    fn file_created(&self, _event: &FileCreated) {}
    /// A file was removed.
    fn file_removed(&self, _event: &FileRemoved) {}
    /// A column family was created.
    fn family_created(&self, _event: &FamilyCreated) {}
    /// A column family was dropped.
    fn family_dropped(&self, _event: &FamilyDropped) {}
    /// A checkpoint has ended.
    fn checkpoint_ended(&self, _event: &CheckpointEnded) {}
    /// A backup has ended.
    fn backup_ended(&self, _event: &BackupEnded) {}
    /// An ingest has ended.
    fn ingest_ended(&self, _event: &IngestEnded) {}
    /// The store has become read-only.
    fn became_read_only(&self, _event: &BecameReadOnly) {}
    /// The store was closed.
    fn closed(&self, _event: &Closed) {}
    /// Events that would stand here are missing.
    fn events_dropped(&self, _event: &EventsDropped) {}
}
