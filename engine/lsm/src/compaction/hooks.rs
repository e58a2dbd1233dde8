//! What a merge asks a family's hooks: to fold operands, and to decide over values.

use super::merge::Run;
use crate::base::cursor::Cursor;
use crate::base::error::{Error, HookFailure, Result};
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum};
use crate::base::slice::Slice;
use crate::hooks::{CompactionFilter, FamilyHooks, Verdict};
use crate::iter::{Fold, Folded, Version};
use crate::ranges::Stretch;

/// The hooks of a family as one merge uses them.
pub struct JobHooks<'a> {
    /// The family's name.
    pub family: &'a str,
    /// Its hooks.
    pub hooks: &'a FamilyHooks,
    /// Whether anything in the merge or below it may expire.
    pub may_expire: bool,
    /// What becomes of the merge when the operator panics.
    pub on_panic: OnPanic,
    /// How much of a key is folded at once.
    pub limits: FoldLimits,
    /// The filter, and the values that it is shown.
    pub filter: Option<(Box<dyn CompactionFilter>, Shown)>,
}

/// What becomes of a merge when an operator panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPanic {
    /// It ends with an error: there is another day.
    End,
    /// It goes on and keeps operands as they are: it must not wait for anybody's code.
    Keep,
}

/// Which values a filter is shown, beside that they are the newest of their key in the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Those that no held snapshot sees are newer than this; `None` if none is held.
    pub above: Option<SeqNum>,
    /// When a removal happens, in milliseconds since the epoch.
    pub now_ms: u64,
}

/// How much of a key is held in memory while its operands are folded. Where there is more, the newer half of
/// what is held goes on as it is, until the rest of the key fits: each compaction folds at least half as
/// much as may be held.
#[derive(Clone, Copy, Debug)]
pub struct FoldLimits {
    /// Versions.
    pub versions: usize,
    /// Bytes of their values.
    pub bytes: usize,
}

impl Default for FoldLimits {
    fn default() -> Self {
        FoldLimits { versions: 64 << 10, bytes: 16 << 20 }
    }
}

impl JobHooks<'_> {
    /// Whether values are filtered.
    #[must_use]
    pub fn filters(&self) -> bool {
        self.filter.is_some()
    }

    fn failed(&self, hook: String, words: String) -> Error {
        Error::HookFailed(Box::new(HookFailure { family: self.family.into(), hook, words }))
    }

    fn operator_failed(&self, words: String) -> Error {
        self.failed(format!("merge operator {:?}", self.hooks.operator_name().unwrap_or_default()), words)
    }
}

/// Versions of a key that are held to be folded.
#[derive(Default)]
struct Held {
    versions: Vec<Version>,
    /// What stood in the place of separated values, by their numbers.
    references: Vec<(SeqNum, Slice)>,
}

impl Held {
    /// Takes the versions that are folded now: all, or the newer half.
    fn newer(&mut self, all: bool) -> Vec<Version> {
        let count = self.versions.len();
        let older = self.versions.split_off(if all { count } else { count.div_ceil(2) });
        std::mem::replace(&mut self.versions, older)
    }

    /// A version that was not folded goes on referring to its value: written anew, it would be dead where it
    /// stands, and anew with each compaction. What is folded has the number of an operand.
    fn as_stored<'e>(&'e self, entry: EntryRef<'e>) -> EntryRef<'e> {
        let reference = self.references.iter().find(|(seq, _)| *seq == entry.seq);
        match reference.filter(|_| entry.kind == Kind::Put) {
            Some((_, value)) => EntryRef { kind: Kind::BlobRef, value, ..entry },
            None => entry,
        }
    }
}

