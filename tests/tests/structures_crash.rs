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

/// What was recovered agrees in itself, is one of the states that were, and takes writes. Returns whether it
/// is an earlier one than the last.
fn look(recovered: &Store, states: &[Vec<Value>], about: &str) -> bool {
    let report = recovered.verify().unwrap();
    assert!(report.is_clean(), "{about}: {:?}", report.findings);
    let found = state(recovered);
    assert!(states.contains(&found), "{about}: no state that was");
    let mut connection = Connection::new(recovered);
    assert_eq!(ask(&mut connection, &["hset", "new", "a", "1"]), Value::Integer(1));
    assert!(recovered.verify().unwrap().is_clean());
    states.last() != Some(&found)
}

#[test]
fn what_a_loss_of_power_leaves_is_a_state_that_was() {
    let (histories, first) = (number("ESKER_STRUCTURES_CRASHES", 60), number("ESKER_STRUCTURES_SEED", 1));
    let (mut losses, mut behind) = (0, 0);
    for seed in first..first + histories {
        let clock = ManualClock::new(1_700_000_000_000);
        let (disk, other) = (SimFs::new(), SimFs::new());
        let store = open(&disk, &clock, seed);
        // It does the same, and is looked at: a store works in the background while it is read, and would
        // have synced everything before its power is lost.
        let twin = open(&other, &clock, seed);
        let mut generator = Generator::new(seed);
        let (mut connection, mut beside) = (Connection::new(&store), Connection::new(&twin));
        let mut states = vec![state(&twin)];
        let mut durable = 0;
        for at in 0..COMMANDS {
            let args = generator.command();
            let answer = connection.execute(&args);
            assert_eq!(answer.reply, beside.execute(&args).reply, "seed {seed}, command {at}");
            if generator.below(6) == 0 {
                store.sweep(10).unwrap();
                twin.sweep(10).unwrap();
            }
            states.push(state(&twin));
            // A long end that is not durable is cut amid it, and not at its beginning.
            if generator.below(20) == 0 {
                store.wait(answer.depends_on.max(store.engine().visible_seq())).unwrap();
                durable = at + 1;
            }
            if generator.below(12) != 0 {
                continue;
            }
            let any = Image::ALL[generator.below(Image::ALL.len() as u64) as usize];
            for (number, image) in [any, Image::Torn, Image::Random, Image::Torn].into_iter().enumerate() {
                losses += 1;
                let left = disk.image(image, (seed * 1000 + at as u64) * 10 + number as u64);
                let about = format!("seed {seed}, command {at}, {image:?} {number}");
                behind += u64::from(look(&open(&left, &clock, seed), &states[durable..], &about));
            }
        }
        let report = store.verify().unwrap();
        assert!(report.is_clean(), "seed {seed}: {:?}", report.findings);
        assert_eq!(state(&store), state(&twin), "seed {seed}");
    }
    esker_tests::figure!(
        "structures: {histories} histories from seed {first} on, {losses} losses of power, {behind} of which \
         took something back; violations: 0"
    );
    assert!(histories < 20 || behind > losses / 20, "{behind} of {losses} losses lost anything");
}
