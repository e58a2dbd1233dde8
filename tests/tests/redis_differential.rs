//! The same random commands to a store of structures and to a real `redis-server`: every reply is compared.
//!
//! `ESKER_REDIS_COMMANDS` says how many, `ESKER_REDIS_SEED` from which seed on. Without a `redis-server` on
//! the machine nothing is compared, and the test says so.

use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::{Connection, Protocol, Reply, commands};
use esker_tests::redis::{Client, Generator, KEYS, SHAPES, Server, Value, agree};
use std::collections::BTreeMap;

/// Commands between two emptyings of both.
const SEQUENCE: u64 = 300;
/// Connections that take turns.
const CONNECTIONS: usize = 4;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn parsed(reply: &Reply) -> Value {
    let mut bytes = Vec::new();
    reply.encode(Protocol::Resp2, &mut bytes);
    Value::read(&mut &bytes[..]).expect("a reply of RESP2")
}

fn open(disk: &SimFs, seed: u64) -> Store {
    let builder = Store::builder("/data").deterministic(seed);
    builder.engine(|engine| engine.fs(Fs::Sim(disk.clone())).memory_budget(16 << 20)).open().unwrap()
}

/// A client of both: what was queued since MULTI is compared when EXEC answers.
struct Both {
    ours: Connection,
    theirs: Client,
    queued: Vec<String>,
}

impl Both {
    fn new(store: &Store, server: &Server) -> Both {
        Both { ours: Connection::new(store), theirs: server.connect(), queued: Vec::new() }
    }

    /// Gives a command to both, and returns the replies if they differ.
    fn execute(&mut self, args: &[Vec<u8>]) -> (Value, Value, bool) {
        let name = String::from_utf8_lossy(&args[0]).to_lowercase();
        if name == "spop" {
            return self.pop(args);
        }
        let ours = parsed(&self.ours.execute(args).reply);
        let theirs = self.theirs.execute(args).unwrap();
        if ours == Value::Simple(b"QUEUED".to_vec()) {
            self.queued.push(name.clone());
        }
        let same = match (&ours, &theirs) {
            (Value::Array(Some(a)), Value::Array(Some(b))) if name == "exec" => {
                let each = self.queued.iter().zip(a.iter().zip(b));
                a.len() == b.len() && each.into_iter().all(|(name, (a, b))| agree(name, a, b))
            }
            _ => agree(&name, &ours, &theirs),
        };
        if !self.ours.session().is_queueing() {
            self.queued.clear();
        }
        (ours, theirs, same)
    }

    /// SPOP: what is popped here is removed there, so that both go on with the same. Left out where the
    /// reply comes later.
    fn pop(&mut self, args: &[Vec<u8>]) -> (Value, Value, bool) {
        if self.ours.session().is_queueing() {
            return (Value::Integer(0), Value::Integer(0), true);
        }
        let ours = parsed(&self.ours.execute(args).reply);
        let members = match &ours {
            Value::Bulk(Some(member)) => vec![Value::Bulk(Some(member.clone()))],
            Value::Array(Some(members)) if !members.is_empty() => members.clone(),
            _ => {
                let theirs = self.theirs.execute(args).unwrap();
                let same = ours == theirs;
                return (ours, theirs, same);
            }
        };
        let there = self.theirs.execute(&[b"scard".to_vec(), args[1].clone()]).unwrap();
        let most = args.get(2).map_or(1, |count| String::from_utf8_lossy(count).parse().unwrap());
        let expected = if let Value::Integer(there) = there { most.min(there) } else { 0 };
        let mut remove = vec![b"srem".to_vec(), args[1].clone()];
        remove.extend(members.iter().filter_map(|member| match member {
            Value::Bulk(member) => member.clone(),
            _ => None,
        }));
        let theirs = self.theirs.execute(&remove).unwrap();
        let same = theirs == Value::Integer(expected) && members.len() as i64 == expected;
        (ours, theirs, same)
    }
}

fn shown(args: &[Vec<u8>]) -> String {
    let shown = |arg: &Vec<u8>| {
        let text = arg[..arg.len().min(80)].escape_ascii().to_string();
        if arg.len() > 80 { format!("{text}..({})", arg.len()) } else { text }
    };
    args.iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// What both hold at the end of a sequence.
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

#[test]
fn replies_are_those_of_redis() {
    let Some(server) = Server::start() else {
        println!("no redis-server here: nothing is compared");
        return;
    };
    let (total, first) = (number("ESKER_REDIS_COMMANDS", 20_000), number("ESKER_REDIS_SEED", 1));
    let mut met: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for seed in first..first + total.div_ceil(SEQUENCE) {
        let disk = SimFs::new();
        let mut store = open(&disk, seed);
        let mut clients: Vec<Both> = (0..CONNECTIONS).map(|_| Both::new(&store, &server)).collect();
        clients[0].theirs.execute(&[b"flushall".to_vec()]).unwrap();
        let mut generator = Generator::new(seed);
        let mut log = Vec::new();
        for at in 0..SEQUENCE {
            let client = generator.below(8).saturating_sub(4) as usize;
            let args = generator.command();
            log.push(format!("{client}: {}", shown(&args)));
            let (ours, theirs, same) = clients[client].execute(&args);
            let tail = log[log.len().saturating_sub(40)..].join("\n");
            assert!(same, "seed {seed}, command {at}:\n{tail}\nours:   {ours:?}\nRedis': {theirs:?}");
            let met = met.entry(String::from_utf8_lossy(&args[0]).to_lowercase()).or_default();
            met.0 += 1;
            met.1 += u64::from(matches!(ours, Value::Error(_)));
        }
        let report = store.verify().unwrap();
        assert!(report.is_clean(), "seed {seed}: {:?}\n{}", report.findings, log.join("\n"));
        // What is there must be there after a close, too.
        drop(clients);
        store.clone().close().unwrap();
        store = open(&disk, seed);
        let mut client = Both::new(&store, &server);
        for database in 0..3 {
            client.execute(&[b"select".to_vec(), database.to_string().into_bytes()]);
            for look in LOOKS {
                for key in KEYS {
                    let words = look.split(' ').map(|word| if word == "key" { *key } else { word });
                    let args: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
                    let (ours, theirs, same) = client.execute(&args);
                    let all = log.join("\n");
                    assert!(
                        same,
                        "seed {seed}, at the end: {}\nours: {ours:?}\nRedis': {theirs:?}\n{all}",
                        shown(&args)
                    );
                }
            }
            let (ours, theirs, same) = client.execute(&[b"dbsize".to_vec()]);
            assert!(same, "seed {seed}: keys: {ours:?} {theirs:?}\n{}", log.join("\n"));
        }
        assert!(store.verify().unwrap().is_clean());
    }
    let least = SHAPES.iter().map(|(name, _)| met.get(*name).copied().unwrap_or_default()).min();
    let errors: u64 = met.values().map(|met| met.1).sum();
    esker_tests::figure!(
        "redis: {total} commands from seed {first} on, {errors} of them refused by both; the rarest command \
         met {} times; differences: 0",
        least.unwrap_or_default().0
    );
}

#[test]
fn every_command_has_a_shape() {
    let unknown: Vec<&str> = commands()
        .map(|command| command.name)
        .filter(|name| !SHAPES.iter().any(|(known, _)| known == name))
        .collect();
    assert_eq!(unknown, ["flushall"], "flushall would end what other sequences began");
}
