//! A client of both: the same commands here and there.

use super::chance;
use super::compare::agree;
use super::generator::KEYS;
use super::server::{Client, Server};
use super::value::Value;
use esker_structures::Store;
use esker_structures::command::{Connection, Protocol};

/// What both hold.
const LOOKS: &[&str] = &[
    "type key",
    "object encoding key",
    "get key",
    "hgetall key",
    "smembers key",
    "lrange key 0 -1",
    "zrange key 0 -1 withscores",
    "ttl key",
];

/// Has both read a number and do nothing else. In a transaction it stands before a SORT, since Redis' takes
/// an error that the last conversion of a number left for its own (see [`Client::settle`]).
const SETTLE: &[&str] = &["zadd", "none", "xx", "1", "member"];

/// What is compared with Redis.
#[derive(Debug)]
enum Ours {
    /// A store in this process.
    Inside(Box<Connection>),
    /// A server.
    Served(Client),
}

/// Two replies to one command.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Of what is compared.
    pub ours: Value,
    /// Of Redis.
    pub theirs: Value,
    /// Whether both are right.
    pub same: bool,
}

/// A client of both: what was queued since MULTI is compared when EXEC answers.
#[derive(Debug)]
pub struct Both {
    ours: Ours,
    theirs: Client,
    is_queueing: bool,
    queued: Vec<String>,
}

impl Both {
    /// A connection to a store in this process, and one to Redis.
    #[must_use]
    pub fn inside(store: &Store, server: &Server) -> Both {
        Both::new(Ours::Inside(Box::new(Connection::new(store))), server)
    }

    /// A connection to a server, and one to Redis.
    #[must_use]
    pub fn served(ours: Client, server: &Server) -> Both {
        Both::new(Ours::Served(ours), server)
    }

    fn new(ours: Ours, server: &Server) -> Both {
        Both { ours, theirs: server.connect(), is_queueing: false, queued: Vec::new() }
    }

    /// Has both speak RESP3.
    ///
    /// # Panics
    /// If one does not.
    pub fn speak_resp3(&mut self) {
        let hello = ["HELLO", "3"].map(|word| word.as_bytes().to_vec());
        let theirs = self.theirs.execute(&hello).expect("a reply");
        assert!(matches!(theirs, Value::Map(_)), "{theirs:?}");
        match &mut self.ours {
            Ours::Inside(connection) => connection.session_mut().protocol = Protocol::Resp3,
            Ours::Served(client) => {
                let ours = client.execute(&hello).expect("a reply");
                let keys = |reply: &Value| match reply {
                    Value::Map(items) => items.chunks(2).map(|pair| pair[0].clone()).collect(),
                    _ => Vec::new(),
                };
                assert_eq!(keys(&ours), keys(&theirs));
            }
        }
    }

    /// Goes back to how connections begin: no transaction, nothing watched, the first database.
    ///
    /// # Panics
    /// If one does not answer.
    pub fn rest(&mut self) {
        let discard: &[&str] = if self.is_queueing { &["discard"] } else { &[] };
        for line in discard.iter().chain(&["unwatch", "select 0"]) {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            assert!(self.execute(&args).same, "{line}");
        }
    }

    /// Gives a command to both.
    ///
    /// # Panics
    /// If one does not answer.
    pub fn execute(&mut self, args: &[Vec<u8>]) -> Pair {
        self.execute_all(&[args]).pop().expect("a reply")
    }

    /// Gives commands to both, each in one piece.
    ///
    /// # Panics
    /// If one does not answer.
    pub fn execute_all(&mut self, commands: &[&[Vec<u8>]]) -> Vec<Pair> {
        if let [args] = commands
            && args[0].eq_ignore_ascii_case(b"spop")
        {
            return vec![self.pop(args)];
        }
        let by_chance = |args: &&[Vec<u8>]| chance::shown_by(args);
        if !self.is_queueing
            && let Some(at) = commands.iter().position(|args| by_chance(args).is_some())
        {
            // What it chooses from must be known, and stand as it is meanwhile.
            if commands.len() > 1 {
                let parts = [&commands[..at], &commands[at..=at], &commands[at + 1..]];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                return parts.flat_map(|part| self.execute_all(part)).collect();
            }
            return vec![self.choose(commands[0])];
        }
        let sorts = |args: &&[Vec<u8>]| args[0].to_ascii_lowercase().starts_with(b"sort");
        if commands.iter().any(sorts) {
            if commands.len() > 1 {
                return commands.iter().map(|args| self.execute(args)).collect();
            }
            if self.is_queueing {
                let settle: Vec<Vec<u8>> = SETTLE.iter().map(|word| word.as_bytes().to_vec()).collect();
                return self.give(&[&settle, commands[0]]).split_off(1);
            }
            self.theirs.settle().expect("a reply");
        }
        self.give(commands)
    }

