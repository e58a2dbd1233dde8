//! A client's work on a server that is killed under it, and what may be there afterwards.
//!
//! Each client has two databases of its own, sends pipelines of random commands and notes every reply. What
//! the server holds after a kill is what a store in this process holds after some so many of the client's
//! commands: all that were answered, and none that was not sent.

use crate::redis::{Client, Value, agree, answer, shown};
use crate::session::mix;
use crate::twins::{Seen, Step, history};
use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::Connection;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most commands of a pipeline.
const PIPELINE: u64 = 10;

/// Keys that are given a short life live so long at most, in ms.
const BRIEF_MS: u64 = 40;

/// How long what has expired may still be counted.
const SWEPT_WITHIN: Duration = Duration::from_secs(30);

/// Commands whose effect or reply depends on the time at which they are carried out, on keys that expire
/// meanwhile, or on the order of a store's own hash; and those that leave the client's databases.
const LEFT_OUT: &[&str] = &[
    "expire",
    "pexpire",
    "setex",
    "psetex",
    "dbsize",
    "randomkey",
    "keys",
    "scan",
    "select",
    "swapdb",
    "move",
];

/// A command that was sent, and its reply if it came.
#[derive(Debug)]
struct Sent {
    args: Vec<Vec<u8>>,
    reply: Option<Value>,
}

/// What one client sends, and what it was told.
#[derive(Debug)]
pub struct Load {
    databases: [u32; 2],
    seed: u64,
    random: Random,
    chunks: u64,
    steps: VecDeque<Vec<Vec<u8>>>,
    briefs: u64,
    log: Vec<Sent>,
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The name of a command, in small letters.
fn name_of(args: &[Vec<u8>]) -> String {
    args.first().map_or_else(String::new, |name| String::from_utf8_lossy(name).to_lowercase())
}

/// Whether a command can be carried out somewhere else later with the same effect.
fn repeats(args: &[Vec<u8>]) -> bool {
    let name = name_of(args);
    let has = |word: &str| args[1..].iter().any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    let lasts = has("ex") || has("px");
    let leaves = name == "copy" && has("db");
    !(LEFT_OUT.contains(&name.as_str()) || lasts || leaves || has("nosort"))
}

impl Load {
    /// The work of the client with this number, of at most eight.
    #[must_use]
    pub fn new(client: u32, seed: u64) -> Load {
        let databases = [client, client + 8];
        let (random, steps, log) = (Random::seeded(seed), VecDeque::new(), Vec::new());
        Load { databases, seed, random, chunks: 0, steps, briefs: 0, log }
    }

    /// How many commands were answered, and how many sent.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.answered() as u64, self.log.len() as u64)
    }

    fn answered(&self) -> usize {
        self.log.iter().take_while(|sent| sent.reply.is_some()).count()
    }

    fn next(&mut self) -> Vec<Vec<u8>> {
        loop {
            if let Some(args) = self.steps.pop_front() {
                return args;
            }
            self.chunks += 1;
            let steps = history(mix(&[self.seed, self.chunks]), 200, true);
            self.steps.extend(steps.into_iter().filter_map(|step| match step {
                Step::Command(args) if repeats(&args) => Some(args),
                _ => None,
            }));
        }
    }

    /// What is not among the random commands: other databases, all of one, and keys that expire soon, small
    /// ones and such as have records of their own. These are not named again.
    fn special(&mut self) -> Vec<Vec<Vec<u8>>> {
        let ([own, other], key) = (self.databases, self.random.below(8));
        let soon = now_ms() + self.random.below(BRIEF_MS);
        self.briefs += 1;
        let brief = format!("brief{}", self.briefs);
        match self.random.below(12) {
            0 => vec![words(&format!("move k{key} {other}"))],
            1 => vec![words(&format!("copy k{key} k{} db {other} replace", self.random.below(8)))],
            2 => vec![words(&format!("swapdb {own} {other}"))],
            3 => vec![words("flushdb")],
            4 => vec![words(&format!("select {other}")), words("flushdb"), words(&format!("select {own}"))],
            5..8 => vec![words(&format!("set {brief} value pxat {soon}"))],
            _ => {
                let fields: String = (0..200).map(|at| format!(" field{at} value")).collect();
                vec![words(&format!("hset {brief}{fields}")), words(&format!("pexpireat {brief} {soon}"))]
            }
        }
    }

    /// Commands to be sent together. What SPOP takes is chance: one of which no reply comes must be the last.
    fn pipeline(&mut self) -> Vec<Vec<Vec<u8>>> {
        let mut commands = if self.random.below(4) == 0 { self.special() } else { Vec::new() };
        for _ in 0..=self.random.below(PIPELINE) {
            let args = self.next();
            let is_pop = name_of(&args) == "spop";
            commands.push(args);
            if is_pop {
                break;
            }
        }
        commands
    }

