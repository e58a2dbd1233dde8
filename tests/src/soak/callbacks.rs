//! Whether who asks to be told of durability is told, once, and rightly.

use esker::Db;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked for, and what was told.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    asked: AtomicU64,
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    count: AtomicU64,
    /// The greatest sequence number that was told to be durable.
    seq: AtomicU64,
}

impl Callbacks {
    /// Asks to be told once everything published so far is durable.
    pub(super) fn ask(&self, db: &Db) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (seq, heard) = (db.visible_seq(), self.heard.clone());
        db.on_durable(seq, move |result| {
            if result.is_ok() {
                heard.seq.fetch_max(seq, Ordering::AcqRel);
            }
            heard.count.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// The greatest sequence number that was told to be durable.
    pub(super) fn told(&self) -> u64 {
        self.heard.seq.load(Ordering::Acquire)
    }

    /// The store is closed: everybody has been told something.
    pub(super) fn closed(&self) {
        let (asked, heard) = (self.asked.load(Ordering::Relaxed), self.heard.count.load(Ordering::Acquire));
        assert_eq!(asked, heard, "callbacks asked for, and called");
    }
}
