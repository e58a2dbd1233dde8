//! What a panic said.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic that was caught, to be passed on with [`std::panic::resume_unwind`].
pub type Panic = Box<dyn Any + Send>;

/// Runs `job`; a panic in it is handed back.
///
/// # Errors
/// The panic.
pub fn catch<R>(job: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(job))
}

/// The words of a panic, if it had any.
#[must_use]
pub fn words(panic: &Panic) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
