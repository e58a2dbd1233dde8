//! Trees beside the buckets that the members themselves give.

use super::*;
use esker::base::random::Random;
use std::collections::BTreeMap;

const LEVELS: u8 = 3;

/// Places with the level up to which each is a boundary, and the buckets as they would stand on disk.
#[derive(Default)]
struct Disk {
    places: BTreeMap<Vec<u8>, u8>,
    buckets: BTreeMap<(u8, Vec<u8>), u64>,
    reads: usize,
    /// Buckets that were read one by one.
    singles: usize,
}

impl Disk {
    fn read(&mut self, level: u8, from: &[u8], to: Option<&[u8]>) -> Vec<Counted> {
        self.reads += 1;
        let found = self.buckets.range((level, from.to_vec())..(level + 1, Vec::new()));
        let found = found.take_while(|((_, place), _)| to.is_none_or(|to| place.as_slice() < to));
        found.map(|((_, place), count)| (place.clone().into_boxed_slice(), *count)).collect()
    }

    fn one(&mut self, level: u8, place: &[u8]) -> Counted {
        self.singles += 1;
        let found = self.buckets.range((level, Vec::new())..=(level, place.to_vec())).next_back();
        found.map_or_else(Default::default, |((_, place), count)| (place.clone().into_boxed_slice(), *count))
    }

    fn between(&self, from: &[u8], to: &[u8]) -> u64 {
        self.places.range(from.to_vec()..to.to_vec()).count() as u64
    }

    /// What must stand there.
    fn expected(&self) -> BTreeMap<(u8, Vec<u8>), u64> {
        let mut expected = BTreeMap::new();
        for level in 1..=LEVELS {
            let mut bucket = (level, Vec::new());
            for (place, own) in &self.places {
                if *own >= level {
                    bucket = (level, place.clone());
                }
                *expected.entry(bucket.clone()).or_insert(0) += 1;
            }
        }
        expected
    }

    fn found(&self) -> BTreeMap<(u8, Vec<u8>), u64> {
        let mut found = self.buckets.clone();
        found.retain(|(_, place), count| *count > 0 || !place.is_empty());
        found
    }
}

/// Adds a place, or removes it if it is there.
fn turn(disk: &mut Disk, tree: &mut Tree, place: &[u8], own: u8) {
    let mut changes: Vec<(u8, Vec<u8>, Option<u64>)> = Vec::new();
    let each = |change: Change<'_>| {
        changes.push(match change {
            Change::Set(level, start, count) => (level, start.to_vec(), Some(count)),
            Change::Gone(level) => (level, place.to_vec(), None),
        });
    };
    let is_new = disk.places.remove(place).is_none();
    let before = std::cell::RefCell::new(disk);
    let read = |level: u8, from: &[u8], to: Option<&[u8]>| Ok(before.borrow_mut().read(level, from, to));
    let one = |level: u8, place: &[u8]| Ok(before.borrow_mut().one(level, place));
    match (own, is_new) {
        (0, more) => tree.count(place, more, read, one, each),
        (_, true) => tree.insert(place, own, read, |start| Ok(before.borrow().between(start, place)), each),
        (_, false) => tree.remove(place, own, read, each),
    }
    .unwrap();
    let disk = before.into_inner();
    if is_new {
        disk.places.insert(place.to_vec(), own);
    }
    for (level, start, count) in changes {
        match count {
            Some(count) => drop(disk.buckets.insert((level, start), count)),
            None => assert!(disk.buckets.remove(&(level, start)).is_some()),
        }
    }
}

