//! Commands through a connection, as a client gives them.

use super::connection::Connection;
use super::reply::Reply;
use crate::store::Store;
use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use std::sync::Arc;
use std::time::Duration;

/// A store in memory, whose time stands still.
fn store() -> (Store, Arc<ManualClock>) {
    let clock = ManualClock::new(1_000_000);
    let (sim, time) = (SimFs::new(), Clock::Manual(clock.clone()));
    let builder = Store::builder("/data").deterministic(7);
    let builder = builder.engine(|engine| engine.fs(Fs::Sim(sim)).clock(time).memory_budget(8 << 20));
    (builder.open().unwrap(), clock)
}

/// Carries out a command given in a line, and shows the bytes of its reply in RESP2.
fn run(connection: &mut Connection, line: &str) -> String {
    let args: Vec<&str> = line.split_whitespace().collect();
    shown(&connection.execute(&args).reply)
}

fn shown(reply: &Reply) -> String {
    let mut bytes = Vec::new();
    reply.encode(crate::command::Protocol::Resp2, &mut bytes);
    String::from_utf8_lossy(&bytes).replace("\r\n", " ").trim_end().to_owned()
}

#[test]
fn strings_keys_and_hashes_answer() {
    let (store, clock) = store();
    let mut connection = Connection::new(&store);
    for (line, expected) in [
        ("SET k v", "+OK"),
        ("get k", "$1 v"),
        ("set k w nx", "$-1"),
        ("set k w xx get", "$1 v"),
        ("append k xyz", ":4"),
        ("getrange k 1 -2", "$2 xy"),
        ("incr k", "-ERR value is not an integer or out of range"),
        ("incrby n 41", ":41"),
        ("incr n", ":42"),
        ("dbsize", ":2"),
        ("hset h a 1 b 2", ":2"),
        ("hget h a", "$1 1"),
        ("get h", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("rename h g", "+OK"),
        ("hgetall g", "*4 $1 a $1 1 $1 b $1 2"),
        ("copy g i db 3", ":1"),
        // Keys may have the name of an option, and the last of two counts.
        ("set db v", "+OK"),
        ("copy db db DB 4", ":1"),
        ("copy db db db 5 db 6", ":1"),
        ("del db", ":1"),
        ("del k g nosuch", ":2"),
        ("dbsize", ":1"),
        ("select 3", "+OK"),
        ("hlen i", ":2"),
        ("expire i 10", ":1"),
        ("ttl i", ":10"),
        ("nosuch a b", "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b'"),
        ("get", "-ERR wrong number of arguments for 'get' command"),
    ] {
        assert_eq!(run(&mut connection, line), expected, "{line}");
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(run(&mut connection, "hlen i"), ":0");
    assert_eq!(run(&mut connection, "dbsize"), ":1");
    assert_eq!(store.sweep(10).unwrap().removed, 1);
    assert_eq!(run(&mut connection, "dbsize"), ":0");
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn transactions_are_one_write_and_see_what_is_watched() {
    let (store, _) = store();
    let (mut a, mut b) = (Connection::new(&store), Connection::new(&store));
    assert_eq!(run(&mut a, "watch k"), "+OK");
    assert_eq!(run(&mut a, "multi"), "+OK");
    assert_eq!(run(&mut a, "set k 1"), "+QUEUED");
    assert_eq!(run(&mut a, "incr k"), "+QUEUED");
    let before = store.engine().visible_seq();
    assert_eq!(run(&mut b, "get k"), "$-1");
    assert_eq!(run(&mut a, "exec"), "*2 +OK :2");
    assert_eq!(store.engine().visible_seq() - before, 3, "a header, a position, a count");
    run(&mut a, "watch k");
    assert_eq!(run(&mut b, "set k 5"), "+OK");
    run(&mut a, "multi");
    run(&mut a, "set k 6");
    assert_eq!(run(&mut a, "exec"), "*-1");
    assert_eq!(run(&mut a, "get k"), "$1 5");
    run(&mut a, "multi");
    assert!(run(&mut a, "nosuch").starts_with("-ERR unknown command"));
    assert_eq!(run(&mut a, "exec"), "-EXECABORT Transaction discarded because of previous errors.");
    assert_eq!(run(&mut a, "exec"), "-ERR EXEC without MULTI");
    run(&mut a, "watch k");
    run(&mut b, "flushall");
    run(&mut a, "multi");
    run(&mut a, "flushdb");
    run(&mut a, "set x 1");
    assert_eq!(run(&mut a, "exec"), "*-1");
    run(&mut a, "multi");
    run(&mut a, "set y 1");
    run(&mut a, "flushdb");
    run(&mut a, "set x 1");
    run(&mut a, "dbsize");
    run(&mut a, "get y");
    assert_eq!(run(&mut a, "exec"), "*5 +OK +OK +OK :1 $-1");
    assert_eq!(run(&mut b, "keys *"), "*1 $1 x");
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn who_watches_a_key_hears_that_it_went_before_its_database_did() {
    for behind in ["flushdb", "flushall", "swapdb 0 1", "swapdb 1 2"] {
        let (store, _) = store();
        let (mut a, mut b) = (Connection::new(&store), Connection::new(&store));
        for line in ["set k 1", "set other 1", "select 1", "set x 1"] {
            run(&mut b, line);
        }
        run(&mut a, "watch k");
        for line in ["select 0", "multi", "del k", behind, "exec"] {
            run(&mut b, line);
        }
        run(&mut a, "multi");
        assert_eq!(run(&mut a, "exec"), "*-1", "{behind}");
    }
    // What had expired before it was watched is not modified by its removal.
    for behind in ["flushdb", "swapdb 0 1"] {
        let (store, clock) = store();
        let (mut a, mut b) = (Connection::new(&store), Connection::new(&store));
        for line in ["set k 1 px 5", "set other 1"] {
            run(&mut b, line);
        }
        clock.advance(Duration::from_millis(10));
        run(&mut a, "watch k");
        for line in ["multi", "del k", behind, "exec"] {
            run(&mut b, line);
        }
        run(&mut a, "multi");
        assert_eq!(run(&mut a, "exec"), "*0", "{behind}");
    }
}

#[test]
fn a_pipeline_is_one_write() {
    let (store, _) = store();
    let mut connection = Connection::new(&store);
    run(&mut connection, "set a 0");
    let before = store.engine().visible_seq();
    let lines: Vec<Vec<&[u8]>> = (0..10).map(|_| vec![&b"incr"[..], b"a"]).collect();
    let mut replies = Vec::new();
    let seq = connection.execute_all(lines.iter().map(Vec::as_slice), &mut replies);
    assert_eq!(replies.last(), Some(&Reply::Integer(10)));
    assert_eq!((replies.len(), seq), (10, before + 1));
}

#[test]
fn bits_at_the_edges() {
    let (store, _) = store();
    let (mut connection, mut other) = (Connection::new(&store), Connection::new(&store));
    for (line, expected) in [
        ("set k abc", "+OK"),
        ("bitpos k 0 -5 -5000", ":0"),
        ("bitpos k 0 -1 -2", ":-1"),
        ("bitcount k -5 -5000", ":0"),
        ("bitcount k -1 -5 neither", ":0"),
        ("bitcount k -5 -1 neither", "-ERR syntax error"),
        ("set n 5", "+OK"),
        ("object encoding n", "$3 int"),
        ("watch n", "+OK"),
    ] {
        assert_eq!(run(&mut connection, line), expected, "{line}");
    }
    assert_eq!(run(&mut other, "bitfield n overflow fail incrby u2 0 5"), "*1 $-1");
    assert_eq!(run(&mut other, "object encoding n"), "$3 raw");
    run(&mut connection, "multi");
    run(&mut connection, "get n");
    assert_eq!(run(&mut connection, "exec"), "*1 $1 5", "nothing that a watcher sees was modified");
    run(&mut connection, "set n 5");
    run(&mut connection, "watch n");
    run(&mut other, "multi");
    run(&mut other, "bitfield n overflow fail incrby u2 0 5");
    run(&mut other, "setbit n 0 1");
    run(&mut other, "exec");
    run(&mut connection, "multi");
    assert_eq!(run(&mut connection, "exec"), "*-1", "what follows it in a unit is a modification");
}

#[test]
fn members_by_chance_are_bounded() {
    let (store, _) = store();
    let mut connection = Connection::new(&store);
    run(&mut connection, "hset h a 1");
    run(&mut connection, "sadd s a");
    run(&mut connection, "zadd z 1 a");
    let symmetric =
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    for (name, with) in
        [("hrandfield h", "withvalues"), ("srandmember s", ""), ("zrandmember z", "withscores")]
    {
        for count in ["-9223372036854775807", "-1048577"] {
            let reply = run(&mut connection, &format!("{name} {count}"));
            assert!(reply.starts_with("-ERR a reply may repeat at most"), "{name} {count}: {reply}");
        }
        assert_eq!(run(&mut connection, &format!("{name} -9223372036854775808")), symmetric);
        assert_eq!(run(&mut connection, &format!("{name} 9223372036854775807")), "*1 $1 a");
        assert!(run(&mut connection, &format!("{name} -1048576")).starts_with("*1048576 "));
        if !with.is_empty() {
            let line = format!("{name} -4611686018427387904 {with}");
            assert_eq!(run(&mut connection, &line), "-ERR value is out of range");
            assert_eq!(run(&mut connection, &format!("{name} -9223372036854775808 x")), symmetric);
            assert_eq!(run(&mut connection, &format!("{name} 1 x")), "-ERR syntax error");
        }
    }
    // Large members: by bytes.
    let large = "m".repeat(60_000);
    connection.execute(&["hset", "big", "f", &large]);
    let reply = run(&mut connection, "hrandfield big -5000 withvalues");
    assert!(reply.starts_with("-ERR a reply may repeat at most"), "{}", reply.len());
}
