//! The same random commands to `esker serve` and to a real `redis-server`, over the wire, in RESP2 and in
//! RESP3, by several connections that send pipelines: every reply is compared.
//!
//! `ESKER_WIRE_COMMANDS` says how many, `ESKER_WIRE_SEED` from which seed on. Without a `redis-server`
//! these tests fail, unless `ESKER_WITHOUT=redis-server` lets it lack.

use esker_structures::Store;
use esker_structures::command::{find, page};
use esker_tests::redis::{Both, Client, Generator, Pair, Server, Value, looks, shown};
use esker_tests::served::Served;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");
/// Commands between two emptyings of both.
const SEQUENCE: u64 = 300;
/// Sequences between two stops of the server, which then is checked and started again.
const SEQUENCES: u64 = 40;
/// Connections that take turns.
const CONNECTIONS: usize = 6;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The words of a line. Those behind a `"` are one, to its end.
fn words(text: &str) -> Vec<Vec<u8>> {
    let (line, last) = text.split_once(" \"").map_or((text, None), |(line, last)| (line, Some(last)));
    line.split(' ').chain(last).map(|word| word.as_bytes().to_vec()).collect()
}

/// A server and a `redis-server`.
struct Servers {
    ours: Option<Served>,
    theirs: Server,
    dir: tempfile::TempDir,
}

impl Servers {
    /// `None` if there is no `redis-server` here, and that is allowed.
    fn start() -> Option<Servers> {
        let theirs = Server::start()?;
        Some(Servers { ours: None, theirs, dir: tempfile::tempdir().unwrap() })
    }

    fn start_ours(&mut self, mode: &str) {
        self.ours = Some(Served::start(PROGRAM, self.dir.path(), &["--durability", mode]));
    }

    fn client(&self) -> Client {
        Client::new(self.ours.as_ref().unwrap().stream())
    }

    fn both(&self) -> Both {
        Both::served(self.client(), &self.theirs)
    }

    /// Stops the server as SIGTERM does, and checks what it leaves.
    fn stop_and_check(&mut self) {
        let Some(ours) = self.ours.take() else { return };
        let killed = std::process::Command::new("kill").arg(ours.pid().to_string()).status().unwrap();
        assert!(killed.success());
        let (status, said) = ours.wait();
        assert!(status.success(), "{said}");
        check(self.dir.path());
    }
}

fn check(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    store.close().unwrap();
}

fn compare(pairs: Vec<Pair>, about: impl Fn() -> String) {
    for Pair { ours, theirs, same } in pairs {
        assert!(same, "{}\nours:   {ours:?}\nRedis': {theirs:?}", about());
    }
}

/// A sequence of commands by all clients, each in pieces of up to eight. Returns how many were refused.
fn sequence(servers: &Servers, seed: u64, log: &mut Vec<String>) -> u64 {
    for client in [&mut servers.client(), &mut servers.theirs.connect()] {
        assert_eq!(client.execute(&words("flushall")).unwrap(), Value::Simple(b"OK".to_vec()));
    }
    let mut clients: Vec<Both> = (0..CONNECTIONS).map(|_| servers.both()).collect();
    // Of each kind there are some in most sequences, and only one in the others.
    for (number, client) in (0u64..).zip(&mut clients) {
        if (number + seed).is_multiple_of(2) || seed.is_multiple_of(5) {
            client.speak_resp3();
        }
    }
    let mut generator = Generator::new(seed);
    let mut refused = 0;
    let mut left = SEQUENCE;
    while left > 0 {
        let client = generator.below(10).saturating_sub(4) as usize;
        let most = if generator.below(3) == 0 { 1 + generator.below(8) } else { 1 };
        let mut commands: Vec<_> = (0..most.min(left)).map(|_| generator.command()).collect();
        // What chance removes here must be removed there before anything else.
        if let Some(at) = commands.iter().position(|args| args[0].eq_ignore_ascii_case(b"spop")) {
            commands.truncate(at.max(1));
        }
        left -= commands.len() as u64;
        log.push(format!("{client}: {}", commands.iter().map(|c| shown(c)).collect::<Vec<_>>().join(" | ")));
        let pieces: Vec<&[Vec<u8>]> = commands.iter().map(Vec::as_slice).collect();
        let pairs = clients[client].execute_all(&pieces);
        refused += pairs.iter().filter(|pair| matches!(pair.ours, Value::Error(_))).count() as u64;
        compare(pairs, || format!("seed {seed}:\n{}", log[log.len().saturating_sub(60)..].join("\n")));
    }
    refused
}

