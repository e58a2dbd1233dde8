//! Runs a history against a store and the oracle side by side.

use super::cursors::Roaming;
use super::feed::FeedReader;
use super::place::{Place, SYNC_INTERVAL_MS};
use super::prepared::{Kept, Verdict};
use super::reached::Reached;
use super::span::compact_span;
use crate::history::{Change, Operation, Span, What, print, value};
use crate::oracle::{
    Contract, Dump, FamilyId, Loss, Oracle, Outcome, PREPARED_NAME, State, Unreadable, Version,
};
use esker::base::sync::Mutex;
use esker::batch::FamilyRef;
use esker::fs::SimFs;
use esker::fs::sim::Image;
use esker::{ColumnFamily, Db, Durability, Error, Follower, Snapshot, WriteBatch};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A store, what it was asked for, and what must therefore be in it.
pub struct Session {
    pub(super) place: Place,
    pub(super) oracle: Arc<Mutex<Oracle>>,
    pub(super) db: Option<Db>,
    pub(super) families: BTreeMap<String, ColumnFamily>,
    dropped: Vec<ColumnFamily>,
    pub(super) snapshots: BTreeMap<u32, Held>,
    /// The transactions that are prepared.
    pub(super) kept: BTreeMap<u32, Kept>,
    /// All that ever were, or were to be, by name, each with its number.
    pub(super) ever_prepared: BTreeMap<String, (u32, Kept)>,
    /// Cursors that live across operations.
    pub(super) cursors: BTreeMap<u32, Roaming>,
    /// Who follows the store.
    pub(super) follower: Option<Follower>,
    /// Who reads the changes of the store.
    pub(super) feed: RefCell<Option<FeedReader>>,
    /// Whether errors of the disk are to be expected.
    pub(super) faulty: bool,
    /// How many errors were put down to the disk.
    pub(super) tolerated: Cell<u64>,
    /// Called with each disk that the store comes to live on.
    pub(super) on_disk: Option<OnDisk>,
    /// What the store came to do.
    pub(super) reached: Reached,
    /// Callbacks that were asked for and have not been heard of, by the last commit before each.
    pub(super) asked: Vec<u32>,
    /// How many copies of the store were made.
    pub(super) copies: u64,
    /// The backups that there must be, and what each holds.
    pub(super) backups: BTreeMap<u64, Dump>,
    /// What callbacks have been told.
    heard: Arc<Mutex<Vec<(u32, bool)>>>,
}

/// In place of a commit's number: none will become durable.
const NEVER: u32 = u32::MAX;

/// A change as the oracle is told of it.
pub(super) type Told = (FamilyId, Vec<u8>, Version);

/// What is to be done with a new disk.
pub(super) type OnDisk = Box<dyn FnMut(&SimFs)>;

/// A snapshot with what it must show.
pub(super) struct Held {
    pub(super) snapshot: Snapshot,
    pub(super) state: State,
    pub(super) now_ms: u64,
    /// The families that there were.
    pub(super) families: BTreeMap<String, FamilyId>,
}

/// Runs a whole history in a place; an error says what went wrong, with the operation. Also returns what was
/// in the store in the end.
///
/// # Errors
/// The first difference between store and oracle.
pub fn run(place: Place, history: &[Operation]) -> Result<(Reached, Dump), String> {
    let mut session = Session::new(place);
    session.start()?;
    for (at, operation) in history.iter().enumerate() {
        session.step(operation).map_err(|why| format!("{}: {why}", named(at, operation)))?;
    }
    let dump = Dump::read(session.db()).map_err(|why| format!("at the end: {why}"))?;
    session.finish().map_err(|why| format!("at the end: {why}"))?;
    Ok((session.reached, dump))
}

