//! Listeners: what they are told, in which order, and what they may do.

use crate::store::{START_MS, small};
use esker::base::clock::ManualClock;
use esker::base::filename::FileKind;
use esker::fs::sim::{Fault, OperationKind};
use esker::fs::{Fs, SimFs};
use esker::hooks::{
    BackgroundJob, CompactionWay, Event, EventListener, FlushEnded, SealReason, Stall, StallReason, TableInfo,
};
use esker::{Db, Durability, Error, Result, WriteBatch};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};

/// Keeps all that it is told.
#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl EventListener for Heard {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Heard {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A word for each event.
fn word(event: &Event) -> String {
    match event {
        Event::MemtableSealed(e) => format!("sealed {} {:?}", e.family, e.reason),
        Event::FlushBegun(e) => format!("flush {} {:?}", e.family, e.reason),
        Event::FlushEnded(e) => format!("flushed {} {:?} {}", e.family, e.reason, e.tables.len()),
        Event::CompactionBegun(e) => format!("compaction {} {:?} {:?}", e.family, e.reason, e.way),
        Event::CompactionEnded(e) => format!("compacted {} {:?} {:?}", e.family, e.reason, e.way),
        Event::FileCreated(e) => format!("+{}", kind(e.file)),
        Event::FileRemoved(e) => format!("-{}", kind(e.file)),
        Event::FamilyCreated(e) => format!("created {}", e.family),
        Event::FamilyDropped(e) => format!("dropped {}", e.family),
        Event::Closed(e) => format!("closed {}", e.error.is_none()),
        other => format!("{other:?}"),
    }
}

fn kind(file: FileKind) -> &'static str {
    match file {
        FileKind::Table(_) => "table",
        FileKind::Wal(_) => "log",
        FileKind::Manifest(_) => "manifest",
        _ => "other",
    }
}

fn words(heard: &Heard) -> Vec<String> {
    heard.take().iter().map(word).collect()
}

fn turns(db: &Db) {
    for _ in 0..200 {
        // Refused by a store that is read-only, which works all the same.
        let _ = db.write(WriteBatch::new(), Durability::Os);
    }
}

#[test]
fn a_flush_a_compaction_and_a_close_are_told_in_order() -> Result<()> {
    let (sim, clock, heard) = (SimFs::new(), ManualClock::new(START_MS), Arc::new(Heard::default()));
    let db = small(&sim, &clock).listener(heard.clone()).open()?;
    assert_eq!(words(&heard), [""; 0], "what opening does is not told");
    let other = db.column_family("other")?;
    db.put("k", "v")?;
    other.put("k", "v")?;
    db.flush()?;
    let expected = [
        "created other",
        "sealed default Asked",
        "sealed other Asked",
        "flush default Asked",
        "flush other Asked",
        "+table",
        "+table",
        "flushed default Asked 1",
        "flushed other Asked 1",
    ];
    assert_eq!(words(&heard), expected);
    db.put("k", "w")?;
    db.compact()?;
    turns(&db);
    let told = words(&heard);
    let merged = ["compaction default Manual Merged", "+table", "compacted default Manual Merged", "-table"];
    let from = told.iter().position(|word| word == merged[0]).unwrap();
    assert_eq!(&told[from..from + 4], merged, "{told:?}");
    db.drop_column_family("other")?;
    turns(&db);
    db.close()?;
    let told = words(&heard);
    assert_eq!(told.first().map(String::as_str), Some("dropped other"), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("closed true"), "{told:?}");
    Ok(())
}

#[test]
fn events_say_how_much_and_when() -> Result<()> {
    let (sim, clock, heard) = (SimFs::new(), ManualClock::new(START_MS), Arc::new(Heard::default()));
    let db = small(&sim, &clock).listener(heard.clone()).open()?;
    for i in 0..100 {
        db.put(format!("{i:03}"), [7; 1000])?;
    }
    db.flush()?;
    db.compact()?;
    let stats = db.stats();
    let heard = heard.take();
    assert!(heard.iter().any(|e| matches!(e, Event::MemtableSealed(e) if e.reason == SealReason::Full)));
    let (mut flushed, mut began, mut ended, mut written) = (0, 0, 0, 0);
    for event in &heard {
        match event {
            Event::FlushBegun(e) => {
                assert!(e.at_ms == START_MS && e.bytes > 0);
                began += e.entries;
            }
            Event::FlushEnded(e) => {
                assert!(e.error.is_none());
                (ended, flushed) = (ended + e.entries(), flushed + e.bytes());
            }
            Event::CompactionEnded(e) if e.way == CompactionWay::Merged => {
                let bytes = |tables: &[TableInfo]| tables.iter().map(|table| table.bytes).sum::<u64>();
                assert!(bytes(&e.inputs) > 0 && e.error.is_none());
                written += bytes(&e.outputs);
            }
            _ => {}
        }
    }
    assert_eq!((began, ended, flushed), (100, 100, stats.flushed_bytes));
    assert_eq!(written, stats.compacted_bytes_out);
    db.close()
}

