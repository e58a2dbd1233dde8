//! What commands cost in records, at three sizes of what they work on: exactly what the golden file says.
//!
//! Reads are look-ups and movements of cursors, writes the records of the batch; bytes are those of the
//! keys and values met and written, as the next power of two. No time is measured.

use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::{Connection, commands};
use esker_structures::store::Cost;
use esker_tests::golden;
use std::fmt::Write;

/// How many elements there are.
const SIZES: [u64; 3] = [10, 1_000, 1_000_000];
/// Elements that one command makes.
const PAGE: u64 = 1_000;

/// What is asked. `@` stands for the name of an element, and `#` for its index: of the first, the middle, the
/// last. Where neither stands, the command is given once.
const COMMANDS: &[&str] = &[
    "type h",
    "exists h",
    "object encoding z",
    "expire h 1000",
    "expire h 2000",
    "persist h",
    "rename h g",
    "rename g h",
    "strlen b",
    "getrange b # #",
    "getbit b #",
    "setbit b # 1",
    "setrange b # x",
    "append b x",
    "bitcount b # #",
    "bitpos b 1 #",
    "hlen h",
    "hget h @",
    "hmget h @ none @",
    "hset h @ v",
    "hset h @ v new v",
    "hdel h new",
    "hincrby h count 1",
    "hexists h @",
    "hrandfield h",
    "hrandfield h 3",
    "hscan h 0 count 10",
    "scard s",
    "sismember s @",
    "sadd s @ new",
    "srem s new none",
    "smove s t @",
    "smove t s @",
    "srandmember s",
    "srandmember s 3",
    "srandmember s -3",
    "spop s",
    "spop s 3",
    "sscan s 0 count 10",
    "sintercard 2 s t",
    "llen l",
    "lindex l #",
    "lset l # v",
    "lrange l # #",
    "lpush l v",
    "rpush l v v v",
    "lpop l",
    "rpop l 3",
    "linsert l before e0000003 v",
    "lindex l #",
    "lset l # v",
    "lpop l",
    "rpop l",
    "ltrim l 2 -3",
    "zcard z",
    "zscore z @",
    "zmscore z @ none @",
    "zrank z @",
    "zrevrank z @",
    "zrange z # #",
    "zrange z # # rev",
    "zrange z [@ + bylex limit 0 3",
    "zrange z - + bylex limit # 3",
    "zcount z 1 1",
    "zlexcount z - [@",
    "zrandmember z",
    "zrandmember z 3",
    "zscan z 0 count 10",
    "zincrby z 0.5 @",
    "zincrby z -0.5 @",
    "zadd z 1 @ 1 new1 1 new2 1 new3",
    "zrem z new1 new2 new3",
    "zpopmin z",
    "zpopmax z 2",
    "zremrangebyrank z # #",
    "zremrangebyrank z 2 4",
    "set k v",
    "get k",
    "getset k v",
    "getex k ex 100",
    "setnx k v",
    "setex k 100 v",
    "psetex k 100000 v",
    "mset k 1 k2 2",
    "msetnx k 1 k3 1",
    "mget k k2 none",
    "lcs k k2",
    "incr k",
    "decr k",
    "incrby k 5",
    "decrby k 5",
    "incrbyfloat k 0.5",
    "getdel k2",
    "substr b # #",
    "bitop not b2 b",
    "bitfield b get u8 #",
    "bitfield b set u8 # 1",
    "bitfield_ro b get u8 #",
    "hmset h @ v",
    "hsetnx h @ v",
    "hstrlen h @",
    "hincrbyfloat h count 0.5",
    "hgetall h",
    "hkeys h",
    "hvals h",
    "lpushx l v",
    "rpushx l v",
    "lpos l @",
    "lmove l l left right",
    "rpoplpush l l",
    "lmpop 1 l left count 2",
    "lrem l 1 @",
    "sort l alpha limit 0 3",
    "sort_ro l by nosort limit # 3",
    "smembers s",
    "smismember s @ none @",
    "sadd t @ other",
    "sinter s t",
    "sinterstore t3 s t",
    "sunion s t",
    "sunionstore t3 t t",
    "sdiff t s",
    "sdiffstore t3 t s",
    "zadd y 1 @ 2 other",
    "zrevrange z # #",
    "zrangebyscore z 1 1 limit # 3",
    "zrevrangebyscore z 1 1 limit # 3",
    "zrangebylex z [@ + limit 0 3",
    "zrevrangebylex z [@ - limit 0 3",
    "zrangestore y2 z # #",
    "zintercard 2 z y",
    "zunion 2 z y",
    "zunionstore y2 2 y y",
    "zinter 2 z y",
    "zinterstore y2 2 z y",
    "zdiff 2 y z",
    "zdiffstore y2 2 y z",
    "zmpop 1 z min",
    "zremrangebyscore z 100 200",
    "zremrangebylex z (f +",
    "touch h",
    "pexpire h 1000000",
    "expireat h 33177117420",
    "pexpireat h 33177117420000",
    "ttl h",
    "pttl h",
    "expiretime h",
    "pexpiretime h",
    "persist h",
    "renamenx h g",
    "renamenx g h",
    "scan 0 count 10",
    "keys k*",
    "randomkey",
    "move k 1",
    "unlink b2 y y2 t t3",
    "watch h",
    "unwatch",
    "multi",
    "discard",
    "multi",
    "set k v",
    "exec",
    "ping",
    "echo v",
    "select 0",
    "swapdb 0 1",
    "swapdb 0 1",
    "copy s t2",
    "del t2",
    "del h",
    "del s l z b",
    "dbsize",
    "flushdb",
    "flushall",
];

