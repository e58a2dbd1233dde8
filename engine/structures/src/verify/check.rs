//! What each type asks of its records. A type joins with a line.

use crate::base::hash::HashKey;
use crate::encoding::header::{Meta, Type};

/// A record of an incarnation: kind, rest of the key, bytes of the value - and the value itself.
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) rest: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// What is wrong with a key, if anything. `records` are in the order of their keys, names left out.
pub(super) fn check(meta: &Meta, payload: &[u8], records: &[Record], hash: HashKey) -> Option<String> {
    if !meta.records && !records.is_empty() {
        return Some("records of a key that has none".into());
    }
    let sizes: Vec<(u8, &[u8], usize)> =
        records.iter().map(|record| (record.kind, &record.rest[..], record.value.len())).collect();
    match meta.kind {
        Type::String if meta.records => crate::string::check_chunks(meta, &sizes),
        Type::String => None,
        Type::Hash => crate::hash::check_fields(meta, payload, &sizes, hash),
        Type::List => {
            let records: Vec<(u8, &[u8], &[u8])> =
                records.iter().map(|record| (record.kind, &record.rest[..], &record.value[..])).collect();
            crate::list::check_elements(meta, payload, &records)
        }
        Type::Set => crate::set::check_members(meta, payload, &sizes, hash),
        Type::SortedSet => {
            let records: Vec<(u8, &[u8], &[u8])> =
                records.iter().map(|record| (record.kind, &record.rest[..], &record.value[..])).collect();
            crate::zset::check_members(meta, payload, &records, hash)
        }
    }
}
