//! What a connection remembers from one command to the next.

use super::keyspec::Keys;
use super::reply::{Protocol, Reply};
use super::stream::Stream;
use super::table::{Command, Group};
use crate::encoding::limits::MAX_REPLY_BYTES;
use crate::store::Watching;

/// A command that waits for EXEC.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) command: &'static Command,
    pub(super) args: Vec<Vec<u8>>,
}

/// Holds the place of a command that is not of the table.
const OUTSIDE: Command = Command {
    name: "",
    arity: -1,
    flags: 0,
    keys: Keys::None,
    group: Group::Server,
    since: "",
    complexity: "",
    summary: "",
    handler: |_, _| Ok(Reply::Null),
    subcommands: &[],
};

/// What stands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) commands: Vec<Queued>,
    /// A command could not be queued: EXEC will refuse.
    pub(super) spoiled: bool,
    /// The memory that the commands take.
    pub(super) bytes: usize,
    /// Some of them are not of the table.
    has_outside: bool,
}

impl Queue {
    pub(super) fn push(&mut self, command: &'static Command, args: &[&[u8]]) -> Reply {
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        // With what the allocator adds to each, about.
        let own = size_of::<Queued>() + 16;
        self.bytes += own + args.iter().map(|arg| arg.len() + size_of::<Vec<u8>>() + 16).sum::<usize>();
        self.has_outside |= command.name == OUTSIDE.name;
        self.commands.push(Queued { command, args });
        Reply::Simple("QUEUED")
    }

    /// The commands that are not of the table, for when all others are carried out.
    pub(super) fn outside(self) -> Vec<Outside> {
        let each = self.commands.into_iter().enumerate();
        let outside = each.filter(|(_, queued)| queued.command.name == OUTSIDE.name);
        outside.map(|(at, queued)| Outside { at, args: queued.args }).collect()
    }
}

/// A command of somebody above the table that was queued between MULTI and EXEC ([`Session::queue_outside`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its place in the reply of EXEC.
    pub at: usize,
    /// Its name and its arguments.
    pub args: Vec<Vec<u8>>,
}

/// The state of a connection.
#[derive(Debug)]
pub struct Session {
    /// The selected database.
    pub database: u32,
    /// The protocol that it speaks.
    pub protocol: Protocol,
    pub(super) queue: Option<Queue>,
    pub(super) watching: Watching,
    pub(super) outside: Vec<Outside>,
    /// Replies with large collections are handed out by [`Session::take_stream`], to be encoded piece by
    /// piece. Not those of EXEC, which show one moment together and are made whole.
    pub streams: bool,
    pub(super) stream: Option<Stream>,
    /// A reply that would have more bytes than this becomes an error. It is asked where a small command can
    /// have a reply of any size, or where all of a collection is shown; [`MAX_REPLY_BYTES`] at first.
    pub most_reply_bytes: usize,
    /// What the commands of an EXEC under way have been answered so far.
    pub(super) replied_bytes: usize,
}

impl Default for Session {
    fn default() -> Session {
        Session {
            database: 0,
            protocol: Protocol::default(),
            queue: None,
            watching: Watching::default(),
            outside: Vec::new(),
            streams: false,
            stream: None,
            most_reply_bytes: MAX_REPLY_BYTES,
            replied_bytes: 0,
        }
    }
}

impl Session {
    /// What the reply to a command may still have, in bytes.
    pub(super) fn left_bytes(&self) -> usize {
        self.most_reply_bytes.saturating_sub(self.replied_bytes)
    }

    /// Whether it stands between MULTI and EXEC.
    #[must_use]
    pub fn is_queueing(&self) -> bool {
        self.queue.is_some()
    }

    /// The memory that the commands since MULTI and the keys that are watched take, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes) + self.watching.bytes()
    }

    /// Queues a command that the table does not have: in the reply of EXEC [`Reply::Null`] stands in its
    /// place, and [`Session::take_outside`] hands it back, to be carried out by who knows it. Returns the
    /// reply; `None` if nothing is queued here.
    pub fn queue_outside(&mut self, args: &[&[u8]]) -> Option<Reply> {
        let queue = self.queue.as_mut()?;
        Some(queue.push(&OUTSIDE, args))
    }

    /// Whether a command of [`Session::queue_outside`] waits for EXEC.
    #[must_use]
    pub fn has_outside(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.has_outside)
    }

    /// The commands of somebody else that belong to the last EXEC, in their order; once.
    pub fn take_outside(&mut self) -> Vec<Outside> {
        std::mem::take(&mut self.outside)
    }

    /// The reply to the last command, if it is to be streamed: [`Reply::Null`] stands in its place, and no
    /// further command was carried out behind it. Only where [`Session::streams`] is set.
    pub fn take_stream(&mut self) -> Option<Stream> {
        self.stream.take()
    }

    /// Has EXEC refuse: a command since MULTI was refused by somebody else.
    pub fn spoil(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.spoiled = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::connection::Connection;
    use crate::store::Store;

    #[test]
    fn commands_of_somebody_else_come_up_in_their_places() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("data")).unwrap();
        let mut connection = Connection::new(&store);
        assert_eq!(connection.session_mut().queue_outside(&[b"info"]), None, "nothing is queued here");
        for spoilt in [false, true] {
            connection.execute(&["multi"]);
            connection.execute(&["set", "k", "v"]);
            let queued = connection.session_mut().queue_outside(&[b"client", b"id"]);
            assert_eq!(queued, Some(Reply::Simple("QUEUED")));
            assert!(connection.session().has_outside() && connection.session().held_bytes() > 0);
            connection.execute(&["get", "k"]);
            if spoilt {
                connection.session_mut().spoil();
            }
            let reply = connection.execute(&["exec"]).reply;
            let outside = connection.session_mut().take_outside();
            assert!(!connection.session().has_outside());
            if spoilt {
                assert!(reply.is_error() && outside.is_empty());
            } else {
                assert_eq!(reply, Reply::Array(vec![Reply::OK, Reply::Null, "v".into()]));
                assert_eq!(outside, [Outside { at: 1, args: vec![b"client".to_vec(), b"id".to_vec()] }]);
            }
        }
        drop(connection);
        store.close().unwrap();
    }
}
