//! Removing backups, and what no backup needs any more.

use super::repository::{Backups, file_name};
use crate::base::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Which backups stay, of each store by itself if the directory holds those of several. One stays if any of
/// the rules wants it; the newest of each store always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keep {
    /// So many of the newest.
    pub last: usize,
    /// Those that are no older than this.
    pub within: Option<Duration>,
}

impl Keep {
    /// So many of the newest.
    #[must_use]
    pub fn last(count: usize) -> Keep {
        Keep { last: count, within: None }
    }

    /// And all that are no older than this.
    #[must_use]
    pub fn within(mut self, age: Duration) -> Keep {
        self.within = Some(age);
        self
    }
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// The numbers of the backups.
    pub backups: Vec<u64>,
    /// How many objects, those of attempts that were interrupted among them.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects are left that nobody may need: some backup cannot be read, and what it needs is not known.
    pub objects_kept_in_doubt: bool,
}

impl Backups {
    /// Removes backups that are not to be kept, and then the objects that none needs any more. Whatever is
    /// interrupted, those that stay are whole. While a backup's own file cannot be read no object is removed.
    ///
    /// # Errors
    /// [`crate::Error::Locked`] while somebody else changes the directory; what reading and removing gives.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let backups = esker::Backups::at(dir.path().join("backups"));
    /// for i in 0..5u8 {
    ///     db.put([i], b"v")?;
    ///     backups.create(&db)?;
    /// }
    /// let pruned = backups.prune(esker::Keep::last(2))?;
    /// assert_eq!(pruned.backups, [1, 2, 3]);
    /// assert!(backups.verify()?.is_sound());
    /// # db.close() }
    /// ```
    pub fn prune(&self, keep: Keep) -> Result<Pruned> {
        self.check_format()?;
        let _lock = self.lock()?;
        self.prepare()?;
        let records = self.records()?;
        let now_ms = self.clock.wall_ms();
        let within_ms = keep.within.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let old = |created_ms: u64| within_ms.is_none_or(|within| now_ms.saturating_sub(created_ms) > within);
        let (mut superfluous, mut newer) = (BTreeSet::new(), BTreeMap::<u64, usize>::new());
        for (number, record) in records.sound.iter().rev() {
            let newer = newer.entry(record.backup.store).or_default();
            if *newer >= keep.last.max(1) && old(record.backup.created_ms) {
                superfluous.insert(*number);
            }
            *newer += 1;
        }

        let mut pruned = Pruned { backups: superfluous.iter().copied().collect(), ..Pruned::default() };
        if !superfluous.is_empty() {
            let named = self.fs.dir(&self.named())?;
            for number in &superfluous {
                self.fs.remove(&self.named().join(file_name(*number)))?;
            }
            // Only when none of them can come back may their objects go.
            named.sync()?;
        }
        pruned.objects_kept_in_doubt = !records.unreadable.is_empty();
        if pruned.objects_kept_in_doubt {
            return Ok(pruned);
        }
        let kept = records.sound.iter().filter(|(number, _)| !superfluous.contains(number));
        let needed: BTreeSet<_> = kept.flat_map(|(_, record)| record.objects()).map(|o| o.id).collect();
        for id in self.object_names()?.difference(&needed) {
            let path = self.object(*id);
            pruned.bytes += self.fs.open(&path)?.size()?;
            self.fs.remove(&path)?;
            pruned.objects += 1;
        }
        self.fs.sync_dir(&self.objects())?;
        self.unmark(self.marked()?.difference(&needed).copied());
        Ok(pruned)
    }
}
