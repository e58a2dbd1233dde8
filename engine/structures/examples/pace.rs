//! What a command costs above the engine's own put and get: nanoseconds for each, in one thread and with the
//! durability `Os`. `cargo run --release -p esker-structures --example pace`.

use esker::{Db, Durability};
use esker_structures::Store;
use esker_structures::command::Connection;
use std::time::Instant;

const ROUNDS: usize = 50_000;
const KEYS: usize = 10_000;

/// The medians of five runs of `body`, in nanoseconds for each of its calls.
fn measure(name: &str, mut body: impl FnMut(usize)) {
    let mut times: Vec<u128> = (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(&mut body);
            start.elapsed().as_nanos() / ROUNDS as u128
        })
        .collect();
    times.sort_unstable();
    println!("{name:28} {:6} ns", times[2]);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let keys: Vec<String> = (0..KEYS).map(|at| format!("user{at:012}")).collect();
    let value = [b'v'; 100];
    let db = Db::builder(dir.path().join("plain")).default_durability(Durability::Os).open()?;
    measure("engine put", |at| db.put(&keys[at * 7919 % KEYS], value).unwrap());
    measure("engine get", |at| drop(db.get(&keys[at * 7919 % KEYS]).unwrap()));
    drop(db);
    let store = Store::builder(dir.path().join("structures")).durability(Durability::Os).open()?;
    let mut connection = Connection::new(&store);
    let mut run = |name: &str, command: &dyn Fn(usize) -> Vec<Vec<u8>>| {
        let commands: Vec<Vec<Vec<u8>>> = (0..KEYS).map(command).collect();
        measure(name, |at| {
            let reply = connection.execute(&commands[at * 7919 % KEYS]).reply;
            assert!(!reply.is_error());
        });
    };
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    run("SET", &|at| words(&[b"SET", keys[at].as_bytes(), &value]));
    run("GET", &|at| words(&[b"GET", keys[at].as_bytes()]));
    run("GET of what is not there", &|at| words(&[b"GET", format!("none{at}").as_bytes()]));
    run("INCR", &|at| words(&[b"INCR", format!("n{at}").as_bytes()]));
    run("HSET, 10 fields", &|at| {
        words(&[b"HSET", format!("h{at}").as_bytes(), format!("f{}", at % 10).as_bytes(), b"v"])
    });
    run("HGET, 10 fields", &|at| words(&[b"HGET", format!("h{at}").as_bytes(), b"f3"]));
    run("HSET, 10,000 fields", &|at| words(&[b"HSET", b"large", keys[at].as_bytes(), b"v"]));
    run("HGET, 10,000 fields", &|at| words(&[b"HGET", b"large", keys[at].as_bytes()]));
    let (set, get): (Vec<_>, Vec<_>) =
        keys.iter().map(|key| ([&b"SET"[..], key.as_bytes(), &value], [&b"GET"[..], key.as_bytes()])).unzip();
    let mut replies = Vec::new();
    measure("SET, 16 in a pipeline, each", |at| {
        if at % 16 == 0 {
            replies.clear();
            let from = at * 7 % (KEYS - 16);
            connection.execute_all(set[from..from + 16].iter().map(|args| &args[..]), &mut replies);
        }
    });
    measure("GET, 16 in a pipeline, each", |at| {
        if at % 16 == 0 {
            replies.clear();
            let from = at * 7 % (KEYS - 16);
            connection.execute_all(get[from..from + 16].iter().map(|args| &args[..]), &mut replies);
        }
    });
    Ok(())
}