impl Run<'_, '_> {
    /// Folds what is left of the key whose operand `input` stands on, and writes it. `input` is left
    /// behind the key.
    #[cold]
    pub(super) fn fold_key(&mut self, input: &mut impl Cursor, check: &dyn Fn() -> Result<()>) -> Result<()> {
        let key = input.user_key().to_vec();
        let nothing_below = self.below.nothing(&key);
        let stretch = self.ranges.at(&key);
        // The stripe of the last version that shadows what is older in it.
        let mut shadowed = None;
        let mut newest = true;
        let mut held = Held::default();
        // A deletion that stays whatever becomes of the versions around it; see `Retain`.
        let mut reminder = Reminder::new(self.retain.reminds(), nothing_below);
        loop {
            let whole =
                self.take_versions(input, (&key, stretch), &mut held, &mut shadowed, (&mut reminder, check))?;
            let versions = held.newer(whole);
            let folded = self.fold((&key, stretch), &versions, whole, nothing_below)?;
            self.out.note_deletion(folded.oldest_deletion_ms);
            for version in &folded.versions {
                let entry = held.as_stored(version.entry(&key));
                if let Some(seq) = reminder.before(&entry) {
                    self.write(&deletion(&key, seq), stretch)?;
                }
                if newest {
                    self.filter(&entry, stretch)?
                } else {
                    self.write(&entry, stretch)?
                }
                newest = false;
            }
            if whole {
                return reminder.left().map_or(Ok(()), |seq| self.write(&deletion(&key, seq), stretch));
            }
        }
    }