/// Runs a history on a simulated disk, and gives what stands on the disk after each operation, as a number.
///
/// # Errors
/// As [`run`].
pub fn digests(place: Place, history: &[Operation]) -> Result<Vec<u64>, String> {
    let mut session = Session::new(place);
    session.start()?;
    let mut digests = Vec::new();
    for (at, operation) in history.iter().enumerate() {
        session.step(operation).map_err(|why| format!("{}: {why}", named(at, operation)))?;
        digests.extend(session.place.disk.as_ref().map(SimFs::digest));
    }
    session.finish()?;
    digests.extend(session.place.disk.as_ref().map(SimFs::digest));
    Ok(digests)
}

/// An operation with its place in the history.
pub(super) fn named(at: usize, operation: &Operation) -> String {
    format!("operation {}, {}", at + 1, print(std::slice::from_ref(operation)).trim_end())
}

impl Session {
    /// A store that does not exist yet.
    #[must_use]
    pub fn new(place: Place) -> Session {
        let oracle = Oracle::new(Contract::read(), place.wall_ms(), SYNC_INTERVAL_MS);
        Session {
            place,
            oracle: Arc::new(Mutex::new(oracle)),
            db: None,
            families: BTreeMap::new(),
            dropped: Vec::new(),
            snapshots: BTreeMap::new(),
            kept: BTreeMap::new(),
            ever_prepared: BTreeMap::new(),
            cursors: BTreeMap::new(),
            follower: None,
            feed: RefCell::default(),
            faulty: false,
            tolerated: Cell::new(0),
            on_disk: None,
            reached: Reached::default(),
            asked: Vec::new(),
            copies: 0,
            backups: BTreeMap::new(),
            heard: Arc::default(),
        }
    }