    /// Works until the server is gone.
    pub fn work(&mut self, mut client: Client, done: &AtomicU64) {
        let mut commands = vec![words(&format!("select {}", self.databases[0]))];
        loop {
            let from = self.log.len();
            let pieces: Vec<&[Vec<u8>]> = commands.iter().map(Vec::as_slice).collect();
            let sent = client.send(&pieces);
            self.log.extend(commands.into_iter().map(|args| Sent { args, reply: None }));
            if sent.is_err() {
                return;
            }
            for sent in &mut self.log[from..] {
                match client.receive() {
                    Ok(reply) => sent.reply = Some(reply),
                    Err(_) => return,
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
            commands = self.pipeline();
        }
    }

    /// What the server holds is what so many of the commands leave; returns how many that are at least.
    /// Waits until what has expired is not counted any more.
    ///
    /// # Errors
    /// What is there that must not, or not there that must.
    pub fn judge(&self, server: &mut Client) -> Result<usize, String> {
        let mut twin = Twin::new(self.databases)?;
        let answered = self.answered();
        for (at, sent) in self.log[..answered].iter().enumerate() {
            twin.follow(sent).map_err(|why| format!("command {at}, {}: {why}", shown(&sent.args)))?;
        }
        let begun = Instant::now();
        loop {
            let found = Seen::read_by(&self.databases, |args| {
                let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
                server.execute(&args).map_err(|error| error.to_string())
            })?;
            let why = match self.place(&mut twin, &found) {
                Ok(at) => return Ok(at),
                Err(why) => why,
            };
            if begun.elapsed() > SWEPT_WITHIN {
                let tail: Vec<String> = self.log[answered.saturating_sub(20)..]
                    .iter()
                    .map(|sent| format!("{}: {:?}", shown(&sent.args), sent.reply))
                    .collect();
                let tail = tail.join("\n");
                return Err(format!("{answered} of {} answered: {why}\n{tail}", self.log.len()));
            }
            // A twin that has gone on cannot go back.
            twin = Twin::new(self.databases)?;
            self.log[..answered].iter().try_for_each(|sent| twin.follow(sent))?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// After how many commands, from those that were answered on, the twin shows what was found.
    fn place(&self, twin: &mut Twin, found: &Seen) -> Result<usize, String> {
        let answered = self.answered();
        let mut seen = twin.seen()?;
        let mut why = seen.differs_from(found);
        for (at, sent) in self.log.iter().enumerate().skip(answered) {
            if seen == *found {
                return Ok(at);
            }
            twin.go_on(sent, found)?;
            seen = twin.seen()?;
            why = seen.differs_from(found);
        }
        if seen == *found { Ok(self.log.len()) } else { Err(format!("expected and found differ: {why}")) }
    }
}

/// A store in this process to which the same is done.
struct Twin {
    databases: [u32; 2],
    connection: Connection,
    store: Store,
}

impl Twin {
    fn new(databases: [u32; 2]) -> Result<Twin, String> {
        let builder = Store::builder("/data").deterministic(1);
        let store = builder
            .engine(|engine| engine.fs(Fs::Sim(SimFs::new())).memory_budget(16 << 20))
            .open()
            .map_err(|e| format!("the twin: {e}"))?;
        let connection = Connection::new(&store);
        Ok(Twin { databases, connection, store })
    }

    fn seen(&self) -> Result<Seen, String> {
        // Nothing does so by itself here.
        self.store.sweep(usize::MAX).map_err(|e| format!("the twin: {e}"))?;
        let mut connection = Connection::new(&self.store);
        Seen::read_by(&self.databases, |args| {
            let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
            Ok(answer(&mut connection, &args))
        })
    }

    /// Does what was answered, which must be answered in the same way here.
    fn follow(&mut self, sent: &Sent) -> Result<(), String> {
        let (name, Some(theirs)) = (name_of(&sent.args), &sent.reply) else { return Ok(()) };
        // What it takes is its choice. Without a key it is an error, as others are.
        if let ("spop", Some(key)) = (name.as_str(), sent.args.get(1)) {
            self.remove(key, members(theirs));
            return Ok(());
        }
        let ours = answer(&mut self.connection, &sent.args);
        let same = match (&ours, theirs) {
            (Value::Array(Some(a)), Value::Array(Some(b))) if name == "exec" => a.len() == b.len(),
            _ => agree(&name, &ours, theirs),
        };
        if same { Ok(()) } else { Err(format!("answered {theirs:?}, and {ours:?} is right")) }
    }

    /// Does what was not answered. What SPOP took is what lacks.
    fn go_on(&mut self, sent: &Sent, found: &Seen) -> Result<(), String> {
        if name_of(&sent.args) != "spop" {
            answer(&mut self.connection, &sent.args);
            return Ok(());
        }
        let Some(key) = sent.args.get(1) else { return Ok(()) };
        let name = String::from_utf8_lossy(key).into_owned();
        let (before, after) = (self.seen()?.members(&name), found.members(&name));
        let most = sent.args.get(2).map_or(Some(1), |count| String::from_utf8_lossy(count).parse().ok());
        let gone = before.into_iter().filter(|member| !after.contains(member));
        self.remove(key, gone.take(most.unwrap_or(0)).collect());
        Ok(())
    }

    fn remove(&mut self, key: &[u8], members: Vec<Value>) {
        let mut args = vec![b"srem".to_vec(), key.to_vec()];
        args.extend(members.into_iter().filter_map(|member| match member {
            Value::Bulk(member) => member,
            _ => None,
        }));
        if args.len() > 2 {
            answer(&mut self.connection, &args);
        }
    }
}

/// What SPOP says that it took.
fn members(reply: &Value) -> Vec<Value> {
    match reply {
        Value::Bulk(Some(_)) => vec![reply.clone()],
        Value::Array(Some(members)) => members.clone(),
        _ => Vec::new(),
    }
}
