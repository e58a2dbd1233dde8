//! Nobody sees a difference, however operands are folded.

use super::runs::{Fuse, Owned, RunCursor};
use super::{Fate, Fold, Horizon, Retain, SharedValues, Version, gather};
use crate::base::cursor::Cursor;
use crate::base::key::{Kind, NEVER, SeqNum};
use crate::base::operand::Operand;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::hooks::{Append, FamilyHooks, MergeError, MergeOperator};
use proptest::prelude::*;

/// Appends; cannot merge what holds a `!`.
#[derive(Debug)]
struct Picky {
    partial: bool,
}

impl MergeOperator for Picky {
    fn name(&self) -> &str {
        "picky"
    }

    fn full(&self, key: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        if operands.iter().any(|operand| operand.contains(&b'!')) {
            return Err(MergeError::new("no"));
        }
        Append::new().full(key, base, operands)
    }

    fn partial(&self, key: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        if self.partial { Append::new().partial(key, older, newer) } else { None }
    }
}

/// The time at which the operation of a sequence number is written. Some share a moment.
fn written(seq: SeqNum) -> u64 {
    seq / 3 * 30
}

#[derive(Clone, Debug)]
enum What {
    Put(Option<u64>),
    Delete,
    /// A range over the key is deleted: no version of it, but a sequence number.
    Range,
    Operand {
        ttl_ms: u64,
        bad: bool,
    },
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        2 => prop::option::of(0u64..500).prop_map(What::Put),
        1 => Just(What::Delete),
        1 => Just(What::Range),
        6 => (prop_oneof![3 => Just(0), 2 => 1u64..120], prop::bool::weighted(0.03))
            .prop_map(|(ttl_ms, bad)| What::Operand { ttl_ms, bad }),
    ]
}

fn version((at, what): (usize, &What), first: SeqNum) -> Option<Version> {
    let seq = at as u64 + first;
    let text = format!("{seq},").into_bytes();
    let (kind, expires_at, value) = match what {
        What::Put(at) => (Kind::Put, at.map_or(NEVER, |at| written(seq) + at), text),
        What::Delete => (Kind::Delete, NEVER, Vec::new()),
        What::Range => return None,
        What::Operand { ttl_ms, bad } => {
            let text = if *bad { b"!".to_vec() } else { text };
            (Kind::Merge, written(seq), Operand::encode_value(*ttl_ms, &text))
        }
    };
    Some(Version { seq, kind, expires_at, value: Slice::own(value) })
}

/// The versions that `whats` make, newest first, numbered from `first` on, and the ranges.
fn versions(whats: &[What], first: SeqNum) -> (Vec<Version>, Vec<SeqNum>) {
    let mut versions: Vec<_> = whats.iter().enumerate().filter_map(|what| version(what, first)).collect();
    versions.reverse();
    let ranges = whats.iter().zip(first..).filter(|(what, _)| matches!(what, What::Range));
    (versions, ranges.map(|(_, seq)| seq).collect())
}

/// What a reader sees: the value, or that it cannot be merged.
#[allow(clippy::type_complexity, reason = "said in one line")]
fn read(
    newest_first: &[Version],
    ranges: &[SeqNum],
    hooks: &FamilyHooks,
    seq: SeqNum,
    now_ms: u64,
) -> Result<Option<Vec<u8>>, ()> {
    let owned = newest_first.iter().map(|v| Owned {
        key: b"k".to_vec(),
        seq: v.seq,
        kind: v.kind,
        expires_at: v.expires_at,
        value: v.value.to_vec(),
    });
    let mut cursor = RunCursor::new(owned.collect(), &Fuse::default());
    cursor.seek(b"k", seq).unwrap();
    let range = ranges.iter().copied().filter(|range| *range <= seq).max().unwrap_or(0);
    if !cursor.valid() || cursor.trailer().seq() < range {
        return Ok(None);
    }
    let entry = cursor.entry();
    match entry.kind {
        Kind::Merge => match gather(&mut cursor, hooks, &SharedValues::None, range, now_ms) {
            Ok(merged) => Ok(merged.map(|merged| merged.value)),
            Err(_) => Err(()),
        },
        Kind::Put if entry.expires_at > now_ms => Ok(Some(entry.value.to_vec())),
        _ => Ok(None),
    }
}

/// A merge of the versions of one key, as `compaction` does it.
fn merge(versions: &[Version], fold: Fold<'_>) -> Vec<Version> {
    let mut retain = Retain::new(fold.horizons.to_vec());
    let mut out = Vec::new();
    for (at, version) in versions.iter().enumerate() {
        let (kind, expires_at) = (version.kind, version.expires_at);
        let range = (fold.range_behind)(version.seq);
        let fate = retain.decide(b"k", version.seq, kind, expires_at, range, |_| fold.nothing_below);
        match fate {
            Fate::Drop => {}
            Fate::Delete => {
                let (expires_at, value) = (NEVER, Slice::default());
                out.push(Version { kind: Kind::Delete, expires_at, value, ..version.clone() });
            }
            Fate::Keep if kind == Kind::Merge => {
                let mut shadowed = None;
                let mut rest = versions[at..].to_vec();
                rest.retain(|version| {
                    let stripe = retain.oldest_that_sees(version.seq);
                    let range = (fold.range_behind)(version.seq);
                    let hidden = range.is_some_and(|range| range <= fold.horizons[stripe].seq);
                    let stays = shadowed != Some(stripe) && !hidden;
                    if stays && version.kind != Kind::Merge {
                        shadowed = Some(stripe);
                    }
                    stays
                });
                out.extend(fold.fold(&rest, true).unwrap().versions);
                return out;
            }
            Fate::Keep => out.push(version.clone()),
        }
    }
    out
}

