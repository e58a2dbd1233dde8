//! The merge of sorted runs into one.
//!
//! A loser tree (Knuth, The Art of Computer Programming, volume 3, 5.4.1): the leaves are the runs,
//! each inner node remembers the loser of the match played there, and the overall winner stands
//! apart. After the winner has moved only the matches on its way up are played again, against the
//! remembered losers: one comparison a level. Matches compare the cached heads of the keys first.
//!
//! Runs are often much alike in order: the same run wins many times in a row. Once it has won twice,
//! the best of the losers on its way (the challenger) is remembered, and as long as the winner still
//! beats the challenger one comparison does for the whole way.
//!
//! Invariant: while the merge is valid, every run but the winner stands at its first entry after the
//! winner's (walking forward) or at its last entry before it (walking backward), or is exhausted.
//!
//! What the winner stands on is remembered (`Shown`), so that those above may look at it several times
//! without asking run by run, level by level, each time.

use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{self, EntryRef, SeqNum, Trailer};
use crate::base::slice::Slice;
use std::cmp::Ordering;

/// A cursor over the entries of several runs, in the order of internal keys. Of equal internal keys
/// (which runs of one family do not have) the one of the run with the lower index comes first.
pub struct Merge<C> {
    runs: Vec<C>,
    /// Beside each run what matches look at first; nothing beside a single run.
    lanes: Vec<Lane>,
    winner: usize,
    /// The best run but the winner, if that is known.
    challenger: Option<usize>,
    direction: Direction,
    /// What the winner stands on. Every movement begins by forgetting it.
    shown: Option<Shown>,
    error: Option<Error>,
    /// The winner's key while the merge turns around.
    turn_key: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Lane {
    /// The head of the key that the run stands on, and the eight bytes behind it.
    head: u128,
    live: bool,
    /// The loser at the inner node of the same number (those are `1..runs`; the leaf of run `i` is node
    /// `runs + i`).
    loser: usize,
}

/// The entry that the winner stands on, where it stands.
#[derive(Clone, Copy)]
struct Shown(EntryRef<'static>);

impl Shown {
    /// # Safety
    /// It must be forgotten before the run that shows `entry` moves, or is dropped. (The runs stand
    /// still on the heap when the merge is moved: the vector that holds them is never changed.)
    #[inline]
    unsafe fn new(entry: EntryRef<'_>) -> Shown {
        // SAFETY: only the lifetime changes; the caller sees to it that nobody looks beyond it.
        Shown(unsafe { std::mem::transmute::<EntryRef<'_>, EntryRef<'static>>(entry) })
    }

    /// For as long as nobody can move the merge.
    #[inline]
    fn get(&self) -> &EntryRef<'_> {
        &self.0
    }
}

/// No run has come to a node yet.
const NOBODY: usize = usize::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl<C: Cursor> Merge<C> {
    /// Merges `runs`, best given newest first. The merge stands nowhere yet.
    #[must_use]
    pub fn new(runs: Vec<C>) -> Merge<C> {
        let lanes = if runs.len() > 1 { runs.len() } else { 0 };
        Merge {
            lanes: vec![Lane { head: 0, live: false, loser: NOBODY }; lanes],
            runs,
            winner: 0,
            challenger: None,
            direction: Direction::Forward,
            shown: None,
            error: None,
            turn_key: Vec::new(),
        }
    }

    /// Whether run `a` comes before run `b` in the direction of the walk.
    #[inline(always)]
    fn beats(&self, a: usize, b: usize) -> bool {
        let (lane_a, lane_b) = (&self.lanes[a], &self.lanes[b]);
        if lane_a.live && lane_b.live && lane_a.head != lane_b.head {
            return (lane_a.head < lane_b.head) == (self.direction == Direction::Forward);
        }
        self.beats_in_full(a, b)
    }

    #[inline(never)]
    fn beats_in_full(&self, a: usize, b: usize) -> bool {
        let (live_a, live_b) = (self.lanes[a].live, self.lanes[b].live);
        if !(live_a && live_b) {
            return live_a || !live_b && a < b;
        }
        let (run_a, run_b) = (&self.runs[a], &self.runs[b]);
        let order = key::compare((run_a.user_key(), run_a.trailer()), (run_b.user_key(), run_b.trailer()));
        let order = order.then(a.cmp(&b));
        match self.direction {
            Direction::Forward => order == Ordering::Less,
            Direction::Backward => order == Ordering::Greater,
        }
    }

    #[inline]
    fn refresh(&mut self, run: usize) {
        let live = self.runs[run].valid();
        let lane = &mut self.lanes[run];
        lane.head = if live { key::wide_head(self.runs[run].user_key()) } else { 0 };
        lane.live = live;
    }

    /// Plays all matches.
    fn build(&mut self) {
        let count = self.runs.len();
        if count <= 1 {
            // There is nobody to play against.
            return self.show();
        }
        self.challenger = None;
        for run in 0..count {
            self.refresh(run);
            self.lanes[run].loser = NOBODY;
        }
        // Each goes up until it comes to a node where nobody waits for a match, and waits there.
        for run in 0..count {
            let (mut winner, mut node) = (run, (count + run) / 2);
            while node > 0 {
                let waiting = self.lanes[node].loser;
                if waiting == NOBODY {
                    self.lanes[node].loser = winner;
                    break;
                }
                if self.beats(waiting, winner) {
                    self.lanes[node].loser = winner;
                    winner = waiting;
                }
                node /= 2;
            }
            if node == 0 {
                self.winner = winner;
            }
        }
        self.show();
    }

    /// Remembers what the winner stands on, if it stands on anything.
    fn show(&mut self) {
        let run = self.runs.get(self.winner).filter(|run| run.valid());
        // SAFETY: `position`, `skip` and `step`, which alone move runs, forget it first.
        self.shown = run.map(|run| unsafe { Shown::new(run.entry()) });
    }

    /// Plays the matches of the winner, which has moved, again.
    #[inline(never)]
    fn replay(&mut self) {
        let moved = self.winner;
        self.challenger = None;
        let mut winner = moved;
        let mut node = (self.runs.len() + moved) / 2;
        while node > 0 {
            let loser = self.lanes[node].loser;
            if self.beats(loser, winner) {
                self.lanes[node].loser = winner;
                winner = loser;
            }
            node /= 2;
        }
        if winner == moved {
            self.challenger = self.best_loser();
        }
        self.winner = winner;
        self.show();
    }

    /// The best of those that lost to the winner directly, which is the best of all others.
    fn best_loser(&self) -> Option<usize> {
        let mut node = (self.runs.len() + self.winner) / 2;
        let mut best = None;
        while node > 0 {
            let loser = self.lanes[node].loser;
            if best.is_none_or(|best| self.beats(loser, best)) {
                best = Some(loser);
            }
            node /= 2;
        }
        // If the best is exhausted, all others are.
        best.filter(|best| self.lanes[*best].live)
    }

    /// Moves every run, then plays all matches.
    fn position(&mut self, direction: Direction, mut go: impl FnMut(&mut C) -> Result<()>) -> Result<()> {
        self.check()?;
        self.shown = None;
        self.direction = direction;
        for run in 0..self.runs.len() {
            let moved = go(&mut self.runs[run]);
            self.latch(moved)?;
        }
        self.build();
        Ok(())
    }

    /// Lets each run pass over what it can, in the direction of the walk, and plays all matches.
    fn skip(&mut self, direction: Direction, mut go: impl FnMut(&mut C) -> Result<bool>) -> Result<bool> {
        self.check()?;
        if self.direction != direction && self.runs.len() > 1 {
            return Ok(false);
        }
        self.shown = None;
        let mut any = false;
        for run in 0..self.runs.len() {
            if self.runs[run].valid() {
                let moved = go(&mut self.runs[run]);
                any |= *moved.as_ref().unwrap_or(&false);
                self.latch(moved.map(drop))?;
            }
        }
        if any {
            self.build();
        } else {
            self.show();
        }
        Ok(any)
    }

    fn check(&self) -> Result<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    fn latch(&mut self, result: Result<()>) -> Result<()> {
        if let Err(error) = &result {
            self.error = Some(error.clone());
            self.shown = None;
        }
        result
    }

    /// Moves by one in `direction`.
    #[inline]
    fn step(&mut self, direction: Direction) -> Result<()> {
        if self.error.is_some() {
            return self.check();
        }
        debug_assert!(self.shown.is_some(), "only a valid cursor moves");
        self.shown = None;
        if self.direction != direction && self.runs.len() > 1 {
            return self.turn_around(direction);
        }
        let run = &mut self.runs[self.winner];
        let moved = if direction == Direction::Forward { run.advance() } else { run.retreat() };
        let entry = match moved {
            Ok(entry) => entry,
            Err(error) => return self.latch(Err(error)),
        };
        let challenger = self.challenger;
        if let Some(lane) = self.lanes.get_mut(self.winner) {
            (lane.head, lane.live) = entry.map_or((0, false), |entry| (key::wide_head(entry.key), true));
        }
        // SAFETY: as in `show`.
        self.shown = entry.map(|entry| unsafe { Shown::new(entry) });
        let won = match challenger {
            Some(challenger) => self.beats(self.winner, challenger),
            None => self.lanes.is_empty(),
        };
        if !won {
            self.replay();
        }
        Ok(())
    }

    #[cold]
    fn turn_around(&mut self, direction: Direction) -> Result<()> {
        let turned = self.turn(direction);
        self.latch(turned)?;
        self.build();
        Ok(())
    }

    /// Turns around: moves the winner by one and every other run to the other side of the entry
    /// that the winner stood on.
    fn turn(&mut self, direction: Direction) -> Result<()> {
        self.direction = direction;
        let winner = &mut self.runs[self.winner];
        let mut here = std::mem::take(&mut self.turn_key);
        here.clear();
        here.extend_from_slice(winner.user_key());
        let trailer = winner.trailer();
        let turned = match direction {
            Direction::Forward => self.turn_forward(&here, trailer),
            Direction::Backward => self.turn_backward(&here, trailer),
        };
        self.turn_key = here;
        turned
    }

    fn turn_forward(&mut self, here: &[u8], trailer: Trailer) -> Result<()> {
        for (i, run) in self.runs.iter_mut().enumerate() {
            if i != self.winner {
                run.seek(here, trailer.seq())?;
                // Equal internal keys of lower runs come before the winner's.
                let passed = |run: &C| match key::compare((run.user_key(), run.trailer()), (here, trailer)) {
                    Ordering::Equal => i < self.winner,
                    order => order == Ordering::Less,
                };
                while run.valid() && passed(run) {
                    run.next()?;
                }
            } else {
                run.next()?;
            }
        }
        Ok(())
    }

    fn turn_backward(&mut self, here: &[u8], trailer: Trailer) -> Result<()> {
        for (i, run) in self.runs.iter_mut().enumerate() {
            if i == self.winner {
                run.prev()?;
                continue;
            }
            // An equal internal key of a lower run comes before the winner's, too.
            if i < self.winner {
                run.seek(here, trailer.seq())?;
                if run.valid() && run.user_key() == here && run.trailer() == trailer {
                    continue;
                }
            }
            run.seek_before(here, trailer.seq())?;
        }
        Ok(())
    }
}

impl<C> Merge<C> {
    #[inline]
    fn shown(&self) -> &EntryRef<'_> {
        self.shown.as_ref().expect("a valid cursor").get()
    }
}

