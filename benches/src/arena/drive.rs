//! Running the phases of a suite on one engine, with the store that each of them needs.

use super::engine::{Direction, Engine, Settings, Unsupported, Use};
use super::engines::Kind;
use super::keys::{Keys, Zipf};
use super::phases::{Phase, Start, Work};
use super::row::{Outcome, Row};
use super::suites::{LARGE_BYTES, Subject, Suite};
use super::work::{Context, purpose};
use crate::process::{Fallible, disk_bytes, remove_tree};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Entries of a batch while a store is loaded without being measured, and what they take, at most.
const LOADED_AT_ONCE: (usize, u64) = (1000, 256 << 10);
/// So many values fit into the memory of an engine at least, however little it is given.
const VALUES_IN_MEMORY: u64 = 256;
/// How long an engine may take to settle without being measured.
const SETTLED_AFTER: Duration = Duration::from_secs(120);
/// With so few entries every value that is read is compared.
const FEW: u32 = 10_000;
/// What a store has room for beside the entries, as a multiple of them, for engines that must know.
const ROOM: u64 = 16;

/// The sizes that all engines are measured with.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Entries.
    pub entries: u32,
    /// The memory of an engine, in bytes.
    pub memory_bytes: u64,
    /// No phase lasts longer.
    pub longest: Duration,
    /// From what orders and values follow.
    pub seed: u64,
}

/// An engine in a suite.
#[derive(Debug)]
pub struct Drive<'a> {
    kind: Kind,
    sizes: Sizes,
    dir: &'a Path,
    memory_bytes: u64,
    large_values_from: Option<usize>,
    keys: Keys,
    zipf: Zipf,
    store: Option<Store>,
}

/// A store with all entries, and what has become of it.
#[derive(Debug)]
struct Store {
    engine: Box<dyn Engine>,
    /// The next version of values.
    version: u32,
    inserted: AtomicU32,
    settled: bool,
}

impl<'a> Drive<'a> {
    /// An engine in a suite, with its stores in `dir`.
    #[must_use]
    pub fn new(kind: Kind, suite: &Suite, sizes: Sizes, dir: &'a Path) -> Drive<'a> {
        let entries = suite.entries(sizes.entries);
        let keys = Keys::new(suite.shape, suite.value_bytes, entries, sizes.seed);
        let bytes = u64::from(entries) * keys.entry_bytes();
        // The cache is half of the memory.
        let memory_bytes = if suite.beyond_cache { bytes / 2 } else { sizes.memory_bytes };
        let memory_bytes = memory_bytes.max(1 << 20).max(VALUES_IN_MEMORY * suite.value_bytes as u64);
        let large_values_from =
            (suite.subject == Subject::LargeValues).then_some(LARGE_BYTES.min(suite.value_bytes));
        let zipf = Zipf::new(entries);
        Drive { kind, sizes, dir, memory_bytes, large_values_from, keys, zipf, store: None }
    }

    /// Runs a phase. Its error ends the phase, and the store with it, not the suite.
    pub fn run(&mut self, phase: &Phase) -> Outcome {
        match self.measure(phase) {
            Ok(row) => Outcome::Measured(Box::new(row)),
            Err(error) if error.is::<Unsupported>() => Outcome::Unsupported,
            Err(error) => {
                self.store = None;
                Outcome::Failed(error.to_string())
            }
        }
    }

    /// Closes what is open, and removes it.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn end(mut self) -> Fallible<()> {
        self.discard()
    }

    fn measure(&mut self, phase: &Phase) -> Fallible<Row> {
        match phase.start {
            Start::Empty => self.alone(phase),
            Start::Fresh => {
                self.discard()?;
                self.store = Some(Store::new(self.open("main", Use::Plain)?));
                let row = self.on_store(phase)?;
                self.put_rest(row.operations as usize)?;
                Ok(row)
            }
            Start::Loaded => {
                self.load()?;
                self.on_store(phase)
            }
            Start::Settled => {
                self.load()?;
                self.settle()?;
                self.on_store(phase)
            }
        }
    }