fn look(servers: &Servers, seed: u64, log: &[String]) {
    let mut client = servers.both();
    for database in 0..3 {
        client.execute(&words(&format!("select {database}")));
        for args in looks() {
            let pairs = vec![client.execute(&args)];
            compare(pairs, || format!("seed {seed}, at the end: {}\n{}", shown(&args), log.join("\n")));
        }
    }
}

#[test]
fn replies_are_those_of_redis_over_the_wire() {
    let Some(mut servers) = Servers::start() else { return };
    let (total, first) = (number("ESKER_WIRE_COMMANDS", 40_000), number("ESKER_WIRE_SEED", 1));
    let mut refused = 0;
    for (round, seed) in (0u64..).zip(first..first + total.div_ceil(SEQUENCE)) {
        if round.is_multiple_of(SEQUENCES) {
            servers.stop_and_check();
            servers.start_ours(if (round / SEQUENCES).is_multiple_of(2) { "os" } else { "sync" });
        }
        let mut log = Vec::new();
        refused += sequence(&servers, seed, &mut log);
        if (round + 1).is_multiple_of(SEQUENCES) {
            // What is there must be there after a stop, too.
            servers.stop_and_check();
            servers.start_ours("os");
        }
        look(&servers, seed, &log);
    }
    servers.stop_and_check();
    esker_tests::figure!(
        "redis: {total} commands over the wire from seed {first} on, in RESP2 and RESP3, by {CONNECTIONS} \
         connections, {refused} of them refused by both; differences: 0"
    );
}

/// What errors quote goes over the wire as it came, whatever bytes it is made of.
#[test]
fn errors_quote_bytes_as_they_are() {
    let Some(mut servers) = Servers::start() else { return };
    servers.start_ours("os");
    let long = vec![0xfe; 300];
    let commands: &[&[&[u8]]] = &[
        &[b"\xff\xfe", b"a\xffb", b"\xc3\xa4"],
        &[b"\xc3\xa4", b"\xc3"],
        &[b"no\0such", b"a\0b", b""],
        &[b"a\r\nb", b"c\n", b"\r"],
        &[&long, b"x"],
        &[b"nosuch", &long, b"y"],
        &[b"nosuch", &long[..100], &long[..20], &long],
        &[b"", b"\x80"],
        &[b"object", b"\xff\0x", b"k"],
        &[b"client", b"\xff"],
        &[b"config", b"\x80\r\n"],
        &[b"config", b"set", b"\xff\xfe", b"1"],
        &[b"client", b"list", b"type", b"\xff"],
        &[b"hello", b"3", b"\xff"],
        &[b"expire", b"k", b"1", b"\xff"],
        &[b"expire", b"k", b"1", b"a\r\n"],
        &[b"expire", b"k", b"1", &long],
        &[b"multi"],
        &[b"\xff", b"\xfe"],
        &[b"exec"],
    ];
    let mut both = servers.both();
    for resp3 in [false, true] {
        if resp3 {
            both.speak_resp3();
        }
        for command in commands {
            let args: Vec<Vec<u8>> = command.iter().map(|arg| arg.to_vec()).collect();
            compare(vec![both.execute(&args)], || shown(&args));
        }
    }
    servers.stop_and_check();
}

