//! What the family in which ranges are dropped should hold.
//!
//! The oracle forgets that family whenever a store is opened again: nobody may read there what was dropped,
//! so nothing is asked of it. But its tables count in the directory, and so must what is alive in them: else
//! the space that a store takes seems to grow from one opening to the next.

use super::print::print;
use crate::history::{Change, DROPPING, What, value};
use std::collections::BTreeMap;

/// The keys of the family, with the fingerprints of their values: all that was put and not dropped since. A
/// write that was on its way when the process was killed counts as not done.
#[derive(Debug, Default)]
pub struct Stock {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Stock {
    /// Those of a commit's changes that belong to the family, with their places in it.
    #[must_use]
    pub fn concerned(changes: &[Change]) -> Vec<(usize, Change)> {
        let all = changes.iter().cloned().enumerate();
        all.filter(|(_, change)| change.family == DROPPING).collect()
    }

    /// A commit was done.
    pub fn done(&mut self, commit: u32, changes: &[(usize, Change)]) {
        for (at, change) in changes {
            match &change.what {
                What::Put { bytes } => {
                    let print = print(&value(commit, *at, *bytes));
                    self.entries.insert(change.key.clone(), print.to_vec());
                }
                What::DropRange(span) => self.entries.retain(|key, _| !span.contains(key)),
                other => unreachable!("the family {DROPPING} is never asked for {other:?}"),
            }
        }
    }

    /// All entries, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, print)| (key.as_slice(), print.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Span;

    #[test]
    fn what_was_put_counts_until_it_is_dropped() {
        let put =
            |key: &str| Change { family: DROPPING.into(), key: key.into(), what: What::Put { bytes: 9 } };
        let elsewhere = Change { family: "default".into(), ..put("elsewhere") };
        let mut stock = Stock::default();
        stock.done(1, &Stock::concerned(&[put("a1"), elsewhere, put("b1"), put("a2")]));
        let held: Vec<_> = stock.entries().map(|(key, print)| (key.to_vec(), print.to_vec())).collect();
        let print = |at| print(&value(1, at, 9)).to_vec();
        assert_eq!(
            held,
            [(b"a1".to_vec(), print(0)), (b"a2".to_vec(), print(3)), (b"b1".to_vec(), print(2))]
        );
        let dropped = Change::of_range(DROPPING, What::DropRange(Span::Prefix(b"a".to_vec())));
        stock.done(2, &[(0, dropped)]);
        assert_eq!(stock.entries().map(|(key, _)| key).collect::<Vec<_>>(), [b"b1"]);
    }
}