    /// A command whose reply is chance: of all that there is, both must have chosen.
    fn choose(&mut self, args: &[Vec<u8>]) -> Pair {
        let all = chance::shown_by(args).map(|show| self.theirs.execute(&show).expect("a reply"));
        let mut pair = self.give(&[args]).remove(0);
        let valid = |reply| all.as_ref().is_none_or(|all| chance::is_valid(args, reply, all));
        pair.same &= valid(&pair.ours) && valid(&pair.theirs);
        pair
    }

    fn give(&mut self, commands: &[&[Vec<u8>]]) -> Vec<Pair> {
        let ours: Vec<Value> = match &mut self.ours {
            Ours::Inside(connection) => commands.iter().map(|args| answer(connection, args)).collect(),
            Ours::Served(client) => {
                client.send(commands).expect("commands are sent");
                commands.iter().map(|_| client.receive().expect("a reply")).collect()
            }
        };
        self.theirs.send(commands).expect("commands are sent");
        let mut pairs = Vec::with_capacity(commands.len());
        for (args, ours) in commands.iter().zip(ours) {
            let theirs = self.theirs.receive().expect("a reply");
            let name = String::from_utf8_lossy(&args[0]).to_lowercase();
            pairs.push(self.compare(&name, ours, theirs));
        }
        pairs
    }

    fn compare(&mut self, name: &str, ours: Value, theirs: Value) -> Pair {
        if ours == Value::Simple(b"QUEUED".to_vec()) {
            self.queued.push(name.to_owned());
        }
        let same = match (&ours, &theirs) {
            (Value::Array(Some(a)), Value::Array(Some(b))) if name == "exec" => {
                let each = self.queued.iter().zip(a.iter().zip(b));
                a.len() == b.len() && each.into_iter().all(|(name, (a, b))| agree(name, a, b))
            }
            _ => agree(name, &ours, &theirs),
        };
        let is_ok = ours == Value::Simple(b"OK".to_vec());
        let aborted = || matches!(&ours, Value::Error(text) if text.starts_with(b"EXECABORT"));
        match name {
            "multi" => self.is_queueing |= is_ok,
            "discard" => self.is_queueing &= !is_ok,
            "exec" if aborted() || !matches!(ours, Value::Error(_)) => self.is_queueing = false,
            _ => {}
        }
        if !self.is_queueing {
            self.queued.clear();
        }
        Pair { ours, theirs, same }
    }

    /// SPOP: what is popped here is removed there, so that both go on with the same. Left out where the
    /// reply comes later.
    fn pop(&mut self, args: &[Vec<u8>]) -> Pair {
        if self.is_queueing {
            return Pair { ours: Value::Integer(0), theirs: Value::Integer(0), same: true };
        }
        let ours = match &mut self.ours {
            Ours::Inside(connection) => answer(connection, args),
            Ours::Served(client) => client.execute(args).expect("a reply"),
        };
        let members = match &ours {
            Value::Bulk(Some(member)) => vec![Value::Bulk(Some(member.clone()))],
            Value::Array(Some(members)) | Value::Set(members) if !members.is_empty() => members.clone(),
            _ => {
                let theirs = self.theirs.execute(args).expect("a reply");
                return Pair { same: ours == theirs, ours, theirs };
            }
        };
        let there = self.theirs.execute(&[b"scard".to_vec(), args[1].clone()]).expect("a reply");
        let most = args.get(2).and_then(|count| String::from_utf8_lossy(count).parse().ok()).unwrap_or(1);
        let expected = if let Value::Integer(there) = there { most.min(there) } else { 0 };
        let mut remove = vec![b"srem".to_vec(), args[1].clone()];
        remove.extend(members.iter().filter_map(|member| match member {
            Value::Bulk(member) => member.clone(),
            _ => None,
        }));
        let theirs = self.theirs.execute(&remove).expect("a reply");
        let same = theirs == Value::Integer(expected) && members.len() as i64 == expected;
        Pair { ours, theirs, same }
    }
}

/// Commands that show what both hold, of all keys that the generator names.
#[must_use]
pub fn looks() -> Vec<Vec<Vec<u8>>> {
    let whole = |look: &str, key: &str| {
        let words = look.split(' ').map(|word| if word == "key" { key } else { word });
        words.map(|word| word.as_bytes().to_vec()).collect()
    };
    let of_keys = LOOKS.iter().flat_map(|look| KEYS.iter().map(move |key| whole(look, key)));
    of_keys.chain([whole("dbsize", "")]).collect()
}

/// What a store in this process answers, as a client would read it.
///
/// # Panics
/// If it is no reply of the protocol.
pub fn answer(connection: &mut Connection, args: &[Vec<u8>]) -> Value {
    let reply = connection.execute(args).reply;
    let mut bytes = Vec::new();
    reply.encode(connection.session().protocol, &mut bytes);
    Value::read(&mut &bytes[..]).expect("a reply")
}
