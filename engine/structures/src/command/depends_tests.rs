//! What a reply tells of, and what becomes of it if that cannot be written.

use super::connection::Connection;
use super::reply::Reply;
use super::table::{commands, flags};
use crate::store::{Access, Key, Store, Unit};
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
    let set = format!("set k {}", "x".repeat(100_000));
    for (line, expected) in [("keys nomatch*", Some(Reply::Array(Vec::new()))), ("get k", None)] {
        let disk = SimFs::new();
        let store = store(&disk);
        let mut connection = Connection::new(&store);
        disk.set_capacity(Some(0));
        // The log has room left; it is found out by a pipeline that there is no more.
        let replies = loop {
            let (replies, _) = pipeline(&mut connection, &[&set, line]);
            if replies[0].is_error() {
                break replies;
            }
        };
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
    let set = format!("set lock {}", "x".repeat(100_000));
    let (replies, depends_on) = loop {
        assert!(!store.is_full(), "it is found out by a pipeline");
        let lines = ["get seen", "nosuch", &set, "get lock", "hget lock f", "select 3", "get other"];
        let (replies, depends_on) = pipeline(&mut a, &lines);
        if replies[2].is_error() {
            break (replies, depends_on);
        }
        a.execute(&["select", "0"]);
        a.execute(&["del", "lock"]);
    };
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

/// DEL was refused where there was no room, since it changes a count besides.
#[test]
fn what_makes_room_and_what_reads_goes_on_where_there_is_no_room() {
    let disk = SimFs::new();
    let store = store(&disk);
    let mut a = Connection::new(&store);
    let many: Vec<String> = (0..600).map(|n| format!("m{n}")).collect();
    let add = |a: &mut Connection, command: &str, key: &str, each: &dyn Fn(&str) -> Vec<String>| {
        let args = many.iter().flat_map(|m| each(m));
        let args: Vec<String> = [command.to_owned(), key.to_owned()].into_iter().chain(args).collect();
        assert!(!a.execute(&args).reply.is_error());
    };
    for (suffix, keep) in [("", 600), ("-small", 5)] {
        let many = &many[..keep];
        for (command, key) in [("rpush", "list"), ("sadd", "set")] {
            let args: Vec<String> = [command.to_owned(), format!("{key}{suffix}")].into();
            assert!(!a.execute(&[args, many.to_vec()].concat()).reply.is_error());
        }
    }
    add(&mut a, "hset", "hash", &|m| vec![m.to_owned(), "v".into()]);
    add(&mut a, "zadd", "zset", &|m| vec!["1".into(), m.to_owned()]);
    for line in ["set k v", "set kept v", "hset hash-small a 1 b 2", "select 5", "set other v"] {
        pipeline(&mut a, &[line]);
    }
    a.execute(&["select", "0"]);
    disk.set_capacity(Some(0));
    let large = "x".repeat(100_000);
    while !a.execute(&["set", "fill", &large]).reply.is_error() {}
    assert!(store.is_full());
    let full = |reply: &Reply| matches!(reply, Reply::Error(text) if text.starts_with("MISCONF"));

    let (replies, _) =
        pipeline(&mut a, &["get kept", "set kept w", "del k", "get kept", "incr n", "exists k"]);
    assert!(full(&replies[1]) && full(&replies[4]), "{replies:?}");
    let others: Vec<&Reply> = [0, 2, 3, 5].into_iter().map(|at| &replies[at]).collect();
    assert_eq!(others, [&"v".into(), &Reply::Integer(1), &"v".into(), &Reply::Integer(0)]);
    for line in [
        "lpop list",
        "rpop list-small",
        "lrem list 1 m7",
        "ltrim list 0 99",
        "srem set m1 m2",
        "spop set-small",
        "hdel hash m1",
        "hdel hash-small a",
        "zrem zset m1",
        "zpopmin zset",
        "zremrangebyrank zset 0 9",
        "unlink zset",
        "getdel fill",
        "flushdb",
    ] {
        let (replies, _) = pipeline(&mut a, &[line]);
        assert!(!replies[0].is_error(), "{line}: {replies:?}");
    }
    let (replies, _) = pipeline(&mut a, &["multi", "select 5", "del other", "dbsize", "exec"]);
    assert_eq!(replies[4], Reply::Array(vec![Reply::OK, Reply::Integer(1), Reply::Integer(0)]));
    let (replies, _) = pipeline(&mut a, &["multi", "set more v", "del other", "exec"]);
    assert!(full(&replies[3]), "it adds, too: {replies:?}");
    disk.set_capacity(None);
    store.verify().unwrap();
}

/// What is read ahead is what the command would have read then; behind anything that shows a later moment it
/// would be the past.
#[test]
fn what_was_read_ahead_is_forgotten_where_something_later_is_shown() {
    let store = store(&SimFs::new());
    let mut connection = Connection::new(&store);
    pipeline(&mut connection, &["set a 1", "set b 1", "zadd many 1 m"]);
    let read = |unit: &mut Unit<'_>, name: &[u8]| {
        unit.begin(Access::Read);
        let key = Key { keyspace: unit.keyspace(0).unwrap(), name };
        unit.read_header(key, |_, payload| payload.to_vec()).unwrap()
    };
    let mut unit = store.unit();
    unit.begin(Access::Read);
    let [old_a, old_b] = [&b"a"[..], b"b"].map(|name| read(&mut unit, name));
    let ahead = |unit: &mut Unit<'_>| {
        let keyspace = unit.keyspace(0).unwrap();
        unit.begin(Access::Read);
        unit.read_ahead([&b"a"[..], b"b"].map(|name| Key { keyspace, name }));
    };
    ahead(&mut unit);
    meanwhile(&store, "mset a 2 b 2");
    assert_eq!(read(&mut unit, b"a"), old_a);
    read(&mut unit, b"many");
    assert_ne!(read(&mut unit, b"b"), old_b, "the key before was read later");

    ahead(&mut unit);
    meanwhile(&store, "mset a 3 b 3");
    let new_a = read(&mut unit, b"a");
    unit.begin(Access::Read);
    unit.pin();
    assert_ne!(read(&mut unit, b"a"), new_a);
}

#[test]
fn reads_of_a_pipeline_answer_as_they_do_one_by_one() {
    let store = store(&SimFs::new());
    let (mut a, mut b) = (Connection::new(&store), Connection::new(&store));
    let wide: String = (0..300).map(|n| format!(" f{n} v")).collect();
    let large = "x".repeat(70_000);
    for line in
        ["set k v", "set n 5", &format!("set large {large}"), &format!("hset wide{wide}"), "sadd s a b"]
    {
        pipeline(&mut a, &[line]);
    }
    let lines = [
        "get k",
        "get none",
        "hlen wide",
        "get k",
        "get s",
        "hget wide f7",
        "strlen large",
        "exists k k none",
        "mget k n none s",
        "nosuch",
        "get",
        "type s",
        "scard s",
        "get n",
        "object encoding n",
    ];
    let lines: Vec<&str> = lines.into_iter().cycle().take(90).collect();
    let (together, _) = pipeline(&mut a, &lines);
    let apart: Vec<Reply> = lines.iter().map(|line| b.execute(&words(line)).reply).collect();
    assert_eq!(together, apart);
    let (replies, _) = pipeline(&mut a, &["get k", "get n", "set k w", "get k", "get n", "incr n", "get n"]);
    let expected =
        [Reply::from("v"), "5".into(), Reply::OK, "w".into(), "5".into(), Reply::Integer(6), "6".into()];
    assert_eq!(replies, expected);
}
