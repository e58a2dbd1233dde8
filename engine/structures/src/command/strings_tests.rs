//! Strings that are as long as they can be, and options of their commands.

use super::{Connection, Reply};
use crate::base::error::Error;
use crate::encoding::header::{Meta, Type};
use crate::encoding::key;
use crate::store::{Key, Store, Table};
use crate::string::{self, Field, FieldOp, Overflow, Width};
use esker::fs::{Fs, SimFs};

fn store() -> Store {
    let builder = Store::builder("/data").deterministic(1);
    builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new()))).open().unwrap()
}

fn ask(connection: &mut Connection, line: &str) -> Reply {
    connection.execute(&line.split(' ').collect::<Vec<_>>()).reply
}

#[test]
fn what_bits_make_longer_than_can_be_set_reads_back_whole() {
    let store = store();
    let mut connection = Connection::new(&store);
    let number = |number| Reply::Array(vec![Reply::Integer(number)]);
    assert_eq!(ask(&mut connection, "bitfield k set u8 4294967295 255"), number(0));
    assert_eq!(ask(&mut connection, "strlen k"), Reply::Integer(536_870_913));
    assert_eq!(ask(&mut connection, "bitfield k get u8 4294967295"), number(255));
    assert_eq!(ask(&mut connection, "bitcount k"), Reply::Integer(8));
    assert_eq!(ask(&mut connection, "getrange k -2 -1"), Reply::Bulk(vec![0x01, 0xfe]));
    assert_eq!(ask(&mut connection, "bitop or to k none"), Reply::Integer(536_870_913));
    for key in ["k", "to"] {
        for command in [format!("get {key}"), format!("getrange {key} 0 -1")] {
            let Reply::Bulk(bytes) = ask(&mut connection, &command) else { panic!("{command}") };
            assert_eq!((bytes.len(), bytes.ends_with(&[0, 0x01, 0xfe])), (536_870_913, true), "{command}");
        }
    }
    // Nothing else makes it longer.
    assert_eq!(ask(&mut connection, "append k x"), Error::STRING_TOO_LONG.into());
    assert_eq!(ask(&mut connection, "setrange k 536870912 x"), Error::STRING_TOO_LONG.into());
    assert_eq!(ask(&mut connection, "bitfield far set i64 4294967295 -1"), number(0));
    assert_eq!(ask(&mut connection, "strlen far"), Reply::Integer(536_870_920));
    assert_eq!(ask(&mut connection, "bitfield far get i64 4294967295"), number(-1));
    assert_eq!(ask(&mut connection, "bitfield far set u8 4294967296 1"), Error::BIT_OFFSET.into());
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn integers_that_no_string_holds_are_refused() {
    let store = store();
    let field = |offset, signed, bits| Field {
        width: Width { signed, bits },
        offset,
        operation: FieldOp::Set(1),
        overflow: Overflow::Wrap,
    };
    for (field, expected) in [
        (field(1 << 32, false, 8), Error::BIT_OFFSET),
        (field(u64::MAX, true, 64), Error::BIT_OFFSET),
        (field(0, false, 64), Error::BIT_WIDTH),
        (field(0, true, 65), Error::BIT_WIDTH),
        (field(0, true, 0), Error::BIT_WIDTH),
    ] {
        let mut unit = store.unit();
        let key = Key { keyspace: unit.keyspace(0).unwrap(), name: b"k" };
        let refused = unit.writing(&[key], |unit| string::bit_field(unit, key, &[field])).unwrap_err();
        assert_eq!(refused.to_string(), expected.to_string(), "{field:?}");
    }
}

#[test]
fn a_length_that_no_string_has_is_an_error_and_no_allocation() {
    let store = store();
    let mut unit = store.unit();
    let mut header = Vec::new();
    let meta = Meta { records: true, incarnation: 7, length: 1 << 60, ..Meta::new(Type::String) };
    meta.encode(b"", &mut header);
    unit.put(Table::Headers, key::header(unit.keyspace(0).unwrap(), b"k"), header);
    unit.commit().unwrap();
    drop(unit);
    let mut connection = Connection::new(&store);
    for line in ["get k", "getrange k 0 -1", "bitcount k", "bitop not to k", "append k x"] {
        let Reply::Error(text) = ask(&mut connection, line) else { panic!("{line}") };
        assert!(text.starts_with("ERR corrupt data"), "{line}: {text}");
    }
    assert!(!store.verify().unwrap().is_clean());
}

/// As a `redis-server` of 7.0.15 answers.
#[test]
fn the_last_of_the_same_option_counts() {
    let store = store();
    let mut connection = Connection::new(&store);
    let old = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
    let number = Error::NOT_INTEGER.into();
    let syntax: Reply = Error::SYNTAX.into();
    for (line, expected, time) in [
        ("set k v ex 10 ex 20", Reply::OK, "ttl"),
        ("set k v px 10000 px 20000", Reply::OK, "ttl"),
        ("set k v exat 33177117420 exat 33277117420", Reply::OK, "expiretime"),
        ("set k v pxat 33177117420000 pxat 33277117420000", Reply::OK, "expiretime"),
        ("set k v ex x ex 20", Reply::OK, "ttl"),
        ("set k v keepttl keepttl", Reply::OK, "ttl"),
        ("getex k ex 10 ex 20", old("v"), "ttl"),
        ("getex k px 10000 px 20000", old("v"), "ttl"),
        ("getex k ex -1 ex 20", old("v"), "ttl"),
        ("getex k exat 33177117420 exat 33277117420", old("v"), "expiretime"),
        ("getex none ex x ex y", Reply::Null, ""),
        ("set k v ex 20 ex x", number, "expiretime"),
        ("set k v ex 10 px 20", syntax.clone(), ""),
        ("set k v ex 10 exat 20", syntax.clone(), ""),
        ("set k v ex 10 keepttl", syntax.clone(), ""),
        ("set k v keepttl ex 10", syntax.clone(), ""),
        ("set k v ex 10 ex", syntax.clone(), ""),
        ("set k v persist", syntax.clone(), ""),
        ("getex k ex 10 persist", syntax.clone(), ""),
        ("getex k persist ex 10", syntax.clone(), ""),
        ("getex k ex 10 px 10", syntax.clone(), ""),
        ("getex k ex ex 10", syntax.clone(), ""),
        ("getex k keepttl", syntax.clone(), ""),
        ("getex none nx", syntax.clone(), ""),
    ] {
        assert_eq!(ask(&mut connection, line), expected, "{line}");
        match time {
            "" => {}
            "ttl" => assert_eq!(ask(&mut connection, "ttl k"), Reply::Integer(20), "{line}"),
            time => {
                let expected = Reply::Integer(33_277_117_420);
                assert_eq!(ask(&mut connection, &format!("{time} k")), expected, "{line}");
            }
        }
    }
    assert_eq!(ask(&mut connection, "getex k persist persist"), old("v"));
    assert_eq!(ask(&mut connection, "ttl k"), Reply::Integer(-1));
}

#[test]
fn numbers_of_more_digits_than_a_header_holds_are_added_to() {
    let store = store();
    let mut connection = Connection::new(&store);
    for (digits, expected) in [(4096, true), (4097, true), (5119, true), (5120, false), (6000, false)] {
        let number = format!("{}1", "0".repeat(digits - 1));
        ask(&mut connection, &format!("set k {number}"));
        let reply = ask(&mut connection, "incrbyfloat k 1");
        let wanted = if expected { "2".into() } else { Reply::from(Error::NOT_FLOAT) };
        assert_eq!(reply, wanted, "{digits} digits");
    }
    ask(&mut connection, "set k 0");
    let Reply::Bulk(sum) = ask(&mut connection, "incrbyfloat k 0x1p16383") else { panic!() };
    assert_eq!(sum.len(), 4932);
    assert_eq!(ask(&mut connection, "incrbyfloat k -0x1p16383"), "0".into());
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn names_of_subcommands_are_shown_as_far_as_in_redis() {
    let store = store();
    let mut connection = Connection::new(&store);
    for name in ["x".repeat(200), format!("{}\0yz", "x".repeat(128))] {
        let expected = format!("ERR unknown subcommand '{}'. Try OBJECT HELP.", "x".repeat(128));
        assert_eq!(connection.execute(&["object", &name, "k"]).reply, Reply::Error(expected));
    }
    let expected = "ERR unknown command 'no', with args beginning with: 'a' ";
    assert_eq!(connection.execute(&["no\0such", "a\0b"]).reply, Reply::Error(expected.into()));
}

/// Setting bits to what they are counted as a modification, so that whoever watched was turned away.
#[test]
fn bits_that_stay_as_they_are_modify_nothing() {
    let store = store();
    let (mut watcher, mut other) = (Connection::new(&store), Connection::new(&store));
    let long = format!("set k {}", "a".repeat(200_000));
    for (set, line, modifies) in [
        ("set k a", "setbit k 1 1", false),
        ("set k a", "setbit k 0 0", false),
        ("set k 12", "setbit k 2 1", false),
        ("set k a", "setbit k 0 1", true),
        ("set k a", "setbit k 8 0", true),
        ("del k", "setbit k 0 0", true),
        ("set k a", "bitfield k set u8 0 97", false),
        ("set k a", "bitfield k overflow fail incrby u8 0 200", false),
        ("set k a", "bitfield k overflow sat incrby u1 1 5", false),
        ("set k a", "bitfield k incrby u8 0 256", false),
        ("set k a", "bitfield k set u8 0 97 set u8 8 0", true),
        ("set k a", "bitfield k set u8 0 98", true),
        (&long, "setbit k 800001 1", false),
        (&long, "setbit k 800000 1", true),
    ] {
        ask(&mut other, set);
        ask(&mut watcher, "watch k");
        let reply = ask(&mut other, line);
        assert!(!reply.is_error(), "{line}: {reply:?}");
        ask(&mut watcher, "multi");
        ask(&mut watcher, "ping");
        let done = ask(&mut watcher, "exec") != Reply::NullArray;
        assert_eq!(done, !modifies, "{line}");
    }
    ask(&mut other, "set k 12");
    assert_eq!(ask(&mut other, "object encoding k"), "int".into());
    ask(&mut other, "setbit k 2 1");
    assert_eq!(ask(&mut other, "object encoding k"), "raw".into());
    assert!(store.verify().unwrap().is_clean());
}
