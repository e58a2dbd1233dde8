//! What questions by rank, by index and by chance take of collections of 1,000 and of 1,000,000 elements:
//! microseconds for each, in one thread. `cargo run --release -p esker-structures --example large`.

use esker::Durability;
use esker::base::random::Random;
use esker_structures::Store;
use esker_structures::command::Connection;
use std::time::Instant;

const SIZES: [u64; 2] = [1_000, 1_000_000];
/// Calls of each command.
const CALLS: usize = 2_000;
/// Elements that a command adds.
const ADDED: u64 = 500;

/// Commands, with words for what is chosen anew for each call: `#` is an index, `@` a member.
const COMMANDS: &[&str] = &[
    "zrank z @",
    "zscore z @",
    "zcount z # +inf",
    "zrange z # #",
    "zrange z # # rev",
    "zrandmember z",
    "zadd z # @",
    "lindex l #",
    "lset l # element",
    "srandmember s",
    "spop s",
    "hrandfield h",
    "hget h @",
];

fn member(number: u64) -> String {
    format!("member:{number:012}")
}

fn fill(connection: &mut Connection, size: u64) {
    for start in (0..size).step_by(ADDED as usize) {
        let each = |head: &[&str], args: &dyn Fn(u64) -> Vec<String>| {
            let head = head.iter().map(|word| (*word).to_owned());
            head.chain((start..start + ADDED).flat_map(args)).collect::<Vec<_>>()
        };
        for args in [
            each(&["zadd", "z"], &|n| vec![n.to_string(), member(n)]),
            each(&["rpush", "l"], &|n| vec![member(n)]),
            each(&["sadd", "s"], &|n| vec![member(n)]),
            each(&["hset", "h"], &|n| vec![member(n), "value".into()]),
        ] {
            assert!(!connection.execute(&args).reply.is_error());
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("| command | elements | median us | p99 us |\n|---|---|---|---|");
    for size in SIZES {
        let dir = tempfile::tempdir()?;
        let store = Store::builder(dir.path()).durability(Durability::Os).open()?;
        let (mut connection, random) = (Connection::new(&store), Random::seeded(1));
        fill(&mut connection, size);
        store.engine().flush()?;
        store.engine().compact()?;
        // An element that moves between positions makes indices be looked for.
        connection.execute(&["lrem", "l", "1", member(size / 2).as_str()]);
        for command in COMMANDS {
            let mut times = Vec::with_capacity(CALLS);
            for _ in 0..CALLS.min(size as usize / 2) {
                let index = random.below(size - 1);
                let args: Vec<String> = command
                    .split(' ')
                    .map(|word| match word {
                        "#" => index.to_string(),
                        "@" => member(index),
                        word => word.into(),
                    })
                    .collect();
                let start = Instant::now();
                let reply = connection.execute(&args).reply;
                times.push(start.elapsed().as_nanos());
                assert!(!reply.is_error(), "{command}: {reply:?}");
            }
            times.sort_unstable();
            let us = |at: usize| times[at.min(times.len() - 1)] as f64 / 1000.0;
            println!(
                "| {command} | {size} | {:.1} | {:.1} |",
                us(times.len() / 2),
                us(times.len() * 99 / 100)
            );
        }
        drop(connection);
        store.close()?;
    }
    Ok(())
}
