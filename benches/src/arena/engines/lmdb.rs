//! LMDB, through heed.

use crate::arena::engine::{Direction, Engine, Entry, Settings, Use, Visit};
use crate::process::Fallible;
use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};
use std::ops::Bound;
use std::time::Duration;

/// The map has at least this size; address space costs nothing.
const LEAST_MAP_BYTES: u64 = 1 << 30;

struct Lmdb {
    env: Env,
    entries: Database<Bytes, Bytes>,
}

pub(super) fn open(settings: &Settings) -> Fallible<Box<dyn Engine>> {
    let mut options = EnvOpenOptions::new();
    // A multiple of every page size.
    options.map_size((LEAST_MAP_BYTES + settings.most_bytes).next_multiple_of(1 << 20) as usize);
    if settings.purpose != Use::Synced {
        // SAFETY: without syncs a crash of the system may damage the file; the file is thrown away with
        // the run.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: the folder is new and of this process alone, so that nobody changes the mapped file.
    let env = unsafe { options.open(&settings.dir)? };
    let mut transaction = env.write_txn()?;
    let entries = env.create_database(&mut transaction, None)?;
    transaction.commit()?;
    Ok(Box::new(Lmdb { env, entries }))
}

impl Engine for Lmdb {
    fn put(&self, key: &[u8], value: &[u8]) -> Fallible<()> {
        self.put_batch(&[(key, value)])
    }

    fn put_batch(&self, entries: &[Entry<'_>]) -> Fallible<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, value) in entries {
            self.entries.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn delete(&self, key: &[u8]) -> Fallible<()> {
        self.delete_batch(&[key])
    }

    fn delete_batch(&self, keys: &[&[u8]]) -> Fallible<()> {
        let mut transaction = self.env.write_txn()?;
        for key in keys {
            self.entries.delete(&mut transaction, key)?;
        }
        Ok(transaction.commit()?)
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Fallible<bool> {
        let transaction = self.env.read_txn()?;
        Ok(self.entries.get(&transaction, key)?.map(read).is_some())
    }

    fn multi_get(&self, keys: &[&[u8]], read: &mut dyn FnMut(usize, &[u8])) -> Fallible<()> {
        let transaction = self.env.read_txn()?;
        for (at, key) in keys.iter().enumerate() {
            if let Some(value) = self.entries.get(&transaction, key)? {
                read(at, value);
            }
        }
        Ok(())
    }

    fn scan(&self, from: Option<&[u8]>, direction: Direction, visit: Visit<'_>) -> Fallible<()> {
        let transaction = self.env.read_txn()?;
        let bound = from.map_or(Bound::Unbounded, Bound::Included);
        match direction {
            Direction::Forward => {
                let range: (Bound<&[u8]>, Bound<&[u8]>) = (bound, Bound::Unbounded);
                visit_all(self.entries.range(&transaction, &range)?, visit)
            }
            Direction::Reverse => {
                let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, bound);
                visit_all(self.entries.rev_range(&transaction, &range)?, visit)
            }
        }
    }

    fn settle(&self, _: Duration) -> Fallible<()> {
        Ok(self.env.force_sync()?)
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        self.env.prepare_for_closing();
        Ok(())
    }
}

fn visit_all<'a>(
    entries: impl Iterator<Item = heed::Result<(&'a [u8], &'a [u8])>>,
    visit: Visit<'_>,
) -> Fallible<()> {
    for entry in entries {
        let (key, value) = entry?;
        if !visit(key, value) {
            break;
        }
    }
    Ok(())
}
