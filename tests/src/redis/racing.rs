//! Connections that really run at the same time: each in a thread of its own, noting what it asked, what it
//! was answered, and when, for [`crate::linear`] to judge.
//!
//! The cells of that model are four strings and two fields of a hash. A value is the number of the command
//! that wrote it, and is written once only.

use super::line::Line;
use super::value::Value;
use crate::linear::{Call, Cell, KEYS, What};
use esker::base::random::Random;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// So many cells are strings, the others fields of one hash.
const STRINGS: usize = 4;

/// What the connections did.
#[derive(Debug, Default)]
pub struct Raced {
    /// What took effect, and what was seen.
    pub calls: Vec<Call>,
    /// EXECs that answered that something watched was modified: which cells that were, from before WATCH to
    /// after EXEC, and by whom.
    pub refused: Vec<Refused>,
    /// EXECs that went on although something was watched.
    pub went_on: usize,
}

/// An EXEC that did not go on.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Who asked.
    pub thread: usize,
    /// Before WATCH was asked.
    pub began: Duration,
    /// After EXEC was answered.
    pub ended: Duration,
    /// What was watched.
    pub cells: Vec<usize>,
}

impl Raced {
    /// The refusals that nothing explains: nobody modified what was watched between WATCH and EXEC. (All
    /// fields of a hash are modified together.)
    #[must_use]
    pub fn refused_for_nothing(&self) -> Vec<Refused> {
        let key = |cell: &usize| (*cell).min(STRINGS);
        let modifies = |call: &Call, of: &Refused| {
            let cells = match &call.what {
                What::Write { cells, .. } | What::Update { cells, .. } => cells.as_slice(),
                What::Differs { .. } | What::Read { .. } => &[],
            };
            let watched = |cell: &usize| of.cells.iter().any(|other| key(other) == key(cell));
            call.began < of.ended && of.began < call.ended && cells.iter().any(|(cell, _)| watched(cell))
        };
        let unexplained = |of: &&Refused| !self.calls.iter().any(|call| modifies(call, of));
        self.refused.iter().filter(unexplained).cloned().collect()
    }
}

/// Runs each connection in a thread, all at once; each asks `calls` times.
///
/// # Panics
/// If a reply is none that the command has.
#[must_use]
pub fn race(lines: Vec<Line>, seed: u64, calls: usize) -> Raced {
    let (start, next, clock) = (Barrier::new(lines.len()), AtomicU32::new(1), Instant::now());
    let (start, next) = (&start, &next);
    let mut raced = Raced::default();
    thread::scope(|scope| {
        let run = |(thread, line)| {
            let random = Random::seeded(seed.wrapping_mul(64).wrapping_add(thread as u64));
            let mut racer = Racer { thread, line, random, clock, next, raced: Raced::default() };
            scope.spawn(move || {
                start.wait();
                (0..calls).for_each(|_| racer.step());
                racer.raced
            })
        };
        let threads: Vec<_> = lines.into_iter().enumerate().map(run).collect();
        for thread in threads {
            let of_one = thread.join().expect("a connection");
            raced.calls.extend(of_one.calls);
            raced.refused.extend(of_one.refused);
            raced.went_on += of_one.went_on;
        }
    });
    raced
}

struct Racer<'r> {
    thread: usize,
    line: Line,
    random: Random,
    clock: Instant,
    next: &'r AtomicU32,
    raced: Raced,
}

/// The command that reads a cell.
fn get(cell: usize) -> String {
    if cell < STRINGS { format!("get r{cell}") } else { format!("hget h f{cell}") }
}

/// The command that has a cell hold a value.
fn set(cell: usize, value: Cell) -> String {
    match (cell < STRINGS, value) {
        (true, 0) => format!("del r{cell}"),
        (true, value) => format!("set r{cell} {value}"),
        (false, 0) => format!("hdel h f{cell}"),
        (false, value) => format!("hset h f{cell} {value}"),
    }
}

/// What a reply says that a cell holds.
fn held(reply: &Value) -> Cell {
    match reply {
        Value::Bulk(None) => 0,
        Value::Bulk(Some(text)) => String::from_utf8_lossy(text).parse().expect("a number"),
        other => panic!("a value was asked for: {other:?}"),
    }
}

fn items(reply: &Value) -> &[Value] {
    match reply {
        Value::Array(Some(items)) => items,
        other => panic!("an array was asked for: {other:?}"),
    }
}

