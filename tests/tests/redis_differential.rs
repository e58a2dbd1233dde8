//! The same random commands to a store of structures and to a real `redis-server`: every reply is compared.
//! Errors that chance seldom meets are met by ways that are kept ([`WAYS`]); one to which there is no way yet
//! gets one.
//!
//! `ESKER_REDIS_COMMANDS` says how many, `ESKER_REDIS_SEED` from which seed on. Without a `redis-server`
//! this fails, unless `ESKER_WITHOUT=redis-server` lets it lack.

use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::{Connection, commands};
use esker_tests::golden;
use esker_tests::redis::{
    Both, Coverage, ErrorKind, Generator, Pair, SHAPES, Server, Step, Value, Way, answer, forgotten, looks,
    parse_ways, print_ways, shown, unmet,
};
use esker_tests::session::shrink;
use esker_tests::workspace;

/// Commands between two emptyings of both.
const SEQUENCE: u64 = 300;
/// Connections that take turns.
const CONNECTIONS: usize = 4;
/// A way to each error that is known.
const WAYS: &str = "fixtures/redis/errors.txt";
/// Those of the source to which there is none, and why.
const UNMET: &str = "fixtures/redis/unmet.txt";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn open(disk: &SimFs, seed: u64) -> Store {
    let builder = Store::builder("/data").deterministic(seed);
    builder.engine(|engine| engine.fs(Fs::Sim(disk.clone())).memory_budget(16 << 20)).open().unwrap()
}

/// The error that the last of these commands is answered with, from an empty store on.
fn leads_to(steps: &[Step]) -> Option<ErrorKind> {
    let store = open(&SimFs::new(), 1);
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| Connection::new(&store)).collect();
    let mut last = None;
    for step in steps {
        last = ErrorKind::of(&step.args, &answer(&mut connections[step.client], &step.args));
    }
    last
}

/// Cuts long arguments that do not matter.
fn cut(mut way: Way) -> Way {
    for at in 0..way.steps.len() {
        for arg in 0..way.steps[at].args.len() {
            let long = way.steps[at].args[arg].clone();
            way.steps[at].args[arg].truncate(8);
            if leads_to(&way.steps).as_ref() != Some(&way.error) {
                way.steps[at].args[arg] = long;
            }
        }
    }
    way
}

/// Goes each way once more, by both, by other keys each time.
fn follow(ways: &[Way], turn: usize, server: &Server, met: &mut Coverage) {
    let store = open(&SimFs::new(), turn as u64);
    let mut clients: Vec<Both> = (0..CONNECTIONS).map(|_| Both::inside(&store, server)).collect();
    if turn % 2 == 1 {
        clients.iter_mut().for_each(Both::speak_resp3);
    }
    for way in ways {
        clients[0].execute(&[b"flushall".to_vec()]);
        let mut last = None;
        for Step { client, args } in way.turned(turn).steps {
            let Pair { ours, theirs, same } = clients[client].execute(&args);
            assert!(same, "{way:?}, turn {turn}: {}: ours {ours:?}, Redis' {theirs:?}", shown(&args));
            met.note(&args, &ours);
            last = ErrorKind::of(&args, &ours);
        }
        assert_eq!(last.as_ref(), Some(&way.error), "{way:?}, turn {turn}");
        clients.iter_mut().for_each(Both::rest);
    }
}

