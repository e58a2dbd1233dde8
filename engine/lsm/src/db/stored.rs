//! The options of an open store as they stand on disk.

use super::builder::Builder;
use super::handle::Db;
use super::open::Recovery;
use super::options_file::{self, Found};
use crate::base::error::{Error, Result};
use crate::base::filename::FileNumber;
use std::path::PathBuf;

/// What is stored of the options, and where.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The number of the file in force, if there is one.
    pub(super) number: Option<FileNumber>,
    /// What stands in it that this version does not know.
    pub(super) unknown: Vec<(String, String)>,
    /// Why the options that are in force could not be stored.
    pub(super) failure: Option<Error>,
}

impl Stored {
    /// Compares what is stored with what was given, and stores this if they differ.
    ///
    /// # Errors
    /// That of a failed sync. Any other is noted: options are not worth a store that does not open.
    pub(super) fn settle(
        builder: &Builder,
        store: u64,
        names: &[String],
        recovery: &mut Recovery,
        next_number: impl FnOnce() -> FileNumber,
    ) -> Result<Stored> {
        let (fs, dir, options) = (&builder.fs, &builder.path, &builder.options);
        let Found { newest, damaged } = options_file::find(fs, dir, names, Some(store));
        recovery.damaged_options = damaged.iter().map(ToString::to_string).collect();
        let mut stored = Stored::default();
        if let Some((number, found)) = newest {
            stored.number = Some(number);
            recovery.unknown_options = found.unknown.iter().map(|(name, _)| name.clone()).collect();
            recovery.changed_options = options_file::changes(&found.options, options);
            recovery.stored_options = Some(found.path);
            stored.unknown = found.unknown;
            if recovery.changed_options.is_empty() && damaged.is_empty() {
                return Ok(stored);
            }
        }
        let number = next_number();
        let text = options_file::encode(store, options, &stored.unknown);
        match options_file::write(fs, dir, number, &text) {
            Ok(()) => stored.number = Some(number),
            Err(error) if error.is_failed_sync() => return Err(error),
            Err(error) => stored.failure = Some(error),
        }
        Ok(stored)
    }
}

impl Db {
    /// The file in which the store's own options stand, for those who read it: docs/format/options.md. `None`
    /// if it could not be written.
    #[must_use]
    pub fn options_file(&self) -> Option<PathBuf> {
        let number = self.inner().stored.lock().number?;
        Some(crate::base::filename::FileKind::Options(number).path(self.path()))
    }

    /// The text of a file of the options in force, for a copy of the store.
    pub(crate) fn options_text(&self) -> String {
        let inner = self.inner();
        let store = inner.store.with_manifest(|manifest| manifest.state().store);
        // In the order in which a change of the options takes them.
        let stored = inner.stored.lock();
        options_file::encode(store, &inner.options.read(), &stored.unknown)
    }
}