impl Racer<'_> {
    fn value(&self) -> Cell {
        // A quarter is removed.
        if self.random.below(4) == 0 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) }
    }

    fn cell(&self) -> usize {
        self.random.below(KEYS as u64) as usize
    }

    /// Two or three different cells.
    fn cells(&self) -> Vec<usize> {
        let mut cells: Vec<usize> = (0..2 + self.random.below(2)).map(|_| self.cell()).collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }

    fn with_values(&self, cells: &[usize]) -> Vec<(usize, Cell)> {
        cells.iter().map(|cell| (*cell, self.value())).collect()
    }

    /// Asks, and notes what `what` makes of the replies.
    fn note(&mut self, ask: impl FnOnce(&mut Line) -> Vec<Value>, what: impl FnOnce(&[Value]) -> What) {
        let began = self.clock.elapsed();
        let replies = ask(&mut self.line);
        let ended = self.clock.elapsed();
        let refused = replies.iter().find(|reply| matches!(reply, Value::Error(_)));
        assert!(refused.is_none(), "{refused:?}");
        self.raced.calls.push(Call { thread: self.thread, began, ended, what: what(&replies) });
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 => self.write(),
            1 => self.read(),
            2 => self.write_together(),
            3 => self.read_together(),
            4 => self.exchange(),
            5 => self.set_if_absent(),
            6 | 7 => self.transaction(),
            _ => self.rely(),
        }
    }

    fn write(&mut self) {
        let cell = self.cell();
        let value = self.value();
        let write = What::Write { cells: vec![(cell, value)], seq: 0 };
        self.note(|line| line.ask(&[set(cell, value)]), |_| write);
    }

    fn read(&mut self) {
        let cell = self.cell();
        self.note(
            |line| line.ask(&[get(cell)]),
            |replies| What::Read { cells: vec![(cell, held(&replies[0]))] },
        );
    }

    /// MSET, and DEL of a hash: several cells with one command.
    fn write_together(&mut self) {
        if self.random.below(3) == 0 {
            let cells = (STRINGS..KEYS).map(|cell| (cell, 0)).collect();
            return self.note(|line| line.ask(&["del h"]), |_| What::Write { cells, seq: 0 });
        }
        let first = self.random.below(STRINGS as u64 - 1) as usize;
        let cells: Vec<_> =
            (first..first + 2).map(|cell| (cell, self.next.fetch_add(1, Ordering::Relaxed))).collect();
        let words: Vec<String> = cells.iter().map(|(cell, value)| format!("r{cell} {value}")).collect();
        let command = format!("mset {}", words.join(" "));
        self.note(|line| line.ask(&[command]), |_| What::Write { cells, seq: 0 });
    }

    /// MGET and HMGET.
    fn read_together(&mut self) {
        let in_hash = self.random.below(3) == 0;
        let (command, cells) =
            if in_hash { ("hmget h f4 f5", STRINGS..KEYS) } else { ("mget r0 r1 r2 r3", 0..STRINGS) };
        self.note(
            |line| line.ask(&[command]),
            |replies| What::Read { cells: cells.zip(items(&replies[0]).iter().map(held)).collect() },
        );
    }

    /// SET with GET, and GETDEL.
    fn exchange(&mut self) {
        let cell = self.random.below(STRINGS as u64) as usize;
        let value = self.value();
        let command = if value == 0 { format!("getdel r{cell}") } else { format!("set r{cell} {value} get") };
        self.note(
            |line| line.ask(&[command]),
            |replies| What::Update {
                read: vec![(cell, held(&replies[0]))],
                cells: vec![(cell, value)],
                seq: 0,
            },
        );
    }

    /// SETNX and HSETNX.
    fn set_if_absent(&mut self) {
        let cell = self.cell();
        let value = self.next.fetch_add(1, Ordering::Relaxed);
        let command = match cell < STRINGS {
            true => format!("setnx r{cell} {value}"),
            false => format!("hsetnx h f{cell} {value}"),
        };
        self.note(
            |line| line.ask(&[command]),
            |replies| match replies[0] {
                Value::Integer(1) => {
                    What::Update { read: vec![(cell, 0)], cells: vec![(cell, value)], seq: 0 }
                }
                _ => What::Differs { cell, from: 0 },
            },
        );
    }

    /// MULTI and EXEC: reads some cells and writes others, at one moment.
    fn transaction(&mut self) {
        let (reads, writes) = (self.cells(), self.cells());
        let writes = self.with_values(&writes);
        let lines = reads.iter().map(|cell| get(*cell));
        let lines: Vec<String> = lines.chain(writes.iter().map(|(cell, value)| set(*cell, *value))).collect();
        let together = self.random.below(2) == 0;
        self.note(
            |line| line.transact(&lines, together).expect("nothing was watched"),
            |replies| {
                let read = reads.iter().copied().zip(replies.iter().map(held)).collect();
                What::Update { read, cells: writes, seq: 0 }
            },
        );
    }

    /// WATCH, reads, and a transaction that relies on what they saw.
    fn rely(&mut self) {
        let (watched, writes) = (self.cells(), self.cells());
        let writes = self.with_values(&writes);
        let names: Vec<String> = watched
            .iter()
            .map(|cell| if *cell < STRINGS { format!("r{cell}") } else { "h".into() })
            .collect();
        let before = self.clock.elapsed();
        self.line.ask(&[format!("watch {}", names.join(" "))]);
        let mut read = Vec::new();
        for cell in &watched {
            self.note(
                |line| line.ask(&[get(*cell)]),
                |replies| What::Read { cells: vec![(*cell, held(&replies[0]))] },
            );
            if let Some(Call { what: What::Read { cells }, .. }) = self.raced.calls.last() {
                read.extend(cells.iter().copied());
            }
        }
        let lines: Vec<String> = writes.iter().map(|(cell, value)| set(*cell, *value)).collect();
        let together = self.random.below(2) == 0;
        let began = self.clock.elapsed();
        let done = self.line.transact(&lines, together);
        let ended = self.clock.elapsed();
        if done.is_some() {
            let what = What::Update { read, cells: writes, seq: 0 };
            self.raced.calls.push(Call { thread: self.thread, began, ended, what });
            self.raced.went_on += 1;
        } else {
            self.raced.refused.push(Refused { thread: self.thread, began: before, ended, cells: watched });
        }
    }
}
