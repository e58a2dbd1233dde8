//! What is too much for memory, or for a batch.

use super::connection::Connection;
use super::reply::{Protocol, Reply};
use crate::encoding::limits::MAX_NAME_BYTES;
use crate::store::Store;

fn store(dir: &tempfile::TempDir) -> Store {
    Store::builder(dir.path()).durability(esker::Durability::Os).open().unwrap()
}

fn error(reply: &Reply) -> &str {
    match reply {
        Reply::Error(text) => text,
        other => panic!("no error, but {} bytes", other.size_bytes()),
    }
}

#[test]
fn what_no_batch_holds_is_refused_before_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    let value = vec![b'x'; 1 << 20];
    for at in 0..10 {
        connection.execute(&[b"rpush".as_slice(), b"list", &value]);
        connection.execute(&[b"set".as_slice(), format!("k{at}").as_bytes(), &value]);
    }
    for line in [&["copy", "list", "other"][..], &["move", "list", "1"]] {
        let reply = connection.execute(line).reply;
        assert!(error(&reply).starts_with("ERR the batch has"), "{line:?}");
    }
    assert_eq!(connection.execute(&["llen", "list"]).reply, Reply::Integer(10));
    // In a pipeline what stands before it is written, and said to be.
    for (at, line) in [&["copy", "list", "other"][..], &["move", "list", "1"]].into_iter().enumerate() {
        let name = format!("before{at}");
        let set = ["set", &name, "v"].map(str::as_bytes);
        let line: Vec<&[u8]> = line.iter().map(|word| word.as_bytes()).collect();
        let mut replies = Vec::new();
        connection.execute_all([&set[..], &line[..], &[b"get", name.as_bytes()]], &mut replies);
        assert_eq!((&replies[0], &replies[2]), (&Reply::OK, &"v".into()), "{line:?}");
        assert!(error(&replies[1]).starts_with("ERR the batch has"), "{line:?}");
    }
    // In a transaction each command by itself is small.
    connection.execute(&["multi"]);
    for at in 0..10 {
        connection.execute(&["copy", &format!("k{at}"), &format!("to{at}")]);
    }
    assert!(error(&connection.execute(&["exec"]).reply).starts_with("ERR the batch has"));
    assert_eq!(connection.execute(&["exists", "to0", "other"]).reply, Reply::Integer(0));
    // One key written again and again is small.
    connection.execute(&["multi"]);
    for _ in 0..10 {
        connection.execute(&[b"set".as_slice(), b"same", &value]);
    }
    assert!(matches!(connection.execute(&["exec"]).reply, Reply::Array(parts) if parts.len() == 10));
    assert!(store.verify().unwrap().is_clean());
    store.close().unwrap();
}

#[test]
fn a_reply_of_more_bytes_than_the_session_allows_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    let value = vec![b'x'; 10_000];
    connection.execute(&[b"set".as_slice(), b"k", &value]);
    connection.execute(&["hset", "small", "f", &"y".repeat(1000)]);
    for at in 0..40 {
        connection.execute(&[b"hset".as_slice(), b"h", format!("f{at}").as_bytes(), &value]);
        connection.execute(&[b"rpush".as_slice(), b"list", &value]);
        connection.execute(&["rpush", "same", "k"]);
    }
    connection.session_mut().most_reply_bytes = 100_000;
    let many = |name: &str, word: &str, times: usize| {
        name.split(' ').map(str::to_owned).chain(vec![word.to_owned(); times]).collect::<Vec<_>>()
    };
    for (name, word, few) in
        [("mget", "k", 9), ("hmget h", "f1", 9), ("hmget small", "f", 90), ("hmget none", "f", 2000)]
    {
        let reply = connection.execute(&many(name, word, few)).reply;
        assert!(matches!(reply, Reply::Array(parts) if parts.len() == few), "{name}");
        let reply = connection.execute(&many(name, word, few + few / 9 + 1)).reply;
        assert!(error(&reply).starts_with("ERR the reply would have"), "{name}");
    }
    for line in ["sort_ro same by nosort get *", "sort same by x get *", "hrandfield h 40 withvalues"] {
        let reply = connection.execute(&line.split(' ').collect::<Vec<_>>()).reply;
        assert!(error(&reply).starts_with("ERR the reply would have"), "{line}");
    }
    // Of a transaction all replies count, and nothing of one that has too many is written.
    for (times, is_done) in [(9, true), (11, false)] {
        connection.execute(&["multi"]);
        connection.execute(&["set", "written", if is_done { "once" } else { "twice" }]);
        connection.execute(&["select", "3"]);
        for _ in 0..times {
            connection.execute(&[b"echo".as_slice(), &value]);
        }
        let reply = connection.execute(&["exec"]).reply;
        assert_eq!(!reply.is_error(), is_done, "{times}");
        assert_eq!(connection.session().database, if is_done { 3 } else { 0 }, "nothing was done");
        connection.execute(&["select", "0"]);
    }
    assert_eq!(connection.execute(&["get", "written"]).reply, "once".into());
    // Nor is all of a collection taken, where it is not streamed.
    for line in [&["hgetall", "h"][..], &["hvals", "h"], &["lrange", "list", "0", "-1"]] {
        assert!(error(&connection.execute(line).reply).starts_with("ERR the reply would have"), "{line:?}");
    }
    assert!(!connection.execute(&["lrange", "list", "0", "8"]).reply.is_error());
    store.close().unwrap();
}

