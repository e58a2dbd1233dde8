//! redb.

use crate::arena::engine::{Direction, Engine, Entry, Settings, Use, Visit};
use crate::process::Fallible;
use redb::{
    AccessGuard, Database, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    WriteTransaction,
};
use std::time::Duration;

const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("arena");
/// Writes of a transaction where nothing is synced.
const AT_ONCE: usize = 1000;

struct Redb {
    db: Database,
    durability: Durability,
}

pub(super) fn open(settings: &Settings) -> Fallible<Box<dyn Engine>> {
    let file = settings.dir.join("arena.redb");
    let db = Database::builder().set_cache_size(settings.memory_bytes as usize).create(file)?;
    let durability = if settings.purpose == Use::Synced { Durability::Immediate } else { Durability::None };
    let engine = Redb { db, durability };
    engine.write(|transaction| {
        transaction.open_table(TABLE)?;
        Ok(())
    })?;
    Ok(Box::new(engine))
}

impl Redb {
    fn write(&self, body: impl FnOnce(&WriteTransaction) -> Fallible<()>) -> Fallible<()> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(self.durability)?;
        body(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl Engine for Redb {
    fn put(&self, key: &[u8], value: &[u8]) -> Fallible<()> {
        self.put_batch(&[(key, value)])
    }

    fn put_batch(&self, entries: &[Entry<'_>]) -> Fallible<()> {
        self.write(|transaction| {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in entries {
                table.insert(*key, *value)?;
            }
            Ok(())
        })
    }

    fn delete(&self, key: &[u8]) -> Fallible<()> {
        self.delete_batch(&[key])
    }

    fn delete_batch(&self, keys: &[&[u8]]) -> Fallible<()> {
        self.write(|transaction| {
            let mut table = transaction.open_table(TABLE)?;
            for key in keys {
                table.remove(*key)?;
            }
            Ok(())
        })
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Fallible<bool> {
        let table = self.db.begin_read()?.open_table(TABLE)?;
        let value = table.get(key)?;
        Ok(value.map(|value| read(value.value())).is_some())
    }

    fn multi_get(&self, keys: &[&[u8]], read: &mut dyn FnMut(usize, &[u8])) -> Fallible<()> {
        let table = self.db.begin_read()?.open_table(TABLE)?;
        for (at, key) in keys.iter().enumerate() {
            if let Some(value) = table.get(*key)? {
                read(at, value.value());
            }
        }
        Ok(())
    }

    fn scan(&self, from: Option<&[u8]>, direction: Direction, visit: Visit<'_>) -> Fallible<()> {
        let table = self.db.begin_read()?.open_table(TABLE)?;
        match (from, direction) {
            (None, Direction::Forward) => visit_all(table.iter()?, visit),
            (None, Direction::Reverse) => visit_all(table.iter()?.rev(), visit),
            (Some(key), Direction::Forward) => visit_all(table.range(key..)?, visit),
            (Some(key), Direction::Reverse) => visit_all(table.range(..=key)?.rev(), visit),
        }
    }

    fn settle(&self, _: Duration) -> Fallible<()> {
        // Pages that were replaced can be used again only behind a commit that is synced.
        Ok(self.db.begin_write()?.commit()?)
    }

    fn writes_at_once(&self) -> usize {
        if matches!(self.durability, Durability::None) { AT_ONCE } else { 1 }
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(())
    }
}

type Guarded<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

fn visit_all<'a>(
    entries: impl Iterator<Item = Result<Guarded<'a>, StorageError>>,
    visit: Visit<'_>,
) -> Fallible<()> {
    for entry in entries {
        let (key, value) = entry?;
        if !visit(key.value(), value.value()) {
            break;
        }
    }
    Ok(())
}
