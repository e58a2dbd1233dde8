//! What a column family has hooked in. User code is called here and nowhere else: a panic in it is
//! caught, and what it answers is checked and counted. While it runs, its store does not answer its thread.

use super::compaction_filter::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
use super::merge_operator::MergeOperator;
use crate::base::in_hook::InHook;
use crate::base::limits::MAX_VALUE_BYTES;
use crate::base::panics::{Panic, catch, words};
use crate::base::sync::Arc;
use crate::base::sync::quiet::{AtomicU64, Ordering};

/// The hooks of one column family of an open store, and what they have done.
#[derive(Debug, Default)]
pub struct FamilyHooks {
    /// The name of the operator that the family's operands are written for.
    operator_name: Option<Arc<str>>,
    operator: Option<Arc<dyn MergeOperator>>,
    filter: Option<Arc<dyn CompactionFilterFactory>>,
    /// The number of the store, which the hooks must not call.
    store: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    folded: AtomicU64,
    failed: AtomicU64,
    removed: AtomicU64,
    replaced: AtomicU64,
    panics: AtomicU64,
}

/// What hooks have done since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookCounts {
    /// Operands that flushes and compactions have made part of a value or of another operand.
    pub folded: u64,
    /// Keys whose operands a flush or a compaction could not merge.
    pub failed: u64,
    /// Values that compaction filters have removed.
    pub removed: u64,
    /// Values that compaction filters have replaced.
    pub replaced: u64,
    /// Panics in hooks, those on reads among them.
    pub panics: u64,
}

impl std::ops::AddAssign for HookCounts {
    fn add_assign(&mut self, other: HookCounts) {
        self.folded += other.folded;
        self.failed += other.failed;
        self.removed += other.removed;
        self.replaced += other.replaced;
        self.panics += other.panics;
    }
}

/// Why operands could not be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeFailure {
    /// In the words of the operator, or because there is none.
    Failed(Arc<str>),
    /// The operator panicked; in the words of the panic.
    Panicked(String),
}

impl MergeFailure {
    /// The reason in words.
    #[must_use]
    pub fn why(&self) -> Arc<str> {
        match self {
            MergeFailure::Failed(why) => why.clone(),
            MergeFailure::Panicked(words) => format!("the merge operator panicked: {words}").into(),
        }
    }
}

/// What a filter said, or what its panic said.
pub type Decided = Result<Verdict, String>;

impl FamilyHooks {
    /// The hooks of a family whose operands are for the operator `operator_name`. `operator` is that
    /// one, if it is known.
    #[must_use]
    pub fn new(
        operator_name: Option<&str>,
        operator: Option<Arc<dyn MergeOperator>>,
        filter: Option<Arc<dyn CompactionFilterFactory>>,
    ) -> FamilyHooks {
        let operator_name = operator_name.map(Arc::from);
        FamilyHooks { operator_name, operator, filter, store: 0, counts: Counts::default() }
    }

    /// The same, of the store with this number.
    #[must_use]
    pub fn of_store(self, store: u64) -> FamilyHooks {
        FamilyHooks { store, ..self }
    }

    /// Runs a hook.
    fn call<R>(&self, hook: impl FnOnce() -> R) -> Result<R, Panic> {
        let _inside = InHook::of(self.store);
        catch(hook)
    }

    /// Whether operands may be written to the family.
    #[must_use]
    pub fn merges(&self) -> bool {
        self.operator_name.is_some()
    }

    /// Whether operands can be merged, too: the operator is known.
    #[must_use]
    pub fn can_merge(&self) -> bool {
        self.operator.is_some()
    }

    /// The name of the operator.
    #[must_use]
    pub fn operator_name(&self) -> Option<&str> {
        self.operator_name.as_deref()
    }

