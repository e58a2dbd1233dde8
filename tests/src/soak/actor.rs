//! The child: a store, and a loop that carries out what is asked on standard input.
//!
//! A line is a number and an operation of the history language; to a write the number is that of its commit,
//! from which the values follow. Lines that begin with `!` ask for what is no operation: `!room`, `!dump` and
//! `!status`. When the input ends, so does the process: nobody is there any more.

use super::answer::{Answer, Status, What};
use super::callbacks::Callbacks;
use super::limited::LimitedFs;
use super::options;
use super::print::{Sum, hex, print};
use super::workload::MERGING;
use crate::history::{self, Change, DROPPING, Operation, Span, Step, value};
use crate::session::{compact_span, open_iter, remove_span, walk};
use esker::base::clock::{Clock, ManualClock};
use esker::batch::FamilyRef as _;
use esker::fs::Fs;
use esker::hooks::Maximum;
use esker::{Backups, Builder, ColumnFamily, Cursor, Db, Durability, Keep, Slice, Snapshot, WriteBatch};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The program: `DIR OPTIONS WALL_MS`.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let served = match arguments.as_slice() {
        [dir, set, wall_ms] => match (set.parse(), wall_ms.parse()) {
            (Ok(set), Ok(wall_ms)) => {
                Actor::open(dir.into(), set, wall_ms).and_then(|mut actor| actor.serve())
            }
            _ => Err("the options and the time must be numbers".into()),
        },
        _ => Err("usage: DIR OPTIONS WALL_MS, and operations on standard input".into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

pub(super) struct Actor {
    pub(super) dir: PathBuf,
    /// The number of the options for the next opening.
    set: u32,
    pub(super) fs: LimitedFs,
    pub(super) clock: Arc<ManualClock>,
    db: Option<Db>,
    pub(super) families: BTreeMap<String, ColumnFamily>,
    pub(super) snapshots: BTreeMap<u32, Snapshot>,
    pub(super) cursors: BTreeMap<u32, Cursor>,
    pub(super) callbacks: Callbacks,
}

impl Actor {
    fn open(dir: PathBuf, set: u32, wall_ms: u64) -> Result<Actor, String> {
        let (fs, clock) = (LimitedFs::default(), ManualClock::new(wall_ms));
        let (families, snapshots, cursors) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let callbacks = Callbacks::default();
        let mut actor = Actor { dir, set, fs, clock, db: None, families, snapshots, cursors, callbacks };
        actor.open_store().map_err(|error| format!("cannot open: {error}"))?;
        Ok(actor)
    }

    fn open_store(&mut self) -> esker::Result<()> {
        let fs = Fs::Custom(Arc::new(self.fs.clone()));
        let db = self.configured(Db::builder(&self.dir)).fs(fs).open()?;
        for name in db.column_families() {
            self.families.insert(name.clone(), db.open_column_family(&name)?);
        }
        self.db = Some(db);
        Ok(())
    }

    fn configured(&self, builder: Builder) -> Builder {
        let builder = builder.options(options::options(self.set)).merge_operator(MERGING, Maximum);
        builder.clock(Clock::Manual(self.clock.clone()))
    }

    pub(super) fn db(&self) -> &Db {
        self.db.as_ref().expect("a child without a store has ended")
    }

    fn serve(&mut self) -> Result<(), String> {
        let mut input = BufReader::with_capacity(256 << 10, io::stdin().lock());
        let mut output = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        let mut line = String::new();
        loop {
            line.clear();
            // Answers are kept back only while more questions are there already.
            if input.buffer().is_empty() {
                output.flush().map_err(|e| format!("nobody listens: {e}"))?;
            }
            if input.read_line(&mut line).map_err(|e| format!("nobody asks: {e}"))? == 0 {
                return Ok(());
            }
            let written = match line.trim_end().strip_prefix('!') {
                Some(request) => self.request(request, &mut output)?,
                None => {
                    let what = self.operation(line.trim_end())?;
                    writeln!(output, "{}", self.answer(what).line())
                }
            };
            written.map_err(|e| format!("nobody listens: {e}"))?;
        }
    }

    fn answer(&self, what: What) -> Answer {
        let told = self.callbacks.told();
        let durable_seq = self.db().durable_seq();
        assert!(durable_seq >= told, "a callback for {told} came when {durable_seq} was durable");
        Answer { durable_seq, what }
    }

    fn request(&mut self, request: &str, output: &mut impl Write) -> Result<io::Result<()>, String> {
        let what = match request.split(' ').collect::<Vec<_>>()[..] {
            ["room", "all"] => {
                self.fs.set_room(None);
                What::Done(0)
            }
            ["room", bytes] => {
                self.fs.set_room(Some(bytes.parse().map_err(|_| "no number of bytes")?));
                What::Done(0)
            }
            ["status"] => What::Status(self.status()),
            ["dump"] => {
                self.dump(output).map_err(|error| format!("cannot read everything: {error}"))?;
                What::Status(self.status())
            }
            _ => return Err(format!("no such request: {request}")),
        };
        Ok(writeln!(output, "{}", self.answer(what).line()))
    }

    fn status(&self) -> Status {
        let (stats, health) = (self.db().stats(), self.db().health());
        Status {
            now_ms: self.db().now_ms(),
            table_bytes: stats.families.iter().map(esker::FamilyStats::table_bytes).sum(),
            written_bytes: stats.flushed_bytes + stats.compacted_bytes_out,
            jobs: stats.flushes + stats.compactions + stats.table_moves,
            running: stats.families.iter().map(|family| family.sealed_memtables as u64).sum::<u64>()
                + stats.running_compactions as u64,
            memory_bytes: stats.memory_bytes,
            failures: health.background.len() as u64,
            poisoned: health.poisoned,
        }
    }

    /// A line for each entry; a status ends it.
    fn dump(&self, output: &mut impl Write) -> Result<(), String> {
        for (name, family) in &self.families {
            let mut line = || writeln!(output, "family {name}").map_err(|e| e.to_string());
            line()?;
            if name == DROPPING {
                // What was dropped must not be read.
                continue;
            }
            for entry in family.iter().map_err(|e| e.to_string())? {
                let (key, value) = entry.map_err(|e| e.to_string())?;
                writeln!(output, "entry {} {}", hex(&key), hex(&print(&value))).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    fn operation(&mut self, line: &str) -> Result<What, String> {
        let (number, words) = line.split_once(' ').ok_or("a line without a number")?;
        let number = number.parse().map_err(|_| format!("{number} is no number"))?;
        let operations = history::parse(words)?;
        let [operation] = operations.as_slice() else { return Err(format!("not one operation: {line}")) };
        Ok(self.carry_out(number, operation))
    }

    fn carry_out(&mut self, number: u32, operation: &Operation) -> What {
        let result = match operation {
            Operation::Write { changes, durability } => return self.write(number, changes, *durability),
            Operation::Transaction { kind, changes, durability, .. } => {
                return self.transaction(number, *kind, changes, *durability);
            }
            Operation::If { condition, changes, durability } => {
                return self.write_if(number, condition, changes, *durability);
            }
            Operation::Ingest { changes, .. } => return self.ingest(number, changes),
            Operation::Expire { family, key, ttl_ms } => return self.expire(family, key, *ttl_ms),
            Operation::Cursor { slot, at, family, span } => {
                return self.make_cursor(*slot, *at, family, span);
            }
            Operation::Move { slot, to } => return self.move_cursor(*slot, to),
            Operation::LetGo(slot) => {
                self.cursors.remove(slot);
                Ok(())
            }
            Operation::OnDurable => {
                self.callbacks.ask(self.db());
                Ok(())
            }
            Operation::Get { at, family, key } => return self.get(*at, family, key),
            Operation::MultiGet { at, family, keys } => return self.multi_get(*at, family, keys),
            Operation::Scan { at, family, span, step } => return self.scan(*at, family, span, *step),
            Operation::Families => return What::Names(self.db().column_families()),
            Operation::Sync => self.db().sync(),
            Operation::Flush => self.db().flush(),
            Operation::Compact => self.db().compact(),
            Operation::CompactRange { family, span } => {
                self.families.get(family).map_or(Ok(()), |family| compact_span(family, span))
            }
            Operation::Advance(ms) => {
                self.clock.advance(Duration::from_millis(*ms));
                Ok(())
            }
            Operation::Clock(by_ms) => {
                let wall_ms = Clock::Manual(self.clock.clone()).wall_ms();
                self.clock.set_wall_ms(wall_ms.saturating_add_signed(*by_ms));
                Ok(())
            }
            Operation::Options(number) => {
                self.set = *number;
                Ok(())
            }
            Operation::Adjust(number) => self.adjust(*number),
            Operation::Create(name) => self.create(name),
            Operation::Drop(name) => {
                let dropped = self.db().drop_column_family(name);
                if dropped.is_ok() {
                    self.families.remove(name);
                }
                dropped
            }
            Operation::Snapshot(slot) => {
                self.snapshots.insert(*slot, self.db().snapshot());
                Ok(())
            }
            Operation::Release(slot) => {
                self.snapshots.remove(slot);
                Ok(())
            }
            Operation::Verify => return self.verify(),
            Operation::Backup => return self.backup(),
            Operation::Reopen => self.reopen(),
            other => return What::Failed(format!("a soak knows no {other:?}")),
        };
        result.map_or_else(|error| What::Failed(error.to_string()), |()| What::Done(self.db().visible_seq()))
    }

    fn create(&mut self, name: &str) -> esker::Result<()> {
        let family = self.db().create_column_family(name, options::family_options(name))?;
        self.families.insert(name.into(), family);
        Ok(())
    }

    fn adjust(&self, number: u32) -> esker::Result<()> {
        self.db().change_options(options::changes(number))?;
        let mut families = self.families.values();
        families.try_for_each(|family| family.change_options(options::family_changes(number)).map(drop))
    }

    fn verify(&self) -> What {
        match self.db().verify() {
            Ok(report) if report.problems.is_empty() => What::Done(0),
            Ok(report) => What::Failed(format!("verify finds {:?}", report.problems)),
            Err(error) => What::Failed(error.to_string()),
        }
    }

    /// Makes a backup, and proves it.
    fn backup(&self) -> What {
        let backups = Backups::at(self.dir.with_file_name("backups"));
        let proven = backups.create(self.db()).and_then(|made| {
            let drill = backups.drill_with(made.number, |builder| self.configured(builder))?;
            backups.prune(Keep::last(2))?;
            Ok((drill, backups.verify()?))
        });
        match proven {
            Ok((drill, verified)) if verified.is_sound() && drill.families.len() == self.families.len() => {
                What::Done(0)
            }
            Ok(found) => What::Failed(format!("a backup is not what it was: {found:?}")),
            Err(error) => What::Failed(error.to_string()),
        }
    }

    /// Closes and opens again; without a store there is nothing to go on with.
    fn reopen(&mut self) -> esker::Result<()> {
        self.families.clear();
        self.snapshots.clear();
        self.cursors.clear();
        if let Some(db) = self.db.take() {
            db.close().expect("closing");
        }
        self.callbacks.closed();
        self.open_store().expect("opening again");
        Ok(())
    }

    fn write(&self, number: u32, changes: &[Change], durability: Durability) -> What {
        let mut batch = WriteBatch::new();
        match self.put_into(&mut batch, number, changes) {
            Ok(()) => self.published(|| self.db().write(batch, durability)),
            Err(why) => What::Refused(why),
        }
    }

    /// Adds changes to a batch; an error says that one of their families is not there.
    pub(super) fn put_into(
        &self,
        batch: &mut WriteBatch,
        number: u32,
        changes: &[Change],
    ) -> Result<(), String> {
        for (at, change) in changes.iter().enumerate() {
            let Some(family) = self.families.get(&change.family) else {
                return Err(format!("there is no family {}", change.family));
            };
            match &change.what {
                history::What::Put { bytes } => {
                    batch.put(family, &change.key, value(number, at, *bytes));
                }
                history::What::PutTtl { bytes, ttl_ms } => {
                    let ttl = Duration::from_millis(*ttl_ms);
                    batch.put_with_ttl(family, &change.key, value(number, at, *bytes), ttl);
                }
                history::What::Merge { bytes, ttl_ms } => {
                    let operand = value(number, at, *bytes);
                    match Duration::from_millis(*ttl_ms) {
                        Duration::ZERO => batch.merge(family, &change.key, operand),
                        ttl => batch.merge_with_ttl(family, &change.key, operand, ttl),
                    };
                }
                history::What::Delete => drop(batch.delete(family, &change.key).len()),
                history::What::DeleteRange(span) => remove_span(batch, family, span, false),
                history::What::DropRange(span) => remove_span(batch, family, span, true),
            };
        }
        Ok(())
    }

    /// What a commit comes to.
    pub(super) fn published(&self, commit: impl FnOnce() -> esker::Result<()>) -> What {
        let before = self.db().visible_seq();
        match commit() {
            Ok(()) => What::Done(self.db().visible_seq()),
            Err(error) if self.db().visible_seq() > before => What::Published(error.to_string()),
            Err(error) => What::Refused(error.to_string()),
        }
    }

    fn get(&self, at: Option<u32>, family: &str, key: &[u8]) -> What {
        let Some(family) = self.families.get(family) else { return What::Failed("no such family".into()) };
        let found = match at.map(|slot| self.snapshots.get(&slot)) {
            Some(None) => return What::Failed("no such snapshot".into()),
            Some(Some(snapshot)) => snapshot.get(family, key),
            None => family.get(key).and_then(|found| {
                let length = found.as_ref().map(|value| value.len());
                let agree = family.size_of(key)? == length && family.contains_key(key)? == length.is_some();
                assert!(agree, "the ways to read {} differ", key.escape_ascii());
                Ok(found)
            }),
        };
        values(found.map(|found| vec![found]))
    }

    fn multi_get(&self, at: Option<u32>, family: &str, keys: &[Vec<u8>]) -> What {
        let Some(family) = self.families.get(family) else { return What::Failed("no such family".into()) };
        match at.map(|slot| self.snapshots.get(&slot)) {
            Some(None) => What::Failed("no such snapshot".into()),
            Some(Some(snapshot)) => values(snapshot.multi_get(family, keys)),
            None => values(family.multi_get(keys)),
        }
    }

    fn scan(&self, at: Option<u32>, family: &str, span: &Span, step: Step) -> What {
        let Some(family) = self.families.get(family) else { return What::Failed("no such family".into()) };
        let snapshot = match at.map(|slot| self.snapshots.get(&slot)) {
            Some(None) => return What::Failed("no such snapshot".into()),
            Some(held) => held,
            None => None,
        };
        match open_iter(family, snapshot, span).and_then(|iter| walk(iter, step)) {
            Ok(entries) => {
                let mut sum = Sum::default();
                entries.iter().for_each(|(key, value)| sum.add(key, &print(value)));
                What::Entries(sum)
            }
            Err(error) => What::Failed(error.to_string()),
        }
    }
}

fn values(found: esker::Result<Vec<Option<Slice>>>) -> What {
    let shown = |value: Option<Slice>| value.map(|value| print(&value).to_vec());
    match found {
        Ok(found) => What::Values(found.into_iter().map(shown).collect()),
        Err(error) => What::Failed(error.to_string()),
    }
}
