//! A run in memory for the tests of this folder, which can be told to fail.

use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum, Trailer, compare};
use crate::base::slice::Slice;
use proptest::prelude::*;
use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

/// An entry that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) key: Vec<u8>,
    pub(super) seq: SeqNum,
    pub(super) kind: Kind,
    pub(super) expires_at: u64,
    pub(super) value: Vec<u8>,
}

impl Owned {
    pub(super) fn entry(&self) -> EntryRef<'_> {
        let Owned { key, seq, kind, expires_at, value } = self;
        EntryRef { key, seq: *seq, kind: *kind, expires_at: *expires_at, value }
    }

    pub(super) fn order(&self, other: &Owned) -> Ordering {
        compare((&self.key, self.entry().trailer()), (&other.key, other.entry().trailer()))
    }
}

/// A value of `key` as of `seq`.
pub(super) fn put(key: &[u8], seq: SeqNum) -> Owned {
    let value = [key, &seq.to_be_bytes()].concat();
    Owned { key: key.to_vec(), seq, kind: Kind::Put, expires_at: NEVER, value }
}

/// Few keys, so that they meet often: short ones, and longer ones with equal heads.
pub(super) fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(0u8..3, 0..3),
        (0u8..20).prop_map(|i| format!("user{i:012}").into_bytes()),
    ]
}

/// Entries sorted as a run has them; sequence numbers are unique.
pub(super) fn sorted(entries: Vec<Owned>) -> Vec<Owned> {
    let mut entries = entries;
    entries.sort_by(Owned::order);
    entries
}

/// Movements left until the cursors that share it fail.
pub(super) type Fuse = Rc<Cell<Option<u32>>>;

/// A cursor over entries in memory. Counts its movements.
pub(super) struct RunCursor {
    entries: Rc<Vec<Owned>>,
    at: Option<usize>,
    fuse: Fuse,
    moves: Rc<Cell<u32>>,
}

impl RunCursor {
    pub(super) fn new(entries: Vec<Owned>, fuse: &Fuse) -> RunCursor {
        assert!(entries.is_sorted_by(|a, b| a.order(b) == Ordering::Less));
        RunCursor { entries: Rc::new(entries), at: None, fuse: fuse.clone(), moves: Rc::default() }
    }

    pub(super) fn moves(&self) -> Rc<Cell<u32>> {
        self.moves.clone()
    }

    fn to(&mut self, at: Option<usize>) -> Result<()> {
        self.moves.set(self.moves.get() + 1);
        match self.fuse.get() {
            Some(0) => {
                self.at = None;
                return Err(Error::Closed);
            }
            Some(left) => self.fuse.set(Some(left - 1)),
            None => {}
        }
        self.at = at.filter(|at| *at < self.entries.len());
        Ok(())
    }

    /// How many entries sort before the target.
    fn rank(&self, key: &[u8], seq: SeqNum) -> usize {
        let target = (key, Trailer::seek(seq));
        let before = |entry: &Owned| compare((&entry.key, entry.entry().trailer()), target) == Ordering::Less;
        self.entries.partition_point(before)
    }
}

impl Cursor for RunCursor {
    fn valid(&self) -> bool {
        self.at.is_some()
    }

    fn user_key(&self) -> &[u8] {
        self.entry().key
    }

    fn trailer(&self) -> Trailer {
        self.entry().trailer()
    }

    fn entry(&self) -> EntryRef<'_> {
        self.entries[self.at.expect("valid")].entry()
    }

    fn value_slice(&self) -> Slice {
        Slice::copy(self.entry().value)
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.to(Some(0))
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.to(self.entries.len().checked_sub(1))
    }

    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.to(Some(self.rank(key, seq)))
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.to(self.rank(key, seq).checked_sub(1))
    }

    fn next(&mut self) -> Result<()> {
        self.to(Some(self.at.expect("valid") + 1))
    }

    fn prev(&mut self) -> Result<()> {
        self.to(self.at.expect("valid").checked_sub(1))
    }
}

/// A movement of a cursor.
#[derive(Clone, Debug)]
pub(super) enum Move {
    First,
    Last,
    Seek(Vec<u8>, SeqNum),
    SeekBefore(Vec<u8>, SeqNum),
    Next,
    Prev,
}

pub(super) fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        2 => (key(), 0u64..60).prop_map(|(key, seq)| Move::Seek(key, seq)),
        2 => (key(), 0u64..60).prop_map(|(key, seq)| Move::SeekBefore(key, seq)),
        8 => Just(Move::Next),
        8 => Just(Move::Prev),
    ];
    prop::collection::vec(one, 0..120)
}

/// Does `movement`, as far as it is allowed.
pub(super) fn apply(cursor: &mut impl Cursor, movement: &Move) -> Result<()> {
    match movement {
        Move::First => cursor.seek_to_first(),
        Move::Last => cursor.seek_to_last(),
        Move::Seek(key, seq) => cursor.seek(key, *seq),
        Move::SeekBefore(key, seq) => cursor.seek_before(key, *seq),
        Move::Next if cursor.valid() => cursor.next(),
        Move::Prev if cursor.valid() => cursor.prev(),
        Move::Next | Move::Prev => Ok(()),
    }
}

/// Both cursors make the same movements and must show the same. Where the first one fails, it must
/// go on failing.
pub(super) fn walk_alike(tested: &mut impl Cursor, model: &mut impl Cursor, moves: &[Move]) {
    let mut failed = false;
    for movement in moves {
        let stood = model.valid();
        apply(model, movement).expect("the model does not fail");
        if failed {
            assert!(!tested.valid());
            let again = match movement {
                Move::Next => tested.next(),
                Move::Prev => tested.prev(),
                other => apply(tested, other),
            };
            again.expect_err("errors are sticky");
            continue;
        }
        assert_eq!(tested.valid(), stood);
        if apply(tested, movement).is_err() {
            failed = true;
            continue;
        }
        assert_eq!(tested.valid(), model.valid(), "{movement:?}");
        if model.valid() {
            assert_eq!(tested.entry(), model.entry(), "{movement:?}");
            assert_eq!(tested.user_key(), model.user_key());
            assert_eq!(tested.trailer(), model.trailer());
            assert_eq!(tested.value_slice(), model.value_slice());
        }
    }
}
