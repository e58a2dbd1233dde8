//! RocksDB.

use crate::arena::engine::{
    Change, Direction, Engine, Entry, ExactExpiry, Settings, Unsupported, Use, Visit,
};
use crate::process::Fallible;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DEFAULT_COLUMN_FAMILY_NAME,
    DataBlockIndexType, ErrorKind, MergeOperands, OptimisticTransactionDB, OptimisticTransactionOptions,
    Options, ReadOptions, WaitForCompactOptions, WriteBatch, WriteBatchWithTransaction, WriteOptions,
};
use std::time::Duration;

const LEVELS: usize = 7;
/// What stands for the default size of zstd's window.
const DEFAULT_WINDOW: i32 = -14;
/// How often a transaction is tried that others are in the way of.
const ATTEMPTS: u32 = 16;

struct RocksDb {
    store: Store,
    /// Made once: making them costs an allocation.
    write: WriteOptions,
    read: ReadOptions,
    expiring: bool,
}

/// A store for transactions keeps written memtables in memory for longer, so that it is opened only for them.
enum Store {
    Plain(DB),
    Transactions(OptimisticTransactionDB),
}

/// The same expression for both.
macro_rules! on {
    ($store:expr, $db:ident => $body:expr) => {
        match $store {
            Store::Plain($db) => $body,
            Store::Transactions($db) => $body,
        }
    };
}

/// Levels below `uncompressed` are stored as they are.
pub(super) fn open(settings: &Settings, uncompressed: usize) -> Fallible<Box<dyn Engine>> {
    let options = options(settings, uncompressed);
    let dir = &settings.dir;
    let store = match settings.purpose {
        Use::Transactions => Store::Transactions(OptimisticTransactionDB::open(&options, dir)?),
        Use::Expiring(ttl) => Store::Plain(DB::open_with_ttl(&options, dir, ttl)?),
        _ => {
            let default = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
            Store::Plain(DB::open_cf_descriptors(&options, dir, [default])?)
        }
    };
    let mut write = WriteOptions::default();
    write.set_sync(settings.purpose == Use::Synced);
    let expiring = matches!(settings.purpose, Use::Expiring(_));
    Ok(Box::new(RocksDb { store, write, read: ReadOptions::default(), expiring }))
}

fn options(settings: &Settings, uncompressed: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    // The estimate of zero has the cache find the size of its entries by itself.
    table.set_block_cache(&Cache::new_hyper_clock_cache(settings.cache_bytes as usize, 0));
    table.set_bloom_filter(f64::from(settings.filter_bits), false);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(settings.memtable_bytes as usize);
    options.set_max_write_buffer_number(2);
    options.set_max_bytes_for_level_base(4 * settings.memtable_bytes);
    options.set_target_file_size_base(settings.memtable_bytes.max(2 << 20));
    options.set_level_compaction_dynamic_level_bytes(true);
    let codec = |level| if level < uncompressed { DBCompressionType::None } else { DBCompressionType::Zstd };
    options.set_compression_type(DBCompressionType::Zstd);
    options.set_compression_per_level(&(0..LEVELS).map(codec).collect::<Vec<_>>());
    options.set_compression_options(DEFAULT_WINDOW, settings.zstd_level, 0, 0);
    if settings.purpose == Use::Counters {
        options.set_merge_operator_associative("arena.counter", add);
    }
    options
}

fn add(_: &[u8], base: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_le_bytes);
    let mut sum = base.map_or(Some(0), number)?;
    for operand in operands {
        sum = sum.checked_add(number(operand)?)?;
    }
    Some(sum.to_le_bytes().to_vec())
}

/// Whether it may work when it is tried again.
fn is_conflict(error: &rocksdb::Error) -> bool {
    matches!(error.kind(), ErrorKind::Busy | ErrorKind::TryAgain)
}

impl RocksDb {
    fn transactions(&self) -> Fallible<&OptimisticTransactionDB> {
        match &self.store {
            Store::Transactions(db) => Ok(db),
            Store::Plain(_) => Err(Unsupported.into()),
        }
    }

    fn plain(&self) -> Fallible<&DB> {
        match &self.store {
            Store::Plain(db) => Ok(db),
            Store::Transactions(_) => Err(Unsupported.into()),
        }
    }
}

impl Engine for RocksDb {
    fn put(&self, key: &[u8], value: &[u8]) -> Fallible<()> {
        on!(&self.store, db => db.put_opt(key, value, &self.write)?);
        Ok(())
    }

