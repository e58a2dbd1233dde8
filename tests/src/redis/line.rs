//! A connection, whatever is behind it: a store in this process, `esker serve`, or a `redis-server`.

use super::both::answer;
use super::server::Client;
use super::value::Value;
use esker_structures::command::Connection;

/// A connection of a client that runs in a thread of its own.
#[derive(Debug)]
pub enum Line {
    /// To a store in this process.
    Inside(Box<Connection>),
    /// To a server.
    Wire(Client),
}

impl Line {
    /// The replies to commands, which go in one piece.
    ///
    /// # Panics
    /// If one does not come.
    pub fn ask_all(&mut self, commands: &[Vec<Vec<u8>>]) -> Vec<Value> {
        match self {
            Line::Inside(connection) => commands.iter().map(|args| answer(connection, args)).collect(),
            Line::Wire(client) => {
                let pieces: Vec<&[Vec<u8>]> = commands.iter().map(Vec::as_slice).collect();
                client.send(&pieces).expect("commands are sent");
                commands.iter().map(|_| client.receive().expect("a reply")).collect()
            }
        }
    }

    /// The replies to commands given as lines of words, which go in one piece.
    ///
    /// # Panics
    /// If one does not come.
    pub fn ask<S: AsRef<str>>(&mut self, lines: &[S]) -> Vec<Value> {
        let words = |line: &S| line.as_ref().split(' ').map(|word| word.as_bytes().to_vec()).collect();
        self.ask_all(&lines.iter().map(words).collect::<Vec<_>>())
    }

    /// What EXEC answers to a transaction of commands given as lines, which is sent in one piece or, if not
    /// `together`, one after the other; `None` if what was watched had been modified.
    ///
    /// # Panics
    /// If a command is refused.
    pub fn transact(&mut self, lines: &[String], together: bool) -> Option<Vec<Value>> {
        let all: Vec<String> =
            [&["multi".to_owned()][..], lines, &["exec".to_owned()][..]].concat().into_iter().collect();
        let replies =
            if together { self.ask(&all) } else { all.chunks(1).flat_map(|line| self.ask(line)).collect() };
        let (last, before) = replies.split_last()?;
        assert_eq!(before[0], Value::Simple(b"OK".to_vec()));
        assert!(before[1..].iter().all(|reply| *reply == Value::Simple(b"QUEUED".to_vec())), "{before:?}");
        match last {
            Value::Array(Some(replies)) => {
                assert!(!replies.iter().any(|reply| matches!(reply, Value::Error(_))), "{replies:?}");
                Some(replies.clone())
            }
            Value::Array(None) => None,
            other => panic!("EXEC answered {other:?}"),
        }
    }
}
