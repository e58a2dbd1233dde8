//! Reading a key whose newest entry is an operand: its operands and what they change are gathered, and
//! given to the family's operator.
//!
//! What is gathered stands in versions of one key, newest first: operands, down to the first entry that
//! is none. That one is the base if it is a value; whatever else ends the walk - a deletion, a deleted
//! range, the end of the key's versions - leaves the operands without one.

use super::values::Values;
use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, Kind, SeqNum};
use crate::base::limits::MAX_VALUE_BYTES;
use crate::base::operand::{Operand, Outcome, outcome};
use crate::base::slice::Slice;
use crate::hooks::FamilyHooks;

/// What operands come to.
#[derive(Debug)]
pub struct Merged {
    /// The value.
    pub value: Vec<u8>,
    /// The sequence number of the newest operand.
    pub seq: SeqNum,
    /// When it expires.
    pub expires_at: u64,
    /// How many operands there were.
    pub operands: usize,
}

/// The operands of a key, newest first, and what they change.
#[derive(Default)]
struct Gathered {
    operands: Vec<Kept>,
    base: Option<(Slice, u64)>,
}

struct Kept {
    written_ms: u64,
    value: Slice,
}

impl Kept {
    fn operand(&self) -> Operand<'_> {
        // What is kept was decoded before.
        let (ttl_ms, bytes) = Operand::decode_value(&self.value).unwrap_or((0, &[]));
        Operand { written_ms: self.written_ms, ttl_ms, bytes }
    }
}

/// What the operand that `below` stands on and those below it come to at `now_ms`; `None` if that has
/// expired. What is older than `range`, the newest deleted range over the key, does not count, and the
/// first operand is not. A separated value is read from `values`. `below` is left on an entry of the same key
/// or the first behind them; its entries of the key from there on do not matter.
///
/// # Errors
/// [`Error::MergeFailed`] if they cannot be merged; those of the cursor.
#[cold]
pub fn gather(
    below: &mut impl Cursor,
    hooks: &FamilyHooks,
    values: &impl Values,
    range: SeqNum,
    now_ms: u64,
) -> Result<Option<Merged>> {
    let (key, seq) = (below.user_key().to_vec(), below.trailer().seq());
    let mut gathered = Gathered::default();
    let mut bytes = 0;
    while below.valid() && below.user_key() == &key[..] && below.trailer().seq() >= range {
        let entry = below.entry();
        match entry.kind {
            Kind::Merge => {
                gathered.operands.push(keep(&entry, || below.value_slice(), &mut bytes)?);
            }
            Kind::Put => {
                gathered.base = Some((below.value_slice(), entry.expires_at));
                break;
            }
            Kind::BlobRef => {
                gathered.base = Some((values.load(&key, entry.value)?, entry.expires_at));
                break;
            }
            _ => break,
        }
        below.next()?;
    }
    merge(&key, seq, &gathered, hooks, now_ms)
}

/// Keeps an operand; `bytes` are those of all that are kept.
fn keep(entry: &EntryRef<'_>, value: impl FnOnce() -> Slice, bytes: &mut usize) -> Result<Kept> {
    let wrong = |why: &str| Err(Error::merge_failed(entry.key, why));
    let Some(operand) = Operand::decode(entry) else {
        return wrong("an operand without its time to live");
    };
    *bytes += operand.bytes.len();
    if *bytes > MAX_VALUE_BYTES {
        return wrong("the operands are larger than a value may be");
    }
    Ok(Kept { written_ms: entry.expires_at, value: value() })
}

fn merge(
    key: &[u8],
    seq: SeqNum,
    gathered: &Gathered,
    hooks: &FamilyHooks,
    now_ms: u64,
) -> Result<Option<Merged>> {
    let base = gathered.base.as_ref().map(|(value, expires_at)| (&value[..], *expires_at));
    let oldest_first = gathered.operands.iter().rev().map(Kept::operand);
    let merged = merge_operands(key, base, oldest_first, hooks, now_ms)?;
    let operands = gathered.operands.len();
    Ok(merged.map(|(value, expires_at)| Merged { value, seq, expires_at, operands }))
}

/// What operands, oldest first, make at `now_ms` of a value with its expiry, or of nothing, and when that
/// expires; `None` if it has.
///
/// # Errors
/// [`Error::MergeFailed`] if they cannot be merged.
pub fn merge_operands<'o>(
    key: &[u8],
    base: Option<(&[u8], u64)>,
    oldest_first: impl Iterator<Item = Operand<'o>> + Clone,
    hooks: &FamilyHooks,
    now_ms: u64,
) -> Result<Option<(Vec<u8>, u64)>> {
    let expiry = base.map(|(_, expires_at)| expires_at);
    let Outcome { first, from_nothing, expires_at } = outcome(expiry, oldest_first.clone());
    if expires_at <= now_ms {
        return Ok(None);
    }
    let operands: Vec<&[u8]> = oldest_first.skip(first).map(|operand| operand.bytes).collect();
    let base = base.filter(|_| !from_nothing).map(|(value, _)| value);
    let value = hooks.merge(key, base, &operands).map_err(|e| Error::merge_failed(key, e.why()))?;
    Ok(Some((value, expires_at)))
}