#[test]
fn replies_are_those_of_redis() {
    let Some(server) = Server::start() else { return };
    let (total, first) = (number("ESKER_REDIS_COMMANDS", 60_000), number("ESKER_REDIS_SEED", 1));
    let mut met = Coverage::default();
    let text = std::fs::read_to_string(workspace::root().join(WAYS)).unwrap_or_default();
    let mut ways = parse_ways(&text).unwrap();
    for seed in first..first + total.div_ceil(SEQUENCE) {
        let disk = SimFs::new();
        let mut store = open(&disk, seed);
        let mut clients: Vec<Both> = (0..CONNECTIONS).map(|_| Both::inside(&store, &server)).collect();
        server.connect().execute(&[b"flushall".to_vec()]).unwrap();
        // Every other sequence in RESP3.
        if seed % 2 == 0 {
            clients.iter_mut().for_each(Both::speak_resp3);
        }
        let mut generator = Generator::new(seed);
        let (mut log, mut steps) = (Vec::new(), Vec::new());
        for at in 0..SEQUENCE {
            let client = generator.below(8).saturating_sub(4) as usize;
            let args = generator.command();
            log.push(format!("{client}: {}", shown(&args)));
            let Pair { ours, theirs, same } = clients[client].execute(&args);
            let tail = log[log.len().saturating_sub(40)..].join("\n");
            assert!(same, "seed {seed}, command {at}:\n{tail}\nours:   {ours:?}\nRedis': {theirs:?}");
            met.note(&args, &ours);
            let error = ErrorKind::of(&args, &ours);
            steps.push(Step { client, args });
            let new = error.filter(|error| !ways.iter().any(|way| way.error == *error));
            if let Some(error) = new.filter(|error| leads_to(&steps).as_ref() == Some(error)) {
                let steps = shrink(&steps, |steps| leads_to(steps).as_ref() == Some(&error));
                ways.push(cut(Way { error, steps }));
            }
        }
        let report = store.verify().unwrap();
        assert!(report.is_clean(), "seed {seed}: {:?}\n{}", report.findings, log.join("\n"));
        // What is there must be there after a close, too.
        drop(clients);
        store.clone().close().unwrap();
        store = open(&disk, seed);
        let mut client = Both::inside(&store, &server);
        for database in 0..3 {
            client.execute(&[b"select".to_vec(), database.to_string().into_bytes()]);
            for args in looks() {
                let Pair { ours, theirs, same } = client.execute(&args);
                let (all, args) = (log.join("\n"), shown(&args));
                assert!(same, "seed {seed}, at the end: {args}\nours: {ours:?}\nRedis': {theirs:?}\n{all}");
            }
        }
        assert!(store.verify().unwrap().is_clean());
    }
    let least = (total / 6_000).min(500);
    (0..least as usize).for_each(|turn| follow(&ways, turn, &server, &mut met));
    assert_eq!(met.rare(least), Vec::<String>::new(), "met fewer than {least} times");
    let rare: Vec<&ErrorKind> = met.rare_errors(least).collect();
    assert!(rare.is_empty(), "met fewer than {least} times, and no way leads there: {rare:?}");
    golden::check(WAYS, &print_ways(&ways));
    let covered = met.summary();
    esker_tests::figure!("redis: {total} commands from seed {first} on; {covered}; differences: 0");
}

/// Whoever watches is turned away by what changes a key, and by nothing else: each command comes between
/// somebody else's WATCH and EXEC. By chance alone the four seldom meet.
#[test]
fn who_watches_is_told_of_what_redis_tells() {
    let Some(server) = Server::start() else { return };
    let (total, first) = (number("ESKER_REDIS_COMMANDS", 60_000) / 10, number("ESKER_REDIS_SEED", 1));
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let (mut kept, mut turned_away) = (0, 0);
    for seed in first..first + total.div_ceil(SEQUENCE) {
        let store = open(&SimFs::new(), seed);
        let mut clients: Vec<Both> = (0..2).map(|_| Both::inside(&store, &server)).collect();
        server.connect().execute(&[b"flushall".to_vec()]).unwrap();
        let mut generator = Generator::new(seed + 1_000_000);
        let mut log = Vec::new();
        for at in 0..SEQUENCE {
            let args = generator.command();
            let steps = [
                (1, words("watch k0 k1 k2 k3 k4 k5 k6 k7 far")),
                (0, args),
                (1, words("multi")),
                (1, words("ping")),
                (1, words("exec")),
            ];
            for (client, args) in steps {
                log.push(format!("{client}: {}", shown(&args)));
                let Pair { ours, theirs, same } = clients[client].execute(&args);
                let tail = log[log.len().saturating_sub(60)..].join("\n");
                assert!(same, "seed {seed}, round {at}:\n{tail}\nours:   {ours:?}\nRedis': {theirs:?}");
                if args == words("exec") {
                    let went_on = matches!(&ours, Value::Array(Some(_)));
                    *(if went_on { &mut kept } else { &mut turned_away }) += 1;
                }
            }
        }
    }
    esker_tests::figure!("redis: of {total} who watched {kept} went on and {turned_away} were turned away");
    assert!(kept > total / 20 && turned_away > total / 20);
}

