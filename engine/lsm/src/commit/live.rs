//! Options that change while the store is open.

use super::options::CommitOptions;
use super::store::Store;
use super::work::Task;
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::tree::{Family, FamilyRules};
use crate::version::{Edit, EditOp};

impl Store {
    /// The options in force. Who writes has them at hand in the ordering section.
    #[must_use]
    pub fn options(&self) -> Arc<CommitOptions> {
        self.options.load_full()
    }

    /// Puts options in force: for writers with the next group, for all others when they next ask.
    pub fn set_options(&self, options: CommitOptions) {
        let options = Arc::new(options);
        self.with_writer(|writer| {
            writer.recent.set_most_bytes(options.recent_bytes);
            writer.options = options.clone();
            self.options.store(options);
            self.rotate_if_due(writer);
        });
        self.spare.set_most_bytes(self.options().memtable_bytes);
        self.balance_memory();
        self.update_pressure();
        // Each of them waits as long as it was told before.
        for task in [Task::Compact, Task::Sync, Task::Upkeep] {
            self.work.announce(task);
        }
    }

    /// Changes a family's options, durably: `change` makes what the manifest shall hold of what it holds,
    /// with what it means.
    pub fn change_family(
        &self,
        family: &Family,
        change: impl FnOnce(&[u8]) -> Result<(Vec<u8>, FamilyRules)>,
    ) -> Result<()> {
        self.check_writable()?;
        self.with_manifest(|manifest| -> Result<()> {
            let known = manifest.state().families.get(&family.id());
            let known = known.ok_or_else(|| Error::FamilyDropped { name: family.name().into() })?;
            let (options, rules) = change(&known.options)?;
            if options != known.options {
                let family = family.id();
                self.commit_edit(manifest, Edit(vec![EditOp::FamilyOptions { family, options }]))?;
            }
            family.set_rules(rules);
            Ok(())
        })?;
        self.work.announce(Task::Compact);
        Ok(())
    }
}
