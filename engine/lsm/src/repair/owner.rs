//! Which store the files of a directory belong to. A copy that went wrong may have left files of another
//! store among them, and they look as whole as its own.

use super::contents::Contents;
use super::tables::identity_of;
use crate::base::checksum::Identity;
use crate::base::sync::Arc;
use crate::fs::Fs;
use crate::record::{LogKind, RecordReader};
use crate::table::{TableReader, TableSource};
use std::collections::BTreeSet;
use std::path::Path;

/// What the tables and the log of a directory say of the store that wrote them.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The identity of each table, and the number of its store; 0 if it does not say.
    tables: Vec<(Identity, u64)>,
    /// The number of the store of each segment of the log.
    logs: Vec<u64>,
}

impl Owners {
    /// Asks every table and every segment that can be read.
    pub(super) fn of(fs: &Fs, dir: &Path, contents: &Contents) -> Owners {
        let mut owners = Owners::default();
        for name in &contents.tables {
            let path = dir.join(name);
            let Some(identity) = identity_of(fs, &path) else { continue };
            let file = fs.open(&path).map(|file| TableSource::File(Arc::new(file)));
            let properties = file.and_then(TableReader::properties_of);
            owners.tables.push((identity, properties.map_or(0, |properties| properties.store)));
        }
        for name in &contents.logs {
            let Ok(file) = fs.open(&dir.join(name)) else { continue };
            if let Ok(reader) = RecordReader::open(&file, LogKind::Wal) {
                owners.logs.push(reader.header().store);
            }
        }
        owners
    }

    /// The stores that any file names.
    pub(super) fn stores(&self) -> impl Iterator<Item = u64> {
        let tables = self.tables.iter().map(|(_, store)| *store);
        tables.chain(self.logs.iter().copied()).filter(|store| *store != 0)
    }

    /// How many files are of a store whose manifests name tables with these identities. Tables of the
    /// first versions do not say whose they are.
    pub(super) fn count(&self, store: u64, named: &BTreeSet<Identity>) -> usize {
        let own = |(identity, of): &&(Identity, u64)| *of == store || (*of == 0 && named.contains(identity));
        self.tables.iter().filter(own).count() + self.logs.iter().filter(|of| **of == store).count()
    }
}