#[test]
fn counts_are_those_of_the_members_whatever_has_been_read() {
    for seed in 0..30 {
        let random = Random::seeded(seed);
        let (mut disk, mut tree) = (Disk::default(), Tree::new(LEVELS));
        let names = [30, 400][seed as usize % 2];
        for step in 0..1500 {
            let name = random.below(names);
            // Boundaries are more frequent than on disk, some of levels that there are none of yet.
            let own = ((name * 7919) as u32).trailing_zeros().min(5) as u8;
            let place =
                [&(name * 37).to_be_bytes()[if name.is_multiple_of(3) { 4 } else { 0 }..], b"m"].concat();
            turn(&mut disk, &mut tree, &place, own);
            if random.below(40) == 0 {
                tree = Tree::new(LEVELS);
            }
            if step % 10 == 0 {
                assert_eq!(disk.found(), disk.expected(), "seed {seed}, step {step}");
            }
        }
        let mut places: Vec<(Vec<u8>, u8)> = disk.places.clone().into_iter().collect();
        places.drain(1..).for_each(|(place, own)| turn(&mut disk, &mut tree, &place, own));
        assert_eq!(disk.found(), disk.expected(), "seed {seed}, emptied");
        assert!(tree.bytes() < TREE_BYTES + 20 * BUCKET_BYTES, "seed {seed}: {}", tree.bytes());
    }
}

#[test]
fn what_has_been_read_is_not_read_again() {
    let (mut disk, mut tree) = (Disk::default(), Tree::new(LEVELS));
    for name in 0..1000u64 {
        turn(&mut disk, &mut tree, &(name * 37 % 1000).to_be_bytes(), (name as u32).trailing_zeros() as u8);
    }
    // (Those that nothing was cut out of may have been passed by so far.)
    for turns in 0..5 {
        let reads = (disk.reads, disk.singles);
        for name in (1..1000u64).step_by(2) {
            turn(&mut disk, &mut tree, &(name * 37 % 1000).to_be_bytes(), 0);
        }
        assert!(turns < 3 || (disk.reads, disk.singles) == reads, "turn {turns}");
    }
    assert_eq!(disk.found(), disk.expected());
}

#[test]
fn who_comes_by_first_reads_one_count_of_each_level() {
    let (mut disk, mut tree) = (Disk::default(), Tree::new(LEVELS));
    for name in 0..1000u64 {
        turn(&mut disk, &mut tree, &name.to_be_bytes(), (name as u32).trailing_zeros() as u8);
    }
    let mut tree = Tree::new(LEVELS);
    (disk.reads, disk.singles) = (0, 0);
    for _ in 0..VISITS {
        turn(&mut disk, &mut tree, &501u64.to_be_bytes(), 0);
    }
    assert_eq!((disk.reads, disk.singles, tree.bytes()), (0, 2 * usize::from(LEVELS), TREE_BYTES));
    // Then one level more is remembered each time that so many have come by.
    for (reads, singles) in [(1, 2), (1, 2), (2, 1), (2, 1), (3, 0), (3, 0)] {
        disk.singles = 0;
        turn(&mut disk, &mut tree, &501u64.to_be_bytes(), 0);
        assert_eq!((disk.reads, disk.singles), (reads, singles));
    }
    assert_eq!(disk.found(), disk.expected());
}

#[test]
fn counts_that_are_lacking_are_taken_to_be_nothing() {
    let (mut disk, mut tree) = (Disk::default(), Tree::new(LEVELS));
    for name in 0..100u64 {
        turn(&mut disk, &mut tree, &name.to_be_bytes(), (name as u32).trailing_zeros().min(4) as u8);
    }
    let mut number = 0;
    disk.buckets.retain(|_, _| {
        number += 1;
        number % 3 > 0
    });
    let mut tree = Tree::new(LEVELS);
    for name in 0..200u64 {
        let (place, own) = (name.to_be_bytes(), (name as u32).trailing_zeros().min(4) as u8);
        let ignored = |_: Change<'_>| {};
        let (before, is_new) = (std::cell::RefCell::new(&mut disk), name >= 100);
        let read = |level: u8, from: &[u8], to: Option<&[u8]>| Ok(before.borrow_mut().read(level, from, to));
        let one = |level: u8, place: &[u8]| Ok(before.borrow_mut().one(level, place));
        match (own, is_new) {
            (0, more) => tree.count(&place, more, read, one, ignored).unwrap(),
            (_, true) => tree.insert(&place, own, read, |_| Ok(1), ignored).unwrap(),
            (_, false) => tree.remove(&place, own, read, ignored).unwrap(),
        }
    }
}
