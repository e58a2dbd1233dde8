//! Times as commands give them.

use crate::base::error::{Error, Result};
use crate::base::number::parse_i64;
use crate::encoding::header::NEVER;

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Seconds,
    Milliseconds,
}

/// The time in ms since the epoch that `text` means, from `base_ms` on (0 for a time that stands for itself).
///
/// # Errors
/// The text that Redis has for the command; a number that is none.
pub(super) fn time(text: &[u8], scale: Scale, base_ms: u64, command: &str) -> Result<i64> {
    let invalid = || Error::text(format!("ERR invalid expire time in '{command}' command"));
    let value = parse_i64(text).ok_or(Error::NOT_INTEGER)?;
    let value = match scale {
        Scale::Milliseconds => value,
        Scale::Seconds => value.checked_mul(1000).ok_or_else(invalid)?,
    };
    value.checked_add(base_ms as i64).ok_or_else(invalid)
}

/// The same for commands that accept only what is greater than zero.
pub(super) fn positive_time(text: &[u8], scale: Scale, base_ms: u64, command: &str) -> Result<u64> {
    let value = parse_i64(text).ok_or(Error::NOT_INTEGER)?;
    if value <= 0 {
        return Err(Error::text(format!("ERR invalid expire time in '{command}' command")));
    }
    Ok(moment(time(text, scale, base_ms, command)?))
}

/// A time in the form of a header: what lies before the epoch is its beginning.
pub(super) fn moment(at: i64) -> u64 {
    u64::try_from(at).unwrap_or(0).min(NEVER - 1)
}
