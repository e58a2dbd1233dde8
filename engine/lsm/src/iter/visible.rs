//! What a user sees of a sorted run of entries at one sequence number and one moment.
//!
//! Of each user key the newest entry at or below the sequence number decides: a deletion hides the
//! key, an entry that has expired hides it too (and what is below it stays hidden), a value shows unless
//! a deleted range that is newer covers its key. Where a range hides what is met, every source below
//! whose entries are all older goes to the end of the range at once.
//!
//! Where the newest entry in view is an operand, what it and those below it come to decides (see
//! `gather`). If that cannot be told, it is an error like one of the cursor below.
//!
//! Walking forward, the cursor below stands on the entry that is shown. Walking backward, the
//! versions of a key come oldest first, so that all in view have to be passed before the last of
//! them can be shown: the cursor below then stands before the key, and key and value are kept here.
//! What was merged is kept here as well: the cursor below then stands in either way, or, walking forward,
//! amid or behind the versions of the key.
//!
//! A value that was separated from its key is read when the key is shown, unless only keys are wanted; so a
//! movement fails that would show a value which cannot be read, and a value that only hides others is not
//! read.

use super::edges::{copy_into, is_beyond, is_same, seek_past_backward};
use super::gather::gather;
use super::hidden::Hidden;
use super::values::{SharedValues, Values};
use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, Kind, MAX_SEQ, SeqNum};
use crate::base::key_buffer::KeyBuffer;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::hooks::FamilyHooks;
use std::ops::Bound;

/// Entries of one key that are stepped over one by one before a seek is tried instead.
const STEPS_BEFORE_SEEK: u32 = 8;

/// Values up to this size are kept by copying them into a buffer that is used again, in bytes;
/// larger ones are shared.
const COPY_VALUE_BYTES: usize = 4 << 10;

/// The user's view of the entries of a cursor.
pub struct Visible<C> {
    below: C,
    seq: SeqNum,
    now_ms: u64,
    hidden: Hidden,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    stands: Stands,
    /// Walking backward: what is shown. Walking forward: the key whose older versions are skipped.
    key: KeyBuffer,
    kept: Kept,
    skipped: u64,
    operands: u64,
    error: Option<Error>,
    hooks: Option<Arc<FamilyHooks>>,
    /// Where values stand that were separated from their keys.
    values: SharedValues,
    /// Whether such a value is read when its key is shown.
    loads: bool,
    /// The separated value of the key that is shown: the cursor below has but the reference. There is none
    /// while it is `On`.
    loaded: Option<Slice>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Nowhere,
    /// The cursor below stands on what is shown.
    On,
    /// It stands on the reference to a separated value, which was loaded.
    OnReference,
    /// The cursor below stands before every version of what is shown, or nowhere.
    Before,
    /// The cursor below stands amid the versions of what is shown, or behind them, or nowhere.
    Behind,
}

/// An entry kept after the cursor has left it.
#[derive(Default)]
struct Kept {
    copied: Vec<u8>,
    shared: Option<Slice>,
    seq: SeqNum,
    expires_at: u64,
    /// Whether it is an operand: what is to be shown has yet to be gathered.
    operand: bool,
    /// Whether what is kept is a reference to the value.
    separate: bool,
}

impl<C: Cursor> Visible<C> {
    /// The view of `below` at sequence number `seq` and at `now_ms`, milliseconds since the epoch,
    /// of the user keys between the bounds, but for what is `hidden`. It stands nowhere yet.
    #[must_use]
    pub fn new(
        below: C,
        seq: SeqNum,
        now_ms: u64,
        hidden: Hidden,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
    ) -> Visible<C> {
        Visible {
            below,
            seq,
            now_ms,
            hidden,
            lower,
            upper,
            stands: Stands::Nowhere,
            key: KeyBuffer::default(),
            kept: Kept::default(),
            skipped: 0,
            operands: 0,
            error: None,
            hooks: None,
            values: None,
            loads: false,
            loaded: None,
        }
    }

