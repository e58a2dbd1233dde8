//! What each type asks of its header and its records. A type joins with a line in each.

use crate::base::hash::HashKey;
use crate::encoding::check::Check;
use crate::encoding::header::{Meta, Type};
use crate::{hash, list, set, string, zset};

/// What is wrong with a header that holds everything itself.
pub(super) fn inline(meta: &Meta, payload: &[u8]) -> Option<String> {
    match meta.kind {
        Type::String => None,
        Type::Hash => hash::check_inline(meta, payload),
        Type::List => list::check_inline(meta, payload),
        Type::Set => set::check_inline(meta, payload),
        Type::SortedSet => zset::check_inline(meta, payload),
    }
}

/// Who looks at the records of a key; what is wrong, if its header says that there can be none.
pub(super) fn records(meta: &Meta, payload: &[u8], key: HashKey) -> Result<Box<dyn Check>, String> {
    Ok(match meta.kind {
        Type::String => Box::new(string::Chunks(*meta)),
        Type::Hash => Box::new(hash::check_records(meta, key)),
        Type::List => Box::new(list::ElementCheck::new(meta, payload)?),
        Type::Set => Box::new(set::check_records(meta, key)),
        Type::SortedSet => Box::new(zset::Records::new(meta, payload, key)?),
    })
}
