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

use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{self, EntryRef, SeqNum, Trailer};
use crate::base::slice::Slice;
use std::cmp::Ordering;

/// A cursor over the entries of several runs, in the order of internal keys. Of equal internal keys
/// (which runs of one family do not have) the one of the run with the lower index comes first.
pub struct Merge<C> {
    runs: Vec<C>,
    /// Beside each run what matches look at first.
    lanes: Vec<Lane>,
    /// The losers at the inner nodes `1..runs`; the leaf of run `i` is node `runs + i`.
    losers: Vec<usize>,
    winner: usize,
    /// The best run but the winner, if that is known.
    challenger: Option<usize>,
    direction: Direction,
    valid: bool,
    error: Option<Error>,
    /// The winner's key while the merge turns around.
    turn_key: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Lane {
    head: u64,
    live: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl<C: Cursor> Merge<C> {
    /// Merges `runs`, best given newest first. The merge stands nowhere yet.
    #[must_use]
    pub fn new(runs: Vec<C>) -> Merge<C> {
        Merge {
            lanes: vec![Lane::default(); runs.len()],
            losers: vec![0; runs.len()],
            runs,
            winner: 0,
            challenger: None,
            direction: Direction::Forward,
            valid: false,
            error: None,
            turn_key: Vec::new(),
        }
    }

    /// Whether run `a` comes before run `b` in the direction of the walk.
    fn beats(&self, a: usize, b: usize) -> bool {
        let (lane_a, lane_b) = (self.lanes[a], self.lanes[b]);
        if !(lane_a.live && lane_b.live) {
            return lane_a.live || !lane_b.live && a < b;
        }
        let order = lane_a.head.cmp(&lane_b.head).then_with(|| {
            let (a, b) = (&self.runs[a], &self.runs[b]);
            key::compare((a.user_key(), a.trailer()), (b.user_key(), b.trailer()))
        });
        let order = order.then(a.cmp(&b));
        match self.direction {
            Direction::Forward => order == Ordering::Less,
            Direction::Backward => order == Ordering::Greater,
        }
    }

    fn refresh(&mut self, run: usize) {
        let live = self.runs[run].valid();
        let head = if live { key::head(self.runs[run].user_key(), 0) } else { 0 };
        self.lanes[run] = Lane { head, live };
    }

    /// Plays all matches.
    fn build(&mut self) {
        let count = self.runs.len();
        if count == 1 {
            // There is nobody to play against, and `step` asks the run itself.
            self.valid = self.runs[0].valid();
            return;
        }
        (0..count).for_each(|run| self.refresh(run));
        self.challenger = None;
        // The winner of each node, leaves included, from the bottom up.
        let mut winners: Vec<usize> = (0..2 * count).map(|node| node.saturating_sub(count)).collect();
        for node in (1..count).rev() {
            let (a, b) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) = if self.beats(a, b) { (a, b) } else { (b, a) };
            winners[node] = winner;
            self.losers[node] = loser;
        }
        self.winner = winners.get(1).copied().unwrap_or(0);
        self.valid = self.lanes.get(self.winner).is_some_and(|lane| lane.live);
    }

    /// Plays the matches of the winner, which has moved, again.
    fn replay(&mut self) {
        let moved = self.winner;
        self.refresh(moved);
        if let Some(challenger) = self.challenger
            && self.beats(moved, challenger)
        {
            return;
        }
        self.challenger = None;
        let mut winner = moved;
        let mut node = (self.runs.len() + moved) / 2;
        while node > 0 {
            let loser = self.losers[node];
            if self.beats(loser, winner) {
                self.losers[node] = winner;
                winner = loser;
            }
            node /= 2;
        }
        if winner == moved {
            self.challenger = self.best_loser();
        }
        self.winner = winner;
        self.valid = self.lanes[winner].live;
    }

    /// The best of those that lost to the winner directly, which is the best of all others.
    fn best_loser(&self) -> Option<usize> {
        let mut node = (self.runs.len() + self.winner) / 2;
        let mut best = None;
        while node > 0 {
            let loser = self.losers[node];
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
        }
        Ok(any)
    }

    fn check(&self) -> Result<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    fn latch(&mut self, result: Result<()>) -> Result<()> {
        if let Err(error) = &result {
            self.error = Some(error.clone());
            self.valid = false;
        }
        result
    }

    /// Moves by one in `direction`.
    fn step(&mut self, direction: Direction) -> Result<()> {
        self.check()?;
        debug_assert!(self.valid, "only a valid cursor moves");
        if self.direction != direction && self.runs.len() > 1 {
            let turned = self.turn(direction);
            self.latch(turned)?;
            self.build();
            return Ok(());
        }
        let run = &mut self.runs[self.winner];
        let moved = if direction == Direction::Forward { run.next() } else { run.prev() };
        self.latch(moved)?;
        if self.runs.len() == 1 {
            self.valid = self.runs[0].valid();
        } else {
            self.replay();
        }
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

impl<C: Cursor> Cursor for Merge<C> {
    fn valid(&self) -> bool {
        self.valid
    }

    fn user_key(&self) -> &[u8] {
        self.runs[self.winner].user_key()
    }

    fn trailer(&self) -> Trailer {
        self.runs[self.winner].trailer()
    }

    fn entry(&self) -> EntryRef<'_> {
        self.runs[self.winner].entry()
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

    fn next(&mut self) -> Result<()> {
        self.step(Direction::Forward)
    }

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
