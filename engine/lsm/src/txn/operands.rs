//! What a transaction has written and nobody else can see yet, operands above all, and reading it.

use super::pending::Write;
use crate::base::error::Result;
use crate::base::operand::Operand;
use crate::base::slice::Slice;
use crate::db::ColumnFamily;
use crate::iter::merge_operands;

/// An operand as it will be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnOperand {
    /// When it was given to the transaction. The commit stamps it anew.
    pub(super) written_ms: u64,
    /// With its time to live in front.
    pub(super) value: Slice,
}

impl OwnOperand {
    pub(super) fn operand(&self) -> Operand<'_> {
        // It was encoded by this transaction.
        let (ttl_ms, bytes) = Operand::decode_value(&self.value).unwrap_or((0, &[]));
        Operand { written_ms: self.written_ms, ttl_ms, bytes }
    }
}

/// The operands of a key and what they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// What the transaction had written itself; `None`: what was there before it.
    pub(super) on: Option<Box<Write>>,
    /// Whether what was there before is the present and not what the snapshot shows: the key was locked
    /// before it was read.
    pub(super) at_present: bool,
    /// Oldest first; at least one.
    pub(super) operands: Vec<OwnOperand>,
    /// What all that takes, in bytes, roughly.
    pub(super) bytes: usize,
}

impl Write {
    /// The value that this write of a key comes to at `now_ms`, and when that expires. `base` is what was
    /// there before the transaction, if this [changes it](Write::changes_what_was_there).
    pub(super) fn value(
        &self,
        family: &ColumnFamily,
        key: &[u8],
        base: Option<(Slice, u64)>,
        now_ms: u64,
    ) -> Result<Option<(Slice, u64)>> {
        match self {
            Write::Put { value, expires_at } if *expires_at > now_ms => {
                Ok(Some((value.clone(), *expires_at)))
            }
            Write::Put { .. } | Write::Delete => Ok(None),
            Write::Merge(chain) => {
                let base = match chain.on.as_deref() {
                    Some(Write::Put { value, expires_at }) => Some((value.clone(), *expires_at)),
                    None => base,
                    _ => None,
                };
                let base = base.as_ref().map(|(value, expires_at)| (&value[..], *expires_at));
                let operands = chain.operands.iter().map(OwnOperand::operand);
                let merged = merge_operands(key, base, operands, family.hooks(), now_ms)?;
                Ok(merged.map(|(value, expires_at)| (Slice::own(value), expires_at)))
            }
        }
    }
}