    /// What was done since the store was opened.
    #[must_use]
    pub fn counts(&self) -> HookCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        HookCounts {
            folded: read(&self.counts.folded),
            failed: read(&self.counts.failed),
            removed: read(&self.counts.removed),
            replaced: read(&self.counts.replaced),
            panics: read(&self.counts.panics),
        }
    }

    /// Counts what a flush or a compaction did with operands.
    pub fn count_folds(&self, folded: u64, failed: u64) {
        self.counts.folded.fetch_add(folded, Ordering::Relaxed);
        self.counts.failed.fetch_add(failed, Ordering::Relaxed);
    }

    /// The value of `operands`, oldest first, on top of `base`.
    ///
    /// # Errors
    /// If the operator is not known, cannot merge them, makes more of them than a value may have, or
    /// panics.
    pub fn merge(
        &self,
        key: &[u8],
        base: Option<&[u8]>,
        operands: &[&[u8]],
    ) -> Result<Vec<u8>, MergeFailure> {
        let Some(operator) = &self.operator else { return Err(self.no_operator()) };
        match self.call(|| operator.full(key, base, operands)) {
            Ok(Ok(value)) if value.len() > MAX_VALUE_BYTES => {
                Err(MergeFailure::Failed(format!("the result has {} bytes", value.len()).into()))
            }
            Ok(Ok(value)) => Ok(value),
            Ok(Err(why)) => Err(MergeFailure::Failed(why.0)),
            Err(panic) => {
                self.counts.panics.fetch_add(1, Ordering::Relaxed);
                Err(MergeFailure::Panicked(words(&panic).into()))
            }
        }
    }

    /// One operand in the place of two; `None` if there is none.
    ///
    /// # Errors
    /// The words of a panic.
    pub fn combine(&self, key: &[u8], older: &[u8], newer: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Some(operator) = &self.operator else { return Ok(None) };
        match self.call(|| operator.partial(key, older, newer)) {
            Ok(combined) => Ok(combined.filter(|operand| operand.len() < MAX_VALUE_BYTES / 2)),
            Err(panic) => {
                self.counts.panics.fetch_add(1, Ordering::Relaxed);
                Err(words(&panic).into())
            }
        }
    }

    fn no_operator(&self) -> MergeFailure {
        MergeFailure::Failed(match &self.operator_name {
            Some(name) => {
                format!("the merge operator {name:?} was not given when the store was opened").into()
            }
            None => "the column family has no merge operator".into(),
        })
    }

    /// Whether the family's values are filtered when they are compacted.
    #[must_use]
    pub fn filters(&self) -> bool {
        self.filter.is_some()
    }

    /// A filter for one compaction; `None` if the family has none.
    ///
    /// # Errors
    /// The words of a panic.
    pub fn make_filter(&self, context: &FilterContext) -> Result<Option<Box<dyn CompactionFilter>>, String> {
        let Some(factory) = &self.filter else { return Ok(None) };
        self.call(|| factory.make(context)).map(Some).map_err(|panic| {
            self.counts.panics.fetch_add(1, Ordering::Relaxed);
            words(&panic).into()
        })
    }

    /// Asks a filter about a value.
    ///
    /// # Errors
    /// The words of a panic, or what is wrong with the answer.
    pub fn decide(
        &self,
        filter: &mut dyn CompactionFilter,
        key: &[u8],
        value: &[u8],
        expires_at: u64,
    ) -> Decided {
        match self.call(|| filter.decide(key, value, expires_at)) {
            Ok(Verdict::Replace(value)) if value.len() > MAX_VALUE_BYTES => {
                Err(format!("a value of {} bytes in the place of another", value.len()))
            }
            Ok(verdict) => {
                match &verdict {
                    Verdict::Keep => {}
                    Verdict::Remove => drop(self.counts.removed.fetch_add(1, Ordering::Relaxed)),
                    Verdict::Replace(_) => drop(self.counts.replaced.fetch_add(1, Ordering::Relaxed)),
                }
                Ok(verdict)
            }
            Err(panic) => {
                self.counts.panics.fetch_add(1, Ordering::Relaxed);
                Err(words(&panic).into())
            }
        }
    }
}
