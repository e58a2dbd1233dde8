//! Streamed replies beside those that are made whole.

use super::connection::Connection;
use super::reply::{Protocol, Reply};
use super::stream::{Stream, WHOLE};
use crate::store::Store;

/// Commands that show a collection, most of them more than is made whole.
const ASKED: &[&str] = &[
    "hgetall h",
    "hkeys h",
    "hvals h",
    "smembers s",
    "lrange l 0 -1",
    "lrange l 20 170",
    "lrange l -150 -2",
    "lrange holes 3 -3",
    "zrange z 0 -1",
    "zrange z 0 -1 withscores",
    "zrange z 5 -100 rev withscores",
    "zrevrange z 0 -1",
    "zrangebyscore z (3 +inf withscores",
    "zrangebyscore z -inf 150 limit 7 100",
    "zrevrangebyscore z 180 10 withscores limit 2 -1",
    "zrevrangebyscore z +inf -inf limit 150 1000",
    "zrangebylex same - + limit 3 150",
    "zrevrangebylex same [m30 -",
    "zrange same (m1 + bylex",
    "hgetall small",
    "smembers none",
    "lrange l 500 600",
    "lrange l 3 7",
    "lrange holes -6 -2",
    "lrange few 1 3",
    "lrange inline 0 -1",
    "zrangebyscore z 5 5",
];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Collections of 200 elements, and a list with room between its positions.
fn fill(connection: &mut Connection) {
    for at in 0..200 {
        for line in [
            format!("hset h f{at} value-{at}"),
            format!("sadd s m{at}"),
            format!("rpush l element-{at}"),
            format!("rpush holes element-{at}"),
            format!("zadd z {} m{at}", at % 50 * 4),
            format!("zadd same 1 m{at}"),
        ] {
            connection.execute(&words(&line));
        }
    }
    for at in (0..200).step_by(3) {
        connection.execute(&words(&format!("lrem holes 1 element-{at}")));
        connection.execute(&words(&format!("linsert holes before element-1 inserted-{at}")));
    }
    for at in 0..20 {
        connection.execute(&words(&format!("hset small f{at} v")));
        connection.execute(&words(&format!("rpush {} element-{at}", if at < 5 { "few" } else { "inline" })));
    }
}

fn whole(store: &Store, protocol: Protocol, line: &str) -> Vec<u8> {
    let (mut connection, mut bytes) = (Connection::new(store), Vec::new());
    connection.session_mut().protocol = protocol;
    connection.execute(&words(line)).reply.encode(protocol, &mut bytes);
    bytes
}

fn streaming(store: &Store, protocol: Protocol) -> Connection {
    let mut connection = Connection::new(store);
    (connection.session_mut().streams, connection.session_mut().protocol) = (true, protocol);
    connection
}

/// The rest of a stream in pieces of so many bytes; `between` runs once, behind the first of them.
fn rest(mut stream: Stream, piece: usize, between: impl FnOnce()) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.encode(&mut bytes, piece).unwrap();
    between();
    while !stream.is_done() {
        let enough = bytes.len() + piece;
        stream.encode(&mut bytes, enough).unwrap();
        assert!(bytes.len() < enough + 64, "a piece is as large as was asked for");
    }
    bytes
}

#[test]
fn streamed_replies_are_those_that_are_made_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).durability(esker::Durability::Os).open().unwrap();
    fill(&mut Connection::new(&store));
    let mut streamed = 0;
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        for line in ASKED {
            for piece in [1, 100, 1 << 20] {
                let mut connection = streaming(&store, protocol);
                let reply = connection.execute(&words(line)).reply;
                let bytes = match connection.session_mut().take_stream() {
                    Some(stream) => {
                        streamed += 1;
                        assert_eq!(reply, Reply::Null);
                        rest(stream, piece, || ())
                    }
                    None => {
                        let mut bytes = Vec::new();
                        reply.encode(protocol, &mut bytes);
                        bytes
                    }
                };
                let expected = whole(&store, protocol, line);
                let text = String::from_utf8_lossy;
                assert_eq!(text(&bytes), text(&expected), "{line}, pieces of {piece}");
            }
        }
    }
    assert_eq!(streamed, 19 * 2 * 3);
    store.close().unwrap();
}

#[test]
fn a_stream_shows_the_moment_of_its_command() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).durability(esker::Durability::Os).open().unwrap();
    for change in ["del", "flush", "change"] {
        fill(&mut Connection::new(&store));
        for line in ["hgetall h", "smembers s", "lrange l 0 -1", "zrange z 0 -1"] {
            let expected = whole(&store, Protocol::Resp2, line);
            let mut connection = streaming(&store, Protocol::Resp2);
            connection.execute(&words(line));
            let stream = connection.session_mut().take_stream().unwrap();
            let key = words(line)[1];
            let bytes = rest(stream, 300, || {
                let mut other = Connection::new(&store);
                let lines: &[String] = match change {
                    "del" => &[format!("del {key}")],
                    "flush" => &["flushall".into()],
                    _ => &[
                        "hset h f9 other".into(),
                        "srem s m7".into(),
                        "rpush l x".into(),
                        "zadd z 1 m50".into(),
                    ],
                };
                for line in lines {
                    let reply = other.execute(&words(line)).reply;
                    assert!(!reply.is_error(), "{reply:?}");
                }
                store.engine().flush().unwrap();
                store.engine().compact().unwrap();
            });
            assert_eq!(
                String::from_utf8_lossy(&bytes),
                String::from_utf8_lossy(&expected),
                "{change}: {line}"
            );
            fill(&mut Connection::new(&store));
        }
    }
    store.close().unwrap();
}

#[test]
fn nothing_is_carried_out_behind_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path()).durability(esker::Durability::Os).open().unwrap();
    fill(&mut Connection::new(&store));
    let mut connection = streaming(&store, Protocol::Resp2);
    let commands = ["hset h new field", "get none", "hgetall h", "del h"].map(words);
    let commands: Vec<Vec<&[u8]>> =
        commands.iter().map(|args| args.iter().map(|word| word.as_bytes()).collect()).collect();
    let mut replies = Vec::new();
    let depends_on = connection.execute_while(commands.iter().map(Vec::as_slice), &mut replies, usize::MAX);
    assert_eq!(replies, [Reply::Integer(1), Reply::Null, Reply::Null]);
    // What the same pipeline wrote is in it.
    let bytes = rest(connection.session_mut().take_stream().unwrap(), 100, || ());
    assert!(bytes.starts_with(b"*402\r\n") && depends_on >= store.engine().visible_seq());
    assert_eq!(connection.execute(&["hlen", "h"]).reply, Reply::Integer(201));
    // EXEC shows one moment: its parts are made whole.
    for line in ["multi", "hgetall h"] {
        connection.execute(&words(line));
    }
    let Reply::Array(parts) = connection.execute(&["exec"]).reply else { panic!("no parts") };
    assert!(matches!(&parts[..], [Reply::Map(pairs)] if pairs.len() == 201 && WHOLE < 201));
    assert!(connection.session_mut().take_stream().is_none() && connection.session().streams);
    store.close().unwrap();
}
