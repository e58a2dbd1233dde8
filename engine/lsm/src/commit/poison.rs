//! The latch that makes a store read-only.

use crate::base::error::{Error, Result};
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::base::sync::{Arc, Mutex};

/// Set once, by the first failure after which nothing on disk can be relied on to grow: a failed
/// sync, a manifest in doubt, a panic in background work.
#[derive(Debug, Default)]
pub struct Poison {
    set: AtomicBool,
    why: Mutex<Option<Arc<str>>>,
}

impl Poison {
    /// Sets the latch; only the first reason is kept. Returns whether this was it.
    pub fn set(&self, why: impl Into<Arc<str>>) -> bool {
        let mut kept = self.why.lock();
        let first = kept.is_none();
        kept.get_or_insert_with(|| why.into());
        self.set.store(true, Ordering::Release);
        first
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// The first reason, if it is set.
    #[must_use]
    pub fn why(&self) -> Option<Arc<str>> {
        if self.is_set() { self.why.lock().clone() } else { None }
    }

    /// An error if it is set.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if !self.is_set() {
            return Ok(());
        }
        self.why().map_or(Ok(()), |why| Err(Error::Poisoned { why }))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_is_kept_and_given_to_all() {
        let poison = Poison::default();
        assert!(poison.check().is_ok() && !poison.is_set() && poison.why().is_none());
        assert!(poison.set("the first"));
        assert!(!poison.set("the second"));
        assert!(poison.is_set());
        assert_eq!(poison.why().as_deref(), Some("the first"));
        assert!(matches!(poison.check(), Err(Error::Poisoned { why }) if &*why == "the first"));
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::base::sync::thread;

    /// Whoever finds the latch set finds why, and everybody the same.
    #[test]
    fn loom_a_latch_that_is_set_says_why() {
        loom::model(|| {
            let poison = Arc::new(Poison::default());
            let other = {
                let poison = poison.clone();
                thread::spawn(move || poison.set("the other"))
            };
            let found = poison.is_set().then(|| poison.why().expect("a latch without a reason"));
            poison.set("this one");
            let why = poison.why().expect("a latch without a reason");
            other.join().unwrap();
            assert_eq!(poison.why(), Some(why.clone()));
            assert!(found.is_none_or(|found| found == why));
            assert!(poison.check().is_err());
        });
    }
}