/// Commands about the connection and the server, whose replies hold no chance.
const FIXED: &[&str] = &[
    "multi",
    "client getname",
    "config get maxmemory",
    "set k v",
    "client setname me",
    "client getname",
    "config get databases",
    "exec",
    "client getname",
    "multi",
    "client nosuch",
    "get k",
    "exec",
    "multi",
    "shutdown nosave",
    "exec",
    "multi",
    "config",
    "exec",
    "multi",
    "command getkeys set a b",
    "command getkeys",
    "exec",
    "multi",
    "hgetall none",
    "hello 3",
    "hgetall none",
    "zadd z 1.5 m",
    "zscore z m",
    "client getname",
    "discard",
    "multi",
    "hset h f v",
    "hgetall h",
    "reset",
    "exec",
    "hello 2",
    "hello 3 setname",
    "hello x",
    "hello 3 setname you",
    "client getname",
    // Only where it began with it: what follows is to be compared in both protocols.
    "HELLO 2",
    "multi",
    "client setname them",
    "hgetall h",
    "select 3",
    "exec",
    "get k",
    "select 0",
    "client setname a\tb",
    "client reply",
    "client reply off on",
    "client reply maybe",
    "client no-evict maybe",
    "client list type nosuch",
    "client list id x",
    "client list id -1",
    "client list type pubsub",
    "auth",
    "auth x",
    "auth default x",
    "auth nosuch x",
    "echo a b",
    "config get",
    "config get *-max-intset-entries",
    "config get hash-max-listpack-entries",
    "config get hash-max-listpack-value",
    "config get hash-max-ziplist-entries",
    "config get hash-max-ziplist-value",
    "config get zset-max-listpack-entries",
    "config get zset-max-listpack-value",
    "config get zset-max-ziplist-entries",
    "config get zset-max-ziplist-value",
    "config get list-max-listpack-size",
    "config get list-max-ziplist-size",
    "config get list-compress-depth",
    "config set maxmemory",
    "config set nosuch 1",
    "config set maxclients x",
    "config set client-output-buffer-limit \"pubsub 32mb 8mb 60",
    "config set client-output-buffer-limit \"normal 1gb 1mb 60 slave 5 4 3 pubsub 1 2 3",
    "config get client-output-buffer-limit",
    "config set client-output-buffer-limit \"replica 7mb 7 7",
    "config get client-output-buffer-limit",
    "config set client-output-buffer-limit \"nosuch 32mb 8mb 60",
    "config set client-output-buffer-limit \"master 0 0 0",
    "config set client-output-buffer-limit \"normal 0 0",
    "config set client-output-buffer-limit \"normal 0 0 x",
    "config get client-output-buffer-limit",
    "client xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx k",
    "command nosuch",
    "command count 1",
    "command getkeys nosuch",
    "command getkeys get",
    "command getkeys ping",
    "command getkeys multi",
    "command getkeys mset a 1 b 2",
    "command getkeys zunionstore to 2 a b weights 1 2",
    "command getkeys zunionstore to 5 a",
    "command getkeys sintercard 2 a b",
    "command getkeys sintercard 0 a",
    "command getkeys lmpop 2 a b left",
    "command getkeys copy a b db 1",
    "command getkeys object encoding a",
    "command info nosuch",
    "command list filterby nosuch x",
    "command list filterby pattern zrangebyl*",
    "command list filterby pattern nosuch*",
    "info nosuch",
    "quit",
];

/// HELLO tells the number of the connection.
fn is_own(command: &str) -> bool {
    command.to_ascii_lowercase().starts_with("hello ")
}

#[test]
fn commands_of_the_connection_are_those_of_redis() {
    let Some(mut servers) = Servers::start() else { return };
    servers.start_ours("sync");
    for resp3 in [false, true] {
        let mut both = servers.both();
        if resp3 {
            both.speak_resp3();
        }
        let mut log = Vec::new();
        for command in FIXED.iter().filter(|command| !resp3 || **command != "HELLO 2") {
            log.push(*command);
            let pairs = vec![both.execute(&words(command))];
            if !is_own(command) || matches!(pairs[0].theirs, Value::Error(_)) {
                compare(pairs, || format!("resp3 {resp3}:\n{}", log.join("\n")));
            }
        }
    }
    servers.stop_and_check();
}

/// What HELLO answers, without the number of the connection.
fn greeting(reply: &Value) -> Value {
    let own = bulk("id");
    let hide = |items: &[Value]| {
        let mut items = items.to_vec();
        if let Some(at) = items.iter().position(|item| *item == own) {
            items[at + 1] = Value::Null;
        }
        items
    };
    match reply {
        Value::Map(items) => Value::Map(hide(items)),
        Value::Array(Some(items)) => Value::Array(Some(hide(items))),
        other => other.clone(),
    }
}

