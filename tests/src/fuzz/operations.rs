//! Operation sequences with faults: histories from bytes, on a disk that fails where the bytes say, beside
//! the oracle.

use super::source::Source;
use crate::history::{
    Asked, Change, Condition, Movement, Operation, Span, Step, TransactionKind, What, print,
};
use crate::oracle::Loss;
use crate::session::{FaultKind, Place, catching, run, run_with_fault, run_with_full_disk, sync_fails};
use esker::Durability;
use esker::fs::sim::Image;
use std::ops::Bound;

/// The most operations of a history.
const MOST_OPERATIONS: usize = 80;

/// What goes wrong: which way, then which kind of fault, at which call, with which seed; then the history.
pub(super) fn operations(data: &[u8]) {
    let mut source = Source::new(data);
    let (way, fault) = (source.below(8), FaultKind::ALL[source.below(FaultKind::ALL.len())]);
    let (index, seed) = (u64::from(source.short()), u64::from(source.byte()));
    let history = history(&mut source);
    let result = match way {
        0 | 1 => catching(|| run(Place::fresh(seed), &history).map(drop)),
        2 => run_with_full_disk(seed, &history, index),
        3 => sync_fails(seed, &history, index % 64, Loss::Kill).map(drop),
        4 => sync_fails(seed, &history, index % 64, Loss::Power).map(drop),
        _ => run_with_fault(seed, &history, fault, index),
    };
    if let Err(why) = result {
        panic!("way {way}, {fault:?} at {index}, seed {seed}: {why}\n{}", print(&history));
    }
}

fn history(source: &mut Source<'_>) -> Vec<Operation> {
    let mut history = Vec::new();
    while !source.is_empty() && history.len() < MOST_OPERATIONS {
        history.push(operation(source));
    }
    history
}

fn operation(source: &mut Source<'_>) -> Operation {
    match source.below(42) {
        0..12 => Operation::Write { changes: vec![change(source)], durability: durability(source) },
        12..16 => {
            let changes = (0..=source.below(5)).map(|_| change(source)).collect();
            Operation::Write { changes, durability: durability(source) }
        }
        16 => Operation::Sync,
        17 => Operation::Flush,
        18 => Operation::Compact,
        19 => Operation::CompactRange { family: family(source), span: span(source) },
        20 => Operation::Tick(1 + source.below(6) as u32),
        21 => Operation::Advance(u64::from(source.short())),
        22 => Operation::Create(family(source)),
        23 => Operation::Drop(format!("f{}", source.below(4))),
        24 => Operation::Snapshot(source.below(3) as u32),
        25 => Operation::Release(source.below(3) as u32),
        26 => Operation::Get { at: at(source), family: family(source), key: key(source) },
        27 => {
            let keys = (0..source.below(6)).map(|_| key(source)).collect();
            Operation::MultiGet { at: at(source), family: family(source), keys }
        }
        28 => Operation::Scan {
            at: at(source),
            family: family(source),
            span: span(source),
            step: match source.below(3) {
                0 => Step::Forward,
                1 => Step::Reverse,
                _ => Step::Mixed(source.long()),
            },
        },
        29 => [Operation::Families, Operation::Verify][source.below(2)].clone(),
        30 => Operation::Reopen,
        32..35 => Operation::Transaction {
            kind: [TransactionKind::Optimistic, TransactionKind::Pessimistic, TransactionKind::Serialisable]
                [source.below(3)],
            changes: (0..=source.below(4)).map(|_| change(source)).collect(),
            meddle: (0..source.below(2)).map(|_| change(source)).collect(),
            durability: durability(source),
        },
        35 => Operation::If {
            condition: Condition {
                family: family(source),
                key: key(source),
                asked: [Asked::Absent, Asked::Value, Asked::OtherValue, Asked::Version][source.below(4)],
            },
            changes: (0..=source.below(2)).map(|_| change(source)).collect(),
            durability: durability(source),
        },
        36 => Operation::Expire {
            family: family(source),
            key: key(source),
            ttl_ms: (source.below(3) > 0).then(|| u64::from(source.short())),
        },
        37 => Operation::Cursor {
            slot: source.below(2) as u32,
            at: at(source),
            family: family(source),
            span: span(source),
        },
        38..42 => Operation::Move { slot: source.below(2) as u32, to: movement(source) },
        _ => match source.below(4) {
            0 => Operation::Kill,
            _ => Operation::PowerLoss {
                image: Image::ALL[source.below(Image::ALL.len())],
                seed: u64::from(source.byte()),
            },
        },
    }
}

fn movement(source: &mut Source<'_>) -> Movement {
    match source.below(8) {
        0 => Movement::First,
        1 => Movement::Last,
        2 | 3 => Movement::Next,
        4 => Movement::Prev,
        5 => Movement::Seek(key(source)),
        6 => Movement::SeekForPrev(key(source)),
        _ => Movement::Refresh,
    }
}

fn change(source: &mut Source<'_>) -> Change {
    let (family, key) = (family(source), key(source));
    // Up to a fifth of a memtable, so that a few fill it.
    let bytes = match source.byte() {
        small @ 0..128 => usize::from(small),
        large => usize::from(large) * 8,
    };
    let what = match source.below(8) {
        0 if source.below(4) == 0 => {
            return Change::of_range(&family, What::DeleteRange(span(source)));
        }
        0 => What::Delete,
        1 => What::Merge { bytes: bytes.max(12), ttl_ms: u64::from(source.short()) },
        2 | 3 => What::PutTtl { bytes: bytes.max(12), ttl_ms: 1 + u64::from(source.short()) },
        _ => What::Put { bytes },
    };
    Change { family, key, what }
}

fn family(source: &mut Source<'_>) -> String {
    match source.below(6) {
        number @ 0..4 => format!("f{number}"),
        _ => "default".into(),
    }
}

fn key(source: &mut Source<'_>) -> Vec<u8> {
    match source.below(24) {
        number @ 0..16 => format!("user{number:04}").into_bytes(),
        16 => b"shared/prefix/of/a/long/key/".repeat(1 + source.below(4)),
        _ => source.string(8).to_vec(),
    }
}

fn durability(source: &mut Source<'_>) -> Durability {
    [Durability::Sync, Durability::Os, Durability::Os, Durability::None][source.below(4)]
}

fn at(source: &mut Source<'_>) -> Option<u32> {
    source.below(6).checked_sub(3).map(|slot| slot as u32)
}

fn span(source: &mut Source<'_>) -> Span {
    match source.below(4) {
        0 => Span::All,
        1 => Span::Prefix(source.string(5).to_vec()),
        _ => {
            let (a, b) = (key(source), key(source));
            let bound = |key: Vec<u8>, kind: usize| match kind {
                0 => Bound::Unbounded,
                1 => Bound::Excluded(key),
                _ => Bound::Included(key),
            };
            let (from, to) = (source.below(4), source.below(4));
            Span::Range(bound(a.clone().min(b.clone()), from), bound(a.max(b), to))
        }
    }
}
