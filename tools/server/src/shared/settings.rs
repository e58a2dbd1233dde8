//! Limits that CONFIG SET changes while the server runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that any thread may change.
#[derive(Debug)]
pub(crate) struct Setting(AtomicU64);

impl Setting {
    const fn new(value: u64) -> Setting {
        Setting(AtomicU64::new(value))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// In bytes; 0 stands for no limit.
    pub(crate) fn limit(&self) -> usize {
        match self.get() {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) bulk_bytes: Setting,
    pub(crate) query_bytes: Setting,
    pub(crate) all_clients_bytes: Setting,
    pub(crate) output_hard_bytes: Setting,
    pub(crate) output_soft_bytes: Setting,
    pub(crate) output_soft_seconds: Setting,
    /// The same of replicas and of subscribers. There are none: these are kept to be read.
    replica_output: [Setting; 3],
    subscriber_output: [Setting; 3],
    pub(crate) max_clients: Setting,
    pub(crate) keepalive_seconds: Setting,
}

impl Settings {
    pub(crate) fn new(max_clients: u64) -> Settings {
        Settings {
            bulk_bytes: Setting::new(512 << 20),
            query_bytes: Setting::new(1 << 30),
            all_clients_bytes: Setting::new(1 << 30),
            output_hard_bytes: Setting::new(1 << 30),
            output_soft_bytes: Setting::new(1 << 20),
            output_soft_seconds: Setting::new(60),
            replica_output: [256 << 20, 64 << 20, 60].map(Setting::new),
            subscriber_output: [32 << 20, 8 << 20, 60].map(Setting::new),
            max_clients: Setting::new(max_clients),
            keepalive_seconds: Setting::new(300),
        }
    }

    /// How much may wait for clients of a class: hard, soft, and for how many seconds the latter.
    pub(crate) fn output_limit(&self, class: &str) -> [&Setting; 3] {
        match class {
            "slave" | "replica" => self.replica_output.each_ref(),
            "pubsub" => self.subscriber_output.each_ref(),
            _ => [&self.output_hard_bytes, &self.output_soft_bytes, &self.output_soft_seconds],
        }
    }
}
