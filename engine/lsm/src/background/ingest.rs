//! Taking tables in that were made outside of the store, from where they stand ready in its directory.

use super::jobs::Jobs;
use super::scheduler::Scheduler;
use crate::base::error::{Error, Result};
use crate::base::filename::FileNumber;
use crate::base::key::{SeqNum, Trailer};
use crate::base::refusal::IngestRefusal;
use crate::base::sync::Arc;
use crate::commit::{Intake, Task, Turned};
use crate::compaction::deepest_free;
use crate::table::{InternalKey, TableReader};
use crate::tree::Family;
use crate::version::{Edit, EditOp, TableFile, TableMeta};
use std::path::PathBuf;

/// So often memtables are flushed that were in the way before writers are held back.
const MOST_ROUNDS: u32 = 3;

/// A table that stands in the store's directory, checked and synced.
#[derive(Debug)]
pub struct Taken {
    /// Its family.
    pub family: Arc<Family>,
    /// The number in its name.
    pub number: FileNumber,
    /// Reads it; its entries have no sequence numbers yet.
    pub reader: TableReader,
    /// The file that it was made from.
    pub source: PathBuf,
}

/// Tables with their levels.
type Placed = Vec<(usize, Arc<TableFile>)>;

/// What became of a table.
#[derive(Clone, Copy, Debug)]
pub struct TakenIn {
    /// The sequence number that its entries have.
    pub seq: SeqNum,
    /// The level that it stands in.
    pub level: usize,
}

impl Scheduler {
    /// Takes tables in, all or none. On an error nothing names them, unless the store has become read-only.
    ///
    /// # Errors
    /// What flushing, waiting for locks, syncing the log and writing the manifest give.
    pub fn take_in(&self, tables: Vec<Taken>) -> Result<Vec<TakenIn>> {
        let store = self.jobs().store();
        let intakes: Vec<Intake> = tables.iter().map(Taken::intake).collect();
        let (mut tables, mut rounds) = (Some(tables), 0);
        let mut locks = store.ingest_locks();
        let mut held = None;
        loop {
            store.check_writable()?;
            match self.jobs().try_take_in(&intakes, locks.owner(), &mut tables)? {
                Turned::In(done) => return Ok(done),
                Turned::Unflushed => {
                    rounds += 1;
                    if rounds > MOST_ROUNDS && held.is_none() {
                        held = Some(store.hold_writers());
                    }
                    self.wait_flushed(store.rotate_for(&intakes))?;
                }
                Turned::Locked(key) => {
                    // Whoever has locked it may have to write before it lets go.
                    held = None;
                    locks.acquire(&key)?;
                }
                Turned::Guarded { key, holder } => {
                    held = None;
                    locks.outwait(&key, holder)?;
                }
            }
        }
    }
}

impl Jobs {
    fn try_take_in(
        &self,
        intakes: &[Intake],
        owner: u64,
        tables: &mut Option<Vec<Taken>>,
    ) -> Result<Turned<Vec<TakenIn>>> {
        let store = &self.store;
        let prepare = || {
            // Whoever chooses a compaction has these and then asks the ordering section for the time.
            let claims = self.claims.lock();
            move |intake: &Intake| {
                let version = &intake.family.pin().version;
                let claims = claims.get(&intake.family.id());
                deepest_free(version, claims, &store.options().shape, &intake.first, &intake.last)
            }
        };
        let turned = store.take_in(intakes, owner, prepare, |manifest, levels, first| {
            // Somebody else may have ingested the same meanwhile.
            for table in tables.iter().flatten() {
                if let Some(number) = manifest.state().table_with(table.reader.identity()) {
                    let (file, why) = (table.source.clone().into(), IngestRefusal::KnownAs(number));
                    return Err(Error::IngestRefused { file, why });
                }
            }
            let mut edit = Edit::default();
            let mut added: Vec<(Arc<Family>, Placed)> = Vec::new();
            let mut done = Vec::with_capacity(levels.len());
            for ((table, &level), seq) in
                tables.take().unwrap_or_default().into_iter().zip(levels).zip(first..)
            {
                let family = table.family.clone();
                let file = self.numbered(table, seq);
                edit.push(EditOp::AddTable { family: family.id(), level, meta: file.meta.clone() });
                match added.iter_mut().find(|(other, _)| other.id() == family.id()) {
                    Some((_, files)) => files.push((level, file)),
                    None => added.push((family, vec![(level, file)])),
                }
                done.push(TakenIn { seq, level });
            }
            store.note_ingests(manifest.state(), &mut edit);
            store.commit_edit(manifest, edit)?;
            for (family, files) in added {
                let (bytes, count) = (files.iter().map(|(_, f)| f.meta.size).sum(), files.len() as u64);
                self.counters.ingested(count, bytes);
                let view = family.view();
                family.install(None, view.version.changed(&[], files), view.ranges.clone());
            }
            Ok(done)
        })?;
        if let Turned::In(_) = &turned {
            store.update_pressure();
            store.balance_memory();
            store.work.announce(Task::Compact);
        }
        Ok(turned)
    }

    /// A table with its sequence number, as the manifest and readers have it.
    fn numbered(&self, table: Taken, seq: SeqNum) -> Arc<TableFile> {
        let Taken { number, mut reader, .. } = table;
        reader.number(seq);
        let properties = reader.properties();
        let key = |key: &InternalKey| -> (Vec<u8>, Trailer) { (key.user_key.clone(), key.trailer) };
        let meta = TableMeta {
            number,
            identity: reader.identity(),
            size: reader.size_bytes(),
            smallest: key(&properties.smallest),
            largest: key(&properties.largest),
            min_seq: seq,
            max_seq: seq,
            entries: properties.entries,
            deletions: properties.deletions,
            earliest_expiry: properties.earliest_expiry,
            latest_expiry: properties.latest_expiry,
            oldest_deletion_ms: properties.oldest_deletion_ms,
            cleaned_seq: 0,
            ingested_seq: seq,
            blobs: Vec::new(),
        };
        TableFile::new(Arc::new(meta), Arc::new(reader), self.store.purgatory.clone())
    }
}

impl Taken {
    fn intake(&self) -> Intake {
        let properties = self.reader.properties();
        Intake {
            family: self.family.clone(),
            first: properties.smallest.user_key.clone(),
            last: properties.largest.user_key.clone(),
        }
    }
}
