//! A store with a reader of changes beside it, and what was written in a list: the reader must be shown that
//! list, in order and whole, as far as it is durable, over crashes and closes, or a gap.

use esker::base::clock::{Clock, ManualClock};
use esker::base::random::Random;
use esker::fs::sim::Image;
use esker::fs::{Fs, SimFs};
use esker::hooks::Append;
use esker::{
    Change, ChangeBatch, ChangeFeed, ColumnFamily, Db, Durability, Error, FeedOptions, IngestBatch,
    IngestOptions, Operation, Position, Result, SstSettings, SstWriter, TransactionOptions, WriteBatch,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Everything is kept.
pub const ALL: FeedOptions = FeedOptions {
    keep_bytes: 1 << 40,
    keep_age: Duration::from_secs(365 * 24 * 3600),
    consumer_bytes: 1 << 40,
    yield_on_full_disk: true,
};
/// What the store itself has, and hardly more.
pub const LITTLE: FeedOptions = FeedOptions { keep_bytes: 6 << 10, consumer_bytes: 6 << 10, ..ALL };
/// What the named consumer needs.
pub const FOR_CONSUMERS: FeedOptions = FeedOptions { keep_bytes: 0, ..ALL };

/// What the reader must be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Or less, if the write has not returned.
    pub last_seq: u64,
    pub has_returned: bool,
    /// The number that the batch has written to a key of its own; `None` for what was ingested.
    pub number: Option<u64>,
    pub operations: Vec<String>,
}

pub struct World {
    pub disk: SimFs,
    pub random: Random,
    pub clock: Arc<ManualClock>,
    pub options: FeedOptions,
    pub db: Option<Db>,
    feed: Option<ChangeFeed>,
    /// Everything that was logged or ingested, in order.
    pub written: Vec<Shown>,
    /// What was begun and has not returned.
    pub begun: Option<Shown>,
    /// How many of `written` the reader was shown, or told that they are missing.
    pub seen: usize,
    pub position: Option<Position>,
    /// How many the named consumer is done with, if there is one.
    pub acknowledged: Option<usize>,
    numbers: u64,
    pub gaps: u64,
    pub shown: u64,
}

/// An operation as words.
pub fn words(change: &Change<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let end = |to: Option<&[u8]>| to.map_or("-".into(), text);
    let family = change.family.unwrap_or("?");
    match change.operation {
        Operation::Put { key, value, expires_ms: None } => {
            format!("{family}: put {} {}", text(key), text(value))
        }
        Operation::Put { key, expires_ms: Some(at), .. } => format!("{family}: put {} until {at}", text(key)),
        Operation::Delete { key } => format!("{family}: delete {}", text(key)),
        Operation::Merge { key, operand, .. } => format!("{family}: merge {} {}", text(key), text(operand)),
        Operation::DeleteRange { from, to } => format!("{family}: delete {}..{}", text(from), end(to)),
        Operation::DropRange { from, to } => format!("{family}: drop {}..{}", text(from), end(to)),
        Operation::Ingested { entries, first, last } => {
            format!("{family}: {entries} ingested, {} to {}", text(first), text(last))
        }
        _ => panic!("{change:?}"),
    }
}

pub fn words_of(batch: &ChangeBatch) -> Result<Vec<String>> {
    let (mut all, mut operations) = (Vec::new(), batch.operations());
    let mut before = None;
    while let Some(change) = operations.next()? {
        assert!(before.is_none_or(|before| before < change.seq), "numbers ascend");
        before = Some(change.seq);
        all.push(words(&change));
    }
    Ok(all)
}

impl World {
    pub fn new(seed: u64, options: FeedOptions) -> World {
        World::on(SimFs::new(), seed, options)
    }

    pub fn on(disk: SimFs, seed: u64, options: FeedOptions) -> World {
        World {
            disk,
            random: Random::seeded(seed),
            clock: ManualClock::new(1_700_000_000_000),
            options,
            db: None,
            feed: None,
            written: Vec::new(),
            begun: None,
            seen: 0,
            position: None,
            acknowledged: None,
            numbers: 0,
            gaps: 0,
            shown: 0,
        }
    }

    /// The same store and reader on another disk.
    pub fn moved(&self, disk: SimFs, seed: u64) -> World {
        let mut world = World::on(disk, seed, self.options);
        (world.written, world.seen, world.position) = (self.written.clone(), self.seen, self.position);
        (world.acknowledged, world.numbers) = (self.acknowledged, self.numbers);
        world
    }

    pub fn fs(&self) -> Fs {
        Fs::Sim(self.disk.clone())
    }

    pub fn db(&self) -> &Db {
        self.db.as_ref().expect("an open store")
    }