#[test]
fn what_a_command_would_hold_beyond_the_limit_is_an_error_and_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    let name = |at: usize| format!("{at:04}{}", "x".repeat(1000));
    for at in 0..300 {
        let (name, score) = (name(at), at.to_string());
        for line in [
            &["rpush", "l", &name][..],
            &["sadd", "s", &name],
            &["sadd", "t", &name],
            &["zadd", "z", &score, &name],
            &["hset", "h", &name, "v"],
            &["set", &name, "v"],
            &["rpush", "same", "v"],
        ] {
            assert!(!connection.execute(line).reply.is_error());
        }
    }
    // Of 300 elements of 1,004 bytes, 100 fit.
    store.set_command_memory(150_000);
    for (few, many) in [
        ("lpop l 1", "lpop l 300"),
        ("rpop l 100", "lmpop 2 none l right count 200"),
        ("lrange l 0 99", "lrange l 0 -1"),
        ("spop s 50", "spop s 240"),
        ("srandmember s 100", "srandmember s 200"),
        ("srandmember s -100", "srandmember s -1000"),
        ("sintercard 2 s t", "sinter s t"),
        ("sintercard 2 s t limit 1", "sunionstore to s t"),
        ("sdiff s t", "sdiffstore to t none"),
        ("zpopmin z 50", "zpopmax z 200"),
        ("zrange z 0 99", "zrange z 0 -1 withscores"),
        ("zremrangebyrank z 0 9", "zremrangebyrank z 1 -1"),
        ("zrandmember z 100", "zrandmember z 200"),
        ("zintercard 2 z z", "zunion 2 z none"),
        ("zinter 2 z none", "zinterstore to 2 z z"),
        ("zcard z", "zdiffstore to 1 z"),
        ("zrangestore to z 0 99", "zrangestore to z 0 -1"),
        ("zmpop 2 none z min count 5", "zmpop 1 z max count 150"),
        ("hrandfield h 100", "hrandfield h 200"),
        ("hrandfield h -100", "hrandfield h -300"),
        ("hlen h", "hkeys h"),
        ("keys 00*", "keys *"),
        ("scan 0 count 1000", "sort s alpha"),
        ("sort l by nosort limit 0 100", "sort l alpha limit 0 1"),
        (
            "sort same by nosort get # limit 0 10",
            &format!("sort same by nosort{} store to", " get #".repeat(12)),
        ),
    ] {
        let mut ask = |line: &str| connection.execute(&line.split(' ').collect::<Vec<_>>()).reply;
        let reply = ask(few);
        assert!(!reply.is_error(), "{few}: {reply:?}");
        ask("del to");
        let before = ["llen l", "scard s", "zcard z", "exists to"].map(&mut ask);
        let reply = ask(many);
        assert!(error(&reply).starts_with("ERR the command would hold more"), "{many}");
        assert_eq!(["llen l", "scard s", "zcard z", "exists to"].map(&mut ask), before, "{many}");
    }
    // One element is always given, however large, and a command alone in its unit is no other.
    store.set_command_memory(10);
    for line in
        ["lpop l", "spop s", "zpopmin z", "rpop l 1", "lrange l 0 0", "zrange z 0 0", "srandmember t 1"]
    {
        let reply = connection.execute(&line.split(' ').collect::<Vec<_>>()).reply;
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
    store.set_command_memory(usize::MAX);
    let reply = connection.execute(&["sunionstore", "to", "s", "t"]).reply;
    assert_eq!(reply, Reply::Integer(300));
    assert!(store.verify().unwrap().is_clean());
    store.close().unwrap();
}

