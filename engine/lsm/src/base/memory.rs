//! Counting bytes that are held in memory, whoever holds them.
//!
//! A cache knows what it holds, but not what its users still hold after it let go. Each buffer
//! therefore carries a [`Charge`] from its creation to its drop, and the [`Account`] shows the sum.

use super::sync::Arc;
use super::sync::quiet::{AtomicU64, Ordering};

/// A sum of bytes that are alive.
#[derive(Debug, Default)]
pub struct Account {
    bytes: AtomicU64,
}

impl Account {
    /// An account of nothing yet.
    #[must_use]
    pub fn new() -> Arc<Account> {
        Arc::default()
    }

    /// Bytes alive now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts `bytes` until the charge is dropped.
    #[must_use]
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        let bytes = bytes as u64;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Charge { account: Some(self.clone()), bytes }
    }
}

/// Bytes counted in an [`Account`] for as long as this lives.
#[derive(Debug, Default)]
pub struct Charge {
    account: Option<Arc<Account>>,
    bytes: u64,
}

impl Charge {
    /// A charge to nobody.
    #[must_use]
    pub fn none() -> Charge {
        Charge::default()
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Asks for the cache line at `at`, which may be any address: a hint that never faults.
#[inline]
pub fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has the instruction, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_from_charge_to_drop() {
        let account = Account::new();
        let first = account.charge(100);
        let second = account.charge(11);
        assert_eq!(account.bytes(), 111);
        drop(first);
        assert_eq!(account.bytes(), 11);
        drop((second, Charge::none()));
        assert_eq!(account.bytes(), 0);
    }
}
