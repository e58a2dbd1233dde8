//! Proving backups: that every byte is what was written, and that a store comes of it.

use super::object::ObjectId;
use super::record::Stored;
use super::repository::Backups;
use crate::base::error::{Error, Result};
use crate::db::{Builder, Db};
use std::collections::{BTreeMap, BTreeSet};

/// What was found about the backups in a directory.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifiedBackups {
    /// Backups whose own file can be read.
    pub backups: u64,
    /// Objects that were read.
    pub objects: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Objects that are missing, or not what their name says.
    pub damaged: Vec<DamagedObject>,
    /// Backups whose own file cannot be read, by number, and why.
    pub unreadable: Vec<(u64, Error)>,
    /// Objects that no backup needs: of attempts that were interrupted. A prune removes them.
    pub unneeded: u64,
}

impl VerifiedBackups {
    /// Whether every backup is as it was made.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.unreadable.is_empty()
    }
}

/// An object that cannot be relied on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DamagedObject {
    /// Its name.
    pub object: ObjectId,
    /// What is wrong.
    pub error: Error,
    /// The backups that cannot be restored because of it, ascending.
    pub backups: Vec<u64>,
}

/// What came of restoring a backup and reading all of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Drill {
    /// The number of the backup.
    pub backup: u64,
    /// The entries of each column family.
    pub families: Vec<(String, u64)>,
    /// The entries of all of them.
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl Backups {
    /// Reads all objects, and compares each with the hash that is its name. Nobody need hold still: only a
    /// backup that is pruned meanwhile may look damaged. What is damaged is noted in the directory, and the
    /// next backup makes it anew if the store still has it: that mends the backups that share it.
    ///
    /// # Errors
    /// Only what keeps the check from being made; what it finds is in the report.
    pub fn verify(&self) -> Result<VerifiedBackups> {
        let records = self.records()?;
        let mut needed: BTreeMap<ObjectId, (Stored, BTreeSet<u64>)> = BTreeMap::new();
        for (number, record) in &records.sound {
            for object in record.objects() {
                needed.entry(object.id).or_insert_with(|| (object, BTreeSet::new())).1.insert(*number);
            }
        }
        let mut report = VerifiedBackups {
            backups: records.sound.len() as u64,
            unreadable: records.unreadable,
            unneeded: self.object_names()?.iter().filter(|id| !needed.contains_key(id)).count() as u64,
            ..VerifiedBackups::default()
        };
        for (id, (object, backups)) in needed {
            match self.read_object(object, |_, _| Ok(())) {
                Ok(_) => {
                    report.objects += 1;
                    report.bytes += object.bytes;
                }
                Err(error) => {
                    let backups = backups.into_iter().collect();
                    report.damaged.push(DamagedObject { object: id, error, backups });
                }
            }
        }
        Ok(report)
    }

    /// Restores a backup into a place of its own, opens it, reads every entry of it, and removes it again. It
    /// takes as much space as the store did.
    ///
    /// # Errors
    /// Whatever keeps the store from being restored, opened, or read; [`Error::Corruption`] if a table is not
    /// what it was.
    pub fn drill(&self, number: u64) -> Result<Drill> {
        self.drill_with(number, Builder::any_layer)
    }

    /// As [`Backups::drill`], opening the store as `open` says: with the merge operators of its families,
    /// say.
    ///
    /// # Errors
    /// As [`Backups::drill`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// let backups = esker::Backups::at(dir.path().join("backups"));
    /// let backup = backups.create(&db)?;
    /// let drill = backups.drill_with(backup.number, |builder| builder.memory_budget(16 << 20))?;
    /// assert_eq!(drill.families, [("default".to_owned(), 1)]);
    /// # db.close() }
    /// ```
    pub fn drill_with(&self, number: u64, open: impl FnOnce(Builder) -> Builder) -> Result<Drill> {
        self.check_format()?;
        let _lock = self.lock()?;
        self.prepare()?;
        let place = self.drilled();
        self.fs.create_dir_all(&place)?;
        let drilled = self.restore(number, &place).and_then(|()| {
            let builder = Db::builder(&place).fs(self.fs.clone()).create_if_missing(false);
            let db = open(builder).open()?;
            let drill = read_all(number, &db);
            let closed = db.close();
            drill.and_then(|drill| closed.map(|()| drill))
        });
        let cleared = self.clear(&place);
        drilled.and_then(|drill| cleared.map(|()| drill))
    }
}

fn read_all(number: u64, db: &Db) -> Result<Drill> {
    if let Some(problem) = db.verify()?.problems.into_iter().next() {
        return Err(problem);
    }
    for stats in db.stats().families.iter().filter(|family| family.ranges.dropped > 0) {
        // What was dropped must not be read; so it goes first.
        db.open_column_family(&stats.name)?.compact_range::<&[u8], _>(..)?;
    }
    let mut drill = Drill { backup: number, ..Drill::default() };
    let snapshot = db.snapshot();
    for name in db.column_families() {
        let family = db.open_column_family(&name)?;
        let mut entries = 0;
        for entry in snapshot.iter(&family)? {
            let (key, value) = entry?;
            entries += 1;
            drill.bytes += (key.len() + value.len()) as u64;
        }
        drill.entries += entries;
        drill.families.push((name, entries));
    }
    Ok(drill)
}