/// Those that must not touch more than three times as many records at the greatest size as at the one before.
const FLAT: &[&str] = &[
    "zrank z @",
    "zrevrank z @",
    "zcount z 1 1",
    "zlexcount z - [@",
    "zrange z # #",
    "zrange z # # rev",
    "zrandmember z",
    "lindex l #",
    "srandmember s",
    "hrandfield h",
    "spop s",
];

const WHOLE: &str = "reads the whole of what it is about";
const LEVELS: &str = "there is a level of counts more, of which it reads up to some 60";
const REMEMBERS: &str =
    "reads the counts beside those that it changes, where others came by twice, and remembers them";

/// Those that touch more than three times as many records at the greatest size as at the one before, at any
/// of the three places, and why.
const GROWING: &[(&str, &str)] = &[
    ("bitpos b 1 #", "goes on to the next piece until it finds the bit; of 1,000 bytes there is one piece"),
    ("zrank z @", LEVELS),
    ("zrevrank z @", LEVELS),
    ("zincrby z 0.5 @", REMEMBERS),
    ("zincrby z -0.5 @", REMEMBERS),
    ("zremrangebyrank z # #", REMEMBERS),
    ("bitop not b2 b", WHOLE),
    ("hgetall h", WHOLE),
    ("hkeys h", WHOLE),
    ("hvals h", WHOLE),
    ("lpos l @", "looks at all in front of what it finds, and here there is no such element any more"),
    ("lrem l 1 @", "looks at all in front of what it finds, and here there is no such element any more"),
    ("sort l alpha limit 0 3", WHOLE),
    ("smembers s", WHOLE),
    ("sunion s t", WHOLE),
    ("zrevrange z # #", LEVELS),
    ("zrevrangebyscore z 1 1 limit # 3", LEVELS),
    ("zunion 2 z y", WHOLE),
    ("copy s t2", WHOLE),
];

/// At so many places, evenly spread, or so often where chance decides.
const PLACES: u64 = 60;

/// The records that each of [`FLAT`] touches, all places together.
fn spread(store: &Store, connection: &mut Connection, size: u64) -> Vec<u64> {
    let mut sums = Vec::new();
    for command in FLAT {
        let before = store.cost();
        for place in 1..=PLACES {
            let index = size * place / (PLACES + 1);
            run(connection, &command.replace('@', &element(index)).replace('#', &index.to_string()));
        }
        let cost = store.cost() - before;
        sums.push(cost.reads + cost.writes);
    }
    sums
}

fn element(at: u64) -> String {
    format!("e{at:07}")
}

/// A command whose arguments are words and what stands for the elements from `from` on.
fn page(start: &[&str], from: u64, to: u64, each: impl Fn(u64) -> Vec<String>) -> Vec<String> {
    let words = start.iter().map(|word| (*word).to_owned());
    words.chain((from..to).flat_map(each)).collect()
}

fn fill(connection: &mut Connection, size: u64) {
    for from in (0..size).step_by(PAGE as usize) {
        let to = (from + PAGE).min(size);
        for args in [
            page(&["hset", "h"], from, to, |at| vec![element(at), at.to_string()]),
            page(&["sadd", "s"], from, to, |at| vec![element(at)]),
            page(&["rpush", "l"], from, to, |at| vec![element(at)]),
        ] {
            assert!(!connection.execute(&args).reply.is_error());
        }
    }
    run(connection, "zunionstore z 1 s");
    run(connection, &format!("setrange b {} x", size - 1));
    for at in (0..size).step_by(4096) {
        run(connection, &format!("setrange b {at} y"));
    }
}

