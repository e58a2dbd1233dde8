//! Where values come from that stand apart from their keys.

use crate::base::error::{Error, Result};
use crate::base::slice::Slice;
use crate::base::sync::Arc;

/// Reads separated values.
pub trait Values {
    /// The value of `key`, in whose place `reference` stands.
    ///
    /// # Errors
    /// [`Error::Corruption`] if it is not there or damaged; what reading gives.
    fn load(&self, key: &[u8], reference: &[u8]) -> Result<Slice>;
}

/// Such a place, shared; `None` where there are no separated values.
pub type SharedValues = Option<Arc<dyn Values + Send + Sync>>;

impl Values for SharedValues {
    fn load(&self, key: &[u8], reference: &[u8]) -> Result<Slice> {
        match self {
            Some(values) => values.load(key, reference),
            None => Err(Error::invalid("blob", "a reference to a value where there are none")),
        }
    }
}
