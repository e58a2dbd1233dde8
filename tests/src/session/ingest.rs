//! Tables that are written outside of the store and ingested.

use super::crash::mix;
use super::runner::{Session, Told, must_be_refused};
use crate::history::{Change, What, value};
use esker::base::clock::Clock;
use esker::base::random::Random;
use esker::{Durability, IngestBatch, IngestOptions, SstSettings, SstWriter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The changes of one file, each with its place among all, in the order of keys.
type OfFile<'c> = BTreeMap<&'c [u8], (usize, &'c Change)>;

impl Session {
    /// Writes the changes into files, one for each family, and ingests these together.
    pub(super) fn ingest(&self, changes: &[Change], move_files: bool) -> Result<(), String> {
        // The last change of a key is the one that a file can hold.
        let here = |change: &&Change| self.families.contains_key(&change.family);
        let mut files: BTreeMap<&str, OfFile<'_>> = BTreeMap::new();
        for (at, change) in changes.iter().enumerate().filter(|(_, change)| here(change)) {
            files.entry(&change.family).or_default().insert(&change.key, (at, change));
        }
        if files.is_empty() || self.is_concerned(files.keys().copied()) {
            return Ok(());
        }
        let number = self.oracle.lock().next_commit();
        let fs = self.place.fs();
        let mut paths: Vec<(&str, PathBuf)> = Vec::new();
        for (family, of_file) in &files {
            let path = self.place.outside().join(format!("{number}-{family}.table"));
            // A store that was killed may have left it behind.
            let _ = fs.remove(&path);
            if let Err(error) = self.write_file(&path, family, of_file, number) {
                paths.iter().for_each(|(_, path)| drop(fs.remove(path)));
                return self.tolerate(&error);
            }
            paths.push((family, path));
        }
        let mut batch = IngestBatch::new();
        for (family, path) in &paths {
            batch.add(&self.families[*family], path);
        }
        let options = IngestOptions { move_files };
        let ingested = if self.is_writable() {
            let told = self.batch_of(changes, number).1;
            let told = told.into_iter().filter(|told| self.is_last(changes, told)).collect();
            self.committing(Durability::Sync, told, || self.db().ingest(&batch, options).map(drop))
        } else {
            must_be_refused(self.db().ingest(&batch, options).map(drop))
        };
        let left: Vec<bool> = paths.iter().map(|(_, path)| fs.open(path).is_ok()).collect();
        paths.iter().for_each(|(_, path)| drop(fs.remove(path)));
        ingested?;
        if !self.faulty && left.contains(&move_files) {
            return Err(format!("files that are to be moved ({move_files}) are where they were: {left:?}"));
        }
        Ok(())
    }

    /// Whether no later change of the same commit is of the same key.
    fn is_last(&self, changes: &[Change], told: &Told) -> bool {
        let (id, key, version) = told;
        let oracle = self.oracle.lock();
        let same = |change: &Change| oracle.family(&change.family) == Some(*id) && change.key == *key;
        changes.iter().rposition(same) == Some(version.order.1 as usize)
    }

    fn write_file(&self, path: &Path, family: &str, changes: &OfFile<'_>, number: u32) -> esker::Result<()> {
        let fs = self.place.fs();
        fs.create_dir_all(&self.place.outside())?;
        let seed = self.place.seed.map(|seed| mix(&[seed, u64::from(number), self.place.opened]));
        let name = family.bytes().fold(0, |sum, byte| sum * 256 + u64::from(byte));
        let random = seed.map_or_else(Random::default, |seed| Random::seeded(mix(&[seed, name])));
        let settings = SstSettings { fs, clock: Clock::Manual(self.place.clock.clone()), random };
        let options = self.place.option_set().family(family);
        let mut writer = SstWriter::create_with(path, &options, settings)?;
        let now_ms = self.oracle.lock().now_ms();
        for (key, (at, change)) in changes {
            match &change.what {
                What::Put { bytes } => writer.put_until(key, value(number, *at, *bytes), u64::MAX)?,
                // By the store's clock, which may be ahead of the wall clock.
                What::PutTtl { bytes, ttl_ms } => {
                    writer.put_until(key, value(number, *at, *bytes), now_ms + ttl_ms)?;
                }
                _ => writer.delete(key)?,
            }
        }
        writer.finish().map(drop)
    }
}
