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

/// How often each of the four writes.
const ROUNDS: usize = 40;

/// Has four connections write to a traced server over a store in `folder`, while four others read what they
/// have just written. Returns its calls; `None` if there is no `strace`, and that is allowed.
fn traced(folder: &Path, more: &[&str]) -> Option<Vec<trace::Call>> {
    let trace = folder.join("trace");
    let server = Served::start_traced(PROGRAM, &folder.join("store"), &trace, more)?;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (mut client, mut reader) = (server.connect(), server.connect());
            scope.spawn(move || {
                for round in 0..ROUNDS {
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
    Some(trace::parse(&std::fs::read_to_string(&trace).unwrap()))
}

/// What OK and a value that was read tell, each with what must be durable before: that of each round.
type Told = Vec<(String, String)>;

fn told() -> (Told, Told) {
    let each = (0..4).flat_map(|thread| (0..ROUNDS).map(move |round| format!("{thread}-{round}>")));
    let values = each.map(|id| (format!("<value-{id}"), format!("<told-{id}")));
    values.map(|(value, told)| ((told, value.clone()), (value.clone(), value))).unzip()
}

/// Every OK and every value that was read left behind the sync of what it tells. Returns how many of the
/// writes were calls: what is copied into memory that is mapped to the log no trace shows, so of those it is
/// known only that a sync began after the command had come.
fn check_told(calls: &[trace::Call], about: &str) -> usize {
    let (oks, reads) = told();
    let (oks_found, reads_found) = (trace::check_told(calls, &oks), trace::check_told(calls, &reads));
    let wrong: Vec<_> = oks_found.violations.iter().chain(&reads_found.violations).collect();
    esker_tests::figure!(
        "strace of a server, {about}: {} replies of OK ({} whose write was a call) and {} reads of what \
         others wrote, {} told before their sync",
        oks_found.texts,
        oks_found.written,
        reads_found.texts,
        wrong.len()
    );
    assert!(wrong.is_empty(), "{about}: {wrong:#?}");
    assert_eq!(oks_found.texts, 4 * ROUNDS);
    assert!(reads_found.texts > 0);
    // The check is not blind: it sees a sync that lacks, and one that began before the write.
    let without: Vec<_> = calls.iter().filter(|call| !call.name.ends_with("sync")).cloned().collect();
    assert_eq!(trace::check_told(&without, &oks).violations.len(), 4 * ROUNDS);
    let mut early = calls.to_vec();
    early.iter_mut().filter(|call| call.name.ends_with("sync")).for_each(|call| call.start = 0);
    assert_eq!(trace::check_told(&early, &oks).violations.len(), 4 * ROUNDS);
    oks_found.written
}

#[test]
fn nothing_is_told_before_its_sync() {
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    if let Some(calls) = traced(folder.path(), &[]) {
        check_told(&calls, "in memory");
    }
}

/// Where the checkout is, there is a disk. Once with a log that is written through memory as far as the file
/// system lets it be, which the server does unless it is told otherwise; and once with one that is written by
/// calls, where the trace shows every byte.
#[test]
fn nothing_is_told_before_its_sync_on_a_disk() {
    for (more, about) in [(&[][..], "on a disk"), (&["--log-by-calls"][..], "on a disk, by calls")] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let Some(calls) = traced(folder.path(), more) else { return };
        let written = check_told(&calls, about);
        assert!(more.is_empty() || written == 4 * ROUNDS, "{written} writes are in the trace");
    }
    // A server that does not wait is found out.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some(calls) = traced(folder.path(), &["--durability", "os"]) else { return };
    let too_early = trace::check_told(&calls, &told().0).violations.len();
    assert!(too_early > 2 * ROUNDS, "{too_early} of {} are said to be told too early", 4 * ROUNDS);
}
