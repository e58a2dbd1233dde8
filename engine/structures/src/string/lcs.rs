//! The longest common subsequence of two strings.

use super::assign::get;
use crate::base::error::{Error, Result};
use crate::store::{Key, Unit};

/// A stretch that both strings have: first and last byte in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// In the first string.
    pub a: (u64, u64),
    /// In the second.
    pub b: (u64, u64),
}

/// What two strings have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// The subsequence itself.
    pub bytes: Vec<u8>,
    /// Where it stands, the last stretch first.
    pub matches: Vec<Match>,
}

/// The most that the table of lengths may take, in cells.
const MAX_CELLS: usize = (512 << 20) / 4;

/// The text that this operation has for keys that hold something else.
pub(crate) fn not_strings(error: Error) -> Error {
    match error {
        Error::Refused(_) => Error::fixed("ERR The specified keys must contain string values"),
        other => other,
    }
}

/// The longest common subsequence of two strings, which are empty if there is no such key. Time and memory in
/// the product of their lengths.
///
/// # Errors
/// If one is not a string, or the product is too large; what the engine gives.
pub fn longest_common(unit: &mut Unit<'_>, a: Key<'_>, b: Key<'_>) -> Result<Common> {
    let a = get(unit, a).map_err(not_strings)?.unwrap_or_default();
    let b = get(unit, b).map_err(not_strings)?.unwrap_or_default();
    let width = b.len() + 1;
    let cells = (a.len() + 1).saturating_mul(width);
    if cells > MAX_CELLS {
        return Err(Error::fixed(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    // Wagner and Fischer (1974): the length for every two prefixes.
    let mut lengths = vec![0u32; cells];
    for (i, byte) in a.iter().enumerate() {
        for (j, other) in b.iter().enumerate() {
            lengths[(i + 1) * width + j + 1] = if byte == other {
                lengths[i * width + j] + 1
            } else {
                lengths[i * width + j + 1].max(lengths[(i + 1) * width + j])
            };
        }
    }
    Ok(walk_back(&a, &b, &lengths, width))
}

fn walk_back(a: &[u8], b: &[u8], lengths: &[u32], width: usize) -> Common {
    let mut common = Common::default();
    let (mut i, mut j) = (a.len(), b.len());
    let mut open: Option<Match> = None;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            common.bytes.push(a[i - 1]);
            (i, j) = (i - 1, j - 1);
            open = match open {
                Some(stretch) if stretch.a.0 == i as u64 + 1 && stretch.b.0 == j as u64 + 1 => {
                    Some(Match { a: (i as u64, stretch.a.1), b: (j as u64, stretch.b.1) })
                }
                stretch => {
                    common.matches.extend(stretch);
                    Some(Match { a: (i as u64, i as u64), b: (j as u64, j as u64) })
                }
            };
            continue;
        }
        if lengths[(i - 1) * width + j] > lengths[i * width + j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    common.matches.extend(open);
    common.bytes.reverse();
    common
}
