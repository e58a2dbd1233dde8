//! Every command on data has a typed counterpart, and both do the same: two stores that make the same choices
//! by chance are given the same steps, one as commands, the other as typed calls, and what they answer and
//! what they hold is compared.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker_structures::api::{Database, Run};
use esker_structures::command::{Connection, Group, Reply, commands, find, flags};
use esker_structures::keys::{Filter, Limit, Remaining};
use esker_structures::list::{Search, Side};
use esker_structures::set::Algebra;
use esker_structures::sort::SortOptions;
use esker_structures::string::{
    BitOperation, BitRange, Condition, Expiry, Field, FieldOp, Overflow, SetOptions, Width,
};
use esker_structures::zset::{Add, Aggregate, Algebra as Scored, LexBound, Range, ScoreRange, Window};
use esker_structures::{Result, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Where time stands: what expires does so at the same time in both.
const NOW_MS: u64 = 1_700_000_000_000;

fn open() -> Store {
    open_at(&ManualClock::new(NOW_MS))
}

fn open_at(clock: &Arc<ManualClock>) -> Store {
    let (disk, time) = (SimFs::new(), Clock::Manual(clock.clone()));
    let builder = Store::builder("/data").deterministic(7);
    builder.engine(|engine| engine.fs(Fs::Sim(disk)).clock(time).memory_budget(16 << 20)).open().unwrap()
}

/// What is answered, as words: an array's in their order, or sorted where that means nothing.
trait Shown {
    fn words(&self, out: &mut Vec<String>);
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Shown for () {
    fn words(&self, out: &mut Vec<String>) {
        out.push("OK".into());
    }
}

impl Shown for bool {
    fn words(&self, out: &mut Vec<String>) {
        out.push(u8::from(*self).to_string());
    }
}

impl Shown for u64 {
    fn words(&self, out: &mut Vec<String>) {
        out.push(self.to_string());
    }
}

impl Shown for i64 {
    fn words(&self, out: &mut Vec<String>) {
        out.push(self.to_string());
    }
}

impl Shown for f64 {
    fn words(&self, out: &mut Vec<String>) {
        out.push(self.to_string());
    }
}

impl Shown for Vec<u8> {
    fn words(&self, out: &mut Vec<String>) {
        out.push(text(self));
    }
}

impl Shown for &str {
    fn words(&self, out: &mut Vec<String>) {
        out.push((*self).to_owned());
    }
}

impl<T: Shown> Shown for Option<T> {
    fn words(&self, out: &mut Vec<String>) {
        match self {
            Some(value) => value.words(out),
            None => out.push("-".into()),
        }
    }
}

impl<A: Shown, B: Shown> Shown for (A, B) {
    fn words(&self, out: &mut Vec<String>) {
        self.0.words(out);
        self.1.words(out);
    }
}

macro_rules! shown_lists {
    ($($of:ty),*) => {
        $(impl Shown for Vec<$of> {
            fn words(&self, out: &mut Vec<String>) {
                self.iter().for_each(|item| item.words(out));
            }
        })*
    };
}

shown_lists!(Vec<u8>, Option<Vec<u8>>, (Vec<u8>, Vec<u8>), (Vec<u8>, f64), bool, u64, i64, Option<i64>);
shown_lists!(Option<f64>);

impl Shown for Reply {
    fn words(&self, out: &mut Vec<String>) {
        match self {
            Reply::Simple(word) => out.push((*word).to_owned()),
            Reply::Error(word) => out.push(word.clone()),
            Reply::Integer(number) => number.words(out),
            Reply::Bulk(bytes) => out.push(text(bytes)),
            Reply::Double(number) => number.words(out),
            Reply::Null | Reply::NullArray => out.push("-".into()),
            Reply::Array(items) | Reply::Set(items) => items.iter().for_each(|item| item.words(out)),
            Reply::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                key.words(out);
                value.words(out);
            }),
            other => panic!("no such reply is expected: {other:?}"),
        }
    }
}

