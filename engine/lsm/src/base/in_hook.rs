//! Whether this thread is inside a hook of a store. A hook runs in the middle of the store's own work and
//! must not call it: it would read what is just being replaced, or wait for what waits for it.

use std::cell::Cell;

/// In no hook. No store has this number.
const NONE: u64 = 0;

/// In hooks of several stores, one within the other. Which they are is not kept: all are refused.
const SEVERAL: u64 = u64::MAX;

thread_local! {
    /// The number of the store whose hook it is.
    static HOOK_OF: Cell<u64> = const { Cell::new(NONE) };
}

/// This thread is inside a hook while this lives.
#[derive(Debug)]
pub struct InHook {
    before: u64,
}

impl InHook {
    /// Inside a hook of this store.
    #[must_use]
    pub fn of(store: u64) -> InHook {
        let before = HOOK_OF.get();
        HOOK_OF.set(if before == NONE || before == store { store } else { SEVERAL });
        InHook { before }
    }
}

impl Drop for InHook {
    fn drop(&mut self) {
        HOOK_OF.set(self.before);
    }
}

/// Whether this thread is inside a hook of this store, or may be.
#[must_use]
pub fn in_hook_of(store: u64) -> bool {
    let of = HOOK_OF.get();
    of != NONE && (of == store || of == SEVERAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_may_stand_within_one_another() {
        let inside = || [1, 2, 3].map(in_hook_of);
        assert_eq!(inside(), [false; 3]);
        let outer = InHook::of(1);
        assert_eq!(inside(), [true, false, false]);
        assert!(std::thread::spawn(|| !in_hook_of(1)).join().unwrap());
        let again = InHook::of(1);
        assert_eq!(inside(), [true, false, false]);
        let inner = InHook::of(2);
        assert_eq!(inside(), [true; 3]);
        drop(inner);
        drop(again);
        assert_eq!(inside(), [true, false, false]);
        drop(outer);
        assert_eq!(inside(), [false; 3]);
    }
}
