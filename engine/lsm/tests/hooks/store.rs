//! A small store on a simulated disk, with hooks that can be told what to do.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::hooks::{
    CompactionFilter, CompactionFilterFactory, FilterContext, MergeError, MergeOperator, Verdict,
};
use esker::{Builder, Db, Durability, Result};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

pub const START_MS: u64 = 1_000_000;

pub fn small(sim: &SimFs, clock: &Arc<ManualClock>) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .clock(Clock::Manual(clock.clone()))
        .deterministic(7)
        .memory_budget(4 << 20)
        .memtable_bytes(64 << 10)
        .default_durability(Durability::Os)
}

/// A store whose default family joins its operands with commas.
pub fn joined() -> Result<(Db, Arc<ManualClock>, SimFs)> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).merge_operator("default", Joined::default()).open()?;
    Ok((db, clock, sim))
}

/// What is told to an operator or a filter.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub panic: Arc<AtomicBool>,
    pub fail: Arc<AtomicBool>,
    pub calls: Arc<AtomicU32>,
}

impl Told {
    fn obey(&self) -> Result<(), MergeError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panic.load(Ordering::Relaxed), "told to panic");
        if self.fail.load(Ordering::Relaxed) { Err(MergeError::new("told to fail")) } else { Ok(()) }
    }
}

/// Joins operands with commas, unless it is told otherwise. `!` is an operand that cannot be merged.
#[derive(Debug, Default)]
pub struct Joined(pub Told);

impl MergeOperator for Joined {
    fn name(&self) -> &str {
        "joined"
    }

    fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        self.0.obey()?;
        if operands.contains(&&b"!"[..]) {
            return Err(MergeError::new("an exclamation mark"));
        }
        Ok(base.into_iter().chain(operands.iter().copied()).collect::<Vec<_>>().join(&b","[..]))
    }
}

/// As [`Joined`], and offers to combine operands.
#[derive(Debug, Default)]
pub struct Partial(pub Told);

impl MergeOperator for Partial {
    fn name(&self) -> &str {
        "joined"
    }

    fn full(&self, key: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        Joined(self.0.clone()).full(key, base, operands)
    }

    fn partial(&self, _: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        self.0.obey().ok()?;
        Some([older, newer].join(&b","[..]))
    }
}

/// Removes values that begin with `-`, replaces those that begin with `+`, and notes what it is shown.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    pub told: Told,
    pub shown: Arc<Mutex<Vec<(String, String)>>>,
    pub contexts: Arc<Mutex<Vec<FilterContext>>>,
}

impl CompactionFilterFactory for Signs {
    fn make(&self, context: &FilterContext) -> Box<dyn CompactionFilter> {
        self.contexts.lock().unwrap().push(context.clone());
        let (told, shown) = (self.told.clone(), self.shown.clone());
        Box::new(move |key: &[u8], value: &[u8], _: u64| {
            told.obey().expect("told to fail");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            shown.lock().unwrap().push((text(key), text(value)));
            match value.first() {
                Some(b'-') => Verdict::Remove,
                Some(b'+') => Verdict::Replace([b"=", &value[1..]].concat()),
                _ => Verdict::Keep,
            }
        })
    }
}

/// The value of a key as text.
pub fn get(db: &Db, key: &str) -> Option<String> {
    db.get(key).unwrap().map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// All entries as text, front to back; going back must give the same.
pub fn all(db: &Db) -> Vec<(String, String)> {
    let text = |entry: Result<(esker::Slice, esker::Slice)>| {
        let (key, value) = entry.unwrap();
        (String::from_utf8_lossy(&key).into_owned(), String::from_utf8_lossy(&value).into_owned())
    };
    let forward: Vec<_> = db.iter().unwrap().map(text).collect();
    let mut backward: Vec<_> = db.iter().unwrap().rev().map(text).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    forward
}
