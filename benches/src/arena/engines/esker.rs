//! Esker.

use super::Kind;
use crate::arena::engine::{
    Change, Direction, Engine, Entry, ExactExpiry, Settings, SortedFile, Unsupported, Use, Visit,
};
use crate::changes;
use crate::process::{Fallible, wait_until_idle};
use esker::hooks::Counter;
use esker::{
    ColumnFamily, CompactionStyle, Db, Durability, Error, FamilyOptions, IngestBatch, IngestOptions,
    PrefixExtractor, ScanOptions, SstWriter, Tiered, WriteBatch,
};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// What a record takes in a batch beside key and value, at most, in bytes.
const RECORD_BYTES: usize = 8;
const FAMILY: &str = "arena";
/// After so long a calm nothing more is to be expected of it.
const LONGEST_CALM: Duration = Duration::from_secs(15);

struct Esker {
    db: Db,
    family: ColumnFamily,
    options: FamilyOptions,
    durability: Durability,
    keeps_changes: bool,
}

pub(super) fn open(settings: &Settings, kind: Kind) -> Fallible<Box<dyn Engine>> {
    let durability = if settings.purpose == Use::Synced { Durability::Sync } else { Durability::Os };
    let mut builder = Db::builder(&settings.dir)
        .memory_budget(settings.memory_bytes)
        .memtable_bytes(settings.memtable_bytes as usize)
        .default_durability(durability);
    if settings.purpose == Use::Counters {
        builder = builder.merge_operator(FAMILY, Counter);
    }
    let keeps_changes = settings.purpose == Use::Changes;
    if keeps_changes {
        builder = builder.feed(changes::all_kept());
    }
    let db = builder.open()?;
    let options = options(settings, kind);
    let family = if db.column_families().iter().any(|name| name == FAMILY) {
        db.open_column_family(FAMILY)?
    } else {
        db.create_column_family(FAMILY, options.clone())?
    };
    Ok(Box::new(Esker { db, family, options, durability, keeps_changes }))
}

fn options(settings: &Settings, kind: Kind) -> FamilyOptions {
    let prefix = settings.prefix_bytes.map(|bytes| PrefixExtractor::Fixed { bytes: bytes as u32 });
    let compaction = match kind {
        Kind::EskerTiered => CompactionStyle::Tiered(Tiered::default()),
        _ => CompactionStyle::Leveled,
    };
    FamilyOptions {
        zstd_level: Some(settings.zstd_level),
        filter_bits_per_key: settings.filter_bits,
        default_ttl: if let Use::Expiring(ttl) = settings.purpose { Some(ttl) } else { None },
        prefix,
        blob_values_from: settings.large_values_from.filter(|_| kind != Kind::EskerInline),
        compaction,
        ..FamilyOptions::default()
    }
}

impl Esker {
    /// The sorted runs on disk.
    fn runs(&self) -> usize {
        let stats = self.db.stats();
        let family = stats.families.iter().find(|family| family.name == FAMILY);
        family.map_or(0, |family| {
            let below = family.levels[1..].iter().filter(|level| level.files > 0).count();
            family.levels[0].files as usize + below
        })
    }
}

impl Engine for Esker {
    fn put(&self, key: &[u8], value: &[u8]) -> Fallible<()> {
        Ok(self.family.put(key, value)?)
    }

