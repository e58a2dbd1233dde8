//! Spans of keys that stand still: what prepared transactions have read or will remove.
//!
//! A lock on a key has one holder and a queue. A guard is over keys that need not exist, many may guard
//! the same ones, and its holder never asks for anything more: so who meets one only waits for its
//! end, and no circle can come of it.

use super::keys::{LockedKey, OwnerId};
use crate::base::clock::Clock;
use crate::base::sync::atomic::{AtomicUsize, Ordering};
use crate::base::sync::{Arc, Condvar, Mutex};
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys of a family from one on, up to and without another; without that there is no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The column family's number.
    pub family: u32,
    /// The first key.
    pub from: Vec<u8>,
    /// The first key behind it.
    pub to: Option<Vec<u8>>,
}

impl Span {
    fn ends_behind(&self, key: &[u8]) -> bool {
        self.to.as_deref().is_none_or(|to| to > key)
    }
}

/// Spans in order, of which no two share a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Box<[Span]>);

impl Spans {
    /// Puts spans in order, and those together that overlap or touch.
    #[must_use]
    pub fn new(mut spans: Vec<Span>) -> Spans {
        spans.sort_unstable_by(|a, b| (a.family, &a.from).cmp(&(b.family, &b.from)));
        let mut apart: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            let last = apart.last_mut().filter(|last| {
                last.family == span.family && last.to.as_ref().is_none_or(|to| *to >= span.from)
            });
            let Some(last) = last else {
                apart.push(span);
                continue;
            };
            let is_longer = match (&last.to, &span.to) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(to), Some(other)) => other > to,
            };
            if is_longer {
                last.to = span.to;
            }
        }
        Spans(apart.into())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }

    /// The first key from `from` on, before `to`, that lies in one of them.
    #[must_use]
    pub fn meets(&self, family: u32, from: &[u8], to: Option<&[u8]>) -> Option<Vec<u8>> {
        let begins_before = |span: &Span| {
            span.family < family || span.family == family && to.is_none_or(|to| span.from.as_slice() < to)
        };
        let before = &self.0[..self.0.partition_point(begins_before)];
        let at = before.partition_point(|span| span.family < family || !span.ends_behind(from));
        before.get(at).map(|span| span.from.as_slice().max(from).to_vec())
    }

    fn bytes(&self) -> usize {
        let of_span = |span: &Span| span.from.len() + span.to.as_ref().map_or(0, Vec::len);
        self.0.iter().map(|span| size_of::<Span>() + of_span(span)).sum()
    }
}

/// What one owner guards.
#[derive(Debug, Default)]
pub struct Guard {
    /// Nobody else may write here.
    pub reads: Spans,
    /// Nobody else may write here, or guard what it has read.
    pub removes: Spans,
}

/// The guards of a store.
#[derive(Debug, Default)]
pub struct Guards {
    held: Mutex<BTreeMap<OwnerId, Arc<Guard>>>,
    /// How many there are; writers ask this first.
    count: AtomicUsize,
    changed: Condvar,
}

impl Guards {
    /// Whether nobody guards anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Guards, until [`Guards::release`], what `guard` says.
    pub fn hold(&self, owner: OwnerId, guard: Arc<Guard>) {
        let mut held = self.held.lock();
        held.insert(owner, guard);
        self.count.store(held.len(), Ordering::Release);
    }

    /// Ends the guard of an owner, and wakes those who wait for that.
    pub fn release(&self, owner: OwnerId) {
        let mut held = self.held.lock();
        held.remove(&owner);
        self.count.store(held.len(), Ordering::Release);
        drop(held);
        self.changed.notify_all();
    }