    pub fn open(&mut self) -> Result<()> {
        let builder = Db::builder("/db").fs(self.fs()).deterministic(self.random.next_u64());
        let builder = builder.clock(Clock::Manual(self.clock.clone())).reserve_bytes(0).feed(self.options);
        let builder = builder.wal_segment_bytes(4 << 10).memtable_bytes(8 << 10).manifest_bytes(4 << 10);
        let db = builder.merge_operator("f", Append::default()).default_durability(Durability::Os).open()?;
        db.column_family("f")?;
        for prepared in db.prepared() {
            db.rollback_prepared(&prepared.name)?;
        }
        if self.position.is_none() {
            self.position = Some(db.feed_start()?);
        }
        if let Some(acknowledged) = self.acknowledged {
            let position = db.feed_consumer("one")?.position()?;
            let seen = self.written.partition_point(|shown| shown.last_seq <= position.seq);
            assert!(seen >= acknowledged, "{acknowledged} were acknowledged, not {seen}");
            (self.seen, self.position) = (seen, Some(position));
        }
        self.db = Some(db);
        Ok(())
    }

    /// The store is closed in good order.
    pub fn close(&mut self) -> Result<()> {
        self.feed = None;
        self.db.take().map_or(Ok(()), Db::close)
    }

    /// Power is lost; what is left of the disk is opened, and everything from there on that is no longer
    /// there is no longer expected.
    pub fn lose(&mut self, image: Image, seed: u64) -> Result<()> {
        let left = self.disk.image(image, seed);
        self.recover(left)
    }

    pub fn recover(&mut self, left: SimFs) -> Result<()> {
        self.feed = None;
        drop(self.db.take());
        self.disk = left;
        let least = self.written.last().map_or(0, |last| last.last_seq) + 1;
        self.written.extend(self.begun.take().map(|begun| Shown { last_seq: least, ..begun }));
        let seen = self.seen;
        self.open()?;
        let number = self.db().get("number")?.map_or(0, |n| String::from_utf8_lossy(&n).parse().unwrap_or(0));
        let ingested =
            self.db().get("ingested")?.map_or(0, |n| String::from_utf8_lossy(&n).parse().unwrap_or(0));
        // Of the order of commits a prefix is there; what was ingested was durable, and all before it.
        let is_there = |shown: &Shown| match shown.number {
            Some(n) => n <= number,
            None => ingested_number(shown) <= ingested,
        };
        let there = self.written.iter().rposition(is_there).map_or(0, |last| last + 1);
        assert!(self.written[..there].iter().all(is_there), "a hole in what is left");
        assert!(seen <= there, "{seen} were shown, {there} of {} are there", self.written.len());
        self.written.truncate(there);
        Ok(())
    }

    fn key(&self) -> String {
        format!("k{:03}", self.random.below(200))
    }

    /// A batch of random operations, and what it is to be shown as.
    fn batch(&mut self, f: &ColumnFamily) -> (WriteBatch, Shown) {
        let (db, mut batch, mut operations) = (self.db().clone(), WriteBatch::new(), Vec::new());
        for _ in 0..1 + self.random.below(4) {
            let (key, value) = (self.key(), "v".repeat(self.random.below(200) as usize));
            operations.push(match self.random.below(12) {
                0..5 => {
                    batch.put(&db, &key, &value);
                    format!("default: put {key} {value}")
                }
                5 => {
                    batch.put_until(f, &key, &value, 1_800_000_000_000);
                    format!("f: put {key} until 1800000000000")
                }
                6..8 => {
                    batch.delete(f, &key);
                    format!("f: delete {key}")
                }
                8 => {
                    batch.delete_range(f, &key[..]..);
                    format!("f: delete {key}..-")
                }
                _ => {
                    batch.merge(f, &key, &value);
                    format!("f: merge {key} {value}")
                }
            });
        }
        self.numbers += 1;
        let number = self.numbers;
        batch.put(&db, "number", number.to_string());
        operations.push(format!("default: put number {number}"));
        (batch, Shown { last_seq: 0, has_returned: false, number: Some(number), operations })
    }

    pub fn write(&mut self) -> Result<()> {
        let f = self.db().open_column_family("f")?;
        let (batch, shown) = self.batch(&f);
        self.begun = Some(shown.clone());
        let ticket = self.db().commit(batch, Durability::Os)?;
        self.begun = None;
        self.written.push(Shown { last_seq: ticket.seq(), has_returned: true, ..shown });
        match self.random.below(4) {
            0 => self.db().wait_durable(ticket.seq()),
            _ => Ok(()),
        }
    }

    /// A transaction that is prepared, and then committed or rolled back.
    pub fn prepare(&mut self) -> Result<()> {
        let mut transaction = self.db().begin(TransactionOptions::default())?;
        let (key, db) = (self.key(), self.db().clone());
        self.numbers += 1;
        let (name, number) = (format!("t{}", self.numbers), self.numbers);
        transaction.put(&db, &key, "prepared")?;
        transaction.put(&db, "number", number.to_string())?;
        let prepared = match transaction.prepare(&name, Durability::Os) {
            Ok(prepared) => prepared,
            Err(error) => return Err(error.error),
        };
        if self.random.below(3) == 0 {
            return prepared.rollback();
        }
        let operations =
            vec![format!("default: put {key} prepared"), format!("default: put number {number}")];
        let shown = Shown { last_seq: 0, has_returned: false, number: Some(number), operations };
        self.begun = Some(shown.clone());
        let ticket = prepared.commit(Durability::Os)?;
        self.begun = None;
        self.written.push(Shown { last_seq: ticket.seq(), has_returned: true, ..shown });
        Ok(())
    }

