//! Keys that end while a store of structures and a real `redis-server` are compared: however each was given
//! its life, both find nothing there afterwards, and what nobody asked to end.
//!
//! Redis goes by the clock of the wall, and the store is shown the same. Nothing is asked of a key between
//! the instant in which it gets its end and the time at which that has surely passed; so no reply depends on
//! how fast the machine is.
//!
//! `ESKER_REDIS_COMMANDS` says how many commands the differential test gives, a tenth as many are given here;
//! `ESKER_REDIS_SEED` from which seed on. Without a `redis-server` this fails, unless
//! `ESKER_WITHOUT=redis-server` lets it lack.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_tests::redis::{Both, Client, Generator, KEYS, LastMoments, Pair, Server, Value, looks, shown};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Commands of a round before keys get their ends, and as many afterwards.
const COMMANDS: u64 = 120;
/// Rounds wait most of the time.
const THREADS: u64 = 4;
/// Connections that take turns.
const CONNECTIONS: usize = 4;
/// The last of them relies on keys.
const WATCHER: usize = 3;
/// The life of what is watched, in ms: long enough that it has not ended before it is.
const WATCHED_MS: u64 = 600;
/// What lives so long, in ms, got no short life.
const LONG_MS: i64 = 50_000;
/// How long the other server may take to say that a key has ended which has, in ms.
const PATIENCE_MS: u64 = 60_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn wall_ms() -> u64 {
    Clock::System.wall_ms()
}

/// What was tried.
#[derive(Debug, Default)]
struct Tried {
    /// Commands whose replies were compared.
    commands: u64,
    /// Keys that ended, by the way in which they got their end.
    by_form: BTreeMap<&'static str, u64>,
    /// The same by type.
    by_type: BTreeMap<String, u64>,
    /// Transactions that were refused because what they watched had ended.
    refused: u64,
    /// Rounds that were given up because the machine was too slow, so that an end may have come too early.
    given_up: u64,
}

impl Tried {
    fn add(&mut self, other: Tried) {
        self.commands += other.commands;
        self.refused += other.refused;
        self.given_up += other.given_up;
        other.by_form.into_iter().for_each(|(form, count)| *self.by_form.entry(form).or_default() += count);
        other.by_type.into_iter().for_each(|(of, count)| *self.by_type.entry(of).or_default() += count);
    }
}

/// A store and the server beside it, with clients of both.
struct Round<'a> {
    seed: u64,
    clock: Arc<ManualClock>,
    disk: SimFs,
    store: Store,
    server: &'a Server,
    clients: Vec<Both>,
    generator: Generator,
    log: Vec<String>,
    tried: Tried,
}

fn open(disk: &SimFs, clock: &Arc<ManualClock>, seed: u64) -> Store {
    let (fs, clock) = (Fs::Sim(disk.clone()), Clock::Manual(clock.clone()));
    let builder = Store::builder("/data").deterministic(seed);
    builder.engine(|engine| engine.fs(fs).clock(clock).memory_budget(16 << 20)).open().unwrap()
}

