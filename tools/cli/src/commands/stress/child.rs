//! The process that is killed: two writers, a reader, and a thread that flushes and compacts, each telling
//! what has returned. It ends when its standard input does, so that it never outlives its parent.

use super::args::ChildArgs;
use super::intents::{FAMILIES, Intent, Intents, Operation, PASSING, WRITERS};
use super::lines::Line;
use super::scanner;
use super::value;
use crate::failure::{ERROR, Failure, Outcome};
use esker::base::random::Random;
use esker::{Builder, ColumnFamily, Db, Durability, Error, WriteBatch};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a store is opened in a round: mostly with small files and buffers, so that little data goes through
/// all that a store does; sometimes with memtables so large that a kill leaves a whole round to the log.
#[must_use]
pub fn builder(store: &Path, seed: u64, round: u32) -> Builder {
    let hash = round_hash(seed, round);
    let memtable_bytes: u64 = [64 << 10, 256 << 10, 2 << 20, 16 << 20][(hash % 4) as usize];
    // A family that separates values in one round and not in the next has both.
    let apart_from = |turn: u64| [None, Some(64), Some(512)][(hash / 24 + turn) as usize % 3];
    Db::builder(store)
        .memory_budget(64 << 20)
        .memtable_bytes(memtable_bytes as usize)
        .target_file_bytes(memtable_bytes.min(256 << 10))
        .level_base_bytes(memtable_bytes.min(1 << 20) * 2)
        .wal_segment_bytes([256 << 10, 1 << 20, 4 << 20][(hash / 4 % 3) as usize])
        .manifest_bytes([8 << 10, 64 << 10][(hash / 12 % 2) as usize])
        .sync_interval(Duration::from_millis(100))
        .max_open_files(64)
        .blob_values_from("default", apart_from(0))
        .blob_values_from(FAMILIES[usize::from(PASSING)], apart_from(1))
}

/// A random number that is the same throughout a round.
fn round_hash(seed: u64, round: u32) -> u64 {
    value::mix(seed ^ value::mix(u64::from(round) | 1 << 40))
}

/// Says a line. When nobody hears it any more there is nothing left to do.
pub(super) fn say(line: &Line) {
    let line = format!("{line}\n");
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(ERROR.into());
    }
}

/// Says what an error means, and ends the process: nothing that follows could be relied on.
pub(super) fn give_up(doing: &str, error: &Error) -> ! {
    let text = format!("{doing}: {error}");
    say(&if is_the_worlds_fault(error) { Line::Failed(text) } else { Line::Wrong(text) });
    std::process::exit(ERROR.into());
}

/// Whether an error says that the disk or the system refused something, and nothing of the store.
#[must_use]
pub fn is_the_worlds_fault(error: &Error) -> bool {
    match error {
        Error::Io(_) => !error.is_not_found(),
        Error::DiskFull { .. } | Error::Locked { .. } => true,
        _ => false,
    }
}

/// Works on the store until it is killed, told to stop, or left alone.
///
/// # Errors
/// The store cannot be closed in good order; other trouble is told in a line and ends the process.
pub fn run(args: &ChildArgs) -> Outcome {
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    std::thread::spawn(move || obey(stop));
    let builder = builder(&args.store, args.seed, args.round).map_log(!args.log_by_calls);
    let opened = builder.create_if_missing(false).open();
    let db = opened.unwrap_or_else(|error| give_up("opening the store", &error));
    let seq = db.visible_seq();
    say(&Line::Open(seq));
    if args.idle {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
    } else {
        work(args, &db, stop);
    }
    db.close().map_err(|error| Failure::error(format!("closing the store: {error}")))?;
    say(&Line::Closed);
    Ok(())
}

/// Waits for the word of the parent. Its silence means that it is gone.
fn obey(stop: &AtomicBool) {
    for line in std::io::stdin().lines() {
        match line.as_deref() {
            Ok("stop") => stop.store(true, Ordering::Relaxed),
            _ => break,
        }
    }
    std::process::exit(ERROR.into());
}