    /// Who else than `owner` guards a key from `from` on, before `to`, against being written, and which.
    #[must_use]
    pub fn against_write(
        &self,
        owner: Option<OwnerId>,
        family: u32,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Option<(OwnerId, LockedKey)> {
        self.find(owner, |guard| {
            let read = guard.reads.meets(family, from, to);
            let key = read.or_else(|| guard.removes.meets(family, from, to))?;
            Some(LockedKey { family, key })
        })
    }

    /// Who else than `owner` will remove a key of a span, and which.
    #[must_use]
    pub fn against_read(&self, owner: OwnerId, span: &Span) -> Option<(OwnerId, LockedKey)> {
        self.find(Some(owner), |guard| {
            let key = guard.removes.meets(span.family, &span.from, span.to.as_deref())?;
            Some(LockedKey { family: span.family, key })
        })
    }

    fn find(
        &self,
        owner: Option<OwnerId>,
        meets: impl Fn(&Guard) -> Option<LockedKey>,
    ) -> Option<(OwnerId, LockedKey)> {
        if self.is_empty() {
            return None;
        }
        let held = self.held.lock();
        let mut others = held.iter().filter(|(holder, _)| Some(**holder) != owner);
        others.find_map(|(holder, guard)| Some((*holder, meets(guard)?)))
    }

    /// Waits until `holder` guards nothing, for up to `timeout`. Returns whether that is so.
    #[must_use]
    pub fn wait(&self, holder: OwnerId, timeout: Duration, clock: &Clock) -> bool {
        let until = clock.monotonic().saturating_add(timeout);
        let mut held = self.held.lock();
        while held.contains_key(&holder) {
            let left = until.saturating_sub(clock.monotonic());
            // A clock that a test moves may stand still while real time passes.
            if left.is_zero() || self.changed.wait_for(&mut held, left).timed_out() {
                return !held.contains_key(&holder);
            }
        }
        true
    }

    /// The memory that they take, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let held = self.held.lock();
        held.values().map(|guard| (guard.reads.bytes() + guard.removes.bytes()) as u64).sum()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn span(family: u32, from: &str, to: &str) -> Span {
        let to = (!to.is_empty()).then(|| to.as_bytes().to_vec());
        Span { family, from: from.into(), to }
    }

    #[test]
    fn spans_meet_what_shares_a_key_with_them() {
        let spans =
            Spans::new(vec![span(1, "m", ""), span(0, "c", "e"), span(0, "a", "b"), span(0, "d", "f")]);
        assert_eq!(spans.iter().count(), 3, "two overlap");
        let meets = |family, from: &str, to: &str| {
            let to = (!to.is_empty()).then_some(to.as_bytes());
            spans.meets(family, from.as_bytes(), to).map(|key| String::from_utf8(key).unwrap())
        };
        assert_eq!(meets(0, "a", "a\0").as_deref(), Some("a"));
        assert_eq!(meets(0, "b", "c"), None);
        assert_eq!(meets(0, "b", "c\0").as_deref(), Some("c"));
        assert_eq!(meets(0, "e", "z").as_deref(), Some("e"));
        assert_eq!(meets(0, "f", ""), None);
        assert_eq!(meets(1, "a", "").as_deref(), Some("m"));
        assert_eq!(meets(1, "a", "m"), None);
        assert_eq!(meets(2, "a", ""), None);
    }

    #[test]
    fn a_span_without_an_end_swallows_those_behind_it() {
        let spans = Spans::new(vec![span(0, "b", ""), span(0, "c", "d"), span(0, "a", "b")]);
        assert_eq!(spans, Spans(Box::new([span(0, "a", "")])));
    }

    #[test]
    fn guards_are_against_others_alone_and_end_with_their_release() {
        let guards = Guards::default();
        let guard =
            Guard { reads: Spans::new(vec![span(0, "a", "b")]), removes: Spans::new(vec![span(0, "x", "")]) };
        guards.hold(7, Arc::new(guard));
        assert!(guards.against_write(Some(7), 0, b"a", Some(b"b")).is_none());
        assert_eq!(guards.against_write(None, 0, b"a", Some(b"b")).unwrap().0, 7);
        assert!(guards.against_read(8, &span(0, "a", "b")).is_none(), "many may read the same");
        assert_eq!(guards.against_read(8, &span(0, "a", "")).unwrap().1.key, b"x");
        let clock = Clock::default();
        assert!(!guards.wait(7, Duration::ZERO, &clock));
        guards.release(7);
        assert!(guards.wait(7, Duration::ZERO, &clock) && guards.is_empty());
    }
}
