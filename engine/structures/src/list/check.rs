//! What `verify` asks of a list.

use crate::encoding::header::{Meta, flag};
use crate::encoding::items::Items;
use crate::encoding::key::kind;
use crate::encoding::limits::{MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS};
use crate::encoding::positions::{
    Ends, LEVELS, STEP, aligned, group, group_end, group_start, split_count, split_position,
};
use std::collections::BTreeMap;

/// What is wrong with the payload or the records of a list.
pub(crate) fn check_elements(meta: &Meta, payload: &[u8], records: &[(u8, &[u8], &[u8])]) -> Option<String> {
    if meta.length == 0 {
        return Some("an empty list".into());
    }
    if !meta.records {
        let Ok(items) = Items::new(payload).list() else {
            return Some("elements that cannot be read".into());
        };
        let fits = payload.len() <= MAX_INLINE_BYTES && items.len() <= MAX_INLINE_ELEMENTS;
        let right = items.len() as u64 == meta.length && fits;
        return (!right).then(|| format!("{} elements in the header, {} counted", items.len(), meta.length));
    }
    let Ok(ends) = Ends::decode(payload) else { return Some("ends that cannot be read".into()) };
    let (mut positions, mut counts) = (Vec::new(), BTreeMap::new());
    for (kind, rest, value) in records {
        let read = match *kind {
            kind::ELEMENT => split_position(rest).map(|position| positions.push(position)).is_ok(),
            kind::ELEMENT_COUNT => match (split_count(rest), <[u8; 8]>::try_from(*value)) {
                (Ok(place), Ok(delta)) => {
                    counts.insert(place, i64::from_le_bytes(delta));
                    true
                }
                _ => false,
            },
            _ => false,
        };
        if !read {
            return Some(format!("a record of kind {kind} among the elements of a list"));
        }
    }
    if positions.len() as u64 != meta.length {
        return Some(format!("{} records of elements, {} counted", positions.len(), meta.length));
    }
    if positions.first() != Some(&ends.head) || positions.last() != Some(&ends.tail) {
        return Some("the ends are not those of the elements".into());
    }
    let dense = meta.flags & flag::OWN != 0;
    if dense && positions.windows(2).any(|pair| pair[1] - pair[0] != STEP) {
        return Some("an index does not tell the position".into());
    }
    counts.retain(|_, delta| *delta != 0);
    (0..LEVELS).find_map(|level| check_level(level, ends, &positions, &counts))
}

/// What is wrong with the counts of a level.
fn check_level(
    level: usize,
    ends: Ends,
    positions: &[u64],
    counts: &BTreeMap<(usize, u64), i64>,
) -> Option<String> {
    let mut held: BTreeMap<u64, i64> = BTreeMap::new();
    for position in positions {
        *held.entry(group(level, *position)).or_default() += 1;
    }
    let expected = |group: u64| {
        let (start, end) = (group_start(level, group).max(ends.head), group_end(level, group));
        aligned(start, end.min(ends.tail + 1)) as i64
    };
    let of_level = counts.range((level, 0)..(level + 1, 0)).map(|((_, group), delta)| (*group, *delta));
    let counted: BTreeMap<u64, i64> = of_level.collect();
    for group in held.keys().chain(counted.keys()) {
        let difference = held.get(group).unwrap_or(&0) - expected(*group);
        let delta = counted.get(group).copied().unwrap_or(0);
        if difference != delta {
            return Some(format!("group {group:x} of level {level}: {difference} more, {delta} counted"));
        }
    }
    let sum: i64 = counted.values().sum();
    let difference = positions.len() as i64 - aligned(ends.head, ends.tail + 1) as i64;
    (sum != difference).then(|| format!("level {level}: {difference} more, {sum} counted"))
}