fn work(args: &ChildArgs, db: &Db, stop: &AtomicBool) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| scope.spawn(move || Writer::new(args, db, number).run(stop, args.commits)))
            .collect();
        scope.spawn(|| tend(args, db, &over));
        scope.spawn(|| scanner::run(args, db, &over));
        for writer in writers {
            // A panic is passed on when the scope ends.
            let _ = writer.join();
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// Waits for a while, in short steps, so that an end is soon noticed.
pub(super) fn pause(milliseconds: u64, over: &AtomicBool) {
    for _ in 0..milliseconds.div_ceil(5) {
        if over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A random source for a thread of one round.
pub(super) fn random(args: &ChildArgs, thread: u64) -> Random {
    Random::seeded(value::mix(args.seed ^ value::mix(u64::from(args.round) << 8 | thread)))
}

/// Flushes and compacts now and then.
fn tend(args: &ChildArgs, db: &Db, over: &AtomicBool) {
    let random = random(args, 100);
    let seldom = [50, 150, 1500][(round_hash(args.seed, args.round) / 24 % 3) as usize];
    let mut flushes = 0;
    while !over.load(Ordering::Relaxed) {
        pause(random.below(seldom), over);
        let done = match random.below(8) {
            0 => db.compact(),
            1 => db.compact_range("user".as_bytes().."v".as_bytes()),
            2 => db.sync(),
            _ => {
                flushes += 1;
                say(&Line::Flushing(flushes));
                let flushed = db.flush();
                if flushed.is_ok() {
                    say(&Line::Flushed(flushes));
                }
                flushed
            }
        };
        match done {
            // The family that comes and goes may go meanwhile.
            Ok(()) | Err(Error::FamilyDropped { .. }) => {}
            Err(error) => give_up("flushing or compacting", &error),
        }
    }
}

struct Writer<'a> {
    seed: u64,
    db: &'a Db,
    number: u8,
    intents: Intents,
    families: Vec<ColumnFamily>,
}

impl<'a> Writer<'a> {
    fn new(args: &ChildArgs, db: &'a Db, number: u8) -> Writer<'a> {
        let lasting = usize::from(PASSING) + usize::from(args.passing && number == 0);
        let family = |name: &&str| {
            db.open_column_family(name).unwrap_or_else(|error| give_up("opening a family", &error))
        };
        let families = FAMILIES[..lasting].iter().map(family).collect();
        let intents = Intents::new(args.seed, args.round, number, args.passing, args.clock_ms);
        Writer { seed: args.seed, db, number, intents, families }
    }

    fn run(&mut self, stop: &AtomicBool, commits: Option<u32>) {
        for commit in 0..commits.unwrap_or(u32::MAX) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let line = self.commit(commit);
            say(&line.unwrap_or_else(|error| give_up("writing", &error)));
        }
    }

    fn commit(&mut self, commit: u32) -> esker::Result<Line> {
        let name = FAMILIES[usize::from(PASSING)];
        match self.intents.advance() {
            Intent::Create => {
                self.families.push(self.db.create_column_family(name, esker::FamilyOptions::default())?);
                Ok(Line::Family(commit))
            }
            Intent::Drop => {
                self.db.drop_column_family(name)?;
                self.families.pop();
                Ok(Line::Family(commit))
            }
            Intent::Write(durability, operations) => self.write(commit, durability, &operations),
        }
    }

    fn write(&self, commit: u32, durability: Durability, operations: &[Operation]) -> esker::Result<Line> {
        let mut batch = WriteBatch::new();
        for operation in operations {
            let family = &self.families[usize::from(operation.family)];
            match operation.len {
                None => batch.delete(family, &operation.key),
                Some(len) => {
                    let value = value::value(self.seed, &operation.key, operation.origin, len);
                    batch.put_until(family, &operation.key, value, operation.expires_at)
                }
            };
        }
        let ticket = self.db.commit(batch, durability)?;
        let synced = durability == Durability::Sync;
        if synced {
            self.db.wait_durable(ticket.seq())?;
        }
        let (first, last) = (ticket.first_seq(), ticket.seq());
        Ok(Line::Done { writer: self.number, commit, first, last, synced })
    }
}
