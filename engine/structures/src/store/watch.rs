//! Who wants to know whether a key is modified: WATCH, without a read of the store.
//!
//! A watcher registers under the key's lock, and a unit tells the watchers of what it modified after its
//! batch is published and before it lets go of the locks. So a modification is either published before the
//! watcher registers, or told. Where nobody watches, one load says so.

use parking_lot::Mutex;
use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many shards the registry has.
const SHARDS: usize = 64;

/// A watcher's flag.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

#[derive(Debug)]
struct Entry {
    flag: Arc<Flag>,
    /// The key had expired when it was registered: that it is removed for it is no modification.
    was_expired: bool,
}

type Shard = HashMap<(u32, Vec<u8>), Vec<Entry>>;

/// All watchers of a store, by database and key.
#[derive(Debug)]
pub(super) struct Registry {
    registered: AtomicUsize,
    shards: Box<[Mutex<Shard>]>,
}

impl Registry {
    pub(super) fn new() -> Registry {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect();
        Registry { registered: AtomicUsize::new(0), shards }
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[(esker::base::hash::key_hash(key) >> 32) as usize % SHARDS]
    }

    /// Whether there is anybody.
    pub(super) fn is_idle(&self) -> bool {
        self.registered.load(Ordering::Acquire) == 0
    }

    /// Registers `watching` for a key, whose lock is held.
    pub(super) fn register(&self, watching: &mut Watching, database: u32, key: &[u8], was_expired: bool) {
        let hash_map::Entry::Vacant(place) = watching.keys.entry((database, key.to_vec())) else { return };
        place.insert(was_expired);
        watching.bytes += 2 * (key.len() + WATCHED_BYTES);
        let entry = Entry { flag: watching.flag.clone(), was_expired };
        self.shard(key).lock().entry((database, key.to_vec())).or_default().push(entry);
        self.registered.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes back every registration of `watching`, and its flag down.
    pub(super) fn unregister(&self, watching: &mut Watching) {
        watching.bytes = 0;
        for (name, _) in std::mem::take(&mut watching.keys) {
            let mut shard = self.shard(&name.1).lock();
            if let Some(entries) = shard.get_mut(&name) {
                entries.retain(|entry| !Arc::ptr_eq(&entry.flag, &watching.flag));
                if entries.is_empty() {
                    shard.remove(&name);
                }
            }
            self.registered.fetch_sub(1, Ordering::AcqRel);
        }
        watching.flag = Arc::default();
    }

    /// Tells the watchers of a key that it was modified; `by_expiry` if all that happened is that it is gone.
    pub(super) fn touch(&self, database: u32, key: &[u8], by_expiry: bool) {
        let name = (database, key.to_vec());
        let mut shard = self.shard(key).lock();
        for entry in shard.get_mut(&name).into_iter().flatten() {
            if by_expiry && entry.was_expired {
                entry.was_expired = false;
            } else {
                entry.flag.0.store(true, Ordering::Release);
            }
        }
    }

    /// The keys of a database that somebody watches.
    pub(super) fn of_database(&self, database: u32) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            keys.extend(shard.keys().filter(|name| name.0 == database).map(|name| name.1.clone()));
        }
        keys
    }
}

/// What one connection watches. It must be given back with [`crate::store::Store::unwatch`].
#[derive(Debug, Default)]
pub struct Watching {
    flag: Arc<Flag>,
    /// Whether it had expired when it was registered, of each by database and name.
    keys: HashMap<(u32, Vec<u8>), bool>,
    bytes: usize,
}

/// What a key that is watched takes besides its name, at either end.
const WATCHED_BYTES: usize = 64;

impl Watching {
    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key that is watched was modified since.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.flag.0.load(Ordering::Acquire)
    }

    /// The memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Database, name, and whether it had expired when it was registered, of each key.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u32, &[u8], bool)> {
        self.keys.iter().map(|((database, key), was_expired)| (*database, key.as_slice(), *was_expired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_hear_of_their_keys_alone() {
        let registry = Registry::new();
        let (mut a, mut b) = (Watching::default(), Watching::default());
        assert!(registry.is_idle());
        registry.register(&mut a, 0, b"k", false);
        registry.register(&mut a, 0, b"k", false);
        assert_eq!(a.bytes(), 2 * (1 + WATCHED_BYTES), "once");
        registry.register(&mut b, 1, b"k", false);
        registry.touch(1, b"k", false);
        registry.touch(0, b"other", false);
        assert!(!a.is_touched() && b.is_touched());
        registry.unregister(&mut a);
        registry.unregister(&mut b);
        assert!(registry.is_idle() && !b.is_touched() && a.bytes() == 0);
    }

    #[test]
    fn the_end_of_what_had_ended_is_no_modification() {
        let registry = Registry::new();
        let mut watching = Watching::default();
        registry.register(&mut watching, 0, b"k", true);
        registry.touch(0, b"k", true);
        assert!(!watching.is_touched());
        registry.touch(0, b"k", true);
        assert!(watching.is_touched());
        registry.unregister(&mut watching);
    }
}
