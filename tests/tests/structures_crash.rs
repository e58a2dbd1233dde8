//! Random commands on a simulated disk that loses power: what is recovered is the state after some command,
//! none before the last that was durable, and everything in it agrees.
//!
//! `ESKER_STRUCTURES_CRASHES` says how many histories, `ESKER_STRUCTURES_SEED` from which seed on.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs, sim::Image};
use esker_structures::Store;
use esker_structures::command::{Connection, Protocol};
use esker_tests::redis::{Generator, KEYS, Value};
use std::sync::Arc;

/// Commands of a history.
const COMMANDS: usize = 60;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn open(disk: &SimFs, clock: &Arc<ManualClock>, seed: u64) -> Store {
    let (fs, clock) = (Fs::Sim(disk.clone()), Clock::Manual(clock.clone()));
    let builder = Store::builder("/data").deterministic(seed).databases(3);
    let sizes = |engine: esker::Builder| {
        engine.memory_budget(4 << 20).memtable_bytes(16 << 10).wal_segment_bytes(16 << 10)
    };
    builder.engine(|engine| sizes(engine.fs(fs).clock(clock))).open().unwrap()
}

fn ask(connection: &mut Connection, args: &[&str]) -> Value {
    let mut bytes = Vec::new();
    connection.execute(args).reply.encode(Protocol::Resp2, &mut bytes);
    Value::read(&mut &bytes[..]).unwrap()
}

/// Everything that a client can see.
fn state(store: &Store) -> Vec<Value> {
    let mut connection = Connection::new(store);
    let mut seen = Vec::new();
    for database in ["0", "1", "2"] {
        ask(&mut connection, &["select", database]);
        seen.push(ask(&mut connection, &["dbsize"]));
        for key in KEYS {
            for command in ["type", "get", "hgetall", "smembers", "pexpiretime"] {
                seen.push(ask(&mut connection, &[command, key]));
            }
            seen.push(ask(&mut connection, &["lrange", key, "0", "-1"]));
            seen.push(ask(&mut connection, &["zrange", key, "0", "-1", "withscores"]));
        }
    }
    seen
}

#[test]
fn what_a_loss_of_power_leaves_is_a_state_that_was() {
    let (histories, first) = (number("ESKER_STRUCTURES_CRASHES", 60), number("ESKER_STRUCTURES_SEED", 1));
    let mut losses = 0;
    for seed in first..first + histories {
        let (disk, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
        let store = open(&disk, &clock, seed);
        let mut generator = Generator::new(seed);
        let mut connection = Connection::new(&store);
        let mut states = vec![state(&store)];
        let mut durable = 0;
        for at in 0..COMMANDS {
            let answer = connection.execute(&generator.command());
            if generator.below(6) == 0 {
                store.sweep(10).unwrap();
            }
            states.push(state(&store));
            if generator.below(5) == 0 {
                store.wait(answer.depends_on.max(store.engine().visible_seq())).unwrap();
                durable = at + 1;
            }
            if generator.below(12) != 0 {
                continue;
            }
            losses += 1;
            let image = Image::ALL[generator.below(Image::ALL.len() as u64) as usize];
            let left = disk.image(image, seed * 1000 + at as u64);
            let recovered = open(&left, &clock, seed);
            let report = recovered.verify().unwrap();
            assert!(report.is_clean(), "seed {seed}, command {at}, {image:?}: {:?}", report.findings);
            let found = state(&recovered);
            assert!(
                states[durable..].contains(&found),
                "seed {seed}, command {at}, {image:?}: no state that was"
            );
            let mut connection = Connection::new(&recovered);
            assert_eq!(ask(&mut connection, &["hset", "new", "a", "1"]), Value::Integer(1));
            assert!(recovered.verify().unwrap().is_clean());
        }
        let report = store.verify().unwrap();
        assert!(report.is_clean(), "seed {seed}: {:?}", report.findings);
    }
    esker_tests::figure!(
        "structures: {histories} histories from seed {first} on, {losses} losses of power; violations: 0"
    );
}
