//! Which hooks a store was opened with, which of them a family gets, and what of its options changes.

use super::options::FamilyOptions;
use super::wishes::Wishes;
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::hooks::{
    Append, CompactionFilterFactory, Counter, EventListener, FamilyHooks, Maximum, MergeOperator, Minimum,
};
use std::collections::BTreeMap;
use std::fmt;

/// What a builder was given.
#[derive(Clone)]
pub(super) struct Hooks {
    /// By name.
    operators: BTreeMap<String, Arc<dyn MergeOperator>>,
    /// The name of the operator that a family must have, by the family's name.
    pub(super) of_family: BTreeMap<String, String>,
    /// By the family's name.
    pub(super) filters: BTreeMap<String, Arc<dyn CompactionFilterFactory>>,
    /// In the order in which they are told.
    pub(super) listeners: Vec<Arc<dyn EventListener>>,
    /// Of the options of families.
    pub(super) wishes: Wishes,
    /// The number of the open store that they work for.
    pub(super) store: u64,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("operators", &self.operators)
            .field("of_family", &self.of_family)
            .field("filters", &self.filters)
            .field("listeners", &self.listeners.len())
            .finish_non_exhaustive()
    }
}

impl Default for Hooks {
    fn default() -> Hooks {
        let (operators, of_family, filters, listeners, wishes) = Default::default();
        let mut hooks = Hooks { operators, of_family, filters, listeners, wishes, store: 0 };
        hooks.register(Arc::new(Counter));
        hooks.register(Arc::new(Append::new()));
        hooks.register(Arc::new(Maximum));
        hooks.register(Arc::new(Minimum));
        hooks
    }
}

impl Hooks {
    pub(super) fn register(&mut self, operator: Arc<dyn MergeOperator>) {
        self.operators.insert(operator.name().into(), operator);
    }

    /// Settles which operator a family has, the one in its options or the one that it was given, and what
    /// else of its options changes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an option out of its range, if both are there and differ, or if the
    /// family keeps versions and has a filter: what a filter puts in the place of a value would have that
    /// value's version.
    pub(super) fn settle(&self, family: &str, options: &mut FamilyOptions) -> Result<()> {
        self.wishes.settle(family, options);
        options.validate()?;
        if options.keep_versions && self.filters.contains_key(family) {
            let why = format!(
                "the column family {family:?} was created with `keep_versions`, so a version must stand for \
                 one value; a filter could replace it"
            );
            return Err(Error::invalid("compaction_filter", why));
        }
        let Some(given) = self.of_family.get(family) else { return Ok(()) };
        match &options.merge_operator {
            Some(named) if named != given => {
                let why = format!(
                    "the column family {family:?} has operands for {named:?}, and was opened with {given:?}"
                );
                return Err(Error::invalid("merge_operator", why));
            }
            _ => options.merge_operator = Some(given.clone()),
        }
        options.validate()
    }

    /// Whether the operator that a new family names is known.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is not.
    pub(super) fn check_known(&self, options: &FamilyOptions) -> Result<()> {
        match &options.merge_operator {
            Some(name) if !self.operators.contains_key(name) => {
                let why = format!("the operator {name:?} was not given when the store was opened");
                Err(Error::invalid("merge_operator", why))
            }
            _ => Ok(()),
        }
    }

    /// The hooks of a family with these options, of which an operator that is not known is left out.
    pub(super) fn of(&self, family: &str, options: &FamilyOptions) -> FamilyHooks {
        let name = options.merge_operator.as_deref();
        let operator = name.and_then(|name| self.operators.get(name)).cloned();
        FamilyHooks::new(name, operator, self.filters.get(family).cloned()).of_store(self.store)
    }
}