impl<'a> Round<'a> {
    fn new(server: &'a Server, seed: u64) -> Round<'a> {
        let (clock, disk) = (ManualClock::new(wall_ms()), SimFs::new());
        let store = open(&disk, &clock, seed);
        let mut clients: Vec<Both> = (0..CONNECTIONS).map(|_| Both::inside(&store, server)).collect();
        server.connect().execute(&words("flushall")).unwrap();
        if seed.is_multiple_of(2) {
            clients.iter_mut().for_each(Both::speak_resp3);
        }
        let (generator, log, tried) = (Generator::new(seed + 2_000_000), Vec::new(), Tried::default());
        Round { seed, clock, disk, store, server, clients, generator, log, tried }
    }

    /// Shows the store the time that Redis sees.
    fn tell_the_time(&self) {
        let behind = wall_ms().saturating_sub(Clock::Manual(self.clock.clone()).wall_ms());
        self.clock.advance(Duration::from_millis(behind));
    }

    /// Gives a command to both, and compares.
    fn ask(&mut self, client: usize, args: &[Vec<u8>]) -> Value {
        self.tell_the_time();
        self.log.push(format!("{client}: {}", shown(args)));
        let Pair { ours, theirs, same } = self.clients[client].execute(args);
        self.tried.commands += 1;
        let tail = self.log[self.log.len().saturating_sub(80)..].join("\n");
        assert!(same, "seed {}:\n{tail}\nours:   {ours:?}\nRedis': {theirs:?}", self.seed);
        ours
    }

    /// Random commands by all clients but the one that watches. How many keys there are is not asked where
    /// some have ended and are not removed yet, which is a matter of each.
    fn some_commands(&mut self, count: u64, are_removed: bool) {
        for _ in 0..count {
            let client = self.generator.below(6).saturating_sub(3) as usize;
            let args = self.generator.command();
            if are_removed || !args[0].eq_ignore_ascii_case(b"dbsize") {
                self.ask(client, &args);
            }
        }
    }

    /// Gives keys their ends. Returns who got one, of which type and how, and when the last has come; `None`
    /// if an end may have come already.
    fn last_moments(&mut self) -> Option<(Vec<(LastMoments, String)>, u64)> {
        let (mut given, mut over_ms) = (Vec::new(), 0);
        for client in &mut self.clients {
            client.rest();
        }
        let (in_seconds, turn) = (self.seed.is_multiple_of(4), self.seed / 4);
        for moments in LastMoments::of_some(&mut self.generator, wall_ms(), in_seconds, turn) {
            let mut last = Value::Null;
            for args in &moments.commands {
                last = self.ask(0, args);
            }
            let now = wall_ms();
            if moments.before_ms.is_some_and(|before| now >= before) {
                return None;
            }
            over_ms = over_ms.max(now + moments.longest_ms);
            let Value::Array(Some(replies)) = last else { panic!("{last:?}") };
            let Some(Value::Simple(of)) = replies.last() else { panic!("{replies:?}") };
            given.push((moments, String::from_utf8_lossy(of).into_owned()));
        }
        Some((given, over_ms))
    }

    /// Has the last client watch a key. Two of three times it is one that will end before EXEC. Says whether
    /// it did so before that.
    fn watch(&mut self) -> bool {
        let given_ms = wall_ms();
        let line = ["set watched 1", "rpush watched 1", "hset watched f v"][self.generator.below(3) as usize];
        for line in ["del watched living", line, "set living 1"] {
            self.ask(0, &words(line));
        }
        self.ask(0, &words(&format!("pexpire watched {WATCHED_MS}")));
        match self.seed % 3 {
            0 => self.ask(WATCHER, &words("watch watched")),
            1 => self.ask(WATCHER, &words("watch living watched")),
            _ => self.ask(WATCHER, &words("watch living")),
        };
        wall_ms() < given_ms + WATCHED_MS
    }

    /// Has it try a transaction. Says whether that was refused.
    fn try_transaction(&mut self) -> bool {
        for line in ["multi", "exists watched living", "set done 1"] {
            self.ask(WATCHER, &words(line));
        }
        let refused = match self.ask(WATCHER, &words("exec")) {
            Value::Array(Some(_)) => false,
            Value::Array(None) | Value::Null => true,
            other => panic!("{other:?}"),
        };
        self.tried.refused += u64::from(refused);
        refused
    }

    /// Waits until Redis says that all that was to end has ended.
    fn wait_until_gone(&mut self) {
        let mut client = self.server.connect();
        let limit_ms = wall_ms() + PATIENCE_MS;
        for database in ["select 0", "select 1"] {
            client.execute(&words(database)).unwrap();
            for key in KEYS.iter().chain(&["watched"]) {
                let left = |client: &mut Client| client.execute(&words(&format!("pttl {key}"))).unwrap();
                while matches!(left(&mut client), Value::Integer(0..LONG_MS)) {
                    assert!(wall_ms() < limit_ms, "seed {}: {key} does not end", self.seed);
                    thread::yield_now();
                }
            }
        }
        client.execute(&words("select 0")).unwrap();
    }

    fn note_who_ended(&mut self, given: Vec<(LastMoments, String)>) {
        let mut client = self.server.connect();
        for (moments, of) in given.into_iter().filter(|(_, of)| of != "none") {
            if client.execute(&words(&format!("exists {}", moments.key))).unwrap() == Value::Integer(0) {
                *self.tried.by_form.entry(moments.form).or_default() += 1;
                *self.tried.by_type.entry(of).or_default() += 1;
            }
        }
    }

    fn look(&mut self) {
        for client in &mut self.clients {
            client.rest();
        }
        for database in 0..3 {
            self.ask(0, &words(&format!("select {database}")));
            looks().iter().for_each(|args| drop(self.ask(0, args)));
        }
        let report = self.store.verify().unwrap();
        assert!(report.is_clean(), "seed {}: {:?}\n{}", self.seed, report.findings, self.log.join("\n"));
    }

    /// Opens the store anew.
    fn reopen(&mut self) {
        self.clients.clear();
        self.store.clone().close().unwrap();
        self.store = open(&self.disk, &self.clock, self.seed);
        self.clients = vec![Both::inside(&self.store, self.server)];
    }

    fn run(mut self) -> Tried {
        self.some_commands(COMMANDS, true);
        let Some((given, over_ms)) = self.last_moments() else { return self.give_up() };
        if !self.watch() {
            return self.give_up();
        }
        let over_ms = over_ms.max(wall_ms() + WATCHED_MS);
        while wall_ms() <= over_ms {
            thread::sleep(Duration::from_millis(over_ms + 1 - wall_ms().min(over_ms)));
        }
        // The first to notice that keys have ended is who relied on one, or whoever comes.
        let at_once = self.seed.is_multiple_of(2);
        if at_once {
            assert_eq!(self.try_transaction(), self.seed % 3 != 2);
        }
        self.wait_until_gone();
        self.note_who_ended(given);
        if !at_once {
            assert_eq!(self.try_transaction(), self.seed % 3 != 2);
        }
        // Whoever begins to rely on what has ended already is not refused because it is removed.
        self.ask(WATCHER, &words("watch watched k0"));
        if self.seed % 5 < 3 {
            while self.store.sweep(8).unwrap().next_at_ms == Some(0) {}
        }
        assert!(!self.try_transaction());
        self.some_commands(COMMANDS / 2, false);
        while self.store.sweep(8).unwrap().next_at_ms == Some(0) {}
        self.some_commands(COMMANDS / 2, true);
        self.look();
        self.reopen();
        self.look();
        self.tried
    }

    fn give_up(mut self) -> Tried {
        self.tried.given_up += 1;
        self.tried
    }
}

#[test]
fn what_has_ended_is_gone_here_and_there() {
    let Some(server) = Server::start() else { return };
    let (total, first) = (number("ESKER_REDIS_COMMANDS", 60_000) / 10, number("ESKER_REDIS_SEED", 1));
    let rounds = total.div_ceil(2 * COMMANDS + 60);
    let servers: Vec<Server> = (1..THREADS).filter_map(|_| Server::start()).chain([server]).collect();
    let mut tried = Tried::default();
    thread::scope(|scope| {
        let work = |(number, server)| {
            let seeds = (first..first + rounds).skip(number).step_by(THREADS as usize);
            scope.spawn(move || seeds.map(|seed| Round::new(server, seed).run()).collect::<Vec<_>>())
        };
        let threads: Vec<_> = servers.iter().enumerate().map(work).collect();
        for thread in threads {
            thread.join().unwrap().into_iter().for_each(|round| tried.add(round));
        }
    });
    let Tried { commands, by_form, by_type, refused, given_up } = &tried;
    let (ended, rarest) = (by_form.values().sum::<u64>(), by_form.values().min().unwrap_or(&0));
    esker_tests::figure!(
        "redis: {ended} keys of {} types ended in {rounds} rounds, by each of {} ways at least {rarest}; \
         {refused} who watched one were refused; {commands} commands compared, {given_up} rounds given up; \
         differences: 0",
        by_type.len(),
        by_form.len()
    );
    let least = rounds / 20;
    assert!(*given_up <= rounds / 2, "the machine is too slow for {given_up} of {rounds} rounds");
    let of = |form: &str| by_form.get(form).copied().unwrap_or(0);
    let rare: Vec<_> = LastMoments::forms().filter(|form| of(form) < least).collect();
    assert!(rare.is_empty(), "ended fewer than {least} times: {rare:?} of {by_form:?}");
    assert!(by_type.len() == 5 && by_type.values().all(|count| *count >= least), "{by_type:?}");
    assert!(*refused >= rounds / 4, "{refused}");
}