/// HELLO with each version and up to three options in each order: what it answers, and the name and the
/// protocol that the connection has then.
#[test]
fn hello_is_that_of_redis_with_all_its_options() {
    const VERSIONS: &[&str] = &["", " 2", " 3", " 4", " 1", " x", " 03", " 9223372036854775808"];
    const OPTIONS: &[&str] = &[
        " auth default secret",
        " AUTH nosuch secret",
        " auth default",
        " setname one",
        " SETNAME two",
        " setname",
        " setname a\nb",
        " nosuch",
    ];
    let Some(mut servers) = Servers::start() else { return };
    servers.start_ours("os");
    let mut sets = vec![String::new()];
    for from in [0, 1, 1 + OPTIONS.len()] {
        let longer: Vec<String> = sets[from..]
            .iter()
            .flat_map(|set| OPTIONS.iter().map(move |option| format!("{set}{option}")))
            .collect();
        sets.extend(longer);
    }
    let (mut ours, mut theirs) = (servers.client(), servers.theirs.connect());
    let mut refused = 0;
    for set in &sets {
        for version in VERSIONS {
            let line = format!("hello{version}{set}");
            let both = |args: &[Vec<u8>], ours: &mut Client, theirs: &mut Client| {
                let (ours, theirs) = (ours.execute(args).unwrap(), theirs.execute(args).unwrap());
                assert_eq!(greeting(&ours), greeting(&theirs), "{line}");
                matches!(ours, Value::Error(_))
            };
            both(&words("client setname before"), &mut ours, &mut theirs);
            refused += usize::from(both(&words(&line), &mut ours, &mut theirs));
            both(&words("client getname"), &mut ours, &mut theirs);
            both(&words("hgetall none"), &mut ours, &mut theirs);
        }
    }
    let count = sets.len() * VERSIONS.len();
    esker_tests::figure!("redis: HELLO in {count} forms, {refused} of them refused by both; differences: 0");
    servers.stop_and_check();
}

/// What COMMAND INFO says of each command and each of its subcommands, by name: arity, flags, keys and
/// categories of access. (Tips and key specifications are left out here.)
fn described(reply: &Value) -> BTreeMap<Value, Vec<Value>> {
    let Value::Array(Some(commands)) = reply else { panic!("{reply:?}") };
    let sorted = |items: &Value| match items {
        Value::Array(Some(items)) | Value::Set(items) => {
            let mut items = items.clone();
            items.sort_unstable();
            Value::Set(items)
        }
        other => panic!("{other:?}"),
    };
    let mut described = BTreeMap::new();
    for command in commands {
        let Value::Array(Some(parts)) = command else { continue };
        let mut about = parts[1..6].to_vec();
        about[1] = sorted(&about[1]);
        about.push(sorted(&parts[6]));
        described.insert(parts[0].clone(), about);
        described.append(&mut self::described(&parts[9]));
    }
    described
}

fn bulk(text: &str) -> Value {
    Value::Bulk(Some(text.as_bytes().to_vec()))
}

/// What is newer than the server there: commands that it does not have, and those of which it says something
/// else, how.
const NEWER: &[&str] = &["client|no-touch", "client|setinfo"];
const TAKES_MORE: &[&str] = &["zrank", "zrevrank"];

/// Groups of commands of data.
const DATA: &[&str] = &[
    "generic",
    "string",
    "bitmap",
    "hash",
    "list",
    "set",
    "sorted-set",
    "stream",
    "geo",
    "hyperloglog",
    "pubsub",
    "scripting",
    "transactions",
];

/// What only tests and other servers send, and what is newer than the server there.
const INTERNAL: &[&str] = &["restore-asking", "pfdebug", "pfselftest"];
const SINCE_7_2: &[&str] = &[
    "waitaof",
    "hexpire",
    "hexpireat",
    "hexpiretime",
    "hpersist",
    "hpexpire",
    "hpexpireat",
    "hpexpiretime",
    "hpttl",
    "httl",
];

#[test]
fn every_command_of_data_of_redis_is_there_or_said_not_to_be() {
    let Some(theirs) = Server::start() else { return };
    let Value::Array(Some(docs)) = theirs.connect().execute(&words("command docs")).unwrap() else {
        panic!()
    };
    let mut known = BTreeSet::new();
    for pair in docs.chunks(2) {
        let [Value::Bulk(Some(name)), Value::Array(Some(about))] = pair else { panic!("{pair:?}") };
        let group = about.chunks(2).find(|pair| pair[0] == bulk("group")).map(|pair| pair[1].clone());
        if DATA.iter().any(|data| group == Some(bulk(data))) {
            known.insert(String::from_utf8(name.clone()).unwrap());
        }
    }
    assert!(known.len() > 150, "{known:?}");
    let page = page();
    let absent: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- ")?.split_once(": "))
        .flat_map(|(_, names)| names.split(", ").map(str::to_lowercase))
        .collect();
    let missing: Vec<&String> = known
        .iter()
        .filter(|name| find(name.as_bytes()).is_none() && !absent.contains(*name))
        .filter(|name| !INTERNAL.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "neither there nor listed: {missing:?}");
    let unknown: Vec<&String> =
        absent.iter().filter(|name| !known.contains(*name) && !SINCE_7_2.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "no such commands: {unknown:?}");
}

