//! The batch that changes stand for, and what the oracle is told of it.

use super::runner::{Session, Told};
use super::span::remove_span;
use crate::history::{Change, Operator, What, value};
use crate::oracle::{Merge, Version};
use esker::WriteBatch;
use std::sync::Arc;
use std::time::Duration;

impl Session {
    /// The batch that the commit with this number makes, and what the oracle is told of it.
    pub(super) fn batch_of(&self, changes: &[Change], number: u32) -> (WriteBatch, Vec<Told>) {
        let (mut batch, mut told) = (WriteBatch::new(), Vec::new());
        let oracle = self.oracle.lock();
        for (at, change) in changes.iter().enumerate() {
            let (id, family) = (oracle.family(&change.family), self.families.get(&change.family));
            let (Some(id), Some(family)) = (id, family) else { continue };
            let (mut written, mut expires_at, mut merge) = (None, u64::MAX, None);
            match &change.what {
                What::Put { bytes } => {
                    let value = written.insert(value(number, at, *bytes));
                    batch.put(family, &change.key, value);
                }
                What::PutTtl { bytes, ttl_ms } => {
                    let value = written.insert(value(number, at, *bytes));
                    expires_at = oracle.now_ms() + ttl_ms;
                    batch.put_with_ttl(family, &change.key, value, Duration::from_millis(*ttl_ms));
                }
                What::Merge { bytes, ttl_ms } => {
                    let operand = written.insert(value(number, at, *bytes));
                    let operator = Operator::of_family(&change.family);
                    merge = Some(Merge { operator, written_ms: oracle.now_ms(), ttl_ms: *ttl_ms });
                    match *ttl_ms {
                        0 => drop(batch.merge(family, &change.key, operand).len()),
                        ms => {
                            let ttl = Duration::from_millis(ms);
                            batch.merge_with_ttl(family, &change.key, operand, ttl);
                        }
                    }
                }
                What::Delete => drop(batch.delete(family, &change.key).len()),
                What::DeleteRange(span) => remove_span(&mut batch, family, span, false),
                What::DropRange(span) => remove_span(&mut batch, family, span, true),
            }
            let (order, dropped) = ((number, at as u32), matches!(change.what, What::DropRange(_)));
            let version = Version { order, value: written.map(Arc::from), expires_at, dropped, merge };
            match &change.what {
                What::DeleteRange(span) | What::DropRange(span) => {
                    oracle.remove_range(id, span, &version, &mut told);
                }
                _ => told.push((id, change.key.clone(), version)),
            }
        }
        (batch, told)
    }
}
