//! Versions of keys, and which of them holds.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// A family as the oracle counts them: a name that comes back after it was dropped is a new one.
pub type FamilyId = u32;

/// What a commit made of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Version {
    /// Which commit, and which of its changes.
    pub order: (u32, u32),
    /// The value; `None` if the key was removed.
    pub value: Option<Arc<[u8]>>,
    /// From when on it counts as absent, in milliseconds since the epoch.
    pub expires_at: u64,
    /// Whether it lay in a range that was dropped: nobody may read it.
    pub dropped: bool,
}

impl Version {
    /// The value that a read at this time gives.
    #[must_use]
    pub fn at(&self, now_ms: u64) -> Option<&Arc<[u8]>> {
        self.value.as_ref().filter(|_| now_ms < self.expires_at)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (commit, change) = self.order;
        match &self.value {
            None if self.dropped => write!(f, "dropped by {commit}.{change}")?,
            None => write!(f, "removed by {commit}.{change}")?,
            Some(value) => write!(f, "{} bytes of {commit}.{change}", value.len())?,
        }
        if self.expires_at != u64::MAX { write!(f, " until {}", self.expires_at) } else { Ok(()) }
    }
}

/// The newest version of each key.
#[derive(Clone, Debug, Default)]
pub struct State {
    versions: BTreeMap<(FamilyId, Vec<u8>), Version>,
}

impl State {
    /// Takes a version over unless a newer one is there.
    pub fn apply(&mut self, family: FamilyId, key: &[u8], version: &Version) {
        let held = self.versions.entry((family, key.to_vec())).or_insert_with(|| version.clone());
        if held.order < version.order {
            *held = version.clone();
        }
    }

    /// The newest version of a key.
    #[must_use]
    pub fn version(&self, family: FamilyId, key: &[u8]) -> Option<&Version> {
        self.versions.get(&(family, key.to_vec()))
    }

    /// What a read of a key gives.
    #[must_use]
    pub fn get(&self, family: FamilyId, key: &[u8], now_ms: u64) -> Option<&Arc<[u8]>> {
        self.version(family, key)?.at(now_ms)
    }

    /// The visible entries of a family.
    pub fn entries(&self, family: FamilyId, now_ms: u64) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries_from(family, Bound::Unbounded, now_ms)
    }

    /// The visible entries of a family from a key on.
    pub fn entries_from(
        &self,
        family: FamilyId,
        from: Bound<&[u8]>,
        now_ms: u64,
    ) -> impl Iterator<Item = (&[u8], &[u8])> {
        let from = match from {
            Bound::Unbounded => Bound::Included((family, Vec::new())),
            from => from.map(|key| (family, key.to_vec())),
        };
        self.versions
            .range((from, Bound::Excluded((family + 1, Vec::new()))))
            .filter_map(move |((_, key), version)| Some((key.as_slice(), version.at(now_ms)?.as_ref())))
    }

    /// All versions that are held.
    pub fn versions(&self) -> impl Iterator<Item = (FamilyId, &[u8], &Version)> {
        self.versions.iter().map(|((family, key), version)| (*family, key.as_slice(), version))
    }

    /// The keys of a family, removed ones too.
    pub fn keys(&self, family: FamilyId) -> impl Iterator<Item = &[u8]> {
        let all = (family, Vec::new())..(family + 1, Vec::new());
        self.versions.range(all).map(|((_, key), _)| key.as_slice())
    }

    /// Forgets a family.
    pub fn remove_family(&mut self, family: FamilyId) {
        self.versions.retain(|(held, _), _| *held != family);
    }
}

/// The front of a value, for messages.
pub(super) fn short(value: &[u8]) -> String {
    match value {
        // The commit and the change that wrote it.
        [a, b, c, d, e, f, g, h, ..] => {
            let (commit, change) =
                (u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h]));
            format!("({commit}.{change})")
        }
        short => format!("({})", short.escape_ascii()),
    }
}