fn run(connection: &mut Connection, line: &str) {
    let args: Vec<&str> = line.split(' ').collect();
    let answer = connection.execute(&args);
    assert!(!answer.reply.is_error(), "{line}: {:?}", answer.reply);
}

/// The costs of all commands at one size, in their order, and of [`FLAT`] besides.
fn costs(size: u64) -> (Vec<Vec<Cost>>, Vec<u64>) {
    let builder = Store::builder("/data").deterministic(1).databases(2);
    let engine = |engine: esker::Builder| engine.fs(Fs::Sim(SimFs::new())).memory_budget(256 << 20);
    let store = builder.engine(engine).open().unwrap();
    let mut connection = Connection::new(&store);
    fill(&mut connection, size);
    let flat = if size < 1_000 { Vec::new() } else { spread(&store, &mut connection, size) };
    let mut found = Vec::new();
    for command in COMMANDS {
        let (with_places, mut costs) = (command.contains(['@', '#']), Vec::new());
        for (name, index) in [(1, 1), (size / 2, size / 2), (size - 2, size - 2)] {
            let line = command.replace('@', &element(name)).replace('#', &index.to_string());
            let before = store.cost();
            run(&mut connection, &line);
            costs.push(store.cost() - before);
            if !with_places {
                break;
            }
        }
        found.push(costs);
    }
    assert!(store.verify().unwrap().is_clean());
    (found, flat)
}

/// Which commands touch more than three times as many records with the second costs as with the first.
fn growing(before: &[Vec<Cost>], greatest: &[Vec<Cost>]) -> Vec<&'static str> {
    let records = |cost: &Cost| cost.reads + cost.writes;
    let grows = |(before, greatest): (&Vec<Cost>, &Vec<Cost>)| {
        before.iter().zip(greatest).any(|(before, greatest)| records(greatest) > 3 * records(before))
    };
    let all = COMMANDS.iter().zip(before.iter().zip(greatest));
    all.filter(|(_, costs)| grows(*costs)).map(|(command, _)| *command).collect()
}

#[test]
fn golden_the_costs_of_commands() {
    let mut text = String::from(
        "Records read and written, and at most how many bytes they have, by commands on 10, 1,000 and\n\
         1,000,000 elements; of the first, the middle and the last element where a command names one (@, or\n\
         # its index).\n\n",
    );
    let by_size: Vec<_> = SIZES.iter().map(|size| costs(*size)).collect();
    for (at, command) in COMMANDS.iter().enumerate() {
        writeln!(text, "{command}").unwrap();
        for (size, (costs, _)) in SIZES.iter().zip(&by_size) {
            let of = |cost: &Cost| {
                let bytes = |bytes: u64| if bytes == 0 { 0 } else { bytes.next_power_of_two() };
                format!(
                    "{} read, {} B; {} written, {} B",
                    cost.reads,
                    bytes(cost.read_bytes),
                    cost.writes,
                    bytes(cost.written_bytes)
                )
            };
            let shown: Vec<String> = costs[at].iter().map(of).collect();
            writeln!(text, "  {size:>7}: {}", shown.join(" | ")).unwrap();
        }
    }
    writeln!(text, "\nMore than three times as many records at 1,000,000 elements as at 1,000:\n").unwrap();
    for (command, why) in GROWING {
        writeln!(text, "{command}: {why}").unwrap();
    }
    golden::check("docs/format/structures-costs.txt", &text);
    let known: Vec<&str> = GROWING.iter().map(|(command, _)| *command).collect();
    assert_eq!(growing(&by_size[1].0, &by_size[2].0), known);
    let [_, (_, before), (_, greatest)] = &by_size[..] else { panic!("there are three sizes") };
    for ((command, before), greatest) in FLAT.iter().zip(before).zip(greatest) {
        esker_tests::figure!(
            "{command}: {greatest} records at {PLACES} places of 1,000,000, {before} of 1,000"
        );
        assert!(
            *greatest <= 3 * before,
            "{command}: {greatest} records at the greatest size, {before} before"
        );
    }
}

#[test]
fn every_command_has_a_line_of_costs() {
    let asked = |name: &str| COMMANDS.iter().any(|line| line.split(' ').next() == Some(name));
    let missing: Vec<&str> = commands().map(|command| command.name).filter(|name| !asked(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
