//! Options of a transaction.

use std::time::Duration;

/// How a transaction keeps others from writing what it writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Locking {
    /// Not at all: at the commit it is found out whether they have. Best where conflicts are rare.
    #[default]
    Optimistic,
    /// It locks each key that it writes, or reads for update, until it ends. Others wait.
    Pessimistic,
}

/// Options of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionOptions {
    /// How it keeps others from writing what it writes. Default: optimistic.
    pub locking: Locking,
    /// Whether what it has read, keys and scanned ranges, must be unwritten at the commit, too, so that
    /// it could have run alone at that moment. Otherwise only what it writes, or has read for update.
    /// Default: false.
    pub serialisable: bool,
    /// How long it waits for a key that another has locked. Zero does not wait. Default: 1 s.
    pub lock_timeout: Duration,
    /// What its writes, its locks, and what its savepoints go back to may take, in bytes: keys, values, and
    /// about 100 bytes for each. Beyond it a write or a lock is refused with
    /// [`crate::Error::TransactionTooLarge`]. Default: 256 MiB.
    pub max_bytes: usize,
    /// How many keys and ranges of its reads are remembered one by one. Beyond it they are put together
    /// into one range for each column family, so that conflicts become more likely, and none is missed. So
    /// they are when they take more than about a quarter of [`TransactionOptions::max_bytes`], beside what
    /// that allows. Default: 65,536.
    pub max_tracked: usize,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        TransactionOptions {
            locking: Locking::Optimistic,
            serialisable: false,
            lock_timeout: Duration::from_secs(1),
            max_bytes: 256 << 20,
            max_tracked: 1 << 16,
        }
    }
}

impl TransactionOptions {
    /// Optimistic, otherwise the defaults.
    #[must_use]
    pub fn optimistic() -> TransactionOptions {
        TransactionOptions::default()
    }

    /// Pessimistic, otherwise the defaults.
    #[must_use]
    pub fn pessimistic() -> TransactionOptions {
        TransactionOptions { locking: Locking::Pessimistic, ..TransactionOptions::default() }
    }

    /// The same, serialisable.
    #[must_use]
    pub fn serialisable(self) -> TransactionOptions {
        TransactionOptions { serialisable: true, ..self }
    }

    /// The same with another [`TransactionOptions::lock_timeout`].
    #[must_use]
    pub fn lock_timeout(self, lock_timeout: Duration) -> TransactionOptions {
        TransactionOptions { lock_timeout, ..self }
    }
}
