//! What a writer asks for, and what it gets.

use super::checks::{Checks, Refused};
use crate::base::key::SeqNum;
use crate::batch::WriteBatch;

/// What a write survives once the call has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A loss of power. The call waits for the log to be synced; concurrent writers share one sync.
    #[default]
    Sync,
    /// A kill of the process at once, and a loss of power after at most the store's sync interval.
    Os,
    /// Neither, until it has been flushed: the write does not enter the log.
    None,
}

/// Where a batch stands in the commit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(super) first_seq: SeqNum,
    pub(super) seq: SeqNum,
}

impl Ticket {
    /// The sequence number of the batch's first operation.
    #[must_use]
    pub fn first_seq(&self) -> SeqNum {
        self.first_seq
    }

    /// The sequence number of its last operation: what to wait for.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        self.seq
    }
}

/// A batch in the queue.
#[derive(Debug, Default)]
pub struct Request {
    /// The operations.
    pub batch: WriteBatch,
    /// What they must survive.
    pub durability: Durability,
    /// What must hold when it is ordered; a plain write has none.
    pub checks: Option<Box<Checks>>,
}

/// What a request gets.
pub type Answer = Result<Ticket, Refused>;
