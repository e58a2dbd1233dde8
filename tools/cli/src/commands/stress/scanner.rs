//! Reading: what a snapshot shows is in order, the same in both directions and by single keys, the same
//! later on, and nothing but what was written.

use super::args::ChildArgs;
use super::child;
use super::intents::{FAMILIES, PASSING};
use super::lines::Line;
use super::value::{self, Mark};
use esker::base::random::Random;
use esker::{ColumnFamily, Db, Error, Iter, Slice, Snapshot};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

/// An entry: its key and the mark of its value.
type Entry = (Vec<u8>, Mark);

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Reads until it is over.
pub(super) fn run(args: &ChildArgs, db: &Db, over: &AtomicBool) {
    let random = child::random(args, 200);
    while !over.load(Ordering::Relaxed) {
        let scan = Scan::begin(args.seed, db, &random);
        child::say(&match scan.and_then(|scan| scan.check(&random, over)) {
            Ok(entries) => Line::Scanned(entries),
            Err(Trouble::Wrong(what)) => Line::Wrong(what),
            Err(Trouble::Error(error)) => child::give_up("reading", &error),
        });
    }
}

enum Trouble {
    Wrong(String),
    Error(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Error(error)
    }
}

/// A part of a family in a snapshot.
struct Scan {
    seed: u64,
    snapshot: Snapshot,
    family: ColumnFamily,
    bounds: Bounds,
}

impl Scan {
    fn begin(seed: u64, db: &Db, random: &Random) -> Result<Scan, Trouble> {
        // The last one may be dropped while it is read.
        let name = FAMILIES[random.below(u64::from(PASSING)) as usize];
        let bounds = match random.below(4) {
            0 => (Bound::Unbounded, Bound::Unbounded),
            1 => (Bound::Included(b"stress".to_vec()), Bound::Excluded(b"user000000000400".to_vec())),
            2 => (Bound::Excluded(b"user000000000049".to_vec()), Bound::Unbounded),
            _ => (Bound::Unbounded, Bound::Included(b"stress/b".to_vec())),
        };
        Ok(Scan { seed, snapshot: db.snapshot(), family: db.open_column_family(name)?, bounds })
    }

    fn check(&self, random: &Random, over: &AtomicBool) -> Result<u64, Trouble> {
        let forward = self.read(self.iter()?)?;
        let mut count = forward.len() as u64;
        if let Some(pair) = forward.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            let (a, b) = (pair[0].0.escape_ascii(), pair[1].0.escape_ascii());
            return Err(Trouble::Wrong(format!("{}: {b} is read behind {a}", self.about())));
        }
        let foreign = forward.iter().find(|(_, mark)| matches!(mark, Mark::Foreign { .. }));
        if let Some((key, mark)) = foreign {
            return Err(Trouble::Wrong(format!("{}: {}: {mark}", self.about(), key.escape_ascii())));
        }
        let mut backward = self.read(self.iter()?.rev())?;
        backward.reverse();
        self.compare("backward", &forward, &backward)?;
        self.compare("from both ends", &forward, &self.both_ends(random)?)?;
        count += self.check_keys(random, &forward)?;
        child::pause(random.below(100), over);
        self.compare("later", &forward, &self.read(self.iter()?)?)?;
        count += 3 * forward.len() as u64;
        Ok(count)
    }

    fn iter(&self) -> Result<Iter, Trouble> {
        Ok(self.snapshot.range(&self.family, self.bounds.clone())?)
    }

    fn read(
        &self,
        entries: impl Iterator<Item = esker::Result<(Slice, Slice)>>,
    ) -> Result<Vec<Entry>, Trouble> {
        let mark = |(key, value): (Slice, Slice)| (key.to_vec(), value::read(self.seed, &key, &value));
        Ok(entries.map(|entry| entry.map(mark)).collect::<esker::Result<_>>()?)
    }

    fn both_ends(&self, random: &Random) -> Result<Vec<Entry>, Trouble> {
        let (mut front, mut back) = (Vec::new(), Vec::new());
        let mut iter = self.iter()?;
        loop {
            let at_front = random.below(2) == 0;
            let Some(entry) = (if at_front { iter.next() } else { iter.next_back() }) else { break };
            let (key, value) = entry?;
            let entry = (key.to_vec(), value::read(self.seed, &key, &value));
            if at_front { front.push(entry) } else { back.push(entry) }
        }
        back.reverse();
        front.append(&mut back);
        Ok(front)
    }

    /// Some of the keys one by one, and others that are not there.
    fn check_keys(&self, random: &Random, entries: &[Entry]) -> Result<u64, Trouble> {
        let step = 1 + random.below(20) as usize;
        let some: Vec<&Entry> = entries.iter().skip(random.below(20) as usize).step_by(step).collect();
        let keys: Vec<&[u8]> = some.iter().map(|(key, _)| key.as_slice()).collect();
        let many = self.snapshot.multi_get(&self.family, &keys)?;
        for ((key, mark), of_many) in some.iter().zip(many) {
            for value in [self.snapshot.get(&self.family, key)?, of_many] {
                let found = value.map(|value| value::read(self.seed, key, &value));
                if found.as_ref() != Some(mark) {
                    let (key, found) = (key.escape_ascii(), told(found.as_ref()));
                    let what = format!("{}: {key} is read as {mark}, got as {found}", self.about());
                    return Err(Trouble::Wrong(what));
                }
            }
            let mut absent = key.clone();
            absent.push(0);
            if self.snapshot.contains_key(&self.family, &absent)? {
                let what = format!("{}: {} is there, got alone", self.about(), absent.escape_ascii());
                return Err(Trouble::Wrong(what));
            }
        }
        Ok(3 * some.len() as u64)
    }

    fn compare(&self, how: &str, first: &[Entry], second: &[Entry]) -> Result<(), Trouble> {
        if first == second {
            return Ok(());
        }
        let at = first.iter().zip(second).take_while(|(a, b)| a == b).count();
        let entry = |entries: &[Entry]| {
            entries
                .get(at)
                .map_or("the end".to_owned(), |(key, mark)| format!("{}: {mark}", key.escape_ascii()))
        };
        let (first, second) = (entry(first), entry(second));
        Err(Trouble::Wrong(format!("{}: first {first}; {how} {second}", self.about())))
    }

    fn about(&self) -> String {
        format!("family {:?} in the snapshot of {}", self.family.name(), self.snapshot.seq())
    }
}

fn told(mark: Option<&Mark>) -> String {
    mark.map_or("nothing".to_owned(), Mark::to_string)
}
