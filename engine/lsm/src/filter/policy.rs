//! The filter policies.

/// How a filter is built. The numbers stand on disk and are never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum FilterPolicy {
    /// No filter.
    None = 0,
    /// A cache-line-blocked Bloom filter over [`crate::base::hash::key_hash`].
    #[default]
    Blocked = 1,
    /// Reserved: a Bloom filter over a keyed hash, for keys that an adversary may choose.
    Keyed = 2,
}

impl FilterPolicy {
    /// Decodes a policy that this version can read; `None` for any other byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<FilterPolicy> {
        match byte {
            0 => Some(FilterPolicy::None),
            1 => Some(FilterPolicy::Blocked),
            _ => None,
        }
    }
}