#[test]
fn a_command_over_the_limit_takes_nothing_else_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    for at in 0..100 {
        connection.execute(&["rpush", "l", &format!("{at}{}", "x".repeat(100))]);
    }
    store.set_command_memory(1000);
    let lines = ["set before v", "lpop l 50", "set behind v"];
    let args: Vec<Vec<&[u8]>> =
        lines.iter().map(|line| line.split(' ').map(str::as_bytes).collect()).collect();
    let mut replies = Vec::new();
    connection.execute_all(args.iter().map(Vec::as_slice), &mut replies);
    assert_eq!((&replies[0], &replies[2]), (&Reply::OK, &Reply::OK));
    assert!(error(&replies[1]).starts_with("ERR the command would hold more"));
    for line in ["multi", "set before w", "lpop l 50", "llen l"] {
        connection.execute(&line.split(' ').collect::<Vec<_>>());
    }
    let Reply::Array(replies) = connection.execute(&["exec"]).reply else { panic!("three replies") };
    assert_eq!((&replies[0], &replies[2]), (&Reply::OK, &Reply::Integer(100)));
    assert!(replies[1].is_error());
    store.close().unwrap();
}

#[test]
fn names_that_are_too_long_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    connection.execute(&["set", "k", "1"]);
    let (fits, long) = (vec![b'n'; MAX_NAME_BYTES], vec![b'n'; MAX_NAME_BYTES + 1]);
    let lines: &[(&str, &str)] = &[
        ("ERR a key may have at most 65536 bytes", "set @ v"),
        ("ERR a key may have at most 65536 bytes", "append @ v"),
        ("ERR a key may have at most 65536 bytes", "setbit @ 1 1"),
        ("ERR a key may have at most 65536 bytes", "mset a v @ v"),
        ("ERR a key may have at most 65536 bytes", "incr @"),
        ("ERR a key may have at most 65536 bytes", "rename k @"),
        ("ERR a key may have at most 65536 bytes", "copy k @"),
        ("ERR a key may have at most 65536 bytes", "hset @ f v"),
        ("ERR a key may have at most 65536 bytes", "rpush @ e"),
        ("ERR a key may have at most 65536 bytes", "sadd @ m"),
        ("ERR a key may have at most 65536 bytes", "zadd @ 1 m"),
        ("ERR a field or member may have at most 65536 bytes", "hset h f v @ v"),
        ("ERR a field or member may have at most 65536 bytes", "hsetnx h @ v"),
        ("ERR a field or member may have at most 65536 bytes", "hincrby h @ 1"),
        ("ERR a field or member may have at most 65536 bytes", "sadd s m @"),
        ("ERR a field or member may have at most 65536 bytes", "zadd z 1 m 2 @"),
        ("ERR a field or member may have at most 65536 bytes", "zincrby z 1 @"),
    ];
    for (refused, line) in lines {
        let of = |name: &[u8]| -> Vec<Vec<u8>> {
            line.split(' ').map(|word| if word == "@" { name.to_vec() } else { word.into() }).collect()
        };
        let before = store.engine().visible_seq();
        assert_eq!(error(&connection.execute(&of(&long)).reply), *refused, "{line}");
        assert_eq!(store.engine().visible_seq(), before, "{line}");
        connection.execute(&["set", "k", "1"]);
        assert!(!connection.execute(&of(&fits)).reply.is_error(), "{line}");
        connection.execute(&["flushall"]);
        connection.execute(&["set", "k", "1"]);
    }
    assert!(store.verify().unwrap().is_clean());
    drop(connection);
    store.close().unwrap();
}