/// The files that there were, and those that events told of, are the files that there are.
#[test]
fn every_file_that_comes_and_goes_is_told() -> Result<()> {
    let (sim, clock, heard) = (SimFs::new(), ManualClock::new(START_MS), Arc::new(Heard::default()));
    let builder =
        small(&sim, &clock).wal_segment_bytes(64 << 10).target_file_bytes(32 << 10).manifest_bytes(4096);
    let db = builder.listener(heard.clone()).open()?;
    let names = || {
        let paths = sim.paths();
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str().map(String::from));
        let told =
            |name: &String| name.ends_with(".sst") || name.ends_with(".log") || name.starts_with("MANI");
        names.filter(told).collect::<BTreeSet<_>>()
    };
    let mut files = names();
    for round in 0..4u32 {
        for i in 0..3_000u32 {
            db.put((i.wrapping_mul(2_654_435_761) % 5_000).to_be_bytes(), [round as u8; 100])?;
        }
        db.compact()?;
    }
    turns(&db);
    let mut removed = BTreeSet::new();
    for event in heard.take() {
        match event {
            Event::FileCreated(e) => {
                assert!(e.bytes > 0 && files.insert(e.file.name()), "{e:?}");
            }
            Event::FileRemoved(e) => {
                assert!(e.bytes > 0 && files.remove(&e.file.name()), "{e:?}");
                removed.insert(kind(e.file));
            }
            _ => {}
        }
    }
    assert_eq!(files, names());
    assert_eq!(removed.into_iter().collect::<Vec<_>>(), ["log", "manifest", "table"]);
    db.close()
}

#[test]
fn each_stall_begins_where_the_one_before_ended() -> Result<()> {
    let (sim, heard) = (SimFs::new(), Arc::new(Heard::default()));
    // Each memtable is a table of level 0 before compactions get a turn.
    let db = Db::builder("/db")
        .fs(Fs::Sim(sim))
        .deterministic(3)
        .memory_budget(1 << 20)
        .memtable_bytes(4 << 10)
        .default_durability(Durability::Os)
        .listener(heard.clone())
        .open()?;
    for i in 0..200u32 {
        let mut batch = WriteBatch::new();
        (0..50).for_each(|j| _ = batch.put(&db, (i * 50 + j).to_be_bytes(), [1; 100]));
        db.write(batch, Durability::Os)?;
    }
    db.flush()?;
    turns(&db);
    let mut now = Stall::None;
    let mut stalls = 0;
    for event in heard.take() {
        let Event::StallChanged(event) = event else { continue };
        let same_kind = std::mem::discriminant(&event.old) == std::mem::discriminant(&now);
        assert!(same_kind && event.old != event.new, "{event:?}");
        assert_eq!(event.new == Stall::None, event.reason == StallReason::Nothing, "{event:?}");
        now = event.new;
        stalls += 1;
    }
    assert!(stalls > 0 && stalls % 2 == 0 && now == Stall::None, "{stalls} {now:?}");
    db.close()
}

#[test]
fn a_failure_in_the_background_is_told_once_and_so_is_its_end() -> Result<()> {
    let (sim, clock, heard) = (SimFs::new(), ManualClock::new(START_MS), Arc::new(Heard::default()));
    let db = small(&sim, &clock).listener(heard.clone()).open()?;
    db.put("k", "v")?;
    sim.set_fault(Box::new(|op| {
        let table = op.path.extension().is_some_and(|extension| extension == "sst");
        (table && op.kind == OperationKind::Write).then_some(Fault::EIO)
    }));
    assert!(db.flush().is_err());
    turns(&db);
    sim.clear_fault();
    db.flush()?;
    turns(&db);
    let told = heard.take();
    let failures: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            Event::BackgroundError(e) => Some((e.job, e.error.to_string(), true)),
            Event::BackgroundErrorEnded(e) => Some((e.job, e.error.to_string(), false)),
            _ => None,
        })
        .collect();
    let [(BackgroundJob::Flush, ..), (BackgroundJob::Flush, ..)] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert!(failures[0].2 && !failures[1].2);
    let ended = |failed| move |e: &&Event| matches!(e, Event::FlushEnded(e) if e.error.is_some() == failed);
    assert!(told.iter().filter(ended(true)).count() > 1 && told.iter().filter(ended(false)).count() == 1);
    db.close()
}

#[test]
fn that_a_store_became_read_only_is_told_once() -> Result<()> {
    let (sim, clock, heard) = (SimFs::new(), ManualClock::new(START_MS), Arc::new(Heard::default()));
    let db = small(&sim, &clock).listener(heard.clone()).open()?;
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Sync).then_some(Fault::EIO)));
    db.put("k", "v")?;
    assert!(db.sync().is_err() && db.sync().is_err());
    turns(&db);
    assert!(db.close().is_err());
    let told = heard.take();
    let whys: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            Event::BecameReadOnly(event) => Some(event.why.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(whys.len(), 1, "{told:?}");
    assert!(matches!(told.last(), Some(Event::Closed(closed)) if closed.error.is_some()), "{told:?}");
    Ok(())
}

