//! Everything that the manifest says, as plain data.

use super::blobs::{BlobMeta, BlobState};
use super::edit::{Edit, EditOp};
use super::feed::FeedState;
use super::meta::TableMeta;
use crate::base::checksum::Identity;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::base::limits::LEVELS;
use crate::base::position::Position;
use crate::base::sync::Arc;
use crate::ranges::Range;
use std::collections::BTreeMap;

/// A stretch of writes without an unclean end in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Its random number.
    pub id: u64,
    /// The first sequence number in it.
    pub first_seq: SeqNum,
}

/// A column family, as the manifest has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyState {
    /// Its name.
    pub name: String,
    /// Its options, as the layer above encodes them.
    pub options: Vec<u8>,
    /// Every write up to here stands in tables.
    pub flushed: SeqNum,
    /// The tables of each level, by number.
    pub tables: [BTreeMap<FileNumber, Arc<TableMeta>>; LEVELS],
    /// The blob files that tables refer to.
    pub blobs: BTreeMap<FileNumber, BlobState>,
    /// The deleted and dropped ranges that tables may still hold something of, by sequence number.
    pub ranges: BTreeMap<SeqNum, Arc<Range>>,
}

/// The store, as the manifest has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreState {
    /// The store's random number.
    pub store: u64,
    /// The layer that wrote it.
    pub layer: String,
    /// Every file number below this one may be in use.
    pub next_file: FileNumber,
    /// Every sequence number below this one may have been handed out.
    pub seq_ceiling: SeqNum,
    /// The history that is being written.
    pub history: History,
    /// The greatest time that the expiry clock has shown.
    pub clock_ms: u64,
    /// The oldest segment of the log that is needed.
    pub oldest_wal: FileNumber,
    /// The position in the stream of the log up to which it is known to be synced. Each opening
    /// starts a stream of its own.
    pub synced_log: u64,
    /// Every family number below this one was used.
    pub next_family: u32,
    /// The column family that holds prepared transactions, if there ever were any.
    pub prepared_family: Option<u32>,
    /// The column families by number.
    pub families: BTreeMap<u32, FamilyState>,
    /// The greatest sequence number that an ingested table was ever given. Compaction may take it from what
    /// the table held.
    pub ingested_seq: SeqNum,
    /// What is kept for readers of changes, if anything is.
    pub feed: Option<FeedState>,
    /// How far named consumers of changes are. They outlast a feed that is switched off.
    pub consumers: BTreeMap<String, Position>,
}

