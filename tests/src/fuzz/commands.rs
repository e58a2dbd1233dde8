//! Commands of structures from bytes: whatever is asked for, there is a reply, nothing panics, and
//! everything in the store agrees, before and after it is opened anew.

use super::source::Source;
use crate::redis::OPTIONS;
use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::{Command, Connection, Protocol, commands as table};

/// The most commands of an input.
const MOST_COMMANDS: usize = 64;
/// Numbers between these make strings so long that a run would take minutes.
const LONG: std::ops::Range<i64> = 1 << 21..1 << 40;

/// What stands in the places of options besides: bounds, patterns, widths of bit fields.
const OTHERS: &[&str] = &["u8", "i64", "bit", "-inf", "+inf", "-", "+", "[a", "(1", "*", "k*", "#"];

pub(super) fn commands(data: &[u8]) {
    let mut source = Source::new(data);
    let disk = SimFs::new();
    let open = |seed| {
        let disk = disk.clone();
        let builder = Store::builder("/data").deterministic(seed).databases(3);
        builder
            .engine(|engine| engine.fs(Fs::Sim(disk)).memory_budget(8 << 20).memtable_bytes(64 << 10))
            .open()
    };
    let store = open(1).expect("a new store");
    let known: Vec<&Command> = table().collect();
    let mut connections = [Connection::new(&store), Connection::new(&store)];
    let mut given = 0;
    while !source.is_empty() && given < MOST_COMMANDS {
        given += 1;
        let connection = &mut connections[source.below(2)];
        let args = arguments(&mut source, &known);
        if takes_long(&args) {
            continue;
        }
        let reply = connection.execute(&args).reply;
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            reply.encode(protocol, &mut Vec::new());
        }
        if source.below(8) == 0 {
            store.sweep(100).expect("a disk without faults");
        }
    }
    drop(connections);
    let report = store.verify().expect("a disk without faults");
    assert!(report.is_clean(), "{:?}", report.findings);
    store.close().expect("a disk without faults");
    let store = open(2).expect("a store that was closed");
    let again = store.verify().expect("a disk without faults");
    assert_eq!(again, report, "what was closed is what is opened");
}

/// Whether a command would make a string that is too long to try it often.
pub(super) fn takes_long(args: &[Vec<u8>]) -> bool {
    let number = |arg: &Vec<u8>| std::str::from_utf8(arg).ok()?.trim_start_matches('#').parse::<i64>().ok();
    args.iter().filter_map(number).any(|number| LONG.contains(&number))
}

pub(super) fn arguments(source: &mut Source<'_>, known: &[&Command]) -> Vec<Vec<u8>> {
    let command = known[source.below(known.len())];
    let mut args = vec![if source.below(32) == 0 { raw(source) } else { command.name.into() }];
    // Mostly about as many as it takes.
    let least = command.arity.unsigned_abs() as usize;
    let count = if source.below(8) == 0 { source.below(12) } else { least - 1 + source.below(4) * 2 / 3 };
    for _ in 0..count {
        args.push(argument(source));
    }
    args
}

fn argument(source: &mut Source<'_>) -> Vec<u8> {
    match source.below(12) {
        0..4 => format!("k{}", source.below(4)).into_bytes(),
        4..6 => (source.byte() as i8).to_string().into_bytes(),
        6 => {
            let at = source.below(OPTIONS.len() + OTHERS.len());
            OPTIONS.get(at).unwrap_or_else(|| &OTHERS[at - OPTIONS.len()]).as_bytes().into()
        }
        7 => format!("m{}", source.below(200)).into_bytes(),
        8 => {
            let extremes =
                ["9223372036854775807", "-9223372036854775808", "0.1", "1e400", "nan", "-0", "1e308"];
            extremes[source.below(extremes.len())].into()
        }
        9 => vec![source.byte(); usize::from(source.short()) % 5000],
        _ => raw(source),
    }
}

fn raw(source: &mut Source<'_>) -> Vec<u8> {
    (0..source.below(20)).map(|_| source.byte()).collect()
}