/// COMMAND LIST by each category of access, of what is there in both.
fn listed_by_category(ours: &mut Client, theirs: &mut Client, known: &BTreeMap<Value, Vec<Value>>) {
    let lists = |client: &mut Client, line: &str| match client.execute(&words(line)).unwrap() {
        Value::Array(Some(names)) => names.into_iter().collect::<BTreeSet<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(lists(ours, "command list"), known.keys().cloned().collect());
    let Value::Array(Some(categories)) = theirs.execute(&words("acl cat")).unwrap() else { panic!() };
    assert!(categories.len() > 15);
    for category in categories.iter().chain(&[bulk("nosuch"), bulk("@read"), bulk("READ")]) {
        let Value::Bulk(Some(category)) = category else { panic!("{category:?}") };
        let line = format!("command list filterby aclcat {}", String::from_utf8_lossy(category));
        let newer = |name: &Value| NEWER.iter().any(|newer| *name == bulk(newer));
        let of_ours: BTreeSet<Value> = lists(ours, &line).into_iter().filter(|name| !newer(name)).collect();
        let theirs = lists(theirs, &line).into_iter().filter(|name| known.contains_key(name));
        assert_eq!(of_ours, theirs.collect(), "{line}");
    }
}

#[test]
fn commands_are_described_as_redis_describes_them() {
    let Some(mut servers) = Servers::start() else { return };
    servers.start_ours("os");
    let (mut ours, mut theirs) = (servers.client(), servers.theirs.connect());
    let names = match ours.execute(&words("command list")).unwrap() {
        Value::Array(Some(names)) => names,
        other => panic!("{other:?}"),
    };
    let whole = names.iter().filter(|name| !matches!(name, Value::Bulk(Some(name)) if name.contains(&b'|')));
    assert_eq!(ours.execute(&words("command count")).unwrap(), Value::Integer(whole.count() as i64));
    let (of_ours, of_theirs) = (words("command"), words("command"));
    let ours_all = described(&ours.execute(&of_ours).unwrap());
    let theirs_all = described(&theirs.execute(&of_theirs).unwrap());
    let text = |name: &Value| match name {
        Value::Bulk(Some(name)) => String::from_utf8(name.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    let mut wrong = Vec::new();
    for (name, ours) in &ours_all {
        let name_text = text(name);
        let Some(theirs) = theirs_all.get(name) else {
            let known = NEWER.contains(&name_text.as_str());
            wrong.extend((!known).then(|| format!("{name_text} is not there")));
            continue;
        };
        let mut theirs = theirs.clone();
        if TAKES_MORE.contains(&name_text.as_str()) {
            theirs[0] = Value::Integer(-3);
        }
        wrong.extend((*ours != theirs).then(|| format!("{name_text}: {ours:?}\n    Redis': {theirs:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        NEWER.iter().all(|name| ours_all.contains_key(&bulk(name)) && !theirs_all.contains_key(&bulk(name)))
    );
    // One by one, in letters of either size, and subcommands by themselves.
    for name in ours_all.keys() {
        let ask = |upper: bool| {
            let name = text(name);
            let name = if upper { name.to_uppercase() } else { name };
            [words("command info"), vec![name.into_bytes()]].concat()
        };
        for upper in [false, true] {
            let (of_ours, of_theirs) = (ours.execute(&ask(upper)), theirs.execute(&ask(upper)));
            let (of_ours, of_theirs) = (described(&of_ours.unwrap()), described(&of_theirs.unwrap()));
            assert_eq!(of_ours.get(name), ours_all.get(name));
            assert_eq!(of_theirs.get(name), theirs_all.get(name));
        }
    }
    listed_by_category(&mut ours, &mut theirs, &ours_all);
    esker_tests::figure!(
        "redis: {} commands and {} subcommands described as Redis does: arity, flags, keys and categories",
        ours_all.keys().filter(|name| !text(name).contains('|')).count(),
        ours_all.keys().filter(|name| text(name).contains('|')).count()
    );
    servers.stop_and_check();
}
