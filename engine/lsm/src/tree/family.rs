//! A column family of an open store.

use super::rules::FamilyRules;
use super::view::{Seal, Sealed, View};
use crate::base::key::{NEVER, SeqNum};
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::base::sync::quiet::{self, AtomicU64};
use crate::base::sync::{Arc, Mutex};
use crate::filter::{PrefixCounts, PrefixExtractor};
use crate::hooks::FamilyHooks;
use crate::memtable::Memtable;
use crate::ranges::RangeSet;
use crate::version::Version;
use arc_swap::{ArcSwap, Guard};
use std::fmt;

/// The live state of a column family: a current [`View`], replaced as a whole.
///
/// Pinning the view takes no lock (`arc_swap`). Whoever replaces it - the commit leader, a flush, a
/// compaction - holds the install lock for the moment of copying a few references.
pub struct Family {
    id: u32,
    name: String,
    rules: ArcSwap<FamilyRules>,
    /// That of the rules, at hand for those who write; 0 for none.
    default_ttl_ms: AtomicU64,
    /// That of the rules, which no change of options touches.
    prefix: Option<PrefixExtractor>,
    hooks: Arc<FamilyHooks>,
    view: ArcSwap<View>,
    install: Mutex<()>,
    prefix_counts: Arc<PrefixCounts>,
    dropped: AtomicBool,
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Family({} {:?})", self.id, self.name)
    }
}

impl Family {
    /// A family with these tables and ranges, which hold every write up to `flushed`, and an empty memtable.
    #[must_use]
    pub fn new(
        id: u32,
        name: &str,
        rules: FamilyRules,
        active: Arc<Memtable>,
        version: Version,
        ranges: RangeSet,
        flushed: SeqNum,
    ) -> Family {
        let (version, ranges) = (Arc::new(version), Arc::new(ranges));
        let hooks = Arc::new(FamilyHooks::default());
        let view = View { active, sealed: Vec::new(), version, ranges, flushed, hooks: hooks.clone() };
        Family {
            id,
            name: name.to_owned(),
            default_ttl_ms: AtomicU64::new(rules.default_ttl_ms.unwrap_or(0)),
            prefix: rules.policy.base.prefix,
            rules: ArcSwap::from_pointee(rules),
            hooks,
            view: ArcSwap::from_pointee(view),
            install: Mutex::new(()),
            prefix_counts: Arc::default(),
            dropped: AtomicBool::new(false),
        }
    }

    /// With what is hooked in; before anybody reads it.
    #[must_use]
    pub fn with_hooks(mut self, hooks: FamilyHooks) -> Family {
        self.hooks = Arc::new(hooks);
        let hooks = self.hooks.clone();
        self.replace(|view| View {
            active: view.active.clone(),
            sealed: view.sealed.clone(),
            version: view.version.clone(),
            ranges: view.ranges.clone(),
            flushed: view.flushed,
            hooks,
        });
        self
    }

    /// The number that logs and manifest know it by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its options say.
    #[must_use]
    pub fn rules(&self) -> Arc<FamilyRules> {
        self.rules.load_full()
    }

    /// Puts other options in force.
    pub fn set_rules(&self, rules: FamilyRules) {
        self.default_ttl_ms.store(rules.default_ttl_ms.unwrap_or(0), quiet::Ordering::Relaxed);
        self.rules.store(Arc::new(rules));
    }

    /// How long an entry lives that is written without a word about it, in ms; `None` for ever.
    #[inline]
    #[must_use]
    pub fn default_ttl_ms(&self) -> Option<u64> {
        Some(self.default_ttl_ms.load(quiet::Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    /// Whose prefixes the filters of its tables hold.
    #[inline]
    #[must_use]
    pub fn prefix(&self) -> Option<PrefixExtractor> {
        self.prefix
    }

    /// What is hooked in.
    #[must_use]
    pub fn hooks(&self) -> &FamilyHooks {
        &self.hooks
    }

    /// What filters have said to scans of one prefix.
    #[must_use]
    pub fn prefix_counts(&self) -> &Arc<PrefixCounts> {
        &self.prefix_counts
    }

    /// Whether it was dropped.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Marks it dropped, for good. Its tables become obsolete.
    pub fn set_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
        let view = self.view.load();
        view.version.tables().for_each(|(_, table)| table.mark_obsolete());
        view.version.blobs().files().iter().for_each(|of| of.file.mark_obsolete());
    }

    /// Whether any entry may carry an expiry time.
    #[must_use]
    pub fn can_expire(&self) -> bool {
        let view = self.view.load();
        view.memtables().any(|memtable| memtable.earliest_expiry() != NEVER)
            || view.version.tables().any(|(_, table)| table.meta.earliest_expiry != NEVER)
    }

    /// Pins the current view for a short time (a point read).
    #[must_use]
    pub fn pin(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// The current view, held by reference (an iterator, a job).
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Closes the active memtable and starts `next`.
    pub fn rotate(&self, seal: Seal, next: Arc<Memtable>) {
        self.replace(|view| {
            let sealed = Arc::new(Sealed { memtable: view.active.clone(), seal });
            View {
                active: next,
                sealed: std::iter::once(sealed).chain(view.sealed.iter().cloned()).collect(),
                version: view.version.clone(),
                hooks: view.hooks.clone(),
                ranges: view.ranges.clone(),
                flushed: view.flushed,
            }
        });
    }

    /// Replaces the active memtable by one with the same entries.
    pub fn exchange(&self, active: Arc<Memtable>) {
        self.replace(|view| View {
            active,
            sealed: view.sealed.clone(),
            version: view.version.clone(),
            hooks: view.hooks.clone(),
            ranges: view.ranges.clone(),
            flushed: view.flushed,
        });
    }

    /// Replaces tables and ranges, and takes away the sealed memtables up to the seal `flushed`, which
    /// they now hold.
    pub fn install(&self, flushed: Option<Seal>, version: Version, ranges: Arc<RangeSet>) {
        self.replace(|view| {
            let keep = |s: &&Arc<Sealed>| flushed.is_none_or(|seal| s.seal.order > seal.order);
            View {
                active: view.active.clone(),
                sealed: view.sealed.iter().filter(keep).cloned().collect(),
                version: Arc::new(version),
                ranges,
                flushed: flushed.map_or(view.flushed, |seal| view.flushed.max(seal.last_seq)),
                hooks: view.hooks.clone(),
            }
        });
    }

    fn replace(&self, change: impl FnOnce(&View) -> View) {
        let _installing = self.install.lock();
        let old = self.view.load_full();
        self.view.store(Arc::new(change(&old)));
    }
}