/// Commands that leave a key as it was, or nearly: behind those that make it, whether that modifies it.
const NEARLY_NOTHING: &[(&str, &str)] = &[
    ("set k v pxat 33177117420000", "getex k pxat 33177117420000"),
    ("set k v exat 33177117420", "getex k exat 33177117420"),
    ("set k v", "getex k pxat 33177117420000"),
    ("set k v pxat 33177117420000", "getex k"),
    ("set k v pxat 33177117420000", "getex k persist"),
    ("set k v", "getex k persist"),
    ("set k v", "getex k px 0"),
    ("set k v pxat 33177117420000", "pexpireat k 33177117420000"),
    ("set k v pxat 33177117420000", "pexpireat k 33177117420000 gt"),
    ("set k v pxat 33177117420000", "pexpireat k 33177117420000 nx"),
    ("rpush k a | expireat k 33177117420", "expireat k 33177117420"),
    ("rpush k a", "expireat k 33177117420 xx"),
    ("rpush k a", "persist k"),
    ("set k v pxat 33177117420000", "set k v pxat 33177117420000"),
    ("set k v pxat 33177117420000", "set k v keepttl"),
    ("set k v", "set k v nx"),
    ("set k v", "set k w nx get"),
    ("set k v", "setnx k w"),
    ("set k v", "msetnx j w k w"),
    ("set k v", "getset k v"),
    ("set k v", "append k \"\""),
    ("set k v", "setrange k 0 \"\""),
    ("set k v", "setrange k 0 v"),
    ("set k v", "setbit k 1 1"),
    ("set k v", "setbit k 7 0"),
    ("set k v", "bitfield k get u8 0"),
    ("set k v", "bitfield k set u8 0 118"),
    ("set k v", "bitfield k overflow fail incrby u1 1 1"),
    ("set k 5", "incrby k 0"),
    ("set k 5", "incrbyfloat k 0"),
    ("set k x", "incr k"),
    ("set k v", "copy j k replace"),
    ("set k v", "copy k j"),
    ("set k v", "rename k k"),
    ("set k v", "renamenx k k"),
    ("set k v | set j w", "renamenx j k"),
    ("set k v", "move k 1"),
    ("set k v | select 1 | set k w | select 0", "move k 1"),
    ("set k v", "del j"),
    ("set k v", "unlink k k"),
    ("set k v", "touch k"),
    ("set k v", "swapdb 0 0"),
    ("set k v", "swapdb 1 2"),
    ("select 1 | set k v | select 0", "swapdb 0 1"),
    ("set k v", "flushdb"),
    ("set j v", "flushdb"),
    ("set k v", "bitop and k k"),
    ("set j v", "bitop and k none"),
    ("hset k f v", "hset k f v"),
    ("hset k f v", "hsetnx k f w"),
    ("hset k f v", "hdel k g"),
    ("hset k f 1", "hincrby k f 0"),
    ("hset k f 1", "hincrbyfloat k f 0"),
    ("hset k f v", "hincrby k f 1"),
    ("sadd k a b", "sadd k a b"),
    ("sadd k a b", "srem k c"),
    ("sadd k a b", "smove k k a"),
    ("sadd k a b", "smove k j c"),
    ("sadd k a b | sadd j a", "smove j k a"),
    ("sadd k a b", "spop k 0"),
    ("sadd k a b", "sunionstore k k"),
    ("sadd k a b", "sinterstore j k none"),
    ("sadd j a", "sinterstore k j none"),
    ("rpush k a b", "ltrim k 0 -1"),
    ("rpush k a b", "lset k 0 a"),
    ("rpush k a b", "lset k 9 a"),
    ("rpush k a b", "lrem k 0 c"),
    ("rpush k a b", "linsert k before c d"),
    ("rpush k a", "lmove k k left right"),
    ("rpush k a", "rpoplpush k k"),
    ("rpush k a b", "lpop k 0"),
    ("rpush k a b", "lmpop 2 none none left"),
    ("set k v", "lpushx none a"),
    ("set k v", "lpush k a"),
    ("zadd k 1 a", "zadd k 1 a"),
    ("zadd k 1 a", "zadd k ch 1 a"),
    ("zadd k 1 a", "zadd k nx 2 a"),
    ("zadd k 1 a", "zadd k gt 0 a"),
    ("zadd k 1 a", "zadd k xx incr 0 a"),
    ("zadd k 1 a", "zadd k nx incr 1 a"),
    ("zadd k 1 a", "zincrby k 0 a"),
    ("zadd k 1 a", "zrem k b"),
    ("zadd k 1 a", "zpopmin k 0"),
    ("zadd k 1 a", "zremrangebyrank k 5 9"),
    ("zadd k 1 a", "zremrangebyscore k 5 9"),
    ("zadd k 1 a", "zrangestore k k 0 -1"),
    ("zadd j 1 a", "zrangestore k j 5 9"),
    ("zadd k 1 a | zrangestore k none 0 -1", "zrangestore k none 0 -1"),
    ("zadd k 1 a", "zunionstore k 1 k"),
    ("zadd k 1 a", "zdiffstore j 2 k k"),
    ("zadd j 1 a", "zdiffstore k 2 j j"),
    ("rpush k b a", "sort k by nosort store k"),
    ("set j v", "sort none store k"),
];

