//! What a loss of power leaves of writes that several threads were about to make.

use super::call::{Call, Cell, Content, EMPTY, What};
use super::threads::{FAMILIES, cell_of};
use esker::Db;

/// Everything in a store.
///
/// # Errors
/// What reading gives.
pub fn read_all(db: &Db) -> esker::Result<Content> {
    let mut content = EMPTY;
    for (number, name) in FAMILIES.iter().enumerate() {
        for entry in db.open_column_family(name)?.iter()? {
            let (key, value) = entry?;
            let (cell, held) = cell_of(number, &key, &value);
            content[cell] = held;
        }
    }
    Ok(content)
}

/// The number of writes, in the order of their sequence numbers, that leave `found`, and cover all
/// numbers up to `durable`; `None` if there is no such beginning. All writes must have their numbers.
#[must_use]
pub fn explain(calls: &[Call], durable: u64, found: &Content) -> Option<usize> {
    let mut writes: Vec<(u64, &[(usize, Cell)])> = calls
        .iter()
        .filter_map(|call| match &call.what {
            What::Write { cells, seq } | What::Update { cells, seq, .. } => Some((*seq, cells.as_slice())),
            What::Read { .. } | What::Differs { .. } => None,
        })
        .collect();
    writes.sort_unstable_by_key(|(seq, _)| *seq);
    let mut content = EMPTY;
    for count in 0..=writes.len() {
        let next = writes.get(count).map_or(u64::MAX, |(seq, _)| *seq);
        if content == *found && next > durable {
            return Some(count);
        }
        if let Some((_, cells)) = writes.get(count) {
            cells.iter().for_each(|(cell, value)| content[*cell] = *value);
        }
    }
    None
}
