//! Copies of the store: each must hold what the store did, whatever becomes of the store behind it.

use super::audit::audit;
use super::place::Place;
use super::runner::{Session, is_of_the_disk};
use crate::oracle::{Dump, Unreadable};
use esker::base::clock::Clock;
use esker::fs::sim::Image;
use esker::fs::{Fs, SimFs};
use esker::{Backups, Keep};
use std::path::{Path, PathBuf};

/// So many backups are kept.
const KEPT: usize = 2;

impl Session {
    /// Makes a checkpoint and reads it: what a loss of power would leave of it, too.
    pub(super) fn checkpoint(&mut self) -> Result<(), String> {
        let Some(expected) = self.content()? else { return Ok(()) };
        let dir = self.beside("checkpoint");
        match self.db().checkpoint(&dir) {
            Ok(_) => self.check_copy(&dir, &expected)?,
            Err(error) => self.tolerate(&error)?,
        }
        self.remove_copy(&dir)
    }

    /// Makes a backup, and restores it and an earlier one.
    pub(super) fn backup(&mut self) -> Result<(), String> {
        let Some(expected) = self.content()? else { return Ok(()) };
        let dir = self.place.path.with_file_name("backups");
        let clock = Clock::Manual(self.place.clock.clone());
        let backups = Backups::at(&dir).fs(self.place.fs()).clock(clock);
        let made = match backups.create(self.db()) {
            Ok(made) => made.number,
            Err(error) => return self.tolerate(&error),
        };
        self.backups.insert(made, expected);
        let checked = backups.verify().and_then(|verified| {
            let pruned = backups.prune(Keep::last(KEPT))?;
            Ok((verified, pruned, backups.list()?))
        });
        let (verified, list) = match checked {
            Ok((verified, _, list)) => (verified, list),
            Err(error) => {
                // Some may be gone, and some not.
                self.backups.clear();
                return self.tolerate(&error);
            }
        };
        if !verified.is_sound() && !self.faulty {
            return Err(format!("backups are damaged: {verified:?}"));
        }
        let found: Vec<u64> = list.backups.iter().map(|backup| backup.number).collect();
        self.backups.retain(|number, _| found.contains(number) || found.len() < KEPT);
        for (number, expected) in std::mem::take(&mut self.backups) {
            let place = self.beside(&format!("restored-{number}"));
            // Beside what is observed, and as a loss of power leaves it.
            let disk = self.place.disk.as_ref().map(|disk| disk.image(Image::Nothing, number));
            let fs = disk.clone().map_or_else(Fs::default, Fs::Sim);
            let backups = backups.clone().fs(fs);
            let restored = backups.restore(number, &place).map_err(|error| error.to_string());
            let compared = restored
                .and_then(|()| self.read_copy(&place, disk))
                .and_then(|found| compare(&found, &expected));
            compared.map_err(|why| format!("backup {number}: {why}"))?;
            self.backups.insert(number, expected);
        }
        Ok(())
    }

    /// What the store shows now; `None` if the disk keeps it from being read.
    fn content(&self) -> Result<Option<Dump>, String> {
        match Dump::read(self.db()) {
            Ok(content) => Ok(Some(content)),
            Err(Unreadable::Error(error)) if self.faulty && is_of_the_disk(&error) => Ok(None),
            Err(why) => Err(format!("cannot read what is to be copied: {why}")),
        }
    }

    /// A directory beside the store that there never was.
    fn beside(&mut self, name: &str) -> PathBuf {
        self.copies += 1;
        self.place.path.with_file_name(format!("{name}-{}", self.copies))
    }

    fn check_copy(&self, dir: &Path, expected: &Dump) -> Result<(), String> {
        let images = match &self.place.disk {
            Some(disk) => [Image::All, Image::Nothing].map(|image| Some(disk.image(image, 0))),
            None => [None, None],
        };
        for disk in images {
            compare(&self.read_copy(dir, disk)?, expected)?;
        }
        Ok(())
    }

    /// What a copy shows that is opened with the options of the store.
    fn read_copy(&self, dir: &Path, disk: Option<SimFs>) -> Result<Dump, String> {
        let opened = self.place.opened + 1_000 * self.copies;
        let place = Place { disk, path: dir.into(), opened, ..self.place.clone() };
        let simulated = place.disk.is_some();
        let db = place.builder().create_if_missing(false).open();
        let db = db.map_err(|error| format!("cannot open a copy: {error}"))?;
        let found = Dump::read(&db).map_err(|why| format!("cannot read a copy: {why}"))?;
        db.close().map_err(|error| format!("cannot close a copy: {error}"))?;
        if simulated {
            audit(&place.fs(), dir).map_err(|why| format!("a copy: {why}"))?;
        }
        Ok(found)
    }

    /// Gives its space back.
    fn remove_copy(&self, dir: &Path) -> Result<(), String> {
        let fs = self.place.fs();
        let removed =
            fs.list(dir).and_then(|names| names.iter().try_for_each(|name| fs.remove(&dir.join(name))));
        match removed {
            Err(error) if !error.is_not_found() => self.tolerate(&error),
            _ => Ok(()),
        }
    }
}

/// Whether a copy shows what the store did, but for what has expired since.
fn compare(found: &Dump, expected: &Dump) -> Result<(), String> {
    let mut expected = expected.clone();
    let ended = expected.expiries.iter().filter(|(_, at_ms)| **at_ms <= found.now_ms);
    for place in ended.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
        expected.expiries.remove(&place);
        expected.families.get_mut(&place.0).and_then(|entries| entries.remove(&place.1));
    }
    if (&found.families, &found.expiries) == (&expected.families, &expected.expiries) {
        return Ok(());
    }
    Err(format!("a copy holds\n{found:?}\ninstead of\n{expected:?}"))
}
