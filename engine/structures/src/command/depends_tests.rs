//! What a reply tells of, and what becomes of it if that cannot be written.

use super::connection::Connection;
use super::reply::Reply;
use super::table::{commands, flags};
use crate::store::{Access, Store};
use esker::fs::{Fs, SimFs};

fn store(disk: &SimFs) -> Store {
    let builder = Store::builder("/data").deterministic(7);
    builder.engine(|engine| engine.fs(Fs::Sim(disk.clone())).memory_budget(8 << 20)).open().unwrap()
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

fn pipeline(connection: &mut Connection, lines: &[&str]) -> (Vec<Reply>, u64) {
    let commands: Vec<Vec<&[u8]>> = lines.iter().map(|line| words(line)).collect();
    let mut replies = Vec::new();
    let depends_on = connection.execute_all(commands.iter().map(Vec::as_slice), &mut replies);
    (replies, depends_on)
}

/// Each command that reads, of a key that is gone, and of the database that it stood in.
const READS: &[&str] = &[
    "exists k",
    "touch k",
    "type k",
    "ttl k",
    "pttl k",
    "expiretime k",
    "pexpiretime k",
    "scan 0",
    "scan 0 match k*",
    "scan 0 match *k",
    "keys *",
    "randomkey",
    "object encoding k",
    "sort_ro k",
    "get k",
    "mget k",
    "mget k k",
    "strlen k",
    "getrange k 0 1",
    "substr k 0 1",
    "lcs k k",
    "getbit k 1",
    "bitcount k",
    "bitpos k 1",
    "bitfield_ro k get u8 0",
    "hget k f",
    "hmget k f",
    "hexists k f",
    "hlen k",
    "hstrlen k f",
    "hgetall k",
    "hkeys k",
    "hvals k",
    "hscan k 0",
    "hrandfield k",
    "llen k",
    "lrange k 0 -1",
    "lindex k 0",
    "lpos k e",
    "sismember k m",
    "smismember k m",
    "scard k",
    "smembers k",
    "srandmember k",
    "sscan k 0",
    "sinter k",
    "sintercard 1 k",
    "sunion k",
    "sdiff k",
    "zscore k m",
    "zmscore k m",
    "zcard k",
    "zrange k 0 -1",
    "zrevrange k 0 -1",
    "zrangebyscore k 0 1",
    "zrevrangebyscore k 1 0",
    "zrangebylex k - +",
    "zrevrangebylex k + -",
    "zrank k m",
    "zrevrank k m",
    "zcount k 0 1",
    "zlexcount k - +",
    "zrandmember k",
    "zscan k 0",
    "zunion 1 k",
    "zinter 1 k",
    "zdiff 1 k",
    "zintercard 1 k",
    "dbsize",
];

#[test]
fn a_reply_that_shows_a_removal_depends_on_it() {
    for command in commands().filter(|command| command.has(flags::READ)) {
        // WATCH shows nothing.
        let is_asked = READS.iter().any(|line| line.split(' ').next() == Some(command.name));
        assert!(is_asked || command.name == "watch", "{} is not asked", command.name);
    }
    let store = store(&SimFs::new());
    let (mut writer, mut reader) = (Connection::new(&store), Connection::new(&store));
    for line in READS {
        for streams in [false, true] {
            writer.execute(&["set", "k", "v"]);
            let removed = writer.execute(&["del", "k"]);
            assert_eq!(removed.reply, Reply::Integer(1));
            reader.session_mut().streams = streams;
            let answer = reader.execute(&words(line));
            assert!(!answer.reply.is_error(), "{line}: {:?}", answer.reply);
            assert!(answer.depends_on >= removed.depends_on, "{line}");
        }
    }
}

#[test]
fn an_exec_that_was_kept_from_it_depends_on_what_did() {
    let store = store(&SimFs::new());
    let (mut a, mut b) = (Connection::new(&store), Connection::new(&store));
    pipeline(&mut a, &["set k 1", "watch k", "multi", "get k"]);
    let other = b.execute(&["set", "k", "2"]);
    let answer = a.execute(&["exec"]);
    assert_eq!(answer.reply, Reply::NullArray);
    assert!(answer.depends_on >= other.depends_on);
}

/// Has another connection carry a command out, on a thread of its own, and returns what it depends on.
fn meanwhile(store: &Store, line: &str) -> u64 {
    let run = || Connection::new(store).execute(&words(line)).depends_on;
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[test]
fn keys_are_counted_at_the_moment_that_a_command_sees() {
    let store = store(&SimFs::new());
    let mut connection = Connection::new(&store);
    pipeline(&mut connection, &["set a 1", "set b 1"]);
    let mut unit = store.unit();
    unit.begin(Access::Read);
    unit.freeze();
    meanwhile(&store, "set c 1");
    assert_eq!(unit.count_keys(0).unwrap(), 2);
    drop(unit);
    let mut unit = store.unit();
    unit.begin(Access::Read);
    unit.pin();
    // Here the youngest number will do, if the reply waits for it.
    let removed = meanwhile(&store, "del c");
    assert_eq!(unit.count_keys(0).unwrap(), 2);
    assert!(unit.depends_on() >= removed);
    drop(unit);
    let (replies, _) = pipeline(&mut connection, &["multi", "set c 1", "del a b", "dbsize", "exec"]);
    assert_eq!(replies[4], Reply::Array(vec![Reply::OK, Reply::Integer(2), Reply::Integer(1)]));
}

#[test]
fn what_may_take_long_does_not_keep_others_from_what_was_written_before() {
    let disk = SimFs::new();
    let store = store(&disk);
    let mut connection = Connection::new(&store);
    disk.set_capacity(Some(0));
    let large = "x".repeat(100_000);
    while !connection.execute(&["set", "fill", &large]).reply.is_error() {}
    let set = format!("set k {large}");
    for (line, expected) in [("keys nomatch*", Some(Reply::Array(Vec::new()))), ("get k", None)] {
        let (replies, _) = pipeline(&mut connection, &[&set, line]);
        assert!(replies[0].is_error());
        // What is written with others fails with them; what is written before has failed by then.
        assert_eq!(Some(&replies[1]).filter(|reply| !reply.is_error()), expected.as_ref(), "{line}");
    }
}

#[test]
fn replies_that_show_what_was_not_written_become_errors() {
    let disk = SimFs::new();
    let store = store(&disk);
    let (mut a, mut b) = (Connection::new(&store), Connection::new(&store));
    a.execute(&["set", "other", "1"]);
    let seen = b.execute(&["set", "seen", "1"]);
    disk.set_capacity(Some(0));
    // The log has room left.
    let large = "x".repeat(100_000);
    while !a.execute(&["set", "fill", &large]).reply.is_error() {}
    let set = format!("set lock {large} nx");
    let (replies, depends_on) =
        pipeline(&mut a, &["get seen", "nosuch", &set, "get lock", "hget lock f", "select 3", "get other"]);
    assert_eq!(replies[0], "1".into());
    assert!(matches!(&replies[1], Reply::Error(text) if text.starts_with("ERR unknown command")));
    for at in [2, 3, 4, 6] {
        let is_full = matches!(&replies[at], Reply::Error(text) if text.starts_with("MISCONF"));
        assert!(is_full, "{at}");
    }
    assert_eq!((&replies[5], a.session().database), (&Reply::OK, 3), "it is of the connection alone");
    assert!(depends_on >= seen.depends_on, "the first reply shows it");
    disk.set_capacity(None);
    assert_eq!(b.execute(&["get", "lock"]).reply, Reply::Null);
}