    /// Runs a phase on a store of its own.
    fn alone(&mut self, phase: &Phase) -> Fallible<Row> {
        self.discard()?;
        let store = Store::new(self.open("own", purpose(phase.work))?);
        let outside = self.path("outside");
        remove_tree(&outside)?;
        std::fs::create_dir_all(&outside)?;
        let row = Context { outside: &outside, ..self.context(&store, phase) }.run()?;
        let disk_bytes = disk_bytes(&self.path("own"));
        store.engine.close()?;
        remove_tree(&outside)?;
        remove_tree(&self.path("own"))?;
        Ok(Row { disk_bytes, ..row })
    }

    /// Runs a phase on the store.
    fn on_store(&mut self, phase: &Phase) -> Fallible<Row> {
        let store = self.store.as_ref().ok_or("there is no store")?;
        let row = self.context(store, phase).run()?;
        let row = Row { disk_bytes: disk_bytes(&self.path("main")), ..row };
        if matches!(phase.work, Work::Delete | Work::DeleteRange) {
            self.discard()?;
        } else if let Some(store) = &mut self.store {
            store.version += u32::from(row.given_bytes > 0);
            store.settled = row.given_bytes == 0 && (store.settled || phase.work == Work::Settle);
            if phase.work == Work::Settle {
                self.read_all()?;
            }
        }
        Ok(row)
    }

    fn context<'s>(&'s self, store: &'s Store, phase: &'s Phase) -> Context<'s> {
        Context {
            engine: &*store.engine,
            keys: &self.keys,
            zipf: &self.zipf,
            phase,
            outside: self.dir,
            cap: phase.cap(self.sizes.longest),
            reads: self.sizes.entries,
            seed: self.sizes.seed,
            version: store.version,
            inserted: &store.inserted,
            strict: self.sizes.entries <= FEW,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn open(&self, name: &str, purpose: Use) -> Fallible<Box<dyn Engine>> {
        let dir = self.path(name);
        remove_tree(&dir)?;
        std::fs::create_dir_all(&dir)?;
        let most_bytes = u64::from(self.keys.entries()) * self.keys.entry_bytes() * ROOM;
        let settings = Settings {
            prefix_bytes: self.keys.prefix_bytes(),
            large_values_from: self.large_values_from,
            ..Settings::new(dir, self.memory_bytes, most_bytes, purpose)
        };
        self.kind.open(&settings)
    }

    fn load(&mut self) -> Fallible<()> {
        if self.store.is_none() {
            self.store = Some(Store::new(self.open("main", Use::Plain)?));
            self.put_rest(0)?;
        }
        Ok(())
    }

    /// Puts what a fill has not come to.
    fn put_rest(&mut self, done: usize) -> Fallible<()> {
        let store = self.store.as_mut().ok_or("there is no store")?;
        let (most, bytes) = LOADED_AT_ONCE;
        let at_once = most.min((bytes / self.keys.entry_bytes()) as usize).max(1);
        for numbers in self.keys.shuffled()[done..].chunks(at_once) {
            let made: Vec<_> = numbers.iter().map(|&i| (self.keys.key(i), self.keys.value(i, 0))).collect();
            let entries: Vec<_> = made.iter().map(|(key, value)| (&**key, &value[..])).collect();
            store.engine.put_batch(&entries)?;
        }
        store.version = store.version.max(1);
        Ok(())
    }

    fn settle(&mut self) -> Fallible<()> {
        if let Some(store) = &mut self.store
            && !store.settled
        {
            store.engine.settle(SETTLED_AFTER)?;
            store.settled = true;
            self.read_all()?;
        }
        Ok(())
    }

    /// The first look at a block is dearer than the others.
    fn read_all(&self) -> Fallible<()> {
        let store = self.store.as_ref().ok_or("there is no store")?;
        store.engine.scan(None, Direction::Forward, &mut |_, _| true)
    }

    fn discard(&mut self) -> Fallible<()> {
        if let Some(store) = self.store.take() {
            store.engine.close()?;
        }
        remove_tree(&self.path("main"))
    }
}

impl Store {
    fn new(engine: Box<dyn Engine>) -> Store {
        Store { engine, version: 0, inserted: AtomicU32::new(0), settled: false }
    }
}
