//! Pipelines and transactions of several connections from bytes, while time goes by and what has expired is
//! removed: each pipeline is answered as its commands are one by one by a twin; in the end everything in both
//! stores agrees, and they hold the same, before and after they are opened anew.

use super::commands::{arguments, takes_long};
use super::source::Source;
use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::{Command, Connection, Reply, commands as table};
use std::sync::Arc;
use std::time::Duration;

/// The most commands of an input.
const MOST_COMMANDS: usize = 96;
/// Connections that take turns.
const CONNECTIONS: usize = 3;
/// When all of it begins, in ms since the epoch.
const START_MS: u64 = 1_700_000_000_000;

/// A command with its arguments.
type Args = Vec<Vec<u8>>;

/// A store with the connections to it.
struct Side {
    disk: SimFs,
    clock: Arc<ManualClock>,
    store: Store,
    connections: Vec<Connection>,
}

impl Side {
    fn open(disk: SimFs, clock: Arc<ManualClock>, seed: u64) -> Side {
        let (fs, of_store) = (Fs::Sim(disk.clone()), Clock::Manual(clock.clone()));
        let builder = Store::builder("/data").deterministic(seed).databases(3);
        let sizes = |engine: esker::Builder| {
            engine.fs(fs).clock(of_store).memory_budget(8 << 20).memtable_bytes(64 << 10)
        };
        let store = builder.engine(sizes).open().expect("a disk without faults");
        let connections = (0..CONNECTIONS).map(|_| Connection::new(&store)).collect();
        Side { disk, clock, store, connections }
    }

    fn pipeline(&mut self, by: usize, commands: &[Args]) -> Vec<Reply> {
        let words: Vec<Vec<&[u8]>> = commands.iter().map(|a| a.iter().map(Vec::as_slice).collect()).collect();
        let mut replies = Vec::new();
        self.connections[by].execute_all(words.iter().map(Vec::as_slice), &mut replies);
        replies
    }

    fn one_by_one(&mut self, by: usize, commands: &[Args]) -> Vec<Reply> {
        commands.iter().map(|args| self.connections[by].execute(args).reply).collect()
    }

    /// How many keys and elements there are, which must agree; then the same once more after a close.
    fn close(self) -> (esker_structures::verify::Report, Side) {
        let report = self.store.verify().expect("a disk without faults");
        assert!(report.is_clean(), "{:?}", report.findings);
        drop(self.connections);
        self.store.close().expect("a disk without faults");
        let again = Side::open(self.disk, self.clock, 2);
        assert_eq!(again.store.verify().expect("a disk without faults"), report, "what was closed is opened");
        (report, again)
    }
}

pub(super) fn pipelines(data: &[u8]) {
    let mut source = Source::new(data);
    let clock = ManualClock::new(START_MS);
    let mut ours = Side::open(SimFs::new(), clock.clone(), 1);
    let mut twin = Side::open(SimFs::new(), clock.clone(), 1);
    let known: Vec<&Command> = table().collect();
    let mut given = 0;
    while !source.is_empty() && given < MOST_COMMANDS {
        match source.below(8) {
            0 => clock.advance(Duration::from_millis(1 << source.below(24))),
            1 => {
                let limit = 1 + source.below(8);
                let swept = ours.store.sweep(limit).expect("a disk without faults");
                assert_eq!(twin.store.sweep(limit).expect("a disk without faults"), swept);
            }
            kind => {
                let by = source.below(CONNECTIONS);
                let commands = commands(&mut source, &known, kind);
                given += commands.len();
                let replies = ours.pipeline(by, &commands);
                assert_eq!(replies, twin.one_by_one(by, &commands), "{commands:?}");
            }
        }
    }
    let ((ours, our_side), (theirs, their_side)) = (ours.close(), twin.close());
    assert_eq!(ours, theirs, "the pipelines and their commands one by one leave the same");
    assert_eq!(shown(our_side), shown(their_side));
}

/// What stands in a pipeline: a few commands, or a transaction, in which a key may be watched before, and
/// which may be left open.
fn commands(source: &mut Source<'_>, known: &[&Command], kind: usize) -> Vec<Args> {
    let word = |word: &str| vec![word.as_bytes().to_vec()];
    let mut commands: Vec<Args> = Vec::new();
    if kind == 2 {
        commands.push(vec![b"watch".to_vec(), format!("k{}", source.below(4)).into_bytes()]);
    }
    if kind < 5 {
        commands.push(word("multi"));
    }
    for _ in 0..=source.below(6) {
        let args = arguments(source, known);
        if !takes_long(&args) {
            commands.push(args);
        }
    }
    if kind < 5 {
        commands.push(word(["exec", "exec", "exec", "discard", "ping"][source.below(5)]));
    }
    commands
}

/// What a client sees of all keys.
fn shown(mut side: Side) -> Vec<Reply> {
    let mut replies = Vec::new();
    for database in 0..3 {
        let lines = [format!("select {database}"), "dbsize".into(), "keys *".into()];
        let args = lines.map(|line| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Args>());
        replies.extend(side.one_by_one(0, &args));
        let Some(Reply::Array(keys)) = replies.last().cloned() else { continue };
        for key in keys {
            let Reply::Bulk(key) = key else { continue };
            for look in ["type", "get", "hgetall", "smembers", "pexpiretime"] {
                replies.extend(side.one_by_one(0, &[vec![look.into(), key.clone()]]));
            }
            let range = |name: &str| vec![name.into(), key.clone(), b"0".to_vec(), b"-1".to_vec()];
            replies.extend(side.one_by_one(0, &[range("lrange"), range("zrange")]));
        }
    }
    replies
}