    /// Opens the store for the first time.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn start(&mut self) -> Result<(), String> {
        if let (Some(disk), Some(on_disk)) = (&self.place.disk, &mut self.on_disk) {
            on_disk(disk);
        }
        self.open(Loss::Power)
    }

    /// Whether the store is open: under a lasting fault it may not be.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.db.is_some()
    }

    /// The store; it must be open.
    pub(super) fn db(&self) -> &Db {
        self.db.as_ref().expect("the store is open")
    }

    fn open(&mut self, loss: Loss) -> Result<(), String> {
        let db = match self.place.open() {
            Ok(db) => db,
            Err(error) if self.faulty && is_of_the_disk(&error) => return Ok(()),
            Err(error) => return Err(format!("cannot open: {error}")),
        };
        // Before any read: those give background work its turns.
        self.audit().map_err(|why| format!("what opening left on the disk: {why}"))?;
        let found = match Dump::read(&db) {
            Ok(found) => found,
            Err(Unreadable::Error(error)) if self.faulty && is_of_the_disk(&error) => return Ok(()),
            Err(why) => return Err(format!("cannot read what was recovered: {why}")),
        };
        self.check_never_dropped(&db)?;
        self.oracle.lock().recovered(&found, loss)?;
        let own = |name: &&String| *name != "default" && *name != PREPARED_NAME;
        for name in found.families.keys().filter(own) {
            let family = db.open_column_family(name).map_err(|e| format!("cannot open {name}: {e}"))?;
            self.families.insert(name.clone(), family);
        }
        self.families.insert("default".into(), db.default_family());
        self.db = Some(db);
        self.keep_what_survived();
        self.feed_again().map_err(|why| format!("reading changes: {why}"))
    }

    /// Whether no failed sync has made the store read-only.
    pub(super) fn is_writable(&self) -> bool {
        !self.faulty || self.db().health().poisoned.is_none()
    }

    pub(super) fn let_go(&mut self) -> Option<Db> {
        if let Some(db) = &self.db {
            self.reached.note(&db.stats());
        }
        self.note_shown();
        self.families.clear();
        self.let_go_of_what_holds();
        self.db.take()
    }

    /// What holds blocks, tables and versions.
    pub(super) fn let_go_of_what_holds(&mut self) {
        self.dropped.clear();
        self.snapshots.clear();
        self.cursors.clear();
        self.follower = None;
    }

    /// Carries one operation out.
    ///
    /// # Errors
    /// What the store does that it must not.
    pub fn step(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::Write { changes, durability } => self.write(changes, *durability)?,
            Operation::Transaction { kind, changes, meddle, durability } => {
                self.transaction(*kind, changes, meddle, *durability)?;
            }
            Operation::Prepare { slot, kind, changes, durability } => {
                self.prepare(*slot, *kind, changes, *durability)?;
            }
            Operation::CommitPrepared { slot, durability } => self.resolve(*slot, Some(*durability))?,
            Operation::RollbackPrepared(slot) => self.resolve(*slot, None)?,
            Operation::If { condition, changes, durability } => {
                self.write_if(condition, changes, *durability)?;
            }
            Operation::Expire { family, key, ttl_ms } => self.expire(family, key, *ttl_ms)?,
            Operation::Ingest { changes, move_files } => self.ingest(changes, *move_files)?,
            Operation::Sync => self.sync()?,
            Operation::Flush => {
                let result = self.db().flush();
                self.after(result, Oracle::flushed)?;
            }
            Operation::Compact => {
                let result = self.db().compact();
                self.after(result, Oracle::flushed)?;
            }
            Operation::CompactRange { family, span } => self.compact_range(family, span)?,
            Operation::Tick(turns) => self.tick(*turns)?,
            Operation::Advance(ms) => {
                self.place.clock.advance(Duration::from_millis(*ms));
                self.oracle.lock().advance(*ms);
            }
            Operation::Clock(by_ms) => {
                let wall_ms = self.place.wall_ms().saturating_add_signed(*by_ms);
                self.place.clock.set_wall_ms(wall_ms);
                self.oracle.lock().wall_set(wall_ms);
                self.check_clock()?;
            }
            Operation::Options(number) => self.place.next_options = *number,
            Operation::Adjust(number) => self.adjust(*number)?,
            Operation::OnDurable => self.on_durable(),
            Operation::Create(name) => self.create(name)?,
            Operation::Drop(name) => self.drop_family(name)?,
            Operation::Snapshot(slot) => self.snapshot(*slot),
            Operation::Release(slot) => drop(self.snapshots.remove(slot)),
            Operation::Get { at, family, key } => self.get(*at, family, key)?,
            Operation::MultiGet { at, family, keys } => self.multi_get(*at, family, keys)?,
            Operation::Scan { at, family, span, step } => self.scan(*at, family, span, *step)?,
            Operation::Cursor { slot, at, family, span } => self.make_cursor(*slot, *at, family, span)?,
            Operation::Move { slot, to } => self.move_cursor(*slot, to)?,
            Operation::LetGo(slot) => drop(self.cursors.remove(slot)),
            Operation::Families => self.list_families()?,
            Operation::Verify => self.verify()?,
            Operation::Checkpoint => self.checkpoint()?,
            Operation::Look => self.look()?,
            Operation::Backup => self.backup()?,
            Operation::Reopen => self.reopen()?,
            Operation::Kill => self.kill()?,
            Operation::PowerLoss { image, seed } => self.power_loss(*image, *seed)?,
        }
        if let Some(db) = &self.db {
            let durable = db.durable_seq();
            self.oracle.lock().durable_up_to(durable);
            if let Operation::Tick(_) | Operation::Flush | Operation::CompactRange { .. } = operation {
                self.reached.note_levels(&db.stats());
            }
        }
        if let Operation::Sync | Operation::Flush | Operation::Look = operation {
            self.read_feed().map_err(|why| format!("reading changes: {why}"))?;
        }
        self.hear()?;
        self.check_clock()
    }

    /// Asks for a callback once everything published so far is durable.
    fn on_durable(&mut self) {
        let (db, heard) = (self.db().clone(), self.heard.clone());
        // Of a store that is read-only nothing more becomes durable, and it must say so.
        let lost = !self.is_writable();
        let number = if lost { NEVER } else { self.oracle.lock().next_commit() - 1 };
        self.asked.push(number);
        let callback = move |result: esker::Result<()>| heard.lock().push((number, result.is_ok()));
        // Numbers that refused writes have used up may count as durable: nobody has them.
        let seq = if lost { db.visible_seq().max(db.durable_seq()) + 1 } else { db.visible_seq() };
        db.on_durable(seq, callback);
    }

    /// Takes in what callbacks were told.
    pub(super) fn hear(&mut self) -> Result<(), String> {
        for (number, durable) in std::mem::take(&mut *self.heard.lock()) {
            let at = self.asked.iter().position(|asked| *asked == number);
            self.asked.remove(at.ok_or("a callback was called twice")?);
            match durable {
                true if number == NEVER => return Err("a read-only store says that more is durable".into()),
                true => self.oracle.lock().synced_up_to(number),
                false if self.faulty => {}
                false => return Err(format!("what was committed up to {number} will not become durable")),
            }
        }
        Ok(())
    }

    /// The store's own time goes with the wall clock, but never back.
    pub(super) fn check_clock(&self) -> Result<(), String> {
        let Some(db) = &self.db else { return Ok(()) };
        let (found, expected) = (db.now_ms(), self.oracle.lock().now_ms());
        if found == expected { Ok(()) } else { Err(format!("the clock shows {found}, not {expected}")) }
    }

    /// Tells the oracle of a success; an error counts as a failure unless the disk is faulty.
    pub(super) fn after(
        &self,
        result: esker::Result<()>,
        told: impl FnOnce(&mut Oracle),
    ) -> Result<(), String> {
        match result {
            Ok(()) => told(&mut self.oracle.lock()),
            Err(error) => self.tolerate(&error)?,
        }
        Ok(())
    }

    pub(super) fn tolerate(&self, error: &Error) -> Result<(), String> {
        if !self.faulty || !is_of_the_disk(error) {
            return Err(error.to_string());
        }
        self.tolerated.set(self.tolerated.get() + 1);
        Ok(())
    }

    pub(super) fn write(&self, changes: &[Change], durability: Durability) -> Result<(), String> {
        let db = self.db();
        if changes.iter().any(Change::is_out_of_range) {
            return self.write_out_of_range(changes, durability);
        }
        match self.standing(changes) {
            Verdict::Free => {}
            Verdict::Held => return self.write_held(changes, durability),
            Verdict::Unknown => return Ok(()),
        }
        let number = self.oracle.lock().next_commit();
        let (batch, versions) = self.batch_of(changes, number);
        if batch.is_empty() {
            return Ok(());
        }
        self.committing(durability, versions, || match changes {
            [only] if durability == self.place.option_set().default_durability() => {
                self.write_alone(only, number)
            }
            _ if number.is_multiple_of(3) => db.commit(batch, durability).and_then(|ticket| {
                if durability == Durability::Sync { db.wait_durable(ticket.seq()) } else { Ok(()) }
            }),
            _ => db.write(batch, durability),
        })
    }

    /// Tells the oracle of a commit before and after it is made.
    pub(super) fn committing(
        &self,
        durability: Durability,
        told: Vec<Told>,
        commit: impl FnOnce() -> esker::Result<()>,
    ) -> Result<(), String> {
        let before = self.db().visible_seq();
        let due = self.due(durability, &told);
        let number = self.oracle.lock().begin_write(durability, told);
        let result = commit();
        let visible = self.db().visible_seq();
        let outcome = match &result {
            // A store that was made read-only behind the write shows less than was published.
            Ok(()) => Outcome::Done { seq: self.is_writable().then_some(visible) },
            Err(_) if visible > before => Outcome::Published,
            Err(_) => Outcome::Refused,
        };
        self.oracle.lock().end_write(number, outcome);
        if let (Outcome::Done { seq: Some(seq) }, true) = (outcome, visible > before) {
            self.is_due(due, seq);
        }
        result.or_else(|error| self.tolerate(&error).map_err(|why| format!("the write failed: {why}")))
    }

    /// A batch of which one change is out of range must be refused, and nothing of it must happen.
    fn write_out_of_range(&self, changes: &[Change], durability: Durability) -> Result<(), String> {
        let here = |change: &&Change| self.families.contains_key(&change.family);
        if !changes.iter().filter(here).any(Change::is_out_of_range) {
            return Ok(());
        }
        let (db, before) = (self.db(), self.db().visible_seq());
        let mut batch = WriteBatch::new();
        for change in changes.iter().filter(here) {
            batch.put(&self.families[&change.family], &change.key, b"never");
        }
        match db.write(batch, durability) {
            Err(Error::KeyTooLarge { .. }) if db.visible_seq() == before => Ok(()),
            Err(error) if self.faulty => self.tolerate(&error),
            other => Err(format!("a key that is too long gives {other:?}")),
        }
    }

    /// One change through the methods that take no batch.
    fn write_alone(&self, change: &Change, number: u32) -> esker::Result<()> {
        let family = &self.families[&change.family];
        match &change.what {
            What::Put { bytes } => family.put(&change.key, value(number, 0, *bytes)),
            What::PutTtl { bytes, ttl_ms } => {
                family.put_with_ttl(&change.key, value(number, 0, *bytes), Duration::from_millis(*ttl_ms))
            }
            What::Merge { bytes, ttl_ms: 0 } => family.merge(&change.key, value(number, 0, *bytes)),
            What::Merge { bytes, ttl_ms } => {
                family.merge_with_ttl(&change.key, value(number, 0, *bytes), Duration::from_millis(*ttl_ms))
            }
            What::Delete => family.delete(&change.key),
            What::DeleteRange(Span::All) => family.delete_range::<&[u8], _>(..),
            What::DeleteRange(Span::Prefix(prefix)) => family.delete_prefix(prefix),
            What::DeleteRange(Span::Range(from, to)) => family.delete_range((from.clone(), to.clone())),
            What::DropRange(Span::All) => family.drop_range::<&[u8], _>(..),
            What::DropRange(Span::Prefix(prefix)) => family.drop_prefix(prefix),
            What::DropRange(Span::Range(from, to)) => family.drop_range((from.clone(), to.clone())),
        }
    }

    fn compact_range(&self, family: &str, span: &Span) -> Result<(), String> {
        let Some(handle) = self.families.get(family) else { return Ok(()) };
        self.after(compact_span(handle, span), Oracle::flushed)
    }

    fn create(&mut self, name: &str) -> Result<(), String> {
        let options = self.place.option_set().family(name);
        if self.families.contains_key(name) {
            return match self.db().create_column_family(name, options) {
                Err(Error::FamilyExists { .. }) => Ok(()),
                Err(error) => self.tolerate(&error),
                Ok(_) => Err("a family was created twice".into()),
            };
        }
        if !self.is_writable() {
            return must_be_refused(self.db().create_column_family(name, options).map(drop));
        }
        self.oracle.lock().begin_create(name);
        match self.db().create_column_family(name, options) {
            Ok(family) => {
                self.oracle.lock().end_family(name, true);
                self.families.insert(name.into(), family);
                Ok(())
            }
            Err(error) => {
                // Unless the store gives up, what failed has not happened.
                if self.is_writable() {
                    self.oracle.lock().end_family(name, false);
                }
                self.tolerate(&error)
            }
        }
    }

    fn drop_family(&mut self, name: &str) -> Result<(), String> {
        if !self.is_writable() && self.families.contains_key(name) {
            return must_be_refused(self.db().drop_column_family(name));
        }
        if self.families.contains_key(name) && self.is_concerned(std::iter::once(name)) {
            return self.drop_needed(name);
        }
        let Some(family) = self.families.remove(name) else {
            return match self.db().drop_column_family(name) {
                Err(Error::NoSuchFamily { .. }) => Ok(()),
                Err(error) => self.tolerate(&error),
                Ok(()) if self.faulty => Ok(()),
                Ok(()) => Err("a family was dropped that does not exist".into()),
            };
        };
        self.oracle.lock().begin_drop(name);
        match self.db().drop_column_family(name) {
            Ok(()) => {
                self.oracle.lock().end_family(name, false);
                self.dropped.push(family);
                Ok(())
            }
            Err(error) => {
                if self.is_writable() {
                    self.oracle.lock().end_family(name, true);
                    self.families.insert(name.into(), family);
                }
                self.tolerate(&error)
            }
        }
    }

    fn snapshot(&mut self, slot: u32) {
        let snapshot = self.db().snapshot();
        let oracle = self.oracle.lock();
        let named = |name: &String| Some((name.clone(), oracle.family(name)?));
        let families = self.families.keys().filter_map(named).collect();
        let (state, now_ms) = (oracle.visible().clone(), oracle.now_ms());
        drop(oracle);
        self.snapshots.insert(slot, Held { snapshot, state, now_ms, families });
    }

    fn list_families(&self) -> Result<(), String> {
        let (mut found, mut expected) = (self.db().column_families(), self.oracle.lock().family_names());
        found.sort();
        expected.sort();
        if found != expected && !self.faulty {
            return Err(format!("families {found:?} instead of {expected:?}"));
        }
        for family in &self.dropped {
            let answers = [family.get(b"k").map(drop), family.put(b"k", b"v"), family.iter().map(drop)];
            let wrong = answers.iter().find(|a| !matches!(a, Err(Error::FamilyDropped { .. })));
            if let (Some(answer), false) = (wrong, self.faulty) {
                return Err(format!("the dropped family {} answers {answer:?}", family.name()));
            }
        }
        Ok(())
    }

    fn verify(&self) -> Result<(), String> {
        match self.db().verify() {
            Ok(report) if report.problems.is_empty() => Ok(()),
            Ok(report) if self.faulty => report.problems.iter().try_for_each(|e| self.tolerate(e)),
            Ok(report) => Err(format!("verify finds {:?}", report.problems)),
            Err(error) => self.tolerate(&error),
        }
    }

    fn reopen(&mut self) -> Result<(), String> {
        let Some(db) = self.let_go() else { return self.open(Loss::Kill) };
        self.close(db)?;
        self.open(Loss::Kill)
    }

    /// Goes on with another disk.
    pub(super) fn move_to(&mut self, disk: SimFs, loss: Loss) -> Result<(), String> {
        if loss == Loss::Power {
            self.feed_loses();
        }
        // The old disk is off: closing does nothing to it.
        drop(self.let_go());
        self.asked.clear();
        self.heard = Arc::default();
        self.check_descriptors()?;
        if loss == Loss::Power {
            self.oracle.lock().power_lost();
        }
        if let Some(on_disk) = &mut self.on_disk {
            on_disk(&disk);
        }
        self.place.disk = Some(disk);
        self.open(loss)
    }

    fn kill(&mut self) -> Result<(), String> {
        match &self.place.disk {
            Some(disk) => self.move_to(disk.kill_image(), Loss::Kill),
            None => self.reopen(),
        }
    }

    fn power_loss(&mut self, image: Image, seed: u64) -> Result<(), String> {
        let Some(disk) = self.place.disk.clone() else { return self.reopen() };
        disk.power_off();
        self.move_to(disk.image(image, seed), Loss::Power)
    }
}

/// What a store that is read-only must answer to a change.
pub(super) fn must_be_refused(answer: esker::Result<()>) -> Result<(), String> {
    match answer {
        Err(Error::Poisoned { .. }) => Ok(()),
        other => Err(format!("a change of a read-only store gives {other:?}")),
    }
}

/// Whether an error is one that a faulty disk explains.
pub(super) fn is_of_the_disk(error: &Error) -> bool {
    matches!(error, Error::Io(_) | Error::DiskFull(_) | Error::Poisoned { .. })
}
