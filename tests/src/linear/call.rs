//! One call of a thread, and what the store is to the checker: a few cells.

use std::time::Duration;

/// How many cells there are: keys, over all families.
pub const KEYS: usize = 6;

/// What a cell holds: the number of the write, or 0 for nothing.
pub type Cell = u32;

/// All cells.
pub type Content = [Cell; KEYS];

/// Nothing in any cell.
pub const EMPTY: Content = [0; KEYS];

/// What a call did, as far as its caller can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Set these cells at once (0 deletes). `seq` is the sequence number that it got, or 0 if it was
    /// not told: those with numbers must take effect in the order of these.
    Write {
        /// Which cells, and what they hold from then on.
        cells: Vec<(usize, Cell)>,
        /// The sequence number.
        seq: u64,
    },
    /// Saw these cells, and set others at once; what it saw was still so when it set them.
    Update {
        /// Which cells, and what they held.
        read: Vec<(usize, Cell)>,
        /// Which cells, and what they hold from then on.
        cells: Vec<(usize, Cell)>,
        /// The sequence number, or 0 if it was not told.
        seq: u64,
    },
    /// Saw that a cell held something else.
    Differs {
        /// The cell.
        cell: usize,
        /// What it did not hold.
        from: Cell,
    },
    /// Saw these cells at once.
    Read {
        /// Which cells, and what they held.
        cells: Vec<(usize, Cell)>,
    },
}

/// A call with the time in which it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who called.
    pub thread: usize,
    /// Before it began, on a clock that all threads share.
    pub began: Duration,
    /// After it returned.
    pub ended: Duration,
    /// What it did.
    pub what: What,
}

impl Call {
    /// The cells that it is about.
    pub fn cells(&self) -> Vec<usize> {
        let of = |cells: &[(usize, Cell)]| cells.iter().map(|(cell, _)| *cell).collect::<Vec<_>>();
        match &self.what {
            What::Write { cells, .. } | What::Read { cells } => of(cells),
            What::Update { read, cells, .. } => [of(read), of(cells)].concat(),
            What::Differs { cell, .. } => vec![*cell],
        }
    }
}

/// Calls, one in each line, for who looks for what went wrong.
#[must_use]
pub fn shown(calls: &[Call]) -> String {
    let line = |Call { thread, began, ended, what }: &Call| {
        format!("{:>12} - {:>12} thread {thread} {what:?}\n", began.as_nanos(), ended.as_nanos())
    };
    calls.iter().map(line).collect()
}

/// How many calls were under way while one of another thread was.
#[must_use]
pub fn overlapping(calls: &[Call]) -> usize {
    let beside = |a: &Call, b: &Call| a.thread != b.thread && a.began < b.ended && b.began < a.ended;
    calls.iter().filter(|a| calls.iter().any(|b| beside(a, b))).count()
}
