//! Options of an open store that change.

use super::options::OptionSet;
use super::runner::Session;
use crate::oracle::Oracle;
use esker::FamilyOptions;

impl Session {
    /// Changes options of the store and of its families while it is open. Whatever comes of it, nobody may
    /// see a difference.
    pub(super) fn adjust(&self, number: u32) -> Result<(), String> {
        let set = OptionSet::numbered(number);
        let unchanged = |_: &mut Oracle| ();
        self.after(self.db().change_options(set.changes()).map(drop), unchanged)?;
        for (name, family) in &self.families {
            let before = family.options().map_err(|e| format!("options of {name}: {e}"))?;
            let changed = family.change_options(set.family_changes(name));
            let well = changed.is_ok();
            self.after(changed.map(drop), unchanged)?;
            let (now, wanted) = (family.options().map_err(|e| e.to_string())?, set.family(name));
            let expected = FamilyOptions {
                zstd_level: wanted.zstd_level,
                uncompressed_levels: wanted.uncompressed_levels,
                dictionary_bytes: wanted.dictionary_bytes,
                block_bytes: wanted.block_bytes,
                filter_bits_per_key: wanted.filter_bits_per_key,
                index_partition_bytes: wanted.index_partition_bytes,
                blob_values_from: wanted.blob_values_from,
                compaction: wanted.compaction,
                ..before.clone()
            };
            let expected = if well { expected } else { before };
            if now != expected {
                return Err(format!("the options of {name} are {now:?} and not {expected:?}"));
            }
        }
        Ok(())
    }
}
