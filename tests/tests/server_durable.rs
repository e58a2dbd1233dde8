//! What the server has told survives: kills under load, and the order of its system calls.
//!
//! `ESKER_SERVER_KILLS` says how often it is killed, `ESKER_SERVER_SEED` when. A full run:
//! `cargo xtask nightly server-kill`

use esker::base::random::Random;
use esker_structures::Store;
use esker_tests::redis;
use esker_tests::served::{Client, Load, Served};
use esker_tests::trace;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");
const THREADS: u64 = 4;

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

/// A command given as words, as it goes over the wire.
fn encoded(line: impl AsRef<str>) -> Vec<u8> {
    Client::encode(&line.as_ref().split(' ').map(str::as_bytes).collect::<Vec<_>>())
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
    let (mut answered, mut open, mut least) = (0, 0, u64::MAX);
    for round in 0..kills {
        // A kill spares what the system has; so both modes must keep everything.
        let mode = if round % 4 == 3 { "os" } else { "sync" };
        let server = Served::start(PROGRAM, dir.path(), &["--durability", mode]);
        server.connect().ask("FLUSHALL");
        let done = AtomicU64::new(0);
        let enough = 5 + random.below(300);
        let seeds = |client: u64| seed.wrapping_add(round * THREADS + client);
        let mut loads: Vec<Load> =
            (0..THREADS).map(|client| Load::new(client as u32, seeds(client))).collect();
        std::thread::scope(|scope| {
            let work = |load| {
                let client = redis::Client::new(server.stream());
                let done = &done;
                scope.spawn(move || Load::work(load, client, done))
            };
            let threads: Vec<_> = loads.iter_mut().map(work).collect();
            while done.load(Ordering::Relaxed) < enough {
                assert!(threads.iter().any(|thread| !thread.is_finished()), "the server went by itself");
                std::thread::yield_now();
            }
            server.kill();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        verify(dir.path());
        let server = Served::start(PROGRAM, dir.path(), &[]);
        let mut client = redis::Client::new(server.stream());
        let mut told = 0;
        for (number, load) in loads.iter().enumerate() {
            let judged = load.judge(&mut client);
            judged.unwrap_or_else(|why| panic!("seed {seed}, round {round}, client {number}: {why}"));
            let (of_this, sent) = load.counts();
            (told, open) = (told + of_this, open + sent - of_this);
        }
        drop(client);
        (answered, least) = (answered + told, least.min(told));
    }
    esker_tests::figure!(
        "server: {kills} kills under load, {answered} commands acknowledged, at least {least} before a kill, \
         {open} under way at one, lost: 0 (seed {seed})"
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
