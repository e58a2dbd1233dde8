//! Writing sealed memtables to tables of level 0.
//!
//! # Steps
//! 1. The memtables with the least seal number are taken, of all families that have one.
//! 2. Each becomes a table, synced, with its directory entry.
//! 3. The log is synced at least as far as they reach: a flush must not outrun the log, or a loss of
//!    power would leave a hole in the order of commits.
//! 4. One edit names the tables, how far each family is flushed, and the oldest log segment that is
//!    still needed. Only now do readers see the tables in place of the memtables.
//! 5. Log segments that are no longer needed are removed, but for those that are kept for readers of changes.

use super::jobs::Jobs;
use crate::base::error::{Corruption, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::NEVER;
use crate::base::sync::Arc;
use crate::base::sync::atomic::Ordering;
use crate::commit::{Drawer, Task};
use crate::compaction::{Below, MergeSpec, Merged, ValueSpec, blob_file_bytes, joined, merge, retired};
use crate::memtable::MemtableCursor;
use crate::ranges::RangeSet;
use crate::table::Origin;
use crate::tree::{Family, FamilyRules, Sealed};
use crate::version::{BlobFile, BlobMeta, BlobSet, Edit, EditOp, TableFile, TableMeta, Version};
use std::collections::BTreeSet;

/// What came of a memtable.
pub(super) struct Flushed {
    family: Arc<Family>,
    sealed: Arc<Sealed>,
    pub(super) tables: Vec<Arc<TableMeta>>,
    blobs: Vec<BlobMeta>,
}

impl Flushed {
    fn files(&self) -> impl Iterator<Item = (FileKind, u64)> {
        files(&self.tables, &self.blobs)
    }
}

/// New tables and blob files, with their sizes.
pub(super) fn files(tables: &[Arc<TableMeta>], blobs: &[BlobMeta]) -> impl Iterator<Item = (FileKind, u64)> {
    let tables = tables.iter().map(|table| (FileKind::Table(table.number), table.size));
    tables.chain(blobs.iter().map(|blob| (FileKind::Blob(blob.number), blob.size)))
}

impl Jobs {
    /// Flushes the memtables that were sealed first. Returns false if none is waiting.
    pub fn flush_next(&self) -> Result<bool> {
        let _one_at_a_time = self.flushing.lock();
        if self.store.reserve.small().is_some() {
            // Who flushes has nothing else to do when writing begins; who syncs may be long at it.
            self.store.refill()?;
        }
        let group = self.oldest_sealed();
        if group.is_empty() {
            self.store.settle(Task::Flush);
            return Ok(false);
        }
        let memtables = group.len();
        let _span = tracing::info_span!(target: "esker", "flush", memtables).entered();
        let begun = self.store.clock.source().monotonic();
        self.tell_flush_begun(&group);
        let flushed = self.store.draw(Drawer::Anybody, || self.flush_group(&group));
        self.store.timings.flush.end(Some(begun), self.store.clock.source());
        self.tell_flush_ended(&group, begun, &flushed);
        let result = flushed.map(drop);
        self.judge(Task::Flush, &result);
        if result.is_ok() {
            self.shrink_reserve();
        }
        self.refill(&result)?;
        result.map(|()| true)
    }

    /// The memtables with the least seal number.
    fn oldest_sealed(&self) -> Vec<(Arc<Family>, Arc<Sealed>)> {
        let oldest = |family: Arc<Family>| {
            let sealed = family.pin().sealed.last().cloned()?;
            Some((family, sealed))
        };
        let mut waiting: Vec<_> = self.store.families().into_iter().filter_map(oldest).collect();
        let least = waiting.iter().map(|(_, sealed)| sealed.seal.order).min();
        waiting.retain(|(_, sealed)| Some(sealed.seal.order) == least);
        waiting
    }

    fn flush_group(&self, group: &[(Arc<Family>, Arc<Sealed>)]) -> Result<Vec<Flushed>> {
        let store = &self.store;
        let mut flushed: Vec<Flushed> = Vec::new();
        let mut last_seq = 0;
        // The disk is to work at the log while the processor does at the tables.
        if group.iter().any(|(_, sealed)| sealed.seal.last_seq > store.durable.seq()) {
            store.work.announce(Task::Sync);
        }
        for (family, sealed) in group {
            last_seq = last_seq.max(sealed.seal.last_seq);
            match self.write_tables(family, sealed) {
                Ok(Merged { tables, blobs, .. }) => {
                    files(&tables, &blobs).for_each(|(file, bytes)| store.created(file, bytes));
                    let (family, sealed) = (family.clone(), sealed.clone());
                    flushed.push(Flushed { family, sealed, tables, blobs });
                }
                Err(error) => {
                    self.discard(flushed.iter().flat_map(Flushed::files));
                    return Err(error);
                }
            }
        }
        let installed = store.wait_durable(last_seq).and_then(|()| self.install_flush(&flushed));
        if let Err(error) = installed {
            self.discard(flushed.iter().flat_map(Flushed::files));
            return Err(error);
        }
        self.counters.flushed(flushed.iter().flat_map(Flushed::files).map(|(_, bytes)| bytes).sum());
        let blobs = flushed.iter().flat_map(|f| &f.blobs);
        self.counters.separated(blobs.map(|blob| blob.size).sum());
        store.update_pressure();
        store.work.announce(Task::Compact);
        Ok(flushed)
    }

    fn write_tables(&self, family: &Family, sealed: &Sealed) -> Result<Merged> {
        let store = &self.store;
        let (view, rules) = (family.view(), family.rules());
        let memtable = &sealed.memtable;
        let origin = Origin {
            family: family.id(),
            store: store.with_manifest(|manifest| manifest.state().store),
            history: store.with_manifest(|manifest| manifest.state().history.id),
            created_ms: store.clock.now_ms(),
            newest_ms: 0,
            oldest_deletion_ms: memtable.oldest_deletion_ms().unwrap_or(NEVER),
            outside: false,
        };
        let beside = memtable.ranges();
        let ranges = match beside.is_empty() {
            true => view.ranges.clone(),
            false => Arc::new(view.ranges.changed(&[], beside.ranges().iter().cloned())),
        };
        let (below, hooks) = (Below::new(&view.version, 0), self.flush_hooks(family, &view, sealed));
        // Tables that are replaced meanwhile are not kept.
        drop(view);
        let spec = MergeSpec {
            tables: &store.tables,
            next_number: &|| store.next_number(),
            policy: &rules.policy,
            level: 0,
            table_bytes: u64::MAX,
            horizons: self.merge_horizons(family, |view| {
                let newer = view.memtables().filter(|other| other.id() != memtable.id());
                newer.map(|newer| newer.oldest_operand_ms()).min().unwrap_or(NEVER)
            }),
            below,
            reminds: rules.erase_within_ms.is_some(),
            ranges: &ranges,
            ranges_seq: sealed.seal.last_seq,
            origin,
            ended_ms: NEVER,
            check: &|| store.poison.check(),
            blame: &|_| FileKind::Current.path(&store.dir),
            hooks,
            values: Some(self.values(&rules, Arc::default(), BTreeSet::new())),
        };
        merge(&mut MemtableCursor::new(memtable.clone()), spec)
    }

    /// How a merge of a family separates values: its input refers to those in `known`, and is to refer to
    /// none of `moved` any more.
    pub(super) fn values<'a>(
        &'a self,
        rules: &FamilyRules,
        known: Arc<BlobSet>,
        moved: BTreeSet<FileNumber>,
    ) -> ValueSpec<'a> {
        let (store, base) = (&self.store, &rules.policy.base);
        ValueSpec {
            blobs: &store.blobs,
            known,
            from: rules.blob_values_from,
            moved,
            file_bytes: blob_file_bytes(&store.options().shape),
            codec: (base.codec, base.zstd_level),
        }
    }

    fn install_flush(&self, flushed: &[Flushed]) -> Result<()> {
        let store = &self.store;
        let Some(order) = flushed.first().map(|f| f.sealed.seal.order) else { return Ok(()) };
        let leaving = store.with_writer(|writer| {
            store.settle_log(writer, order).map(|()| store.leaving(writer, store.oldest_wal(writer, order)))
        })?;
        store.sync_leaving(&leaving)?;
        let gone = store.with_manifest(|manifest| -> Result<_> {
            let mut edit = Edit::default();
            let mut opened = Vec::new();
            for made @ Flushed { family, sealed, tables, blobs } in flushed {
                // A family that was dropped meanwhile takes its memtables with it.
                if family.is_dropped() {
                    self.discard(made.files());
                    continue;
                }
                let id = family.id();
                edit.push(EditOp::Flushed { family: id, seq: sealed.seal.last_seq });
                let mut added = Vec::new();
                let opened_blobs = self.open_blobs(blobs)?;
                for meta in blobs {
                    edit.push(EditOp::AddBlob { family: id, meta: *meta });
                }
                for meta in tables {
                    edit.push(EditOp::AddTable { family: id, level: 0, meta: meta.clone() });
                    added.push((0, self.open_table(meta, &opened_blobs, &BlobSet::default())?));
                }
                let version = family.view().version.changed(&[], added);
                let ranges = self.register(family, &sealed.memtable.ranges(), &version, &mut edit);
                opened.push((family, sealed.seal, version, ranges));
            }
            let gone = store.let_leave(manifest.state(), &leaving, &mut edit);
            store.commit_edit(manifest, edit)?;
            for (family, seal, version, ranges) in opened {
                family.install(Some(seal), version, ranges);
            }
            Ok(gone)
        })?;
        // On a full disk whoever waits for the flush waits for the space.
        let later = self.has_threads.load(Ordering::Relaxed) && !store.reserve.is_short();
        store.remove_segments(leaving.oldest, gone, later);
        Ok(())
    }

    /// With everything in tables a small reserve will do.
    pub(super) fn shrink_reserve(&self) {
        let store = &self.store;
        let bytes = |family: &Arc<Family>| {
            let version = &family.pin().version;
            version.tables().map(|(_, table)| table.meta.size).sum::<u64>() + version.blobs().bytes().0
        };
        store.shrink_reserve(|| store.families().iter().map(bytes).sum());
    }

    /// Puts the ranges that stood beside a memtable into the registry of its family, `version` being what is
    /// there with its tables. What they make superfluous leaves, and what no table needs does not even join.
    fn register(
        &self,
        family: &Family,
        beside: &RangeSet,
        version: &Version,
        edit: &mut Edit,
    ) -> Arc<RangeSet> {
        let before = family.view().ranges.clone();
        if beside.is_empty() {
            return before;
        }
        let all = joined(&before, beside.ranges(), version, &self.horizons());
        let ranges = all.changed(&retired(version, &all), None);
        let has = |set: &RangeSet, seq| set.ranges().binary_search_by_key(&seq, |r| r.seq).is_ok();
        for range in before.ranges().iter().filter(|range| !has(&ranges, range.seq)) {
            edit.push(EditOp::RemoveRange { family: family.id(), seq: range.seq });
        }
        for range in ranges.ranges().iter().filter(|range| has(beside, range.seq)) {
            edit.push(EditOp::AddRange { family: family.id(), range: range.clone() });
        }
        Arc::new(ranges)
    }

    /// Opens blob files that were just written.
    pub(super) fn open_blobs(&self, blobs: &[BlobMeta]) -> Result<Vec<Arc<BlobFile>>> {
        let open = |meta: &BlobMeta| {
            let reader = self.store.blobs.open(meta.number, meta.identity, meta.size)?;
            Ok(BlobFile::new(*meta, reader, self.store.purgatory.clone()))
        };
        blobs.iter().map(open).collect()
    }

    /// Opens a table that was just written, and that refers to blob files written along with it and to
    /// `known` ones.
    pub(super) fn open_table(
        &self,
        meta: &Arc<TableMeta>,
        made: &[Arc<BlobFile>],
        known: &BlobSet,
    ) -> Result<Arc<TableFile>> {
        let reader = self.store.tables.open(meta.number, meta.identity, meta.size, meta.ingested_seq)?;
        let mut blobs = Vec::with_capacity(meta.blobs.len());
        for share in &meta.blobs {
            let new = made.iter().find(|file| file.meta.number == share.file);
            let file = new.or_else(|| known.find(share.file).map(|of| &of.file)).ok_or_else(|| {
                let found = FileKind::Blob(share.file).name();
                Corruption::new(&reader.path(), 0, "references to blob files that there are", found)
            })?;
            blobs.push(file.clone());
        }
        Ok(TableFile::referring(meta.clone(), reader, self.store.purgatory.clone(), blobs))
    }

    /// Removes files that will not be named. If the manifest is in doubt it may name them after all, and they
    /// stay until the store is opened again.
    pub(super) fn discard(&self, files: impl Iterator<Item = (FileKind, u64)>) {
        if self.store.poison.is_set() {
            return;
        }
        for (kind, _) in files {
            let _ = self.store.removing(kind, || self.store.tables.remove(kind));
        }
    }
}