/// What a typed call answers.
fn of<T: Shown>(answer: Result<T>) -> Result<Vec<String>> {
    let mut words = Vec::new();
    answer?.words(&mut words);
    Ok(words)
}

/// All that an iterator gives.
fn all<T>(items: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    items.collect()
}

type Db<'s> = Database<'s, Store>;
/// A typed call.
type Call = fn(Db<'_>) -> Result<Vec<String>>;
/// A command, and the typed call that does the same.
type Case = (&'static str, Call);
type WholeCase = (&'static str, fn(&Store) -> Result<Vec<String>>);

const IN_A_MINUTE: Duration = Duration::from_secs(60);

fn ranked(range: Range<'_>, window: Window) -> impl Fn(Db<'_>) -> Result<Vec<String>> {
    move |db| of(Ok(db.zset("z").range_in(&range, window)?.into_iter().map(|(m, _)| m).collect::<Vec<_>>()))
}

const STRINGS: &[Case] = &[
    ("set k 10", |db| of(db.string("k").set("10"))),
    ("set k 11 nx", |db| {
        let options = SetOptions { condition: Condition::IfAbsent, ..SetOptions::default() };
        let done = db.string("k").set_with("11", options)?;
        of(Ok(done.is_set.then_some("OK")))
    }),
    ("setnx k 12", |db| of(db.string("k").set_if_absent("12"))),
    ("get k", |db| of(db.string("k").get())),
    ("getset k 20", |db| of(db.string("k").replace("20"))),
    ("incr k", |db| of(db.string("k").increment(1))),
    ("decr k", |db| of(db.string("k").increment(-1))),
    ("incrby k 5", |db| of(db.string("k").increment(5))),
    ("decrby k 7", |db| of(db.string("k").increment(-7))),
    ("incrbyfloat k 0.1", |db| of(db.string("k").increment_float(0.1))),
    ("get k", |db| of(db.string("k").get())),
    ("incr k", |db| of(db.string("k").increment(1))),
    ("strlen k", |db| of(db.string("k").len())),
    ("setex t 60 value", |db| of(db.string("t").set_for("value", IN_A_MINUTE))),
    ("psetex t 60000 value", |db| of(db.string("t").set_for("value", IN_A_MINUTE))),
    ("getex t px 120000", |db| of(db.string("t").get_expiring(Expiry::In(2 * IN_A_MINUTE)))),
    ("getex t persist", |db| of(db.string("t").get_expiring(Expiry::Clear))),
    ("append t er", |db| of(db.string("t").append("er"))),
    ("getrange t -3 -1", |db| of(db.string("t").get_range(-3, -1))),
    ("substr t 0 2", |db| of(db.string("t").get_range(0, 2))),
    ("setrange t 2 LL", |db| of(db.string("t").set_range(2, "LL"))),
    ("mset a 1 b 2", |db| of(db.set_many(&[("a", "1"), ("b", "2")]))),
    ("msetnx b 3 c 3", |db| of(db.set_many_if_absent(&[("b", "3"), ("c", "3")]))),
    ("mget a none b", |db| of(db.get_many(&["a", "none", "b"]))),
    ("lcs t k", |db| of(Ok(db.string("t").longest_common("k")?.bytes))),
    ("getdel t", |db| of(db.string("t").take())),
    ("getdel t", |db| of(db.string("t").take())),
    ("setbit bits 7 1", |db| of(db.string("bits").set_bit(7, true))),
    ("setbit bits 70000 1", |db| of(db.string("bits").set_bit(70000, true))),
    ("getbit bits 7", |db| of(db.string("bits").get_bit(7))),
    ("bitcount bits", |db| of(db.string("bits").bit_count(None))),
    ("bitcount bits 0 7 bit", |db| {
        of(db.string("bits").bit_count(Some(BitRange { start: 0, end: 7, in_bits: true })))
    }),
    ("bitpos bits 1", |db| of(db.string("bits").bit_position(true, None))),
    ("bitop not none bits", |db| of(db.string("none").store_bits(BitOperation::Not, &["bits"]))),
    ("bitop xor both bits none", |db| of(db.string("both").store_bits(BitOperation::Xor, &["bits", "none"]))),
    ("bitop not none a b", |db| of(db.string("none").store_bits(BitOperation::Not, &["a", "b"]))),
    ("bitfield field incrby i5 100 1 get u4 0", |db| {
        let overflow = Overflow::Wrap;
        let add = FieldOp::Increment(1);
        of(db.string("field").bit_field(&[
            Field { width: Width::new(true, 5)?, offset: 100, operation: add, overflow },
            Field { width: Width::new(false, 4)?, offset: 0, operation: FieldOp::Get, overflow },
        ]))
    }),
    ("bitfield_ro field get i5 100", |db| {
        of(db.string("field").read_bit_field(&[(Width::new(true, 5)?, 100)]))
    }),
];

const HASHES: &[Case] = &[
    ("hset h name ada visits 1", |db| of(db.hash("h").set_many(&[("name", "ada"), ("visits", "1")]))),
    ("hset h name eve", |db| of(db.hash("h").set("name", "eve"))),
    ("hmset h n 1 f 2.5", |db| of(db.hash("h").set_many(&[("n", "1"), ("f", "2.5")]).map(|_| ()))),
    ("hsetnx h n 2", |db| of(db.hash("h").set_if_absent("n", "2"))),
    ("hget h name", |db| of(db.hash("h").get("name"))),
    ("hmget h name none n", |db| of(db.hash("h").get_many(&["name", "none", "n"]))),
    ("hexists h n", |db| of(db.hash("h").contains("n"))),
    ("hlen h", |db| of(db.hash("h").len())),
    ("hstrlen h name", |db| of(db.hash("h").value_len("name"))),
    ("hincrby h n 41", |db| of(db.hash("h").increment("n", 41))),
    ("hincrbyfloat h f 0.1", |db| of(db.hash("h").increment_float("f", 0.1))),
    ("hincrbyfloat h f inf", |db| of(db.hash("h").increment_float("f", f64::INFINITY))),
    ("hincrby h name 1", |db| of(db.hash("h").increment("name", 1))),
    ("hgetall h", |db| of(all(db.hash("h").entries()?))),
    ("hkeys h", |db| of(all(db.hash("h").entries()?.map(|entry| Ok(entry?.0))))),
    ("hvals h", |db| of(all(db.hash("h").entries()?.map(|entry| Ok(entry?.1))))),
    ("hscan h 0", |db| of(Ok((0_u64, all(db.hash("h").entries()?)?)))),
    ("hrandfield h", |db| of(Ok(db.hash("h").random()?.map(|(name, _)| name)))),
    ("hrandfield h 2 withvalues", |db| of(db.hash("h").random_distinct(2))),
    ("hrandfield h -5 withvalues", |db| of(db.hash("h").random_repeated(5))),
    ("hdel h name none", |db| of(db.hash("h").delete_many(&["name", "none"]))),
    ("hdel h n", |db| of(db.hash("h").delete("n"))),
];

const LISTS: &[Case] = &[
    ("rpush l a b c b", |db| of(db.list("l").push_many(Side::Right, &["a", "b", "c", "b"]))),
    ("lpush l z", |db| of(db.list("l").push(Side::Left, "z"))),
    ("rpushx none a", |db| of(db.list("none").push_if_exists(Side::Right, &["a"]))),
    ("lpushx l y", |db| of(db.list("l").push_if_exists(Side::Left, &["y"]))),
    ("llen l", |db| of(db.list("l").len())),
    ("lrange l 0 -1", |db| of(db.list("l").range(0, -1))),
    ("lrange l 0 -1", |db| of(all(db.list("l").elements()?))),
    ("lindex l -1", |db| of(db.list("l").get(-1))),
    ("lset l 0 x", |db| of(db.list("l").set(0, "x"))),
    ("lset l 100 x", |db| of(db.list("l").set(100, "x"))),
    ("linsert l before c m", |db| of(db.list("l").insert_before("c", "m"))),
    ("linsert l after c n", |db| of(db.list("l").insert_after("c", "n"))),
    ("lpos l b", |db| of(db.list("l").position("b"))),
    ("lpos l none", |db| of(db.list("l").position("none"))),
    ("lpos l b rank -1 count 0", |db| {
        of(db.list("l").positions("b", Search { from: Side::Right, ..Search::ALL }))
    }),
    ("lrem l -1 b", |db| of(db.list("l").remove(-1, "b"))),
    ("lmove l other left right", |db| of(db.list("l").move_to(Side::Left, "other", Side::Right))),
    ("rpoplpush l l", |db| of(db.list("l").move_to(Side::Right, "l", Side::Left))),
    ("lpop l", |db| of(db.list("l").pop(Side::Left))),
    ("rpop l 2", |db| of(db.list("l").pop_many(Side::Right, 2))),
    ("lmpop 2 none l left count 2", |db| of(db.pop_of_lists(&["none", "l"], Side::Left, 2))),
    ("rpush l 1 2 3 4", |db| of(db.list("l").push_many(Side::Right, &["1", "2", "3", "4"]))),
    ("ltrim l 1 2", |db| of(db.list("l").trim(1, 2))),
];

const SETS: &[Case] = &[
    ("sadd s a b c d e", |db| of(db.set("s").add_many(&["a", "b", "c", "d", "e"]))),
    ("sadd s a", |db| of(db.set("s").add("a"))),
    ("sadd t c d x", |db| of(db.set("t").add_many(&["c", "d", "x"]))),
    ("srem s e none", |db| of(db.set("s").remove_many(&["e", "none"]))),
    ("sismember s a", |db| of(db.set("s").contains("a"))),
    ("smismember s a none", |db| of(db.set("s").contains_many(&["a", "none"]))),
    ("scard s", |db| of(db.set("s").len())),
    ("smembers s", |db| of(all(db.set("s").members()?))),
    ("sscan s 0", |db| of(Ok((0_u64, all(db.set("s").members()?)?)))),
    ("srandmember s", |db| of(db.set("s").random())),
    ("srandmember s 2", |db| of(db.set("s").random_distinct(2))),
    ("srandmember s -6", |db| of(db.set("s").random_repeated(6))),
    ("smove s t a", |db| of(db.set("s").move_to("t", "a"))),
    ("sinter s t", |db| of(db.set("s").combined(Algebra::Intersection, &["t"]))),
    ("sunion s t none", |db| of(db.set("s").combined(Algebra::Union, &["t", "none"]))),
    ("sdiff s t", |db| of(db.set("s").combined(Algebra::Difference, &["t"]))),
    ("sintercard 2 s t limit 1", |db| of(db.set("s").intersection_len(&["t"], 1))),
    ("sinterstore si s t", |db| of(db.set("si").store(Algebra::Intersection, &["s", "t"]))),
    ("sunionstore su s t", |db| of(db.set("su").store(Algebra::Union, &["s", "t"]))),
    ("sdiffstore s s t", |db| of(db.set("s").store(Algebra::Difference, &["s", "t"]))),
    ("spop su", |db| of(db.set("su").pop())),
    ("spop su 2", |db| of(db.set("su").pop_many(2))),
];

const SORTED_SETS: &[Case] = &[
    ("zadd z 1 a 2 b 3 c 4 d", |db| {
        let members = [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)];
        of(Ok(db.zset("z").add_many(&members, Add::default())?.added))
    }),
    ("zadd z 5 e", |db| of(db.zset("z").add("e", 5.0))),
    ("zadd z gt ch 1 e 7 d", |db| {
        let done =
            db.zset("z").add_many(&[("e", 1.0), ("d", 7.0)], Add { greater: true, ..Add::default() })?;
        of(Ok(done.added + done.updated))
    }),
    ("zadd z gt lt 1 e", |db| {
        let options = Add { greater: true, less: true, ..Add::default() };
        of(Ok(db.zset("z").add_many(&[("e", 1.0)], options)?.added))
    }),
    ("zincrby z 1.5 a", |db| of(db.zset("z").increment("a", 1.5))),
    ("zscore z a", |db| of(db.zset("z").score("a"))),
    ("zmscore z a none", |db| of(db.zset("z").scores(&["a", "none"]))),
    ("zcard z", |db| of(db.zset("z").len())),
    ("zrank z c", |db| of(db.zset("z").rank("c"))),
    ("zrevrank z c", |db| of(db.zset("z").reverse_rank("c"))),
    ("zrange z 0 -1 withscores", |db| of(db.zset("z").range(&Range::ALL))),
    ("zrange z -inf +inf byscore withscores", |db| {
        of(all(db.zset("z").entries(f64::NEG_INFINITY..=f64::INFINITY)?))
    }),
    ("zrevrange z 0 1", |db| ranked(Range::Rank(0, 1), Window::REVERSED)(db)),
    ("zrangebyscore z (2 5 limit 1 2", |db| {
        let range = ScoreRange { min_open: true, ..(2.0..=5.0).into() };
        ranked(range.into(), Window { offset: 1, limit: 2, ..Window::ALL })(db)
    }),
    ("zrevrangebyscore z 5 2", |db| ranked((2.0..=5.0).into(), Window::REVERSED)(db)),
    ("zrangebylex z - +", |db| ranked(Range::Lex(LexBound::Lowest, LexBound::Highest), Window::ALL)(db)),
    ("zrevrangebylex z + -", |db| {
        ranked(Range::Lex(LexBound::Lowest, LexBound::Highest), Window::REVERSED)(db)
    }),
    ("zcount z 2 3", |db| of(db.zset("z").count(2.0..=3.0))),
    ("zlexcount z - +", |db| of(db.zset("z").count(Range::Lex(LexBound::Lowest, LexBound::Highest)))),
    ("zrandmember z", |db| of(Ok(db.zset("z").random()?.map(|(member, _)| member)))),
    ("zrandmember z 2 withscores", |db| of(db.zset("z").random_distinct(2))),
    ("zrandmember z -5 withscores", |db| of(db.zset("z").random_repeated(5))),
    ("zscan z 0", |db| of(Ok((0_u64, all(db.zset("z").entries(f64::NEG_INFINITY..=f64::INFINITY)?)?)))),
    ("zadd y 10 c 20 q", |db| {
        of(Ok(db.zset("y").add_many(&[("c", 10.0), ("q", 20.0)], Add::default())?.added))
    }),
    ("zunion 2 z y weights 1 2 withscores", |db| {
        let how = Scored::Union { weights: &[1.0, 2.0], aggregate: Aggregate::Sum };
        of(db.zset("z").combined(how, &["y"]))
    }),
    ("zinter 2 z y aggregate max withscores", |db| {
        let how = Scored::Intersection { weights: &[], aggregate: Aggregate::Max };
        of(db.zset("z").combined(how, &["y"]))
    }),
    ("zdiff 2 z y withscores", |db| of(db.zset("z").combined(Scored::Difference, &["y"]))),
    ("zintercard 2 z y", |db| of(db.zset("z").intersection_len(&["y"], 0))),
    ("zunionstore zu 2 z y", |db| {
        of(db.zset("zu").store(Scored::Union { weights: &[], aggregate: Aggregate::Sum }, &["z", "y"]))
    }),
    ("zinterstore zi 2 z y", |db| {
        of(db.zset("zi").store(Scored::Intersection { weights: &[], aggregate: Aggregate::Sum }, &["z", "y"]))
    }),
    ("zdiffstore zd 2 z y", |db| of(db.zset("zd").store(Scored::Difference, &["z", "y"]))),
    ("zrangestore zr z 1 2", |db| of(db.zset("zr").store_range("z", &Range::Rank(1, 2), Window::ALL))),
    ("zrem z e none", |db| of(db.zset("z").remove_many(&["e", "none"]))),
    ("zpopmin z 2", |db| of(db.zset("z").pop_first(2))),
    ("zpopmax zu 1", |db| of(db.zset("zu").pop_last(1))),
    ("zmpop 2 none zu max count 2", |db| of(db.pop_of_zsets(&["none", "zu"], true, 2))),
    ("zremrangebyrank zu 0 0", |db| of(db.zset("zu").remove_range(&Range::Rank(0, 0)))),
    ("zremrangebyscore y 20 20", |db| of(db.zset("y").remove_range(&(20.0..=20.0).into()))),
    ("zremrangebylex zd [a (c", |db| {
        let min = LexBound::At { member: b"a", open: false };
        let max = LexBound::At { member: b"c", open: true };
        of(db.zset("zd").remove_range(&Range::Lex(min, max)))
    }),
];

fn left(remaining: Remaining, show: fn(u64, u64) -> u64) -> i64 {
    match remaining {
        Remaining::Absent => -2,
        Remaining::Forever => -1,
        Remaining::Until(at, left) => show(at, left) as i64,
    }
}

/// A time that comes after everything.
const LATE: u64 = 4_000_000_000;

const KEYS: &[Case] = &[
    ("exists k none k", |db| of(db.count_existing(&["k", "none", "k"]))),
    ("touch k none", |db| of(db.count_existing(&["k", "none"]))),
    ("type h", |db| of(Ok(db.kind("h")?.map(|kind| kind.name())))),
    ("object encoding h", |db| of(db.encoding("h"))),
    ("rename a aa", |db| of(db.rename("a", "aa").map(|_| ()))),
    ("renamenx aa b", |db| of(db.rename_if_absent("aa", "b"))),
    ("copy s copied", |db| of(db.copy("s", "copied", false))),
    ("copy s copied", |db| of(db.copy("s", "copied", false))),
    ("copy s copied db 3", |db| of(db.copy_to("s", 3, "copied", false))),
    ("copy s s", |db| of(db.copy("s", "s", true))),
    ("move copied 4", |db| of(db.move_to("copied", 4))),
    ("expire k 60", |db| of(db.expire("k", IN_A_MINUTE))),
    ("pexpire k 30000 gt", |db| {
        of(db.expire_if("k", IN_A_MINUTE / 2, Limit { greater: true, ..Limit::default() }))
    }),
    ("expire k 60 nx gt", |db| {
        of(db.expire_if("k", IN_A_MINUTE, Limit { absent: true, greater: true, ..Limit::default() }))
    }),
    ("persist k", |db| of(db.persist("k"))),
    ("expireat k 4000000000", |db| of(db.expire_at("k", LATE * 1000, Limit::default()))),
    ("pexpireat k 4000000000000 lt", |db| {
        of(db.expire_at("k", LATE * 1000, Limit { less: true, ..Limit::default() }))
    }),
    ("expiretime k", |db| of(Ok(left(db.remaining("k")?, |at, _| (at + 500) / 1000)))),
    ("pexpiretime k", |db| of(Ok(left(db.remaining("k")?, |at, _| at)))),
    ("ttl none", |db| of(Ok(left(db.remaining("none")?, |_, left| left)))),
    ("pttl h", |db| of(Ok(left(db.remaining("h")?, |_, left| left)))),
    ("randomkey", |db| of(db.random_key())),
    ("keys b*", |db| of(db.matching("b*"))),
    ("scan 0 count 1000", |db| of(Ok((0_u64, all(db.keys(Filter::default())?)?)))),
    ("scan 0 match b* type string count 1000", |db| {
        let filter =
            Filter { pattern: Some(b"b*"), kind: Some(esker_structures::encoding::header::Type::String) };
        of(Ok((0_u64, all(db.keys(filter)?)?)))
    }),
    ("sort l desc", |db| of(db.sort("l", &SortOptions { descending: true, ..SortOptions::default() }))),
    ("sort_ro t alpha limit 0 2", |db| {
        let options = SortOptions { alphabetic: true, limit: Some((0, 2)), ..SortOptions::default() };
        of(db.sort("t", &options))
    }),
    ("sort l store sorted", |db| of(db.sort_into("l", "sorted", &SortOptions::default()))),
    ("sort h", |db| of(db.sort("h", &SortOptions::default()))),
    ("del aa none", |db| of(db.delete_many(&["aa", "none"]))),
    ("unlink b", |db| of(db.delete("b"))),
];

/// The same of the whole store.
const WHOLE: &[WholeCase] = &[
    ("dbsize", |store| of(store.db(0).len())),
    ("swapdb 0 3", |store| of(store.swap_databases(0, 3))),
    ("swapdb 0 16", |store| of(store.swap_databases(0, 16))),
    ("dbsize", |store| of(store.db(0).len())),
    ("flushdb", |store| of(store.db(0).flush())),
    ("dbsize", |store| of(store.db(0).len())),
    ("swapdb 0 3", |store| of(store.swap_databases(0, 3))),
    ("flushall", |store| of(store.flush_all())),
    ("dbsize", |store| of(store.db(0).len())),
];

/// Commands that are no typed calls of their own, and what does what they do.
const OTHERWISE: &[(&str, &str)] = &[
    ("multi", "Store::transact"),
    ("exec", "Store::transact"),
    ("discard", "an error of the body of Store::transact"),
    ("watch", "Store::watched"),
    ("unwatch", "dropping what Store::watched gives"),
    ("ping", "there is no connection"),
    ("echo", "there is no connection"),
    ("select", "Store::db"),
];

/// The store that is given commands, and the one that is given typed calls.
struct Both {
    commanded: Store,
    typed: Store,
    connection: Connection,
}

impl Both {
    fn new() -> Both {
        let (commanded, typed) = (open(), open());
        let connection = Connection::new(&commanded);
        Both { commanded, typed, connection }
    }

    fn step(&mut self, line: &str, call: impl FnOnce(&Store) -> Result<Vec<String>>) {
        let mut expected = words(&mut self.connection, line);
        let mut found = call(&self.typed).unwrap_or_else(|error| vec![error.to_string()]);
        let name = line.split(' ').next().unwrap_or_default();
        if find(name.as_bytes()).is_some_and(|command| command.has(flags::UNORDERED)) {
            expected.sort();
            found.sort();
        }
        assert_eq!(found, expected, "{line}");
    }

    fn steps(&mut self, cases: &[Case]) {
        for (line, call) in cases {
            self.step(line, |store| call(store.db(0)));
        }
        assert_eq!(held(&self.typed), held(&self.commanded));
    }

    fn close(self) {
        drop(self.connection);
        for store in [self.commanded, self.typed] {
            assert!(store.verify().unwrap().is_clean());
            store.close().unwrap();
        }
    }
}

fn words(connection: &mut Connection, line: &str) -> Vec<String> {
    let mut words = Vec::new();
    connection.execute(&line.split(' ').collect::<Vec<_>>()).reply.words(&mut words);
    words
}

/// What the databases hold, down to encodings and expiries.
fn held(store: &Store) -> Vec<String> {
    let mut connection = Connection::new(store);
    let mut held = Vec::new();
    for database in 0..store.databases() {
        words(&mut connection, &format!("select {database}"));
        for key in words(&mut connection, "keys *") {
            let kind = words(&mut connection, &format!("type {key}")).concat();
            let read = match kind.as_str() {
                "string" => "get @",
                "hash" => "hgetall @",
                "list" => "lrange @ 0 -1",
                "set" => "smembers @",
                _ => "zrange @ 0 -1 withscores",
            };
            held.push(format!("{database} {key} {kind}"));
            for ask in [read, "object encoding @", "pexpiretime @"] {
                held.extend(words(&mut connection, &ask.replace('@', &key)));
            }
        }
    }
    held
}

#[test]
fn typed_calls_do_what_commands_do() {
    let mut both = Both::new();
    for cases in [STRINGS, HASHES, LISTS, SETS, SORTED_SETS, KEYS] {
        both.steps(cases);
    }
    assert!(held(&both.typed).len() > 50);
    for (line, call) in WHOLE {
        both.step(line, call);
    }
    both.close();
}

#[test]
fn every_command_has_a_typed_counterpart() {
    let cases = [STRINGS, HASHES, LISTS, SETS, SORTED_SETS, KEYS].into_iter().flatten();
    let lines = cases.map(|(line, _)| *line).chain(WHOLE.iter().map(|(line, _)| *line));
    let met: BTreeSet<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
    let otherwise: BTreeSet<&str> = OTHERWISE.iter().map(|(name, _)| *name).collect();
    let known: BTreeSet<&str> = commands().map(|command| command.name).collect();
    let missing: Vec<&&str> =
        known.iter().filter(|name| !met.contains(*name) && !otherwise.contains(*name)).collect();
    assert!(missing.is_empty(), "no typed call does what these do: {missing:?}");
    let strange: Vec<&&str> = met
        .union(&otherwise)
        .filter(|name| !known.contains(*name) || (met.contains(*name) && otherwise.contains(*name)))
        .collect();
    assert!(strange.is_empty(), "there are no such commands, or they stand twice: {strange:?}");
    // What stands apart is not about data.
    for (name, _) in OTHERWISE {
        let group = find(name.as_bytes()).map(|command| command.group);
        assert!(matches!(group, Some(Group::Transactions | Group::Connection)), "{name}");
    }
}

/// The same calls in one transaction are one write, all of it or nothing.
#[test]
fn a_transaction_has_the_same_calls_and_is_one_write() {
    fn fill<R: Run>(db: Database<'_, R>) -> Result<u64> {
        db.string("k").set("1")?;
        db.hash("h").set("f", "v")?;
        db.list("l").push_many(Side::Left, &["a", "b"])?;
        db.set("s").add_many(&["a", "b"])?;
        db.zset("z").add("m", 1.0)?;
        db.zset("z").increment("m", 1.0)?;
        db.set("u").store(Algebra::Union, &["s", "none"])?;
        db.list("l").move_to(Side::Left, "m", Side::Left)?;
        db.copy_to("s", 2, "s", false)?;
        db.expire("k", IN_A_MINUTE)?;
        db.sort_into("s", "sorted", &SortOptions { alphabetic: true, ..SortOptions::default() })?;
        db.delete("h")?;
        db.len()
    }
    let (together, apart) = (open(), open());
    let before = together.engine().visible_seq();
    let refused = together.transact(|t| {
        fill(t.db(0))?;
        t.db(0).string("s").get()
    });
    assert!(refused.unwrap_err().is_wrong_type());
    assert_eq!(together.engine().visible_seq(), before, "nothing was written");
    let mut length = 0;
    together
        .transact(|t| {
            length = fill(t.db(0))?;
            assert_eq!(together.engine().visible_seq(), before, "nothing is visible yet");
            Ok(())
        })
        .unwrap();
    assert_eq!(fill(apart.db(0)).unwrap(), length);
    assert_eq!(held(&together), held(&apart));
    assert!(together.verify().unwrap().is_clean());
    together.close().unwrap();
    apart.close().unwrap();
}
