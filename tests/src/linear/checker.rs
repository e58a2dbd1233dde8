//! Decides whether calls can be put into an order that explains them.
//!
//! The search is J. Wing's and C. Gong's (Testing and Verifying Concurrent Objects, 1993): of the calls
//! that nothing unexplained precedes, try each as the next one, and go back when none fits. Pairs of
//! explained calls and content that have led nowhere are remembered, which is G. Lowe's improvement
//! (Testing for Linearizability, 2017). Cells that no call has in common with others are decided on
//! their own: a history is linearizable if it is so for each such part (Herlihy and Wing, 1990).

use super::call::{Call, Cell, Content, EMPTY, KEYS, What};
use std::collections::HashSet;

/// A part of a history with so many tries is given up.
const MOST_TRIES: usize = 4_000_000;

/// The search was given up: the history is too wide for it.
#[derive(Debug)]
pub struct Undecided;

/// The calls of the first part that no order explains, by their beginning; `None` if all is explained.
///
/// # Errors
/// [`Undecided`] when the search takes too long.
pub fn check(calls: &[Call]) -> Result<Option<Vec<Call>>, Undecided> {
    if let Some(pair) = numbers_out_of_order(calls) {
        return Ok(Some(pair));
    }
    for part in parts(calls) {
        if !Search::new(&part).run()? {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// Two writes, one after the other, whose numbers say otherwise: these are one order over all cells.
fn numbers_out_of_order(calls: &[Call]) -> Option<Vec<Call>> {
    let numbered = |call: &Call| match call.what {
        What::Write { seq, .. } | What::Update { seq, .. } if seq > 0 => Some(seq),
        _ => None,
    };
    for earlier in calls {
        let before = |later: &&Call| earlier.ended < later.began && numbered(later) <= numbered(earlier);
        if numbered(earlier).is_some()
            && let Some(later) = calls.iter().filter(|call| numbered(call).is_some()).find(before)
        {
            return Some(vec![earlier.clone(), later.clone()]);
        }
    }
    None
}

/// The calls by groups of cells that calls connect, each by its beginning.
fn parts(calls: &[Call]) -> Vec<Vec<Call>> {
    let mut group: [usize; KEYS] = std::array::from_fn(|cell| cell);
    for call in calls {
        for pair in call.cells().windows(2) {
            let (from, to) = (group[pair[0]], group[pair[1]]);
            group.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
        }
    }
    let mut parts = vec![Vec::new(); KEYS];
    for call in calls {
        if let Some(cell) = call.cells().first() {
            parts[group[*cell]].push(call.clone());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.iter_mut().for_each(|part| part.sort_by_key(|call| call.began));
    parts
}

/// What the explained calls have left.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    content: Content,
    seq: u64,
}

struct Search<'a> {
    calls: &'a [Call],
    state: State,
    explained: Vec<u64>,
    /// The explained calls in their order, with the state before each.
    order: Vec<(usize, State)>,
    seen: HashSet<(Vec<u64>, State)>,
}

impl<'a> Search<'a> {
    fn new(calls: &'a [Call]) -> Search<'a> {
        Search {
            calls,
            state: State { content: EMPTY, seq: 0 },
            explained: vec![0; calls.len().div_ceil(64)],
            order: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn is_explained(&self, call: usize) -> bool {
        self.explained[call / 64] >> (call % 64) & 1 == 1
    }

    fn flip(&mut self, call: usize) {
        self.explained[call / 64] ^= 1 << (call % 64);
    }

    fn run(mut self) -> Result<bool, Undecided> {
        let mut from = 0;
        while self.order.len() < self.calls.len() {
            if self.seen.len() > MOST_TRIES {
                return Err(Undecided);
            }
            if let Some(call) = self.advance(from) {
                from = 0;
                debug_assert!(self.is_explained(call));
            } else {
                let Some((call, before)) = self.order.pop() else { return Ok(false) };
                self.flip(call);
                self.state = before;
                from = call + 1;
            }
        }
        Ok(true)
    }

    /// Explains one more call: the first from `from` on that may be next, fits, and was not tried.
    fn advance(&mut self, from: usize) -> Option<usize> {
        let open = |search: &Self, call: &usize| !search.is_explained(*call);
        let first = (0..self.calls.len()).find(|call| open(self, call))?;
        // Whoever began after another had ended cannot come before it.
        let mut ended = self.calls[first].ended;
        for call in first..self.calls.len() {
            if self.calls[call].began > ended {
                break;
            }
            if !open(self, &call) {
                continue;
            }
            ended = ended.min(self.calls[call].ended);
            let Some(state) = (call >= from).then(|| step(self.state, &self.calls[call].what)).flatten()
            else {
                continue;
            };
            self.flip(call);
            if self.seen.insert((self.explained.clone(), state)) {
                self.order.push((call, self.state));
                self.state = state;
                return Some(call);
            }
            self.flip(call);
        }
        None
    }
}

/// What a call leaves if it takes effect now; `None` if it cannot.
fn step(state: State, what: &What) -> Option<State> {
    let holds = |cells: &[(usize, Cell)]| cells.iter().all(|(cell, value)| state.content[*cell] == *value);
    let written = |cells: &[(usize, Cell)], seq: u64| {
        let mut next = state;
        cells.iter().for_each(|(cell, value)| next.content[*cell] = *value);
        if seq > 0 {
            next.seq = seq;
            return (seq > state.seq).then_some(next);
        }
        Some(next)
    };
    match what {
        What::Read { cells } => holds(cells).then_some(state),
        What::Differs { cell, from } => (!holds(&[(*cell, *from)])).then_some(state),
        What::Write { cells, seq } => written(cells, *seq),
        What::Update { read, cells, seq } => holds(read).then(|| written(cells, *seq)).flatten(),
    }
}
