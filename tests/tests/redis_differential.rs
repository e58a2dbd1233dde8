//! The same random commands to a store of structures and to a real `redis-server`: every reply is compared.
//!
//! `ESKER_REDIS_COMMANDS` says how many, `ESKER_REDIS_SEED` from which seed on. Without a `redis-server` on
//! the machine nothing is compared, and the test says so.

use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::commands;
use esker_tests::redis::{Both, Coverage, Generator, Pair, SHAPES, Server, looks, shown};

/// Commands between two emptyings of both.
const SEQUENCE: u64 = 300;
/// Connections that take turns.
const CONNECTIONS: usize = 4;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn open(disk: &SimFs, seed: u64) -> Store {
    let builder = Store::builder("/data").deterministic(seed);
    builder.engine(|engine| engine.fs(Fs::Sim(disk.clone())).memory_budget(16 << 20)).open().unwrap()
}

#[test]
fn replies_are_those_of_redis() {
    let Some(server) = Server::start() else {
        println!("no redis-server here: nothing is compared");
        return;
    };
    let (total, first) = (number("ESKER_REDIS_COMMANDS", 60_000), number("ESKER_REDIS_SEED", 1));
    let mut met = Coverage::default();
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
        let mut log = Vec::new();
        for at in 0..SEQUENCE {
            let client = generator.below(8).saturating_sub(4) as usize;
            let args = generator.command();
            log.push(format!("{client}: {}", shown(&args)));
            let Pair { ours, theirs, same } = clients[client].execute(&args);
            let tail = log[log.len().saturating_sub(40)..].join("\n");
            assert!(same, "seed {seed}, command {at}:\n{tail}\nours:   {ours:?}\nRedis': {theirs:?}");
            met.note(&args, &ours);
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
    assert_eq!(met.rare(least), Vec::<String>::new(), "met fewer than {least} times");
    let covered = met.summary();
    esker_tests::figure!("redis: {total} commands from seed {first} on; {covered}; differences: 0");
}

#[test]
fn every_command_has_a_shape() {
    let unknown: Vec<&str> = commands()
        .map(|command| command.name)
        .filter(|name| !SHAPES.iter().any(|(known, _)| known == name))
        .collect();
    assert_eq!(unknown, ["flushall"], "flushall would end what other sequences began");
}
