//! Large collections are read with a bounded memory, whatever their size: by the iterators of the typed
//! calls, by commands that read parts, by streamed replies, and through a server whose clients are slow.
//! Commands that must hold what they are asked for hold no more than they may.

use esker_structures::Store;
use esker_structures::command::{Connection, Reply};
use esker_tests::damage::{Counting, growth_during, live_bytes};
use esker_tests::served::{Client, Served};
use std::path::Path;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");
/// Elements of each collection in this process; about 6 MB of bytes each.
const ELEMENTS: usize = 50_000;
/// How much of them may be in memory at once: pages of elements, blocks that are not in the cache.
const FLAT_BYTES: isize = 1 << 20;

fn element(at: usize) -> String {
    format!("element-{at:08}-{}", "x".repeat(100))
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Adds elements to all four collections, by commands with 100 of them.
fn fill(mut execute: impl FnMut(Vec<Vec<u8>>), elements: usize) {
    for start in (0..elements).step_by(100) {
        let each = start..start + 100;
        let with = |head: &str, element: &dyn Fn(usize) -> Vec<String>| {
            let words = words(head).into_iter().map(str::to_owned);
            let args = words.chain(each.clone().flat_map(element));
            args.map(String::into_bytes).collect::<Vec<_>>()
        };
        execute(with("hset h", &|at| vec![format!("field-{at}"), element(at)]));
        execute(with("rpush l", &|at| vec![element(at)]));
        execute(with("sadd s", &|at| vec![element(at)]));
        execute(with("zadd z", &|at| vec![at.to_string(), element(at)]));
    }
}

/// Reads in this thread, and says by how much its memory grew at most; `read` calls what it is given now and
/// then.
fn growth(read: impl FnOnce(&mut dyn FnMut())) -> isize {
    let (before, mut most) = (live_bytes(), 0);
    read(&mut || most = most.max(live_bytes() - before));
    most
}

fn filled(dir: &Path) -> Store {
    let builder = Store::builder(dir).durability(esker::Durability::Os);
    let store = builder.engine(|engine| engine.memory_budget(16 << 20)).open().unwrap();
    let mut connection = Connection::new(&store);
    fill(|args| assert!(!connection.execute(&args).reply.is_error()), ELEMENTS);
    // A compaction amid the reading would take its tables' blocks from the cache in a thread of its own, and
    // this thread would be charged with those of the new ones.
    store.engine().compact().unwrap();
    store
}

#[test]
fn large_collections_are_read_with_a_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let mut largest = Vec::new();
    let mut note = |what: &str, bytes: isize| {
        assert!(bytes < FLAT_BYTES, "{what}: {bytes} bytes");
        largest.push((bytes, what.to_owned()));
    };
    let walk = |elements: &mut dyn Iterator<Item = esker_structures::Result<usize>>| {
        growth(|look| {
            let mut count = 0;
            for bytes in elements {
                count += usize::from(bytes.unwrap() >= element(0).len());
                look();
            }
            assert_eq!(count, ELEMENTS);
        })
    };
    let db = store.db(0);
    // Once through everything: the cache is as full as it gets.
    for asked in ["hgetall h", "lrange l 0 -1", "smembers s", "zrange z 0 -1"] {
        Connection::new(&store).execute(&words(asked));
    }
    note("hash", walk(&mut db.hash("h").entries().unwrap().map(|e| e.map(|(_, value)| value.len()))));
    note("list", walk(&mut db.list("l").elements().unwrap().map(|e| e.map(|value| value.len()))));
    note("set", walk(&mut db.set("s").members().unwrap().map(|e| e.map(|member| member.len()))));
    let all = f64::NEG_INFINITY..=f64::INFINITY;
    note("zset", walk(&mut db.zset("z").entries(all).unwrap().map(|e| e.map(|(member, _)| member.len()))));

    let mut connection = Connection::new(&store);
    for scan in ["hscan h", "sscan s", "zscan z"] {
        let bytes = growth(|look| {
            let (mut cursor, mut count) = ("0".to_owned(), 0);
            loop {
                let reply = connection.execute(&words(&format!("{scan} {cursor} count 1000"))).reply;
                look();
                let Reply::Array(parts) = reply else { panic!("{reply:?}") };
                let [Reply::Bulk(next), Reply::Array(items)] = &parts[..] else { panic!("{parts:?}") };
                count += items.len();
                cursor = String::from_utf8(next.clone()).unwrap();
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(count, if scan == "sscan s" { ELEMENTS } else { 2 * ELEMENTS });
        });
        note(scan, bytes);
    }
    for (range, step) in [("lrange l", 1000), ("zrange z", 1000), ("zrevrange z", 1000)] {
        let bytes = growth(|look| {
            for start in (0..ELEMENTS).step_by(step) {
                let reply =
                    connection.execute(&words(&format!("{range} {start} {}", start + step - 1))).reply;
                look();
                assert!(matches!(&reply, Reply::Array(items) if items.len() == step), "{range}");
            }
        });
        note(range, bytes);
    }
    connection.session_mut().streams = true;
    for asked in
        ["hgetall h", "hkeys h", "hvals h", "smembers s", "lrange l 0 -1", "zrange z 0 -1 rev withscores"]
    {
        let bytes = growth(|look| {
            connection.execute(&words(asked));
            let mut stream = connection.session_mut().take_stream().expect("a stream");
            let (mut piece, mut whole) = (Vec::new(), 0);
            while !stream.is_done() {
                stream.encode(&mut piece, 64 << 10).unwrap();
                look();
                whole += piece.len();
                piece.clear();
            }
            assert!(whole > 10 * ELEMENTS, "{asked}: {whole}");
        });
        note(asked, bytes);
    }
    let (most, what) = largest.into_iter().max().unwrap();
    esker_tests::figure!(
        "structures: collections of {ELEMENTS} elements of 120 bytes read in 16 ways with {} KiB at most \
         ({what})",
        most >> 10
    );
    drop(connection);
    store.close().unwrap();
}

/// What a command may hold, in the test of just that.
const COMMAND_BYTES: usize = 1 << 20;
/// How much it takes in fact at most: what it holds, once more as a reply or in another order, and as much
/// again with keys around it as what is to be written; pages besides.
const TAKEN_BYTES: isize = 6 << 20;

#[test]
fn commands_hold_no_more_than_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let mut connection = Connection::new(&store);
    for at in 0..ELEMENTS {
        connection.execute(&["set".to_owned(), element(at), "v".to_owned()]);
    }
    for asked in ["hlen h", "lrange l 0 -1", "smembers s", "zrange z 0 -1", "keys *"] {
        connection.execute(&words(asked));
    }
    store.set_command_memory(COMMAND_BYTES);
    let mut most = 0;
    let mut ask = |line: &str| {
        let (reply, bytes) = growth_during(|| connection.execute(&words(line)).reply);
        assert!(bytes < TAKEN_BYTES, "{line}: {bytes} bytes");
        most = most.max(bytes);
        reply
    };
    for line in [
        "lpop l 50000",
        "rpop l 40000",
        "lmpop 1 l left count 50000",
        "lrange l 0 -1",
        "lpos l none count 0",
        "sort l alpha",
        "sort l by nosort get # get # get #",
        "sort_ro s alpha limit 0 1",
        "sort z by none* get h->* store to",
        "spop s 40000",
        "srandmember s 40000",
        "srandmember s -50000",
        "smembers s",
        "sunion s none",
        "sinter s s",
        "sdiff s none",
        "sunionstore to s none",
        "sinterstore to s s",
        "sdiffstore to s none",
        "sintercard 2 s s",
        "zpopmin z 50000",
        "zpopmax z 40000",
        "zmpop 1 z max count 50000",
        "zrandmember z 40000 withscores",
        "zrandmember z -50000",
        "zrange z 0 -1",
        "zrangestore to z 0 -1",
        "zunion 2 z s",
        "zinter 2 z s",
        "zdiff 2 z none",
        "zunionstore to 2 z none",
        "zinterstore to 2 z z",
        "zdiffstore to 2 z none",
        "zintercard 2 z s",
        "zremrangebyrank z 1 -1",
        "hgetall h",
        "hkeys h",
        "hrandfield h 40000 withvalues",
        "hrandfield h -50000",
        "keys *",
        "scan 0 count 1000000",
        "scan 0 match e* count 1000000",
        "hscan h 0 count 1000000",
    ] {
        let reply = ask(line);
        let refused =
            matches!(&reply, Reply::Error(text) if text.starts_with("ERR the command would hold more"));
        let is_bounded = line.contains("scan ") || matches!(line, "lpos l none count 0" | "sintercard 2 s s");
        assert_ne!(refused, is_bounded, "{line}");
    }
    let many = vec![element(0); 10_000];
    let args: Vec<String> = ["mget".to_owned()].into_iter().chain(many).collect();
    store.set_command_memory(100_000);
    assert!(connection.execute(&args).reply.is_error());
    store.set_command_memory(COMMAND_BYTES);
    // What fits is given: a removal as well, with what it writes.
    for line in ["lpop l 5000", "spop s 5000", "zpopmin z 5000", "srandmember s 5000", "zunionstore to 1 z"] {
        let (reply, bytes) = growth_during(|| connection.execute(&words(line)).reply);
        assert_eq!(reply.is_error(), line.starts_with("zunion"), "{line}");
        assert!(bytes < TAKEN_BYTES, "{line}: {bytes} bytes");
        most = most.max(bytes);
    }
    assert_eq!(connection.execute(&["exists", "to"]).reply, Reply::Integer(0));
    esker_tests::figure!(
        "structures: commands that may hold {} KiB took {} KiB at most",
        COMMAND_BYTES >> 10,
        most >> 10
    );
    assert!(store.verify().unwrap().is_clean());
    drop(connection);
    store.close().unwrap();
}