    fn put_batch(&self, entries: &[Entry<'_>]) -> Fallible<()> {
        match &self.store {
            Store::Plain(db) => {
                let mut batch = WriteBatch::default();
                entries.iter().for_each(|(key, value)| batch.put(key, value));
                Ok(db.write_opt(batch, &self.write)?)
            }
            Store::Transactions(db) => {
                let mut batch = WriteBatchWithTransaction::<true>::default();
                entries.iter().for_each(|(key, value)| batch.put(key, value));
                Ok(db.write_opt(batch, &self.write)?)
            }
        }
    }

    fn delete(&self, key: &[u8]) -> Fallible<()> {
        on!(&self.store, db => db.delete_opt(key, &self.write)?);
        Ok(())
    }

    fn delete_batch(&self, keys: &[&[u8]]) -> Fallible<()> {
        let mut batch = WriteBatch::default();
        keys.iter().for_each(|key| batch.delete(key));
        Ok(self.plain()?.write_opt(batch, &self.write)?)
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Fallible<bool> {
        let value = on!(&self.store, db => db.get_pinned_opt(key, &self.read)?);
        Ok(value.map(|value| read(&value)).is_some())
    }

    fn multi_get(&self, keys: &[&[u8]], read: &mut dyn FnMut(usize, &[u8])) -> Fallible<()> {
        let db = self.plain()?;
        let family = db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or("there is no default family")?;
        let values = db.batched_multi_get_cf_opt(family, keys.iter().copied(), false, &self.read);
        for (at, value) in values.into_iter().enumerate() {
            if let Some(value) = value? {
                read(at, &value);
            }
        }
        Ok(())
    }

    fn scan(&self, from: Option<&[u8]>, direction: Direction, visit: Visit<'_>) -> Fallible<()> {
        on!(&self.store, db => {
            let mut cursor = db.raw_iterator();
            match (from, direction) {
                (Some(key), Direction::Forward) => cursor.seek(key),
                (Some(key), Direction::Reverse) => cursor.seek_for_prev(key),
                (None, Direction::Forward) => cursor.seek_to_first(),
                (None, Direction::Reverse) => cursor.seek_to_last(),
            }
            while let (Some(key), Some(value)) = (cursor.key(), cursor.value())
                && visit(key, value)
            {
                match direction {
                    Direction::Forward => cursor.next(),
                    Direction::Reverse => cursor.prev(),
                }
            }
            Ok(cursor.status()?)
        })
    }

    fn settle(&self, limit: Duration) -> Fallible<()> {
        let mut options = WaitForCompactOptions::default();
        options.set_flush(true);
        options.set_timeout(limit.as_micros() as u64);
        match on!(&self.store, db => db.wait_for_compact(&options)) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
            result => Ok(result?),
        }
    }

    fn waited(&self) -> Option<Duration> {
        let text = on!(&self.store, db => db.property_value("rocksdb.dbstats")).ok()??;
        let line = text.lines().find_map(|line| line.strip_prefix("Cumulative stall: "))?;
        // Hours, minutes and seconds with a fraction.
        let parts = line.split_whitespace().next()?.split(':');
        let seconds =
            parts.map(str::parse::<f64>).try_fold(0.0, |sum, part| part.map(|part| sum * 60.0 + part));
        Some(Duration::from_secs_f64(seconds.ok()?))
    }

    fn transfer(&self, keys: [&[u8]; 2], change: Change<'_>) -> Fallible<()> {
        let (db, mut attempt) = (self.transactions()?, 1);
        loop {
            let transaction = db.transaction_opt(&self.write, &OptimisticTransactionOptions::default());
            let first = transaction.get_for_update(keys[0], true)?.unwrap_or_default();
            let second = transaction.get_for_update(keys[1], true)?.unwrap_or_default();
            let new = change([&first, &second]);
            transaction.put(keys[0], &new[0])?;
            transaction.put(keys[1], &new[1])?;
            match transaction.commit() {
                Err(error) if is_conflict(&error) && attempt < ATTEMPTS => attempt += 1,
                result => return Ok(result?),
            }
        }
    }

    fn compare_and_set(&self, key: &[u8], expected: &[u8], new: &[u8]) -> Fallible<bool> {
        let db = self.transactions()?;
        let transaction = db.transaction_opt(&self.write, &OptimisticTransactionOptions::default());
        if transaction.get_for_update(key, true)?.as_deref() != Some(expected) {
            return Ok(false);
        }
        transaction.put(key, new)?;
        match transaction.commit() {
            Err(error) if is_conflict(&error) => Ok(false),
            result => Ok(result.map(|()| true)?),
        }
    }

    fn merge(&self, key: &[u8], step: i64) -> Fallible<()> {
        Ok(self.plain()?.merge_opt(key, step.to_le_bytes(), &self.write)?)
    }

    fn expiry(&self) -> Option<ExactExpiry> {
        // What has expired is left out by compactions; until then reads see it.
        self.expiring.then_some(false)
    }

    fn delete_range(&self, from: &[u8], to: &[u8]) -> Fallible<()> {
        let mut batch = WriteBatch::default();
        batch.delete_range(from, to);
        Ok(self.plain()?.write_opt(batch, &self.write)?)
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(())
    }
}
