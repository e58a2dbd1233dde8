//! What follows when a unit's batch is visible: counts, what is remembered, watchers, events.

use super::handle::Expired;
use super::overlay::Write;
use super::unit::{Table, Unit};
use crate::base::error::Result;
use crate::encoding::key;
use std::collections::HashSet;

/// A watched key that is modified with all of its database.
#[derive(Debug)]
pub(super) struct Touched {
    database: u32,
    name: Vec<u8>,
    /// All that happened is that it has expired.
    by_expiry: bool,
}

impl Unit<'_> {
    /// What must follow when the batch is visible, while the locks are held.
    pub(super) fn published(&mut self) -> Vec<Expired> {
        let store = self.store;
        store.counts.follow(&self.overlays[Table::Index as usize]);
        for (of, tree) in self.ranks.drain(..) {
            store.ranks.keep(of, tree);
        }
        let before = self.databases.as_ref().map(|_| store.databases.all().0);
        if !self.is_upkeep && !store.watch.is_idle() {
            self.tell_watchers();
        }
        let mut events = Vec::new();
        for key in &self.expired {
            if let Ok((keyspace, name)) = key::split_header(key) {
                let database = self.database_of(keyspace);
                events.extend(database.map(|database| Expired { database, key: name.to_vec() }));
            }
        }
        if let (Some(before), Some((keyspaces, next))) = (before, &self.databases) {
            store.databases.set(keyspaces, *next);
            for gone in before.iter().filter(|id| !keyspaces.contains(id)) {
                store.counts.forget(*gone);
            }
        }
        store.sweep.expects(self.earliest_expiry);
        events
    }

    fn tell_watchers(&self) {
        let store = self.store;
        let quiet: HashSet<&Vec<u8>> = self.quiet.iter().collect();
        let expired: HashSet<&Vec<u8>> = self.expired.iter().collect();
        for (key, write) in &self.overlays[Table::Headers as usize].writes {
            let Ok((keyspace, name)) = key::split_header(key) else { continue };
            let Some(database) = self.database_of(keyspace) else { continue };
            if *write != Write::Delete && quiet.contains(key) {
                continue;
            }
            let by_expiry = *write == Write::Delete && expired.contains(key);
            store.watch.touch(database, name, by_expiry);
        }
        for Touched { database, name, by_expiry } in &self.touched {
            store.watch.touch(*database, name, *by_expiry);
        }
    }

    /// The keys of a database that somebody watches and that exist in a keyspace, or did until this unit
    /// removed them, are modified by what follows. Of those removed nothing else will tell: their records
    /// are forgotten with the others, or found in another database.
    pub(super) fn touch_watched(&mut self, database: u32, keyspace: u64) -> Result<()> {
        for name in self.store.watch.of_database(database) {
            let header = key::header(keyspace, &name);
            let own = self.overlays[Table::Headers as usize].writes.get(&header);
            let is_removed = own == Some(&Write::Delete);
            if is_removed || self.get_with(Table::Headers, &header, |_| ())?.is_some() {
                let by_expiry = is_removed && self.expired.contains(&header);
                self.touched.push(Touched { database, name, by_expiry });
            }
        }
        Ok(())
    }

    /// The database of a keyspace as this unit leaves it, or as it found it.
    fn database_of(&self, keyspace: u64) -> Option<u32> {
        let own = self.databases.as_ref().and_then(|(ids, _)| ids.iter().position(|id| *id == keyspace));
        own.map(|at| at as u32).or_else(|| self.store.databases.number_of(keyspace))
    }
}
