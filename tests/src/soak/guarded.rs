//! What the child does besides writing and reading: transactions, conditions, expiry that is changed, and
//! cursors that live across operations.

use super::actor::Actor;
use super::answer::What;
use super::print::{Sum, print};
use crate::history::{Asked, Change, Condition, Movement, Span, TransactionKind};
use crate::session::{change_of, move_to, scan_options};
use esker::{ColumnFamily, Durability, Error, Transaction, WriteBatch};
use std::time::Duration;

/// The answer to what was refused because its condition does not hold.
pub(super) const DOES_NOT_HOLD: &str = "the condition does not hold";

impl Actor {
    /// Reads each key before it is changed, and commits.
    pub(super) fn transaction(
        &self,
        number: u32,
        kind: TransactionKind,
        changes: &[Change],
        durability: Durability,
    ) -> What {
        let worked = self.db().begin(kind.options()).and_then(|mut transaction| {
            for (at, change) in changes.iter().enumerate() {
                let Some(family) = self.families.get(&change.family) else {
                    return Err(Error::FamilyDropped { name: change.family.clone() });
                };
                read(&mut transaction, kind, family, &change.key)?;
                change_of(&mut transaction, family, change, number, at)?;
            }
            Ok(transaction)
        });
        match worked {
            Ok(transaction) => self.published(|| {
                let seq = transaction.commit_with(durability).map_err(Error::from)?.seq();
                if durability == Durability::Sync { self.db().wait_durable(seq) } else { Ok(()) }
            }),
            Err(error) => What::Refused(error.to_string()),
        }
    }

    /// Writes if a condition holds.
    pub(super) fn write_if(
        &self,
        number: u32,
        condition: &Condition,
        changes: &[Change],
        durability: Durability,
    ) -> What {
        let Some(family) = self.families.get(&condition.family) else {
            return What::Failed("no such family".into());
        };
        let key = &condition.key;
        let held = match family.get(key) {
            Ok(held) => held,
            Err(error) => return What::Failed(error.to_string()),
        };
        let mut batch = WriteBatch::new();
        match condition.asked {
            Asked::Absent => batch.require_absent(family, key),
            Asked::OtherValue => {
                batch.require_value(family, key, [held.as_deref().unwrap_or_default(), b"!"].concat())
            }
            Asked::Value | Asked::Version => {
                batch.require_value(family, key, held.as_deref().unwrap_or(b"nothing"))
            }
        };
        if let Err(why) = self.put_into(&mut batch, number, changes) {
            return What::Refused(why);
        }
        let mut holds = true;
        let what = self.published(|| {
            let written = self.db().write(batch, durability);
            holds = !matches!(written, Err(Error::ConditionFailed { .. }));
            written
        });
        if holds { what } else { What::Refused(DOES_NOT_HOLD.into()) }
    }

    /// Gives a key another expiry. A key that is not there is answered by no value.
    pub(super) fn expire(&self, family: &str, key: &[u8], ttl_ms: Option<u64>) -> What {
        let Some(family) = self.families.get(family) else { return What::Failed("no such family".into()) };
        let mut found = false;
        let what = self.published(|| {
            found = match ttl_ms {
                Some(ttl_ms) => family.expire(key, Duration::from_millis(ttl_ms))?,
                None => family.persist(key)?,
            };
            Ok(())
        });
        if matches!(what, What::Done(_)) && !found { What::Values(vec![None]) } else { what }
    }

    pub(super) fn make_cursor(&mut self, slot: u32, at: Option<u32>, family: &str, span: &Span) -> What {
        self.cursors.remove(&slot);
        let Some(family) = self.families.get(family) else { return What::Failed("no such family".into()) };
        let options = scan_options(span);
        let cursor = match at.map(|slot| self.snapshots.get(&slot)) {
            Some(None) => return What::Failed("no such snapshot".into()),
            Some(Some(snapshot)) => snapshot.cursor(family, options),
            None => family.cursor(options),
        };
        match cursor {
            Ok(cursor) => {
                self.cursors.insert(slot, cursor);
                What::Done(self.db().visible_seq())
            }
            Err(error) => What::Failed(error.to_string()),
        }
    }

    /// Moves a cursor; the answer is the entry on which it stands then.
    pub(super) fn move_cursor(&mut self, slot: u32, to: &Movement) -> What {
        let Some(cursor) = self.cursors.get_mut(&slot) else { return What::Failed("no such cursor".into()) };
        match move_to(cursor, to) {
            Ok(found) => {
                let mut sum = Sum::default();
                if found {
                    sum.add(cursor.key(), &print(cursor.value()));
                }
                What::Entries(sum)
            }
            Err(error) => What::Failed(error.to_string()),
        }
    }
}

fn read(
    transaction: &mut Transaction,
    kind: TransactionKind,
    family: &ColumnFamily,
    key: &[u8],
) -> esker::Result<()> {
    if key.is_empty() {
        // A range: there is no key to be read.
        return Ok(());
    }
    match kind {
        TransactionKind::Pessimistic => transaction.get_for_update(family, key).map(drop),
        _ => transaction.get(family, key).map(drop),
    }
}
