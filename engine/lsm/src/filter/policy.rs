//! The filter policies.

/// What stands behind every filter, its policy in front: see the single policies.
pub(super) const TAIL_BYTES: usize = 8;

/// How the filter of a table is built, which says of most absent keys that they are absent. The numbers stand
/// on disk and are never reused.
///
/// ```
/// use esker::{Db, FamilyOptions, FilterPolicy};
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = Db::open(dir.path().join("data"))?;
/// // Anybody may make a session, and may choose its name so that looks for it cost as much as they can.
/// let options = FamilyOptions { filter: FilterPolicy::Keyed, ..FamilyOptions::default() };
/// let sessions = db.create_column_family("sessions", options)?;
/// sessions.put("name that a stranger chose", "value")?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum FilterPolicy {
    /// No filter.
    None = 0,
    /// A cache-line-blocked Bloom filter over [`crate::base::hash::key_hash`].
    #[default]
    Blocked = 1,
    /// A Bloom filter over a hash that is keyed with a random number of the table, for keys that an
    /// adversary may choose: several hashes and cache lines for each look at a table in place of one.
    Keyed = 2,
}

impl FilterPolicy {
    /// Decodes a policy that this version can read; `None` for any other byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<FilterPolicy> {
        match byte {
            0 => Some(FilterPolicy::None),
            1 => Some(FilterPolicy::Blocked),
            2 => Some(FilterPolicy::Keyed),
            _ => None,
        }
    }
}
