//! What the child does with changes that are to be ingested.

use super::actor::Actor;
use super::answer::What;
use crate::history::{self, Change, value};
use esker::base::clock::Clock;
use esker::fs::Fs;
use esker::{FamilyOptions, IngestBatch, IngestOptions, SstSettings, SstWriter};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Actor {
    /// Writes the changes, all of one family, into a file beside the store and has it ingested.
    pub(super) fn ingest(&self, number: u32, changes: &[Change]) -> What {
        let Some(family) = changes.first().and_then(|change| self.families.get(&change.family)) else {
            return What::Refused("there is no such family".into());
        };
        let path = self.dir.with_extension("ingest");
        let fs = Fs::Custom(Arc::new(self.fs.clone()));
        // An earlier child may have left it.
        let _ = fs.remove(&path);
        let (clock, random) = (Clock::Manual(self.clock.clone()), Default::default());
        let settings = SstSettings { fs, clock, random };
        let written = SstWriter::create_with(&path, &FamilyOptions::default(), settings);
        let written = written.and_then(|mut writer| {
            let in_order: BTreeMap<_, _> =
                changes.iter().enumerate().map(|(at, c)| (&c.key, (at, c))).collect();
            for (key, (at, change)) in in_order {
                match change.what {
                    history::What::Put { bytes } => writer.put(key, value(number, at, bytes))?,
                    _ => writer.delete(key)?,
                }
            }
            writer.finish()
        });
        match written {
            Ok(_) => self.published(|| {
                let mut batch = IngestBatch::new();
                batch.add(family, &path);
                self.db().ingest(&batch, IngestOptions { move_files: true }).map(drop)
            }),
            Err(error) => What::Refused(error.to_string()),
        }
    }
}