impl<C: Cursor> Cursor for Merge<C> {
    #[inline]
    fn valid(&self) -> bool {
        self.shown.is_some()
    }

    #[inline]
    fn user_key(&self) -> &[u8] {
        self.shown().key
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        self.shown().trailer()
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        *self.shown()
    }

    fn value_slice(&self) -> Slice {
        self.runs[self.winner].value_slice()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.position(Direction::Forward, C::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.position(Direction::Backward, C::seek_to_last)
    }

    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.position(Direction::Forward, |run| run.seek(key, seq))
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.position(Direction::Backward, |run| run.seek_before(key, seq))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        self.step(Direction::Forward)
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<EntryRef<'_>>> {
        self.step(Direction::Forward)?;
        Ok(self.shown.as_ref().map(|shown| *shown.get()))
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        self.step(Direction::Backward)
    }

    fn skip_to(&mut self, key: Option<&[u8]>, seq: SeqNum) -> Result<bool> {
        self.skip(Direction::Forward, |run| {
            let before = key.is_none_or(|key| run.user_key() < key);
            if before { run.skip_to(key, seq) } else { Ok(false) }
        })
    }

    fn skip_before(&mut self, key: &[u8], seq: SeqNum) -> Result<bool> {
        self.skip(Direction::Backward, |run| {
            if run.user_key() >= key { run.skip_before(key, seq) } else { Ok(false) }
        })
    }
}
