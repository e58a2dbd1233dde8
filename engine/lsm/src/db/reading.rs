//! What a builder says to those who only read.

use super::builder::Builder;
use super::open::{check_layer, check_ours, check_vacant, nothing_there};
use super::options::{FamilyOptions, Options};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::random::Random;
use crate::base::sync::unique_number;
use crate::fs::Fs;
use crate::hooks::FamilyHooks;
use crate::version::{FamilyState, StoreState};
use std::path::Path;

impl Builder {
    /// The same, checked, for a reader of its own.
    pub(crate) fn for_reading(mut self) -> Result<Builder> {
        self.options.validate()?;
        self.hooks.store = unique_number();
        Ok(self)
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.path
    }

    /// The file system.
    pub(crate) fn file_system(&self) -> &Fs {
        &self.fs
    }

    /// The options.
    pub(crate) fn given_options(&self) -> &Options {
        &self.options
    }

    /// The clock.
    pub(crate) fn given_clock(&self) -> &Clock {
        &self.clock
    }

    /// Where random numbers come from.
    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Refuses a store of another layer than the one asked for.
    pub(crate) fn check_layer_of(&self, state: &StoreState) -> Result<()> {
        check_layer(self, state)
    }

    /// Why there is nothing to read in a directory without `CURRENT`.
    pub(crate) fn why_nothing(&self) -> Error {
        let names = match self.fs.list(&self.path) {
            Err(error) if !error.is_not_found() => return error,
            names => names.unwrap_or_default(),
        };
        let why = check_ours(&self.path, &names).and_then(|()| check_vacant(&self.fs, &self.path, &names));
        why.err().unwrap_or_else(|| nothing_there(&self.path))
    }

    /// The options of a family, and what is hooked into it; of that of prepared transactions as they are.
    ///
    /// # Errors
    /// What was given and what the family was written with do not go together.
    pub(crate) fn family_for_reading(
        &self,
        manifest: &Path,
        state: &FamilyState,
        is_prepared: bool,
    ) -> Result<(FamilyOptions, FamilyHooks)> {
        let options = FamilyOptions::decode(&state.options);
        let mut options = options.map_err(|malformed| malformed.in_file(manifest, 0))?;
        if is_prepared {
            return Ok((options, FamilyHooks::default()));
        }
        self.hooks.settle(&state.name, &mut options)?;
        let hooks = self.hooks.of(&state.name, &options);
        Ok((options, hooks))
    }
}