    /// With the place where separated values stand. Unless it `loads` them, the value of a key that has one
    /// is not to be asked for: who wants keys alone does not pay for what stands elsewhere.
    #[must_use]
    pub fn with_values(mut self, values: SharedValues, loads: bool) -> Visible<C> {
        (self.values, self.loads) = (values, loads);
        self
    }

    /// With the hooks of the family that the entries belong to, whose operator merges operands. Without
    /// them a key with operands is an error.
    #[must_use]
    pub fn with_hooks(mut self, hooks: Arc<FamilyHooks>) -> Visible<C> {
        self.hooks = Some(hooks);
        self
    }

    /// Whether it stands on a key. `false` after a step over either end and after an error, which
    /// every later movement returns again.
    #[inline]
    #[must_use]
    pub fn valid(&self) -> bool {
        self.stands != Stands::Nowhere
    }

    /// The current user key. Requires [`Visible::valid`].
    #[inline]
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self.stands {
            Stands::On | Stands::OnReference => self.below.user_key(),
            _ => &self.key,
        }
    }

    /// Its value. Requires [`Visible::valid`].
    #[inline]
    #[must_use]
    pub fn value(&self) -> &[u8] {
        match self.stands {
            Stands::On => self.below.entry().value,
            _ => self.loaded.as_deref().or(self.kept.shared.as_deref()).unwrap_or(&self.kept.copied),
        }
    }

    /// Its value, to be held beyond the next movement. Requires [`Visible::valid`].
    #[must_use]
    pub fn value_slice(&self) -> Slice {
        match self.stands {
            Stands::On => self.below.value_slice(),
            _ => {
                let shared = self.loaded.as_ref().or(self.kept.shared.as_ref());
                shared.cloned().unwrap_or_else(|| Slice::copy(&self.kept.copied))
            }
        }
    }

    /// The sequence number of the current entry. Requires [`Visible::valid`].
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        match self.stands {
            Stands::On | Stands::OnReference => self.below.trailer().seq(),
            _ => self.kept.seq,
        }
    }

    /// When the current entry expires, in milliseconds since the epoch;
    /// [`crate::base::key::NEVER`] if it does not. Requires [`Visible::valid`].
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        match self.stands {
            Stands::On | Stands::OnReference => self.below.entry().expires_at,
            _ => self.kept.expires_at,
        }
    }

    /// The error that it met, if it did.
    ///
    /// # Errors
    /// That error.
    pub fn check(&self) -> Result<()> {
        self.error.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Shows another state of the same runs from now on; stands nowhere.
    pub fn see(&mut self, seq: SeqNum, now_ms: u64, hidden: Hidden) {
        (self.seq, self.now_ms, self.hidden) = (seq, now_ms, hidden);
        self.stands = Stands::Nowhere;
        self.loaded = None;
    }

    /// How many entries were stepped over and not shown so far: deletions, expired entries, and
    /// versions that are shadowed or too new.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many operands were combined so far.
    #[must_use]
    pub fn operands(&self) -> u64 {
        self.operands
    }

    /// Moves to the first visible key.
    ///
    /// # Errors
    /// Those of the cursor below, as for every movement.
    pub fn seek_to_first(&mut self) -> Result<()> {
        self.go(Self::first_in_bounds)
    }

    /// Moves to the last visible key.
    pub fn seek_to_last(&mut self) -> Result<()> {
        self.go(Self::last_in_bounds)
    }

    /// Moves to the first visible key at or after `key`.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.go(|view| {
            if view.is_below(key) {
                return view.first_in_bounds();
            }
            view.below.seek(key, view.seq)?;
            view.find_forward(false)
        })
    }

    /// Moves to the last visible key at or before `key`.
    pub fn seek_for_prev(&mut self, key: &[u8]) -> Result<()> {
        self.go(|view| {
            if view.is_beyond(key) {
                return view.last_in_bounds();
            }
            seek_past_backward(&mut view.below, &mut view.key, key)?;
            view.find_backward()
        })
    }

    /// Moves to the next visible key. Requires [`Visible::valid`].
    #[allow(clippy::should_implement_trait, reason = "a cursor, which can also go back and fail")]
    pub fn next(&mut self) -> Result<()> {
        debug_assert!(self.valid() || self.error.is_some(), "only a valid cursor moves");
        let stood = self.stands;
        if stood == Stands::On {
            return self.next_from_here();
        }
        self.go(|view| {
            match stood {
                Stands::Nowhere => return Ok(()),
                Stands::On | Stands::OnReference => {
                    view.key.set(view.below.user_key());
                    view.below.next()?;
                }
                Stands::Before => view.below.seek(&view.key, 0)?,
                Stands::Behind => {}
            }
            view.find_forward(true)
        })
    }

    /// Moves to the previous visible key. Requires [`Visible::valid`].
    pub fn prev(&mut self) -> Result<()> {
        debug_assert!(self.valid() || self.error.is_some(), "only a valid cursor moves");
        let stood = self.stands;
        self.go(|view| {
            match stood {
                Stands::Nowhere => return Ok(()),
                Stands::On | Stands::OnReference => {
                    view.key.set(view.below.user_key());
                    view.leave_key_backward()?;
                }
                Stands::Before => {}
                Stands::Behind => view.below.seek_before(&view.key, MAX_SEQ)?,
            }
            view.find_backward()
        })
    }

    /// Moves on from what the cursor below stands on. What mostly comes is the plain value of another key: it
    /// shows at a few looks.
    #[inline]
    fn next_from_here(&mut self) -> Result<()> {
        self.key.set(self.below.user_key());
        match self.below.advance() {
            Ok(Some(entry)) => {
                let plain =
                    entry.kind == Kind::Put && entry.seq <= self.seq && entry.expires_at > self.now_ms;
                let other = !is_same(entry.key, &self.key) && !is_beyond(&self.upper, entry.key);
                if plain && other && self.hidden.is_nothing() {
                    return Ok(());
                }
            }
            Ok(None) => {}
            Err(error) => return self.go(|_| Err(error)),
        }
        self.go(|view| view.find_forward(true))
    }

    /// Runs a movement: nowhere until it has found a key, and for ever once it has failed.
    fn go(&mut self, movement: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.stands = Stands::Nowhere;
        self.loaded = None;
        let moved = movement(self);
        if let Err(error) = &moved {
            self.error = Some(error.clone());
            self.stands = Stands::Nowhere;
        }
        moved
    }

    fn first_in_bounds(&mut self) -> Result<()> {
        let skipping = match &self.lower {
            Bound::Unbounded => {
                self.below.seek_to_first()?;
                false
            }
            Bound::Included(lower) => {
                self.below.seek(lower, self.seq)?;
                false
            }
            Bound::Excluded(lower) => {
                self.key.set(lower);
                self.below.seek(lower, 0)?;
                true
            }
        };
        self.find_forward(skipping)
    }

    fn last_in_bounds(&mut self) -> Result<()> {
        match &self.upper {
            Bound::Unbounded => self.below.seek_to_last()?,
            Bound::Excluded(upper) => self.below.seek_before(upper, MAX_SEQ)?,
            Bound::Included(upper) => seek_past_backward(&mut self.below, &mut self.key, upper)?,
        }
        self.find_backward()
    }

    /// Whether `key` lies below the lower bound.
    fn is_below(&self, key: &[u8]) -> bool {
        match &self.lower {
            Bound::Unbounded => false,
            Bound::Included(lower) => key < &lower[..],
            Bound::Excluded(lower) => key <= &lower[..],
        }
    }

    /// Whether `key` lies beyond the upper bound.
    fn is_beyond(&self, key: &[u8]) -> bool {
        is_beyond(&self.upper, key)
    }

    /// Whether an entry shows over whose key `range` is the newest deleted range.
    #[inline]
    fn shows(&self, entry: &EntryRef<'_>, range: SeqNum) -> bool {
        entry.kind.is_value() && entry.expires_at > self.now_ms && entry.seq >= range
    }

    /// Passes over the rest of the range that hides what was just met, as far as that goes.
    fn skip_forward(&mut self) -> Result<bool> {
        if !self.hidden.may_skip() {
            return Ok(false);
        }
        // What stands behind the bounds need not be read to know that this is the end.
        let to = self.hidden.to().filter(|to| !self.is_beyond(to));
        self.below.skip_to(to, self.hidden.by_now())
    }

    /// As [`Visible::skip_forward`], back from where the cursor below stands, if that is hidden.
    fn skip_backward(&mut self) -> Result<bool> {
        let range = self.hidden.by(self.below.user_key());
        if self.below.trailer().seq() >= range || !self.hidden.may_skip() {
            return Ok(false);
        }
        let from = match &self.lower {
            Bound::Included(lower) | Bound::Excluded(lower) if self.hidden.from() <= &lower[..] => &[],
            _ => self.hidden.from(),
        };
        self.below.skip_before(from, range)
    }

    /// From where the cursor below stands on, the first key that is visible; with `skipping`,
    /// entries of `self.key` are passed over.
    fn find_forward(&mut self, mut skipping: bool) -> Result<()> {
        let mut steps = 0;
        while self.below.valid() {
            let entry = self.below.entry();
            if skipping && is_same(entry.key, &self.key) {
                self.skipped += 1;
                steps += 1;
                if steps == STEPS_BEFORE_SEEK {
                    // To its very last version, if that has sequence number zero, or past them all.
                    self.below.seek(&self.key, 0)?;
                } else {
                    self.below.next()?;
                }
                continue;
            }
            if self.is_beyond(entry.key) {
                return Ok(());
            }
            if entry.seq > self.seq {
                // The key to be skipped, if there was one, lies behind.
                skipping = false;
                self.pass_newer()?;
                continue;
            }
            let range = self.hidden.by(entry.key);
            if self.shows(&entry, range) {
                self.hidden.check_dropped(entry.key, entry.seq);
                self.stands = Stands::On;
                if entry.kind == Kind::BlobRef && self.loads {
                    self.loaded = Some(self.values.load(entry.key, entry.value)?);
                    self.stands = Stands::OnReference;
                }
                return Ok(());
            }
            let (hidden, operand) = (entry.seq < range, entry.kind == Kind::Merge);
            self.key.set(entry.key);
            (skipping, steps) = (true, 0);
            if operand && !hidden {
                if self.keep_merged(range)? {
                    self.stands = Stands::Behind;
                    return Ok(());
                }
                continue;
            }
            self.skipped += 1;
            // What is left of the key's versions, if anything, is as hidden.
            if !(hidden && self.skip_forward()?) {
                self.below.next()?;
            }
        }
        Ok(())
    }

    /// Merges what begins with the operand that the cursor below stands on, and keeps it; `range` is the
    /// newest deleted range over its key. Returns whether it shows.
    #[cold]
    fn keep_merged(&mut self, range: SeqNum) -> Result<bool> {
        self.skipped += 1;
        let none = FamilyHooks::default();
        let hooks = self.hooks.as_deref().unwrap_or(&none);
        let Some(merged) = gather(&mut self.below, hooks, &self.values, range, self.now_ms)? else {
            return Ok(false);
        };
        self.operands += merged.operands as u64;
        self.kept.seq = merged.seq;
        self.kept.expires_at = merged.expires_at;
        self.kept.separate = false;
        if merged.value.len() <= COPY_VALUE_BYTES {
            self.kept.shared = None;
            copy_into(&mut self.kept.copied, &merged.value);
        } else {
            self.kept.shared = Some(Slice::own(merged.value));
        }
        Ok(true)
    }

    /// Steps over the versions of the current key that are newer than the view.
    fn pass_newer(&mut self) -> Result<()> {
        self.key.set(self.below.user_key());
        let mut steps = 0;
        while self.below.valid() && self.below.trailer().seq() > self.seq {
            if self.below.user_key() != &self.key[..] {
                return Ok(());
            }
            self.skipped += 1;
            steps += 1;
            if steps == STEPS_BEFORE_SEEK {
                return self.below.seek(&self.key, self.seq);
            }
            self.below.next()?;
        }
        Ok(())
    }

    /// From where the cursor below stands back, the last key that is visible.
    fn find_backward(&mut self) -> Result<()> {
        while self.below.valid() && !self.is_below(self.below.user_key()) {
            if self.skip_backward()? {
                self.skipped += 1;
                continue;
            }
            self.key.set(self.below.user_key());
            if self.decide_backward()? {
                self.hidden.check_dropped(&self.key, self.kept.seq);
                if self.kept.separate && self.loads {
                    let reference = self.kept.shared.as_deref().unwrap_or(&self.kept.copied);
                    self.loaded = Some(self.values.load(&self.key, reference)?);
                }
                self.stands = Stands::Before;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Passes over all versions of `self.key`, on the oldest of which the cursor below stands, and
    /// keeps what is to be shown of it, if anything is.
    fn decide_backward(&mut self) -> Result<bool> {
        let mut shown = false;
        let mut steps = 0;
        while self.below.valid() && self.below.user_key() == &self.key[..] {
            if self.below.trailer().seq() > self.seq {
                // This one and all before it are too new.
                self.leave_key_backward()?;
                break;
            }
            if steps == STEPS_BEFORE_SEEK {
                self.below.seek(&self.key, self.seq)?;
                shown = self.keep_if_shown(shown);
                self.below.seek_before(&self.key, MAX_SEQ)?;
                break;
            }
            shown = self.keep_if_shown(shown);
            steps += 1;
            self.below.prev()?;
        }
        if steps > 0 && self.kept.operand { self.merge_backward() } else { Ok(shown) }
    }

    /// As [`Visible::decide_backward`] for a key whose newest entry in view is an operand.
    #[cold]
    fn merge_backward(&mut self) -> Result<bool> {
        self.below.seek(&self.key, self.seq)?;
        let range = self.hidden.by(&self.key);
        let shown = self.keep_merged(range)?;
        self.below.seek_before(&self.key, MAX_SEQ)?;
        Ok(shown)
    }

    /// Takes the entry that the cursor below stands on as what decides; returns whether it shows.
    /// `shadows` says that the one that decided so far would have been shown.
    fn keep_if_shown(&mut self, shadows: bool) -> bool {
        let entry = self.below.entry();
        let range = self.hidden.by(&self.key);
        let shows = self.shows(&entry, range);
        self.kept.operand = entry.kind == Kind::Merge && entry.seq >= range;
        self.skipped += u64::from(shadows) + u64::from(!shows);
        if shows {
            self.kept.seq = entry.seq;
            self.kept.expires_at = entry.expires_at;
            self.kept.separate = entry.kind == Kind::BlobRef;
            self.kept.shared = None;
            if entry.value.len() <= COPY_VALUE_BYTES {
                copy_into(&mut self.kept.copied, entry.value);
            } else {
                self.kept.shared = Some(self.below.value_slice());
            }
        }
        shows
    }

    /// Steps back over what is left of the versions of `self.key`.
    fn leave_key_backward(&mut self) -> Result<()> {
        let mut steps = 0;
        while self.below.valid() && self.below.user_key() == &self.key[..] {
            if steps == STEPS_BEFORE_SEEK {
                return self.below.seek_before(&self.key, MAX_SEQ);
            }
            steps += 1;
            self.below.prev()?;
        }
        self.skipped += u64::from(steps.saturating_sub(1));
        Ok(())
    }
}