    fn put_batch(&self, entries: &[Entry<'_>]) -> Fallible<()> {
        let bytes = entries.iter().map(|(key, value)| key.len() + value.len() + RECORD_BYTES).sum();
        let mut batch = WriteBatch::with_capacity(bytes);
        for (key, value) in entries {
            batch.put(&self.family, key, value);
        }
        Ok(self.db.write(batch, self.durability)?)
    }

    fn delete(&self, key: &[u8]) -> Fallible<()> {
        Ok(self.family.delete(key)?)
    }

    fn delete_batch(&self, keys: &[&[u8]]) -> Fallible<()> {
        let mut batch = WriteBatch::with_capacity(keys.iter().map(|key| key.len() + RECORD_BYTES).sum());
        for key in keys {
            batch.delete(&self.family, key);
        }
        Ok(self.db.write(batch, self.durability)?)
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Fallible<bool> {
        Ok(self.family.get_with(key, read)?.is_some())
    }

    fn multi_get(&self, keys: &[&[u8]], read: &mut dyn FnMut(usize, &[u8])) -> Fallible<()> {
        for (at, value) in self.family.multi_get(keys)?.iter().enumerate() {
            if let Some(value) = value {
                read(at, value);
            }
        }
        Ok(())
    }

    fn scan(&self, from: Option<&[u8]>, direction: Direction, visit: Visit<'_>) -> Fallible<()> {
        let mut cursor = self.family.cursor(ScanOptions::default())?;
        let mut found = match (from, direction) {
            (Some(key), Direction::Forward) => cursor.seek(key)?,
            (Some(key), Direction::Reverse) => cursor.seek_for_prev(key)?,
            (None, Direction::Forward) => cursor.seek_to_first()?,
            (None, Direction::Reverse) => cursor.seek_to_last()?,
        };
        while found && visit(cursor.key(), cursor.value()) {
            found = match direction {
                Direction::Forward => cursor.next()?,
                Direction::Reverse => cursor.prev()?,
            };
        }
        Ok(())
    }

    fn scan_prefix(&self, prefix: &[u8], visit: Visit<'_>) -> Fallible<()> {
        let mut cursor = self.family.cursor(ScanOptions::prefix(prefix))?;
        let mut found = cursor.seek_to_first()?;
        while found && visit(cursor.key(), cursor.value()) {
            found = cursor.next()?;
        }
        Ok(())
    }

    fn settle(&self, limit: Duration) -> Fallible<()> {
        let began = Instant::now();
        self.db.flush()?;
        wait_until_idle(limit);
        // While nobody writes, runs of levels are merged until one is left, if it does not cost too much.
        let calm = self.options.compaction == CompactionStyle::Leveled;
        while calm && self.runs() > 1 && began.elapsed() < limit.min(LONGEST_CALM) {
            thread::sleep(Duration::from_millis(100));
        }
        wait_until_idle(limit.saturating_sub(began.elapsed()));
        Ok(())
    }

    fn waited(&self) -> Option<Duration> {
        Some(self.db.stats().slowed)
    }

    fn transfer(&self, keys: [&[u8]; 2], change: Change<'_>) -> Fallible<()> {
        Ok(self.db.transaction(|transaction| {
            let first = transaction.get_for_update(&self.family, keys[0])?.unwrap_or_default();
            let second = transaction.get_for_update(&self.family, keys[1])?.unwrap_or_default();
            let new = change([&first, &second]);
            transaction.put(&self.family, keys[0], &new[0])?;
            transaction.put(&self.family, keys[1], &new[1])
        })?)
    }

    fn compare_and_set(&self, key: &[u8], expected: &[u8], new: &[u8]) -> Fallible<bool> {
        match self.family.compare_and_set(key, expected, new) {
            // Others were faster all the time.
            Err(Error::Conflict { .. }) => Ok(false),
            result => Ok(result?),
        }
    }

    fn merge(&self, key: &[u8], step: i64) -> Fallible<()> {
        Ok(self.family.merge(key, step.to_le_bytes())?)
    }

    fn expiry(&self) -> Option<ExactExpiry> {
        self.options.default_ttl.map(|_| true)
    }

    fn delete_range(&self, from: &[u8], to: &[u8]) -> Fallible<()> {
        Ok(self.family.delete_range(from..to)?)
    }

    fn sorted_file(&self, path: &Path) -> Fallible<Box<dyn SortedFile + '_>> {
        Ok(Box::new(Sorted(SstWriter::create(path, &self.options)?)))
    }

    fn ingest(&self, files: &[PathBuf]) -> Fallible<()> {
        let mut batch = IngestBatch::new();
        for file in files {
            batch.add(&self.family, file);
        }
        self.db.ingest(&batch, IngestOptions { move_files: true })?;
        Ok(())
    }

    fn changes(&self, visit: Visit<'_>) -> Fallible<()> {
        if !self.keeps_changes {
            return Err(Unsupported.into());
        }
        changes::read(&self.db, visit)
    }

    fn close(self: Box<Self>) -> Fallible<()> {
        Ok(self.db.close()?)
    }
}

struct Sorted(SstWriter);

impl SortedFile for Sorted {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Fallible<()> {
        Ok(self.0.put(key, value)?)
    }

    fn bytes(&self) -> u64 {
        self.0.estimated_bytes()
    }

    fn finish(self: Box<Self>) -> Fallible<()> {
        self.0.finish()?;
        Ok(())
    }
}