/// Elements of the collections that a server holds.
const SERVED: usize = 100_000;

/// The most that the process had in memory since it was told to forget; `None` where the system does not say.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[test]
fn a_server_sends_large_collections_with_a_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(PROGRAM, dir.path(), &["--durability", "os"]);
    let mut client = server.connect();
    fill(
        |args| {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            client.send(&Client::encode(&args)).unwrap();
            assert!(client.reply().unwrap().starts_with(b":"));
        },
        SERVED,
    );
    // Once through everything: caches are as full as they get.
    let asked = ["HGETALL h", "LRANGE l 0 -1", "SMEMBERS s", "ZRANGE z 0 -1 WITHSCORES"];
    let lengths: Vec<usize> = asked.iter().map(|line| client.ask(line).len()).collect();
    assert!(lengths.iter().all(|length| *length > SERVED * 120), "{lengths:?}");
    // 5 sets in VmHWM what is resident now (proc(5)).
    let forgot = std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").is_ok();
    let before = server.resident();
    // Eight clients ask for everything and do not read it for now; others are served meanwhile.
    let slow: Vec<_> = (0..8)
        .map(|number| {
            let mut client = server.connect();
            client.send(&asked[number % 4].bytes().chain(*b"\r\nPING\r\n").collect::<Vec<_>>()).unwrap();
            client
        })
        .collect();
    for line in asked {
        // Who goes away in the middle leaves nothing behind.
        server.connect().send(format!("{line}\r\n").as_bytes()).unwrap();
        assert!(client.ask(line).len() > SERVED * 120);
    }
    assert_eq!(client.ask("DEL h l s z"), ":4\r\n");
    // What they asked for is as it was, to the last element.
    for (number, mut slow) in slow.into_iter().enumerate() {
        assert_eq!(slow.reply().unwrap().len(), lengths[number % 4], "{}", asked[number % 4]);
        assert_eq!(slow.reply().unwrap(), b"+PONG\r\n");
    }
    if let (true, Some(before), Some(peak)) = (forgot, before, peak(server.pid())) {
        let grown = peak.saturating_sub(before);
        esker_tests::figure!(
            "server: 12 replies of {} MB each, 8 of them to clients that wait: {} MiB more than before",
            lengths[0] >> 20,
            grown >> 20
        );
        assert!(grown < 64 << 20, "{before} {peak}");
    }
}
