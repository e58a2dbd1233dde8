//! RocksDB.

use super::Kind;
use crate::arena::engine::{
    Change, Direction, Engine, Entry, ExactExpiry, Settings, SortedFile, Unsupported, Use, Visit,
};
use crate::process::Fallible;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompactionStyle, DBCompressionType,
    DEFAULT_COLUMN_FAMILY_NAME, DataBlockIndexType, ErrorKind, IngestExternalFileOptions, MergeOperands,
    OptimisticTransactionDB, OptimisticTransactionOptions, Options, ReadOptions, SliceTransform,
    SstFileWriter, WaitForCompactOptions, WriteBatch, WriteBatchWithTransaction, WriteOptions,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LEVELS: usize = 7;
/// What stands for the default size of zstd's window.
const DEFAULT_WINDOW: i32 = -14;
/// Blob files are collected when so much of the oldest quarter of them is dead: as much as of one of Esker's.
const DEAD: f64 = 0.4;
/// How often a transaction is tried that others are in the way of.
const ATTEMPTS: u32 = 16;

struct RocksDb {
    store: Store,
    /// Made once: making them costs an allocation.
    write: WriteOptions,
    read: ReadOptions,
    options: Options,
    expiring: bool,
    by_prefix: bool,
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

pub(super) fn open(settings: &Settings, kind: Kind) -> Fallible<Box<dyn Engine>> {
    let options = options(settings, kind);
    let dir = &settings.dir;
    let store = match settings.purpose {
        Use::Transactions => Store::Transactions(OptimisticTransactionDB::open(&options, dir)?),
        Use::Expiring(ttl) => Store::Plain(DB::open_with_ttl(&options, dir, ttl)?),
        _ => {
            let default = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
            let db = DB::open_cf_descriptors(&options, dir, [default])?;
            if kind == Kind::RocksdbBlobs {
                // Of blobs it cannot be said before; by itself it would be zstd 3.
                let level = format!("{{level={}}}", settings.zstd_level);
                db.set_options(&[("blob_compression_opts", &level)])?;
            }
            Store::Plain(db)
        }
    };
    let mut write = WriteOptions::default();
    write.set_sync(settings.purpose == Use::Synced);
    let expiring = matches!(settings.purpose, Use::Expiring(_));
    let by_prefix = settings.prefix_bytes.is_some();
    Ok(Box::new(RocksDb { store, write, read: ReadOptions::default(), options, expiring, by_prefix }))
}

fn options(settings: &Settings, kind: Kind) -> Options {
    let mut table = BlockBasedOptions::default();
    // The estimate of zero has the cache find the size of its entries by itself.
    let cache = Cache::new_hyper_clock_cache(settings.cache_bytes as usize, 0);
    table.set_block_cache(&cache);
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
    let uncompressed = if kind == Kind::RocksdbMixed { 2 } else { 0 };
    let codec = |level| if level < uncompressed { DBCompressionType::None } else { DBCompressionType::Zstd };
    options.set_compression_type(DBCompressionType::Zstd);
    options.set_compression_per_level(&(0..LEVELS).map(codec).collect::<Vec<_>>());
    options.set_compression_options(DEFAULT_WINDOW, settings.zstd_level, 0, 0);
    if settings.purpose == Use::Counters {
        options.set_merge_operator_associative("arena.counter", add);
    }
    if let Some(bytes) = settings.prefix_bytes {
        options.set_prefix_extractor(SliceTransform::create_fixed_prefix(bytes));
    }
    if let (Kind::RocksdbBlobs, Some(from)) = (kind, settings.large_values_from) {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(from as u64);
        options.set_blob_compression_type(DBCompressionType::Zstd);
        options.set_blob_cache(&cache);
        options.set_enable_blob_gc(true);
        options.set_blob_gc_force_threshold(DEAD);
    }
    if kind == Kind::RocksdbUniversal {
        options.set_compaction_style(DBCompactionStyle::Universal);
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
            let mut read = ReadOptions::default();
            // Without it an iterator of a store with prefixes may be lost behind the one that it began in.
            read.set_total_order_seek(self.by_prefix);
            let mut cursor = db.raw_iterator_opt(read);
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

    fn scan_prefix(&self, prefix: &[u8], visit: Visit<'_>) -> Fallible<()> {
        let mut read = ReadOptions::default();
        read.set_total_order_seek(false);
        read.set_prefix_same_as_start(true);
        let mut cursor = self.plain()?.raw_iterator_opt(read);
        cursor.seek(prefix);
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value())
            && visit(key, value)
        {
            cursor.next();
        }
        Ok(cursor.status()?)
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

    fn sorted_file(&self, path: &Path) -> Fallible<Box<dyn SortedFile + '_>> {
        let writer = SstFileWriter::create(&self.options);
        writer.open(path)?;
        Ok(Box::new(Sorted(writer)))
    }

    fn ingest(&self, files: &[PathBuf]) -> Fallible<()> {
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        Ok(self.plain()?.ingest_external_file_opts(&options, files.to_vec())?)
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(())
    }
}

struct Sorted<'a>(SstFileWriter<'a>);

impl SortedFile for Sorted<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Fallible<()> {
        Ok(self.0.put(key, value)?)
    }

    fn bytes(&self) -> u64 {
        self.0.file_size()
    }

    fn finish(mut self: Box<Self>) -> Fallible<()> {
        Ok(self.0.finish()?)
    }
}