#[test]
fn patterns_of_sort_reserve_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    let elements: Vec<String> = (0..20_000).map(|at| format!("{at}")).collect();
    for some in elements.chunks(1000) {
        let args = ["rpush", "list"].into_iter().chain(some.iter().map(String::as_str));
        connection.execute(&args.collect::<Vec<_>>());
    }
    // More rows than any memory holds.
    let mut args = vec!["sort", "list"];
    args.extend(["get", "#"].repeat(500_000));
    store.set_command_memory(2 << 20);
    assert!(error(&connection.execute(&args).reply).starts_with("ERR the command would hold"));
    store.close().unwrap();
}

#[test]
fn a_few_large_values_are_streamed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    let value = vec![b'x'; 600_000];
    for at in 0..4 {
        connection.execute(&[b"hset".as_slice(), b"h", format!("f{at}").as_bytes(), &value]);
        connection.execute(&[b"rpush".as_slice(), b"list", &value]);
        connection.execute(&["rpush", "short", "x"]);
    }
    for line in [&["hgetall", "h"][..], &["hvals", "h"], &["lrange", "list", "1", "-1"]] {
        let mut whole = Vec::new();
        connection.session_mut().streams = false;
        connection.execute(line).reply.encode(Protocol::Resp2, &mut whole);
        connection.session_mut().streams = true;
        assert_eq!(connection.execute(line).reply, Reply::Null);
        let mut stream = connection.session_mut().take_stream().expect("a stream");
        let (mut bytes, mut pieces) = (Vec::new(), 0);
        while !stream.is_done() {
            let enough = bytes.len() + 1;
            stream.encode(&mut bytes, enough).unwrap();
            pieces += 1;
        }
        assert!(bytes == whole && pieces >= 3, "{line:?}");
    }
    // A walk has pages of a mebibyte, whatever it asks for.
    let (mut cursor, mut pages, mut fields) = ("0".to_owned(), 0, 0);
    loop {
        let Reply::Array(parts) = connection.execute(&["hscan", "h", &cursor, "count", "1000"]).reply else {
            panic!("a page")
        };
        let [Reply::Bulk(next), Reply::Array(pairs)] = &parts[..] else { panic!("a cursor and pairs") };
        cursor = String::from_utf8(next.clone()).unwrap();
        (pages, fields) = (pages + 1, fields + pairs.len() / 2);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((pages, fields), (2, 4));
    connection.execute(&["lrange", "short", "0", "-1"]);
    connection.execute(&["hkeys", "h"]);
    assert!(connection.session_mut().take_stream().is_none());
    store.close().unwrap();
}

#[test]
fn a_command_that_meets_corrupt_data_leaves_nothing_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut connection = Connection::new(&store);
    for key in ["good", "bad"] {
        connection.execute(&["set", key, "v"]);
    }
    let headers = store.engine().column_family("structures.headers").unwrap();
    let keyspace = store.unit().keyspace(0).unwrap();
    headers.put(crate::encoding::key::header(keyspace, b"bad"), b"").unwrap();
    let before = store.engine().visible_seq();
    for transaction in [false, true] {
        if transaction {
            connection.execute(&["multi"]);
        }
        let mut reply = connection.execute(&["del", "good", "bad"]).reply;
        if transaction {
            reply = connection.execute(&["exec"]).reply;
        }
        assert!(error(&reply).starts_with("ERR corrupt data"), "{reply:?}");
        assert_eq!(store.engine().visible_seq(), before);
        assert_eq!(connection.execute(&["get", "good"]).reply, "v".into());
    }
    assert!(error(&connection.execute(&["mget", "good", "bad"]).reply).starts_with("ERR corrupt data"));
    drop(connection);
    store.close().unwrap();
}
