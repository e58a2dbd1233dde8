//! What a connection remembers from one command to the next.

use super::reply::Protocol;
use super::table::Command;
use crate::store::Watching;

/// A command that waits for EXEC.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) command: &'static Command,
    pub(super) args: Vec<Vec<u8>>,
}

/// What stands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) commands: Vec<Queued>,
    /// A command could not be queued: EXEC will refuse.
    pub(super) spoiled: bool,
}

/// The state of a connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The selected database.
    pub database: u32,
    /// The protocol that it speaks.
    pub protocol: Protocol,
    pub(super) queue: Option<Queue>,
    pub(super) watching: Watching,
}

impl Session {
    /// Whether it stands between MULTI and EXEC.
    #[must_use]
    pub fn is_queueing(&self) -> bool {
        self.queue.is_some()
    }
}
