//! fjall.

use crate::arena::engine::{Direction, Engine, Entry, Settings, Use, Visit};
use crate::process::{Fallible, wait_until_idle};
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::time::Duration;

struct Fjall {
    db: Database,
    keyspace: Keyspace,
    sync: bool,
}

pub(super) fn open(settings: &Settings) -> Fallible<Box<dyn Engine>> {
    let db = Database::builder(&settings.dir).cache_size(settings.cache_bytes).open()?;
    let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(settings.filter_bits as f32));
    let keyspace = db.keyspace("arena", || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(settings.memtable_bytes)
            .filter_policy(FilterPolicy::all(filter))
    })?;
    Ok(Box::new(Fjall { db, keyspace, sync: settings.purpose == Use::Synced }))
}

impl Fjall {
    /// Without it a write is in the hands of the system when it returns.
    fn sync(&self) -> Fallible<()> {
        if self.sync {
            self.db.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Engine for Fjall {
    fn put(&self, key: &[u8], value: &[u8]) -> Fallible<()> {
        self.keyspace.insert(key, value)?;
        self.sync()
    }

    fn put_batch(&self, entries: &[Entry<'_>]) -> Fallible<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in entries {
            batch.insert(&self.keyspace, *key, *value);
        }
        batch.commit()?;
        self.sync()
    }

    fn delete(&self, key: &[u8]) -> Fallible<()> {
        self.keyspace.remove(key)?;
        self.sync()
    }

    fn delete_batch(&self, keys: &[&[u8]]) -> Fallible<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for key in keys {
            batch.remove(&self.keyspace, *key);
        }
        batch.commit()?;
        self.sync()
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Fallible<bool> {
        let value = self.keyspace.get(key)?;
        Ok(value.map(|value| read(&value)).is_some())
    }

    fn scan(&self, from: Option<&[u8]>, direction: Direction, visit: Visit<'_>) -> Fallible<()> {
        match (from, direction) {
            (None, Direction::Forward) => visit_all(self.keyspace.iter(), visit),
            (None, Direction::Reverse) => visit_all(self.keyspace.iter().rev(), visit),
            (Some(key), Direction::Forward) => visit_all(self.keyspace.range(key..), visit),
            (Some(key), Direction::Reverse) => visit_all(self.keyspace.range(..=key).rev(), visit),
        }
    }

    fn settle(&self, limit: Duration) -> Fallible<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        wait_until_idle(limit);
        Ok(())
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(())
    }
}

fn visit_all(entries: impl Iterator<Item = Guard>, visit: Visit<'_>) -> Fallible<()> {
    for entry in entries {
        let (key, value) = entry.into_inner()?;
        if !visit(&key, &value) {
            break;
        }
    }
    Ok(())
}
