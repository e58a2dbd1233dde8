//! Changing a value without reading it first.

use crate::base::sync::Arc;
use std::fmt;

/// Why operands could not be merged: in the words of the operator.
///
/// Reads of the key return it as an error; other keys are not concerned, and the operands are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeError(pub Arc<str>);

impl MergeError {
    /// An error with a reason.
    pub fn new(why: impl Into<Arc<str>>) -> MergeError {
        MergeError(why.into())
    }
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MergeError {}

/// Combines the operands that were written to a key with the value below them.
///
/// A family has at most one operator. Its name is kept beside the data; opening the family with
/// another one is refused, since operands that one has written mean something else to another.
///
/// An operator must be a pure function of its arguments: the engine calls it whenever it likes, on
/// reads and in the background, as often as it likes. Calls of the store itself are answered with
/// [`crate::Error::CalledFromHook`]. A panic in it is caught: a read returns it as an
/// error, and compaction of the family pauses.
///
/// ```
/// use esker::hooks::{MergeError, MergeOperator};
///
/// /// Keeps the longest of the values.
/// #[derive(Debug)]
/// struct Longest;
///
/// impl MergeOperator for Longest {
///     fn name(&self) -> &str {
///         "longest"
///     }
///     fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
///         let all = base.into_iter().chain(operands.iter().copied());
///         Ok(all.max_by_key(|value| value.len()).unwrap_or_default().to_vec())
///     }
/// }
/// assert_eq!(Longest.full(b"k", Some(b"abc"), &[b"de", b"fghi"]).unwrap(), b"fghi");
/// ```
pub trait MergeOperator: fmt::Debug + Send + Sync + 'static {
    /// The name that is kept beside the data.
    fn name(&self) -> &str;

    /// The value that results from `operands`, oldest first and at least one, on top of `base`, which
    /// is `None` if the key was absent.
    ///
    /// # Errors
    /// If they cannot be merged. Reads of the key return the error until it is overwritten or deleted.
    fn full(&self, key: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError>;

    /// One operand that does the same as `older` and then `newer`, whatever the base; `None` if there is
    /// none, which is always right but keeps more operands.
    fn partial(&self, key: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        let _ = (key, older, newer);
        None
    }
}