fn hooks(partial: bool, known: bool) -> FamilyHooks {
    let operator: Arc<dyn MergeOperator> = Arc::new(Picky { partial });
    FamilyHooks::new(Some("picky"), known.then_some(operator), None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Readers at each horizon, at any time that may be theirs, and those that come later and see operands
    /// that were not in the merge, read the same whatever was merged: all at once, in parts, with the
    /// operator or without it.
    #[test]
    fn no_horizon_ever_sees_a_difference(
        whats in prop::collection::vec(what(), 1..14),
        depth in 0usize..5,
        cuts in prop::collection::btree_set(1u64..16, 0..3),
        split in any::<prop::sample::Index>(),
        (partial, known) in any::<(bool, bool)>(),
        later in prop::collection::vec(what(), 3),
        wait in 0u64..200,
    ) {
        let (all, mut ranges) = versions(&whats, 1);
        prop_assume!(!all.is_empty());
        // The oldest stand below the merge.
        let (versions, below) = all.split_at(all.len() - depth.min(all.len() - 1));
        let present = whats.len() as u64;
        // Operands that a horizon does not see are written at its time or later; snapshots may be older.
        let last = Horizon { seq: present, now_ms: written(present + 1) };
        let held = cuts.iter().filter(|seq| **seq < present);
        let mut horizons: Vec<_> = held.map(|&seq| Horizon { seq, now_ms: 0 }).collect();
        horizons.push(last);
        let expires = |v: &Version| v.entry(b"k").may_expire_at() != NEVER;
        let (reader, merger) = (hooks(partial, true), hooks(partial, known));
        // Nor is the merge of the older part later than the operands of the newer one, which are above it.
        let (newer, older) = versions.split_at(split.index(versions.len() + 1));
        let operands = newer.iter().filter(|version| version.kind == Kind::Merge);
        let latest_ms = operands.map(|operand| operand.expires_at).min().unwrap_or(NEVER);
        let mut earlier = horizons.clone();
        earlier.iter_mut().for_each(|horizon| horizon.now_ms = horizon.now_ms.min(latest_ms));
        let registered = ranges.clone();
        let range_behind = |seq| registered.iter().copied().find(|range| *range > seq);
        let fold = |nothing_below| Fold {
            range_behind: &range_behind,
            hooks: &merger,
            key: b"k",
            horizons: &horizons,
            nothing_below,
            may_expire: all.iter().any(expires),
        };
        let whole = merge(versions, fold(below.is_empty()));
        let under = Fold { horizons: &earlier, ..fold(below.is_empty()) };
        let parts = [merge(newer, fold(false)), merge(older, under)].concat();
        let both = merge(&parts, fold(below.is_empty()));
        let (above, more) = self::versions(&later, present + 1);
        ranges.extend(more);
        for merged in [&whole, &parts, &both] {
            prop_assert!(merged.is_sorted_by(|a, b| a.seq > b.seq), "{:?}", merged);
            let with = |versions: &[Version]| [&above, versions, below].concat();
            let (before, after) = (with(versions), with(merged));
            for seq in horizons.iter().map(|h| h.seq).chain(present..=present + 3) {
                for now_ms in [last.now_ms, last.now_ms + wait, last.now_ms + 1_000] {
                    let snapshot = seq < present;
                    let now_ms = if snapshot { written(seq).max(wait) } else { now_ms };
                    prop_assert_eq!(
                        read(&before, &ranges, &reader, seq, now_ms),
                        read(&after, &ranges, &reader, seq, now_ms),
                        "at {} {}: {:?} became {:?}", seq, now_ms, before, after
                    );
                }
            }
        }
        let bad = whats.iter().any(|what| matches!(what, What::Operand { bad: true, .. }));
        if known && below.is_empty() && cuts.is_empty() && !bad {
            prop_assert!(whole.len() <= 1, "{:?} is not one value", whole);
            prop_assert_eq!(&both, &whole);
        }
    }
}

#[test]
fn what_the_operator_cannot_merge_stays_without_what_does_not_count() {
    let whats = [
        What::Put(Some(10)),
        What::Operand { ttl_ms: 5, bad: false },
        // Written at 30: the base is gone.
        What::Operand { ttl_ms: 500, bad: true },
        What::Operand { ttl_ms: 700, bad: false },
    ];
    let (versions, _) = versions(&whats, 1);
    let horizons = [Horizon { seq: 9, now_ms: 100 }];
    let hooks = hooks(true, true);
    let fold = Fold {
        hooks: &hooks,
        key: b"k",
        horizons: &horizons,
        range_behind: &|_| None,
        nothing_below: false,
        may_expire: true,
    };
    let folded = fold.fold(&versions, true).unwrap();
    let kinds: Vec<_> = folded.versions.iter().map(|v| (v.seq, v.kind)).collect();
    assert_eq!(kinds, [(4, Kind::Merge), (3, Kind::Merge), (2, Kind::Delete)]);
    let ttl_ms = |at: usize| Operand::decode_value(&folded.versions[at].value).unwrap().0;
    assert_eq!((ttl_ms(0), ttl_ms(1)), (0, 500), "only what starts from nothing has a time to live");
    assert_eq!((folded.failed, folded.oldest_deletion_ms), (1, 30));
    let bottom = Fold { nothing_below: true, ..fold }.fold(&versions, true).unwrap();
    assert_eq!(bottom.versions.len(), 2, "nothing lies below that a deletion would hide");
    let later = [Horizon { seq: 9, now_ms: 530 }];
    let gone = Fold { horizons: &later, nothing_below: true, ..fold }.fold(&versions, true).unwrap();
    assert!(gone.versions.is_empty(), "what has expired goes without asking: {gone:?}");
}