    /// What does not pass the log: no reader is shown it.
    pub fn write_unlogged(&mut self) -> Result<()> {
        let (db, mut batch) = (self.db().clone(), WriteBatch::new());
        batch.put(&db, self.key(), "unlogged");
        db.commit(batch, Durability::None)?;
        Ok(())
    }

    pub fn ingest(&mut self) -> Result<()> {
        self.numbers += 1;
        let (fs, number) = (self.fs(), self.numbers);
        fs.create_dir_all(Path::new("/files"))?;
        let settings =
            SstSettings { fs, clock: Clock::Manual(self.clock.clone()), random: self.random.clone() };
        let path = format!("/files/{number}.sst");
        let mut writer = SstWriter::create_with(&path, &Default::default(), settings)?;
        writer.put("ingested", number.to_string())?;
        writer.put(format!("zz{number:06}"), "")?;
        let file = writer.finish()?;
        let mut batch = IngestBatch::new();
        batch.add(self.db(), &file.path);
        let operations = vec![format!("default: 2 ingested, ingested to zz{number:06}")];
        let shown = Shown { last_seq: 0, has_returned: false, number: None, operations };
        self.begun = Some(shown.clone());
        let done = self.db().ingest(&batch, IngestOptions { move_files: true })?;
        self.begun = None;
        self.written.push(Shown { last_seq: done.files[0].seq, has_returned: true, ..shown });
        Ok(())
    }

    /// Reads all that there is, or a few batches of it.
    pub fn read(&mut self, most: usize) -> Result<()> {
        let position = self.position.expect("a position from the first opening");
        if self.feed.is_none() {
            self.feed = match self.db().changes(position) {
                Ok(feed) => Some(feed),
                Err(Error::FeedGap { asked, first_available }) => {
                    return self.go_on_behind(asked, first_available);
                }
                Err(error) => return Err(error),
            };
        }
        for _ in 0..most {
            let feed = self.feed.as_mut().expect("a reader");
            match feed.next_batch() {
                Ok(Some(batch)) => {
                    let expected = self.written.get(self.seen);
                    let expected =
                        expected.unwrap_or_else(|| panic!("{batch:?} behind all that was written"));
                    assert_eq!(words_of(&batch)?, expected.operations, "batch {} of all", self.seen);
                    assert!(!expected.has_returned || expected.last_seq == batch.last_seq());
                    let durable = self.db().durable_seq();
                    assert!(batch.last_seq() <= durable, "{batch:?} shown, {durable} is durable");
                    self.seen += 1;
                    self.shown += 1;
                    self.position = Some(batch.position());
                }
                Ok(None) => {
                    let durable = self.db().durable_seq();
                    let due = self.written.partition_point(|shown| shown.last_seq <= durable);
                    assert!(self.seen >= due, "{} of {due} that are durable were shown", self.seen);
                    return Ok(());
                }
                Err(Error::FeedGap { asked, first_available }) => {
                    return self.go_on_behind(asked, first_available);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The reader was told that it has missed something.
    fn go_on_behind(&mut self, asked: Position, first_available: Position) -> Result<()> {
        assert_eq!(Some(asked), self.position);
        assert!(asked.seq < first_available.seq);
        let seen = self.written.partition_point(|shown| shown.last_seq <= first_available.seq);
        assert!(seen > self.seen, "nothing is missing between {asked} and {first_available}");
        (self.seen, self.position, self.feed) = (seen, Some(first_available), None);
        self.gaps += 1;
        Ok(())
    }

    /// The named consumer is done with what it has read.
    pub fn acknowledge(&mut self) -> Result<()> {
        let position = self.position.expect("a position from the first opening");
        self.db().feed_consumer("one")?.acknowledge(position)?;
        self.acknowledged = Some(self.seen);
        Ok(())
    }

    /// One random step.
    pub fn step(&mut self) -> Result<()> {
        match self.random.below(100) {
            0..60 => self.write(),
            60..64 => self.write_unlogged(),
            64..68 => self.prepare(),
            68..70 => self.ingest(),
            70..84 => self.read(usize::MAX),
            84..90 => {
                let most = self.random.below(6) as usize;
                self.read(most)
            }
            90..94 => self.db().flush(),
            94..96 => self.db().sync(),
            96..98 if self.acknowledged.is_some() => self.acknowledge(),
            98 => {
                self.feed = None;
                Ok(())
            }
            _ => {
                self.clock.advance(Duration::from_secs(1));
                Ok(())
            }
        }
    }
}

fn ingested_number(shown: &Shown) -> u64 {
    shown.operations[0].rsplit("zz").next().and_then(|n| n.parse().ok()).unwrap_or(u64::MAX)
}
