//! INFO: what it prints is documented, and moves when it should.

use esker_structures::Store;
use esker_structures::command::Connection;
use esker_structures::encoding::key;
use esker_tests::served::{Client, Served};
use esker_tests::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");

/// Nobody waits for so long, not on the busiest machine.
const HANGS: Duration = Duration::from_secs(30);

/// Fields by their names, and the section of each.
fn info(client: &mut Client) -> BTreeMap<String, (String, String)> {
    let (mut fields, mut section) = (BTreeMap::new(), String::new());
    for line in client.ask("INFO").lines().skip(1).map(str::trim_end).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("# "), line.split_once(':')) {
            (Some(name), _) => section = name.to_lowercase(),
            (None, Some((name, value))) => {
                let earlier = fields.insert(name.to_owned(), (section.clone(), value.to_owned()));
                assert_eq!(earlier, None, "{name} stands there twice");
            }
            _ => panic!("neither a section nor a field: {line}"),
        }
    }
    fields
}

fn value(client: &mut Client, name: &str) -> String {
    info(client).remove(name).unwrap_or_else(|| panic!("no {name}")).1
}

fn number(client: &mut Client, name: &str) -> u64 {
    value(client, name).parse().unwrap_or_else(|_| panic!("{name} is no number"))
}

/// Waits until a field has a value that is right.
fn until(client: &mut Client, name: &str, is_right: impl Fn(u64) -> bool) {
    let begun = Instant::now();
    loop {
        let found = number(client, name);
        if is_right(found) {
            return;
        }
        assert!(begun.elapsed() < HANGS, "{name} stays {found}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_field_of_info_is_documented() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(PROGRAM, dir.path(), &[]);
    let mut client = server.connect();
    client.ask("SET k v");
    let shown: BTreeSet<(String, String)> = info(&mut client)
        .into_iter()
        .map(|(name, (section, _))| (if section == "keyspace" { "dbN".into() } else { name }, section))
        .collect();
    let page = std::fs::read_to_string(workspace::root().join("docs/server.md")).unwrap();
    let part =
        page.split("\n## INFO\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("its part");
    let documented: BTreeSet<(String, String)> = part
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(" | ")?.0.to_owned())))
        .collect();
    let lacking: Vec<_> = shown.difference(&documented).collect();
    assert!(lacking.is_empty(), "not in docs/server.md: {lacking:?}");
    let gone: Vec<_> = documented.difference(&shown).collect();
    assert!(gone.is_empty(), "in docs/server.md, and nowhere else: {gone:?}");
}

#[test]
fn fields_of_info_move_when_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(PROGRAM, dir.path(), &["--durability", "sync"]);
    let mut client = server.connect();
    let before = info(&mut client);
    let was = |name: &str| before[name].1.parse::<u64>().unwrap();
    assert_eq!(before["durability"].1, "sync");
    assert_eq!(before["aof_last_write_status"].1, "ok");
    assert_eq!(was("tcp_port"), u64::from(server.address().port()));
    assert_eq!(was("process_id"), u64::from(server.pid()));
    assert!(!before.contains_key("db0"));

    // Writes, and what they hold.
    client.ask(&format!("SET large {}", "x".repeat(4 << 20)));
    client.ask("SET k v");
    assert_eq!(value(&mut client, "db0"), "keys=2,expires=0,avg_ttl=0");
    assert!(number(&mut client, "visible_seq") > was("visible_seq"));
    // (An answer of INFO waits for what it shows; it is made before that.)
    assert!(number(&mut client, "durable_seq") > was("durable_seq"));
    assert!(number(&mut client, "used_memory") > was("used_memory"));
    assert!(number(&mut client, "used_memory_peak") >= number(&mut client, "used_memory_rss"));
    let commands = number(&mut client, "total_commands_processed");
    (0..5).for_each(|_| drop(client.ask("PING")));
    assert_eq!(number(&mut client, "total_commands_processed"), commands + 6);

    // Connections, and what one holds that is not yet a command.
    let mut other = server.connect();
    other.ask("PING");
    assert_eq!(number(&mut client, "connected_clients"), was("connected_clients") + 1);
    assert_eq!(number(&mut client, "total_connections_received"), was("total_connections_received") + 1);
    let held = number(&mut client, "mem_clients_normal");
    other.send(&[&b"*2\r\n$4\r\nECHO\r\n$200000\r\n"[..], &vec![b'x'; 150_000]].concat()).unwrap();
    until(&mut client, "mem_clients_normal", |now| now >= held + 100_000);
    drop(other);
    until(&mut client, "connected_clients", |now| now == was("connected_clients"));

    // What is refused, and closed.
    let mut wrong = server.stream();
    std::io::Write::write_all(&mut wrong, b"*1\r\n!\r\n").unwrap();
    wrong.read_to_end(&mut Vec::new()).unwrap();
    until(&mut client, "protocol_errors", |now| now == was("protocol_errors") + 1);
    client.ask("CONFIG SET maxclients 1");
    assert_eq!(number(&mut client, "maxclients"), 1);
    let mut refused = Vec::new();
    server.stream().read_to_end(&mut refused).unwrap();
    assert!(refused.starts_with(b"-ERR max number of clients"), "{}", refused.escape_ascii());
    until(&mut client, "rejected_connections", |now| now == was("rejected_connections") + 1);
    client.ask("CONFIG SET maxclients 10");
    client.ask("CONFIG SET client-query-buffer-limit 1048576");
    let mut greedy = server.connect();
    let much = [&b"*2\r\n$4\r\nECHO\r\n$4000000\r\n"[..], &vec![b'x'; 3_000_000]].concat();
    // It may be closed before all of that is sent.
    drop(greedy.send(&much));
    greedy.rest().unwrap();
    until(&mut client, "client_limit_disconnections", |now| now == was("client_limit_disconnections") + 1);
}

/// A store in which two keys expire at once, the header of one of which is damaged.
fn damaged(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let mut connection = Connection::new(&store);
    for key in ["bad", "good"] {
        connection.execute(&["SET", key, "v", "PX", "60000"]);
    }
    let headers = store.engine().column_family("structures.headers").unwrap();
    let index = store.engine().column_family("structures.index").unwrap();
    let keyspace = store.unit().keyspace(0).unwrap();
    // Both are due.
    headers.put(key::header(keyspace, b"bad"), b"").unwrap();
    index.put(key::expiry(keyspace, 1, b"bad"), b"").unwrap();
    drop(connection);
    store.close().unwrap();
}

#[test]
fn keys_that_cannot_be_removed_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    damaged(dir.path());
    let server = Served::start(PROGRAM, dir.path(), &["--durability", "os"]);
    let mut client = server.connect();
    assert_eq!(value(&mut client, "durability"), "os");
    until(&mut client, "unreadable_expired_keys", |now| now == 1);
    assert!(client.ask("GET bad").starts_with("-ERR corrupt data"));
}
