//! Versions of keys, and which of them holds.

use crate::history::Operator;
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
    /// Whether the value is an operand, which changes what was there before.
    pub merge: Option<Merge>,
}

/// How an operand changes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// In which way.
    pub operator: Operator,
    /// When it was written, in milliseconds since the epoch.
    pub written_ms: u64,
    /// For how long what it starts from nothing lives, in milliseconds; 0 for ever.
    pub ttl_ms: u64,
}

impl Version {
    /// What this operand makes of the version below it.
    fn on(&self, below: Option<&Version>, merge: Merge) -> Version {
        let alive = below.and_then(|version| Some((version.at(merge.written_ms)?, version.expires_at)));
        let operand = self.value.as_deref().unwrap_or_default();
        let started = if merge.ttl_ms == 0 { u64::MAX } else { merge.written_ms + merge.ttl_ms };
        let expires_at = alive.map_or(started, |(_, expires_at)| expires_at);
        let value = merge.operator.apply(alive.map(|(value, _)| value.as_ref()), operand);
        Version { order: self.order, value: Some(value.into()), expires_at, dropped: false, merge: None }
    }

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

/// The versions of a key that count: the newest that is no operand, and the operands behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    versions: Vec<Version>,
    /// What they come to.
    folded: Option<Version>,
}

impl Chain {
    /// Takes a version over, wherever it stands. Returns whether it counts.
    pub(super) fn apply(&mut self, version: &Version) -> bool {
        let at = self.versions.partition_point(|held| held.order < version.order);
        let counts = match self.versions.get(at) {
            Some(next) => next.merge.is_some() && next.order != version.order,
            None => true,
        };
        if counts {
            if version.merge.is_some() {
                self.versions.insert(at, version.clone());
            } else {
                self.versions.splice(..at, [version.clone()]);
            }
            self.folded = None;
            for version in &self.versions {
                let folded = match version.merge {
                    Some(merge) => version.on(self.folded.as_ref(), merge),
                    None => version.clone(),
                };
                self.folded = Some(folded);
            }
        }
        counts
    }

    /// What they come to.
    pub(super) fn folded(&self) -> Option<&Version> {
        self.folded.as_ref()
    }
}

/// What the versions of each key come to.
#[derive(Clone, Debug, Default)]
pub struct State {
    chains: BTreeMap<(FamilyId, Vec<u8>), Chain>,
}

impl State {
    /// Takes a version over unless a newer one is there that is no operand.
    pub fn apply(&mut self, family: FamilyId, key: &[u8], version: &Version) {
        self.chains.entry((family, key.to_vec())).or_default().apply(version);
    }

    /// What the versions of a key come to.
    #[must_use]
    pub fn version(&self, family: FamilyId, key: &[u8]) -> Option<&Version> {
        self.chain(family, key)?.folded()
    }

    pub(super) fn chain(&self, family: FamilyId, key: &[u8]) -> Option<&Chain> {
        self.chains.get(&(family, key.to_vec()))
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
        self.chains
            .range((from, Bound::Excluded((family + 1, Vec::new()))))
            .filter_map(move |((_, key), chain)| Some((key.as_slice(), chain.folded()?.at(now_ms)?.as_ref())))
    }

    /// All versions that are held, operands as what they come to.
    pub fn versions(&self) -> impl Iterator<Item = (FamilyId, &[u8], &Version)> {
        self.chains
            .iter()
            .filter_map(|((family, key), chain)| Some((*family, key.as_slice(), chain.folded()?)))
    }

    /// The keys of a family, removed ones too.
    pub fn keys(&self, family: FamilyId) -> impl Iterator<Item = &[u8]> {
        let all = (family, Vec::new())..(family + 1, Vec::new());
        self.chains.range(all).map(|((_, key), _)| key.as_slice())
    }

    /// Forgets a family.
    pub fn remove_family(&mut self, family: FamilyId) {
        self.chains.retain(|(held, _), _| *held != family);
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