/// Uses the store that it listens to.
#[derive(Default)]
struct Uses {
    db: OnceLock<Db>,
    flushes: Mutex<Vec<(u64, usize)>>,
    /// It has met something else than it should.
    failed: AtomicBool,
}

impl EventListener for Uses {
    fn flush_ended(&self, _: &FlushEnded) {
        let Some(db) = self.db.get() else { return };
        let stats = db.stats();
        match db.put("flushes", stats.flushes.to_le_bytes()) {
            // The flush was that of the close.
            Err(Error::Closed) => return,
            put => _ = self.failed.fetch_or(put.is_err(), Ordering::Relaxed),
        }
        let entries = db.iter().unwrap().count();
        let well = db.get("k").is_ok_and(|value| value.is_some()) && db.health().is_well();
        self.failed.fetch_or(!well, Ordering::Relaxed);
        self.flushes.lock().unwrap().push((stats.flushes, entries));
    }

    fn family_created(&self, _: &esker::hooks::FamilyCreated) {
        self.db.get().unwrap().clone().close().unwrap();
    }
}

#[test]
fn a_listener_may_use_the_store_and_close_it() -> Result<()> {
    for threads in [false, true] {
        let uses = Arc::new(Uses::default());
        let mut builder = Db::builder("/db").fs(Fs::Sim(SimFs::new())).listener(uses.clone());
        if !threads {
            builder = builder.deterministic(11);
        }
        let db = builder.open()?;
        uses.db.set(db.clone()).unwrap();
        for i in 0..3 {
            db.put("k", [i])?;
            db.flush()?;
        }
        // With threads of its own it is told a little later.
        while uses.flushes.lock().unwrap().len() < 3 && !uses.failed.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        assert!(db.column_family("the end").is_ok());
        // It closes the store on its own thread; here it is waited for.
        db.close()?;
        assert!(!uses.failed.load(Ordering::Relaxed));
        let flushes = uses.flushes.lock().unwrap().clone();
        assert!(flushes.len() >= 3 && flushes.iter().all(|(_, entries)| *entries == 2), "{flushes:?}");
    }
    Ok(())
}

struct Panics;

impl EventListener for Panics {
    fn event(&self, _: &Event) {
        panic!("planted");
    }
}

#[test]
fn a_listener_that_panics_is_counted_and_harms_nobody() -> Result<()> {
    let (sim, clock, heard) = (SimFs::new(), ManualClock::new(START_MS), Arc::new(Heard::default()));
    let db = small(&sim, &clock).listener(Arc::new(Panics)).listener(heard.clone()).open()?;
    db.put("k", "v")?;
    db.flush()?;
    turns(&db);
    let told = heard.take().len() as u64;
    let health = db.health();
    assert!(told > 0 && health.is_well());
    assert_eq!((health.panicked_listeners, health.dropped_events), (told, 0));
    db.close()
}

/// Waits at its first event until it may go on.
struct Slow {
    arrived: Mutex<Option<Sender<()>>>,
    go_on: Mutex<Receiver<()>>,
    missing: Mutex<u64>,
}

impl EventListener for Slow {
    fn event(&self, event: &Event) {
        if let Event::EventsDropped(event) = event {
            *self.missing.lock().unwrap() += event.count;
        }
        if let Some(arrived) = self.arrived.lock().unwrap().take() {
            arrived.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
    }
}

#[test]
fn nobody_waits_for_a_slow_listener_and_what_it_missed_is_counted() -> Result<()> {
    let ((arrived, arrival), (go, go_on)) = (channel(), channel());
    let (arrived, go_on) = (Mutex::new(Some(arrived)), Mutex::new(go_on));
    let slow = Arc::new(Slow { arrived, go_on, missing: Mutex::new(0) });
    let db = Db::builder("/db").fs(Fs::Sim(SimFs::new())).listener(slow.clone()).open()?;
    db.column_family("first")?;
    arrival.recv().unwrap();
    for _ in 0..2_100 {
        db.column_family("again")?;
        db.drop_column_family("again")?;
    }
    let dropped = db.health().dropped_events;
    // Before anything can fail here: the store waits for the listener when it is dropped.
    go.send(()).unwrap();
    db.close()?;
    assert!(dropped >= 4_200 - 4_096, "{dropped}");
    assert!(*slow.missing.lock().unwrap() >= dropped);
    Ok(())
}

#[test]
fn a_closed_store_answers_as_always_from_a_listener() -> Result<()> {
    #[derive(Default)]
    struct Last(OnceLock<Db>, Mutex<Vec<Error>>);
    impl EventListener for Last {
        fn closed(&self, _: &esker::hooks::Closed) {
            let db = self.0.get().unwrap();
            self.1.lock().unwrap().push(db.get("k").unwrap_err());
        }
    }
    let last = Arc::new(Last::default());
    let db = Db::builder("/db").fs(Fs::Sim(SimFs::new())).listener(last.clone()).open()?;
    last.0.set(db.clone()).unwrap();
    db.close()?;
    assert!(matches!(last.1.lock().unwrap()[..], [Error::Closed]));
    Ok(())
}