    /// Adds the versions of `key` from where `input` stands on to those that are held, without those that
    /// are shadowed, as far as the limits allow. Returns whether these are all.
    fn take_versions(
        &mut self,
        input: &mut impl Cursor,
        (key, stretch): (&[u8], Stretch<'_>),
        held: &mut Held,
        shadowed: &mut Option<usize>,
        (reminder, check): (&mut Reminder, &dyn Fn() -> Result<()>),
    ) -> Result<bool> {
        let limits = self.hooks.as_ref().map(|hooks| hooks.limits).unwrap_or_default();
        let mut bytes: usize = held.versions.iter().map(|version| version.value.len()).sum();
        while input.valid() && input.user_key() == key {
            let entry = input.entry();
            let stripe = self.retain.oldest_that_sees(entry.seq);
            let horizon = self.retain.horizons().get(stripe);
            let removed = horizon
                .is_some_and(|horizon| stretch.behind(entry.seq).is_some_and(|range| range <= horizon.seq));
            let goes = removed || horizon.is_some() && *shadowed == Some(stripe);
            if !removed {
                reminder.note(&entry, stripe);
            }
            if goes {
                // Which of the versions above ended it is not told apart here.
                self.out.note_ended(&entry);
            }
            if !goes {
                if held.versions.len() >= limits.versions || bytes > limits.bytes {
                    return Ok(false);
                }
                if entry.kind != Kind::Merge {
                    *shadowed = Some(stripe);
                }
                let (seq, expires_at) = (entry.seq, entry.expires_at);
                let (kind, value) = match entry.kind {
                    Kind::BlobRef => {
                        held.references.push((seq, input.value_slice()));
                        (Kind::Put, self.out.values.load(key, entry.value)?)
                    }
                    kind => (kind, input.value_slice()),
                };
                bytes += value.len();
                held.versions.push(Version { seq, kind, expires_at, value });
            }
            input.next()?;
            // The first was counted before.
            if input.valid() && input.user_key() == key {
                self.took(&input.entry(), check)?;
            }
        }
        Ok(true)
    }

    fn fold(
        &self,
        (key, stretch): (&[u8], Stretch<'_>),
        versions: &[Version],
        whole: bool,
        nothing_below: bool,
    ) -> Result<Folded> {
        let none = FamilyHooks::default();
        let horizons = self.retain.horizons();
        let job = self.hooks.as_ref();
        let may_expire = job.is_none_or(|job| job.may_expire);
        let hooks = job.map_or(&none, |job| job.hooks);
        let range_behind = |seq| stretch.behind(seq);
        let fold = Fold { hooks, key, horizons, range_behind: &range_behind, nothing_below, may_expire };
        let folded = match (fold.fold(versions, whole), job) {
            (Ok(folded), _) => folded,
            (Err(words), Some(job)) if job.on_panic == OnPanic::End => return Err(job.operator_failed(words)),
            // Without an operator nothing panics.
            _ => Fold { hooks: &none, ..fold }.fold(versions, whole).unwrap_or_else(|_| Folded {
                versions: versions.to_vec(),
                folded: 0,
                failed: 0,
                oldest_deletion_ms: NEVER,
            }),
        };
        hooks.count_folds(folded.folded, folded.failed);
        Ok(folded)
    }

    /// Writes the newest version of a key, if the filter lets it: a value that the present sees and that
    /// no snapshot does is shown to it.
    pub(super) fn filter(&mut self, entry: &EntryRef<'_>, stretch: Stretch<'_>) -> Result<()> {
        let last = self.retain.horizons().len().saturating_sub(1);
        let present = self.retain.horizons().get(last).copied();
        let stripe = self.retain.oldest_that_sees(entry.seq);
        let Some(job) = &mut self.hooks else { return self.write(entry, stretch) };
        let Some((filter, shown)) = &mut job.filter else { return self.write(entry, stretch) };
        let held = shown.above.is_some_and(|above| entry.seq <= above);
        let expired = present.is_none_or(|present| entry.expires_at <= present.now_ms);
        if !entry.kind.is_value() || held || expired || stripe != last {
            return self.write(entry, stretch);
        }
        let now_ms = shown.now_ms;
        let separate = match entry.kind {
            Kind::BlobRef => Some(self.out.values.load(entry.key, entry.value)?),
            _ => None,
        };
        let value = separate.as_deref().unwrap_or(entry.value);
        match job.hooks.decide(filter.as_mut(), entry.key, value, entry.expires_at) {
            Ok(Verdict::Keep) => self.write(entry, stretch),
            Ok(Verdict::Replace(value)) => {
                self.out.done.filtered += 1;
                self.write(&EntryRef { kind: Kind::Put, value: &value, ..*entry }, stretch)
            }
            Ok(Verdict::Remove) => {
                self.out.done.filtered += 1;
                self.out.note_ended(entry);
                if last == 0 && self.below.nothing(entry.key) {
                    return Ok(());
                }
                self.out.note_deletion(now_ms);
                self.write(&deletion(entry.key, entry.seq), stretch)
            }
            Err(words) => Err(job.failed("compaction filter".into(), words)),
        }
    }
}

/// The entry that says that a key is gone.
pub(super) fn deletion(key: &[u8], seq: SeqNum) -> EntryRef<'_> {
    EntryRef { key, seq, kind: Kind::Delete, expires_at: NEVER, value: b"" }
}

/// The newest deletion of a key, which is to stay while anything may lie below, in the merge or beneath it.
struct Reminder {
    wanted: bool,
    nothing_below: bool,
    seq: Option<SeqNum>,
}

impl Reminder {
    fn new(wanted: bool, nothing_below: bool) -> Reminder {
        Reminder { wanted, nothing_below, seq: None }
    }

    /// Notes a version of the key, the newer ones first.
    fn note(&mut self, version: &EntryRef<'_>, stripe: usize) {
        if self.wanted && version.kind == Kind::Delete && (stripe > 0 || !self.nothing_below) {
            self.seq = Some(version.seq);
            self.wanted = false;
        }
    }

    /// The deletion that has to be written before this version of the key.
    fn before(&mut self, version: &EntryRef<'_>) -> Option<SeqNum> {
        if version.kind == Kind::Delete {
            // It reminds as well.
            (self.wanted, self.seq) = (false, None);
        }
        self.seq.take_if(|seq| *seq > version.seq)
    }

    /// The deletion that has to be written behind all versions of the key.
    fn left(self) -> Option<SeqNum> {
        self.seq
    }
}