/// Whoever watches is told of some changes that change nothing, and not of others: of the same as by Redis.
#[test]
fn who_watches_is_told_of_the_least_of_changes_as_by_redis() {
    let Some(server) = Server::start() else { return };
    let words = |line: &str| {
        let word = |word: &str| if word == "\"\"" { Vec::new() } else { word.as_bytes().to_vec() };
        line.split(' ').map(word).collect::<Vec<_>>()
    };
    let store = open(&SimFs::new(), 1);
    let mut clients: Vec<Both> = (0..2).map(|_| Both::inside(&store, &server)).collect();
    let (mut went_on, mut told) = (0, 0);
    for (before, deed) in NEARLY_NOTHING {
        let begin = ["flushall"].into_iter().chain(before.split(" | ")).map(|line| (0, line));
        let rest = [(1, "watch k"), (0, deed), (1, "multi"), (1, "exists k"), (1, "exec")];
        for (client, line) in begin.chain(rest) {
            let Pair { ours, theirs, same } = clients[client].execute(&words(line));
            assert!(same, "{before}, {deed}: {line}:\nours:   {ours:?}\nRedis': {theirs:?}");
            if line == "exec" {
                *(if matches!(ours, Value::Array(Some(_))) { &mut went_on } else { &mut told }) += 1;
            }
        }
    }
    esker_tests::figure!("redis: of {} who watched {went_on} went on and {told} were told", went_on + told);
    assert!(went_on > 20 && told > 20, "{went_on}, {told}");
}

#[test]
fn every_command_has_a_shape() {
    let unknown: Vec<&str> = commands()
        .map(|command| command.name)
        .filter(|name| !SHAPES.iter().any(|(known, _)| known == name))
        .collect();
    assert_eq!(unknown, ["flushall"], "flushall would end what other sequences began");
}

#[test]
fn every_error_of_the_source_is_met_or_said_not_to_be() {
    let read = |path| std::fs::read_to_string(workspace::root().join(path)).unwrap();
    let (ways, unmet) = (parse_ways(&read(WAYS)).unwrap(), unmet(&read(UNMET)).unwrap());
    let wrong = forgotten(&workspace::text_files(), &ways, &unmet);
    assert!(wrong.is_empty(), "{} or {}: {wrong:#?}", WAYS, UNMET);
}