impl StoreState {
    /// Applies an edit, or says what does not fit and leaves the state half changed: the caller
    /// applies to a copy, or gives up.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), String> {
        edit.0.iter().try_for_each(|op| self.apply_op(op))
    }

    fn apply_op(&mut self, op: &EditOp) -> Result<(), String> {
        match op {
            EditOp::Store { id, layer } => {
                self.store = *id;
                self.layer.clone_from(layer);
            }
            EditOp::NextFile(number) => self.next_file = self.next_file.max(*number),
            EditOp::SeqCeiling(seq) => self.seq_ceiling = self.seq_ceiling.max(*seq),
            EditOp::History { id, first_seq } => self.history = History { id: *id, first_seq: *first_seq },
            EditOp::Clock(ms) => self.clock_ms = self.clock_ms.max(*ms),
            EditOp::OldestWal(number) => self.oldest_wal = self.oldest_wal.max(*number),
            EditOp::SyncedLog(lsn) => self.synced_log = self.synced_log.max(*lsn),
            EditOp::CreateFamily { id, name, options } => {
                let (name, options) = (name.clone(), options.clone());
                let family = FamilyState { name, options, ..FamilyState::default() };
                if self.families.values().any(|f| f.name == family.name) {
                    return Err(format!("a second family named {:?}", family.name));
                }
                if self.families.insert(*id, family).is_some() {
                    return Err(format!("a second family {id}"));
                }
                self.next_family = self.next_family.max(id.saturating_add(1));
            }
            EditOp::FamilyOptions { family, options } => {
                self.family(*family)?.options.clone_from(options);
            }
            EditOp::DropFamily(id) => {
                self.families.remove(id).ok_or_else(|| format!("no family {id} to drop"))?;
                self.prepared_family = self.prepared_family.filter(|prepared| prepared != id);
            }
            EditOp::PreparedFamily(id) => {
                self.family(*id)?;
                if self.prepared_family.is_some_and(|known| known != *id) {
                    return Err(format!("a second family of prepared transactions, {id}"));
                }
                self.prepared_family = Some(*id);
            }
            EditOp::NextFamily(id) => self.next_family = self.next_family.max(*id),
            EditOp::Flushed { family, seq } => {
                let family = self.family(*family)?;
                family.flushed = family.flushed.max(*seq);
            }
            EditOp::Ingested(seq) => self.ingested_seq = self.ingested_seq.max(*seq),
            EditOp::AddTable { family, level, meta } => {
                self.ingested_seq = self.ingested_seq.max(meta.ingested_seq);
                let family = self.family(*family)?;
                if let Some(share) = meta.blobs.iter().find(|share| !family.blobs.contains_key(&share.file)) {
                    return Err(format!(
                        "table {} refers to blob file {}, which is not",
                        meta.number, share.file
                    ));
                }
                let tables = &mut family.tables;
                if tables.iter().any(|level| level.contains_key(&meta.number)) {
                    return Err(format!("table {} a second time", meta.number));
                }
                tables[*level].insert(meta.number, meta.clone());
            }
            EditOp::RemoveTable { family, level, number } => {
                let removed = self.family(*family)?.tables[*level].remove(number);
                removed.ok_or_else(|| format!("no table {number} in level {level}"))?;
            }
            EditOp::AddBlob { family, meta } => {
                let state = BlobState { meta: *meta, dead_since_ms: 0 };
                if self.family(*family)?.blobs.insert(meta.number, state).is_some() {
                    return Err(format!("blob file {} a second time", meta.number));
                }
            }
            EditOp::RemoveBlob { family, number } => {
                let family = self.family(*family)?;
                let refers = |meta: &Arc<TableMeta>| meta.blobs.iter().any(|share| share.file == *number);
                if let Some(table) = family.tables.iter().flat_map(BTreeMap::values).find(|m| refers(m)) {
                    return Err(format!("blob file {number} goes, and table {} refers to it", table.number));
                }
                family.blobs.remove(number).ok_or_else(|| format!("no blob file {number} to remove"))?;
            }
            EditOp::DeadBlob { family, number, since_ms } => {
                let blob = self.family(*family)?.blobs.get_mut(number);
                blob.ok_or_else(|| format!("no blob file {number} that is dead"))?.dead_since_ms = *since_ms;
            }
            EditOp::AddRange { family, range } => {
                if self.family(*family)?.ranges.insert(range.seq, range.clone()).is_some() {
                    return Err(format!("a second range at {}", range.seq));
                }
            }
            EditOp::RemoveRange { family, seq } => {
                let removed = self.family(*family)?.ranges.remove(seq);
                removed.ok_or_else(|| format!("no range at {seq} to remove"))?;
            }
            EditOp::FeedFrom(seq) => self.feed.get_or_insert_default().release(*seq),
            EditOp::HistoryEnded(ended) => self.feed()?.end_history(*ended)?,
            EditOp::KeepLog(segment) => self.feed()?.keep(*segment)?,
            EditOp::NoteIngest(mark) => self.feed()?.note_ingest(mark)?,
            EditOp::Consumer { name, position } => _ = self.consumers.insert(name.clone(), *position),
            EditOp::RemoveConsumer(name) => {
                self.consumers.remove(name).ok_or_else(|| format!("no consumer {name:?} to remove"))?;
            }
        }
        Ok(())
    }

    fn feed(&mut self) -> Result<&mut FeedState, String> {
        self.feed.as_mut().ok_or_else(|| "a feed that was not begun".into())
    }

    fn family(&mut self, id: u32) -> Result<&mut FamilyState, String> {
        self.families.get_mut(&id).ok_or_else(|| format!("no family {id}"))
    }

    /// One edit that makes this state from nothing.
    #[must_use]
    pub fn to_edit(&self) -> Edit {
        let mut edit = Edit::default();
        edit.push(EditOp::Store { id: self.store, layer: self.layer.clone() })
            .push(EditOp::NextFile(self.next_file))
            .push(EditOp::SeqCeiling(self.seq_ceiling))
            .push(EditOp::History { id: self.history.id, first_seq: self.history.first_seq })
            .push(EditOp::Clock(self.clock_ms))
            .push(EditOp::OldestWal(self.oldest_wal))
            .push(EditOp::NextFamily(self.next_family));
        if self.ingested_seq > 0 {
            edit.push(EditOp::Ingested(self.ingested_seq));
        }
        if self.synced_log > 0 {
            edit.push(EditOp::SyncedLog(self.synced_log));
        }
        for (&id, family) in &self.families {
            let (name, options) = (family.name.clone(), family.options.clone());
            edit.push(EditOp::CreateFamily { id, name, options });
            edit.push(EditOp::Flushed { family: id, seq: family.flushed });
            for (&number, BlobState { meta, dead_since_ms }) in &family.blobs {
                edit.push(EditOp::AddBlob { family: id, meta: *meta });
                if *dead_since_ms > 0 {
                    edit.push(EditOp::DeadBlob { family: id, number, since_ms: *dead_since_ms });
                }
            }
            for (level, tables) in family.tables.iter().enumerate() {
                for meta in tables.values() {
                    edit.push(EditOp::AddTable { family: id, level, meta: meta.clone() });
                }
            }
            for range in family.ranges.values() {
                edit.push(EditOp::AddRange { family: id, range: range.clone() });
            }
        }
        if let Some(id) = self.prepared_family {
            edit.push(EditOp::PreparedFamily(id));
        }
        if let Some(FeedState { from, ended, segments, ingests }) = &self.feed {
            edit.push(EditOp::FeedFrom(*from));
            edit.0.extend(ended.iter().map(|ended| EditOp::HistoryEnded(*ended)));
            edit.0.extend(segments.iter().map(|segment| EditOp::KeepLog(*segment)));
            edit.0.extend(ingests.iter().map(|mark| EditOp::NoteIngest(mark.clone())));
        }
        for (name, position) in &self.consumers {
            edit.push(EditOp::Consumer { name: name.clone(), position: *position });
        }
        edit
    }

    /// The number of the table with this identity.
    #[must_use]
    pub fn table_with(&self, identity: Identity) -> Option<FileNumber> {
        let tables = self.families.values().flat_map(|f| f.tables.iter().flat_map(BTreeMap::values));
        tables.filter(|meta| meta.identity == identity).map(|meta| meta.number).next()
    }

    /// All blob files.
    pub fn blobs(&self) -> impl Iterator<Item = &BlobMeta> {
        self.families.values().flat_map(|family| family.blobs.values()).map(|blob| &blob.meta)
    }

    /// The files that hold what was flushed: all tables and blob files.
    pub fn data_files(&self) -> impl Iterator<Item = FileKind> {
        let blobs = self.blobs().map(|meta| FileKind::Blob(meta.number));
        self.table_numbers().map(FileKind::Table).chain(blobs)
    }

    /// The numbers of all tables.
    pub fn table_numbers(&self) -> impl Iterator<Item = FileNumber> {
        self.families.values().flat_map(|f| f.tables.iter().flat_map(|level| level.keys().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::feed::{EndedHistory, IngestMark, KeptSegment};
    use super::*;

    fn range(seq: SeqNum) -> Arc<Range> {
        Arc::new(Range::new(crate::ranges::RangeKind::Dropped, seq, b"a", b"", 5))
    }

    #[test]
    fn a_state_is_made_again_from_its_own_edit() {
        let mut state = StoreState::default();
        let mut edit = Edit::default();
        edit.push(EditOp::Store { id: 5, layer: "plain".into() })
            .push(EditOp::CreateFamily { id: 0, name: "default".into(), options: vec![1] })
            .push(EditOp::Flushed { family: 0, seq: 17 })
            .push(EditOp::AddRange { family: 0, range: range(9) })
            .push(EditOp::CreateFamily { id: 4, name: "prepared".into(), options: vec![] })
            .push(EditOp::PreparedFamily(4))
            .push(EditOp::Clock(3))
            .push(EditOp::SyncedLog(12))
            .push(EditOp::FeedFrom(17))
            .push(EditOp::HistoryEnded(EndedHistory { id: 4, last_seq: 30 }))
            .push(EditOp::KeepLog(KeptSegment {
                number: 8,
                identity: 1,
                end: 99,
                last_seq: 20,
                file_bytes: 128,
                kept_ms: 3,
            }))
            .push(EditOp::NoteIngest(IngestMark {
                seq: 21,
                family: 0,
                at_ms: 4,
                entries: 2,
                smallest: b"a".to_vec(),
                largest: b"b".to_vec(),
            }))
            .push(EditOp::Consumer { name: "c".into(), position: Position { history: 4, seq: 18 } })
            .push(EditOp::Ingested(98))
            .push(EditOp::SeqCeiling(99));
        state.apply(&edit).unwrap();
        let mut again = StoreState::default();
        again.apply(&state.to_edit()).unwrap();
        assert_eq!(again, state);
    }

    #[test]
    fn a_family_keeps_the_options_that_it_was_given_last() {
        let mut state = StoreState::default();
        let create = EditOp::CreateFamily { id: 2, name: "tokens".into(), options: vec![7, 9] };
        state.apply(&Edit(vec![create])).unwrap();
        let family = &state.families[&2];
        assert_eq!((family.name.as_str(), &family.options[..]), ("tokens", &[7, 9][..]));
        state.apply(&Edit(vec![EditOp::FamilyOptions { family: 2, options: vec![8] }])).unwrap();
        let mut again = StoreState::default();
        again.apply(&state.to_edit()).unwrap();
        assert_eq!(again.families[&2].options, [8]);
    }

    fn meta(number: FileNumber, blobs: &[FileNumber]) -> Arc<TableMeta> {
        use crate::base::blob_ref::BlobShare;
        use crate::base::key::Trailer;
        let key = |key: &[u8]| (key.to_vec(), Trailer(256));
        let share = |file: &FileNumber| BlobShare { file: *file, entries: 1, bytes: 10 };
        Arc::new(TableMeta {
            number,
            identity: 1,
            size: 100,
            smallest: key(b"a"),
            largest: key(b"b"),
            min_seq: 1,
            max_seq: 1,
            entries: 2,
            deletions: 0,
            earliest_expiry: u64::MAX,
            latest_expiry: u64::MAX,
            oldest_deletion_ms: u64::MAX,
            cleaned_seq: 0,
            ingested_seq: 0,
            blobs: blobs.iter().map(share).collect(),
        })
    }

    fn blob(number: FileNumber) -> EditOp {
        let meta = BlobMeta { number, identity: 7, size: 200, entries: 3, bytes: 100, raw_bytes: 300 };
        EditOp::AddBlob { family: 0, meta }
    }

    #[test]
    fn a_blob_file_comes_before_who_refers_to_it_and_goes_behind_them() {
        let mut state = StoreState::default();
        let create = EditOp::CreateFamily { id: 0, name: "a".into(), options: vec![] };
        let table = |number| EditOp::AddTable { family: 0, level: 3, meta: meta(number, &[9]) };
        let gone = EditOp::RemoveBlob { family: 0, number: 9 };
        state.apply(&Edit(vec![create])).unwrap();
        assert!(state.clone().apply(&Edit(vec![table(4)])).is_err(), "there is no such blob file");
        state.apply(&Edit(vec![blob(9), table(4), table(5)])).unwrap();
        assert!(state.clone().apply(&Edit(vec![blob(9)])).is_err(), "twice");
        state.apply(&Edit(vec![EditOp::DeadBlob { family: 0, number: 9, since_ms: 77 }])).unwrap();
        let mut again = StoreState::default();
        again.apply(&state.to_edit()).unwrap();
        assert_eq!(again, state);
        let kinds: Vec<_> = state.data_files().collect();
        assert_eq!(kinds, [FileKind::Table(4), FileKind::Table(5), FileKind::Blob(9)]);
        let remove = |number| EditOp::RemoveTable { family: 0, level: 3, number };
        assert!(state.clone().apply(&Edit(vec![remove(4), gone.clone()])).is_err(), "5 still refers to it");
        state.apply(&Edit(vec![remove(4), remove(5), gone.clone()])).unwrap();
        assert!(state.apply(&Edit(vec![gone])).is_err());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let mut state = StoreState::default();
        let create = |id, name: &str| EditOp::CreateFamily { id, name: name.into(), options: vec![] };
        let added = EditOp::AddRange { family: 3, range: range(7) };
        state.apply(&Edit(vec![create(3, "a"), added.clone()])).unwrap();
        assert_eq!(state.next_family, 4);
        for op in [
            create(3, "b"),
            create(4, "a"),
            EditOp::FamilyOptions { family: 9, options: vec![] },
            EditOp::DropFamily(9),
            EditOp::PreparedFamily(9),
            EditOp::HistoryEnded(EndedHistory { id: 1, last_seq: 1 }),
            EditOp::RemoveConsumer("nobody".into()),
            EditOp::RemoveTable { family: 3, level: 1, number: 2 },
            EditOp::Flushed { family: 8, seq: 1 },
            added,
            EditOp::RemoveRange { family: 3, seq: 8 },
            EditOp::RemoveRange { family: 4, seq: 7 },
        ] {
            assert!(state.clone().apply(&Edit(vec![op.clone()])).is_err(), "{op:?}");
        }
    }
}
