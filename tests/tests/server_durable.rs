//! What the server has told survives: kills under load, and the order of its system calls.
//!
//! `ESKER_SERVER_KILLS` says how often it is killed, `ESKER_SERVER_SEED` when. A full run:
//! `cargo xtask nightly server-kill`

use esker::base::random::Random;
use esker_structures::Store;
use esker_tests::served::{Client, Served};
use esker_tests::trace;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");
const THREADS: u64 = 4;
/// Fields, members and keys are used again after so many steps.
const WIDE: u64 = 40;

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

/// The commands of a step, in one pipeline. Each step does something to a structure of every type.
fn commands(who: &str, step: u64) -> Vec<String> {
    let at = step % WIDE;
    vec![
        format!("INCR {who}:count"),
        format!("SET {who}:text:{at} {step}"),
        format!("HSET {who}:hash field{at} {step}"),
        format!("RPUSH {who}:list {step}"),
        format!("ZADD {who}:board {step} member{at}"),
        format!("SADD {who}:set {step}"),
        "MULTI".into(),
        format!("SET {who}:left {step}"),
        format!("SET {who}:right {step}"),
        "EXEC".into(),
    ]
}

/// A command given as words, as it goes over the wire.
fn encoded(line: impl AsRef<str>) -> Vec<u8> {
    Client::encode(&line.as_ref().split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

/// Works until the server is gone. Returns how many steps were answered whole, and how many were begun.
fn work(mut client: Client, who: &str, done: &AtomicU64) -> (u64, u64) {
    for step in 0.. {
        let commands = commands(who, step);
        if client.send(&commands.iter().flat_map(encoded).collect::<Vec<u8>>()).is_err() {
            return (step, step + 1);
        }
        for _ in &commands {
            match client.reply() {
                Ok(reply) => assert_ne!(reply[0], b'-', "{}", String::from_utf8_lossy(&reply)),
                Err(_) => return (step, step + 1),
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    unreachable!("a server is killed some day")
}

fn number(reply: &str) -> u64 {
    let text = if reply.starts_with('$') { reply.lines().nth(1).unwrap_or_default() } else { &reply[1..] };
    text.trim_end().parse().unwrap_or(0)
}

/// The last step below `steps` that used place `at`.
fn last(steps: u64, at: u64) -> Option<u64> {
    (0..steps).rev().find(|step| step % WIDE == at)
}

/// What is there must be what the first so many steps leave: all that were answered, at most all begun, and
/// of the commands of one step only later ones may lack.
fn check(client: &mut Client, who: &str, answered: u64, begun: u64) {
    let counts = [
        number(&client.ask(&format!("GET {who}:count"))),
        number(&client.ask(&format!("LLEN {who}:list"))),
        number(&client.ask(&format!("SCARD {who}:set"))),
    ];
    let about = format!("{who}: {answered} answered, {begun} begun, {counts:?}");
    assert!(counts.is_sorted_by(|a, b| a >= b), "{about}");
    assert!(counts[0] <= begun && counts[2] >= answered, "{about}");
    let list = client.ask(&format!("LRANGE {who}:list 0 -1"));
    let list: Vec<u64> = list.lines().skip(2).step_by(2).map(|text| text.parse().unwrap()).collect();
    assert_eq!(list, (0..counts[1]).collect::<Vec<u64>>(), "{about}");
    for at in 0..WIDE {
        let Some(least) = last(answered, at) else { continue };
        for look in [
            format!("GET {who}:text:{at}"),
            format!("HGET {who}:hash field{at}"),
            format!("ZSCORE {who}:board member{at}"),
        ] {
            let found = number(&client.ask(&look));
            assert!(found >= least && found < begun && found % WIDE == at, "{about}: {look}: {found}");
        }
    }
    let both = client.ask(&format!("MGET {who}:left {who}:right"));
    let both: Vec<&str> = both.lines().collect();
    assert_eq!(both.get(2), both.get(4).or(both.get(2)), "{about}: half a transaction");
    if answered > 0 {
        assert!(both[2].parse::<u64>().unwrap() + 1 >= answered, "{about}: {both:?}");
    }
}

fn verify(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    store.close().unwrap();
}

#[test]
fn what_was_acknowledged_survives_kills_under_load() {
    let kills = number_from("ESKER_SERVER_KILLS", 15);
    let seed = number_from("ESKER_SERVER_SEED", Random::default().next_u64() >> 1);
    println!("ESKER_SERVER_SEED={seed}");
    let random = Random::seeded(seed);
    let dir = tempfile::tempdir().unwrap();
    let (mut answered, mut least) = (0, u64::MAX);
    for round in 0..kills {
        // A kill spares what the system has; so both modes must keep everything.
        let mode = if round % 4 == 3 { "os" } else { "sync" };
        let server = Served::start(PROGRAM, dir.path(), &["--durability", mode]);
        server.connect().ask("FLUSHALL");
        let done = AtomicU64::new(0);
        let enough = 5 + random.below(300);
        let names: Vec<String> = (0..THREADS).map(|thread| format!("r{round}t{thread}")).collect();
        let clients: Vec<Client> = names.iter().map(|_| server.connect()).collect();
        let results: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let each = names.iter().zip(clients);
            let threads: Vec<_> =
                each.map(|(who, client)| scope.spawn(|| work(client, who, &done))).collect();
            while done.load(Ordering::Relaxed) < enough {
                assert!(threads.iter().any(|thread| !thread.is_finished()), "the server went by itself");
                std::thread::yield_now();
            }
            server.kill();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        verify(dir.path());
        let server = Served::start(PROGRAM, dir.path(), &[]);
        let mut client = server.connect();
        for (who, (answered, begun)) in names.iter().zip(&results) {
            check(&mut client, who, *answered, *begun);
        }
        drop(client);
        let steps: u64 = results.iter().map(|result| result.0).sum();
        (answered, least) = (answered + steps, least.min(steps));
    }
    esker_tests::figure!(
        "server: {kills} kills under load, {answered} pipelines of 10 commands acknowledged, at least \
         {least} before a kill, lost: 0 (seed {seed})"
    );
}

#[test]
fn nothing_is_told_before_its_sync() {
    // Where segments of the log cannot be mapped every write to them is a call, which a trace shows.
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    let trace = folder.path().join("trace");
    let Some(server) = Served::start_traced(PROGRAM, &folder.path().join("store"), &trace) else { return };
    let rounds = 40;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (mut client, mut reader) = (server.connect(), server.connect());
            scope.spawn(move || {
                for round in 0..rounds {
                    // The mark is answered behind the OK.
                    let text = format!("<value-{thread}-{round}>");
                    let lines = [format!("SET key{thread} {text}"), format!("ECHO <told-{thread}-{round}>")];
                    client.send(&lines.iter().flat_map(encoded).collect::<Vec<u8>>()).unwrap();
                    // Somebody else, of another worker, sees it at once, and is told when it is durable.
                    reader.ask(&format!("GET key{thread}"));
                    assert_eq!(client.reply().unwrap(), b"+OK\r\n");
                    client.reply().unwrap();
                }
            });
        }
    });
    server.connect().send(&Client::encode(&[b"SHUTDOWN"])).unwrap();
    let (status, said) = server.wait();
    assert!(status.success(), "{said}");
    let calls = trace::parse(&std::fs::read_to_string(&trace).unwrap());
    let each = (0..4).flat_map(|thread| (0..rounds).map(move |round| format!("{thread}-{round}>")));
    let (oks, reads): (Vec<_>, Vec<_>) = each
        .map(|id| (format!("<value-{id}"), format!("<told-{id}")))
        .map(|(value, told)| ((told, value.clone()), (value.clone(), value)))
        .unzip();
    let (oks_found, reads_found) = (trace::check_told(&calls, &oks), trace::check_told(&calls, &reads));
    let wrong: Vec<_> = oks_found.violations.iter().chain(&reads_found.violations).collect();
    esker_tests::figure!(
        "strace of a server: {} replies of OK ({} whose write was a call) and {} reads of what others wrote, \
         {} told before their sync",
        oks_found.texts,
        oks_found.written,
        reads_found.texts,
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(oks_found.texts, 4 * rounds);
    assert!(reads_found.texts > 0);
    // The check is not blind: it sees a sync that lacks.
    let without: Vec<_> = calls.iter().filter(|call| !call.name.ends_with("sync")).cloned().collect();
    assert_eq!(trace::check_told(&without, &oks).violations.len(), 4 * rounds);
}
