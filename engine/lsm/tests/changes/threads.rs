//! Readers beside writers, flushes and ingests, all on threads of their own.

use crate::world::{ALL, LITTLE};
use esker::{
    ChangeBatch, Db, Durability, Error, FeedOptions, IngestBatch, IngestOptions, Operation, Result,
    SstWriter, WriteBatch,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WRITERS: u64 = 3;
const WRITES: u64 = 3_000;
const INGESTS: u64 = 12;

/// Who has written a batch, and how often it had before.
fn author(batch: &ChangeBatch) -> Result<(String, u64)> {
    let (mut operations, mut author) = (batch.operations(), None);
    while let Some(change) = operations.next()? {
        let key = match change.operation {
            Operation::Put { key, .. } => key,
            Operation::Ingested { first, .. } => first,
            other => panic!("{other:?}"),
        };
        let text = String::from_utf8_lossy(key).into_owned();
        let (who, number) = text.split_once('/').expect("a name and a number");
        let found = (who.to_owned(), number.parse().expect("a number"));
        assert!(author.is_none() || author.as_ref() == Some(&found), "a batch of two");
        author = Some(found);
    }
    Ok(author.expect("an operation"))
}

/// Reads until all is written and nothing more comes. Returns how many batches of each author were shown, and
/// how many gaps were told.
fn read(db: &Db, ended: &AtomicBool) -> Result<(BTreeMap<String, u64>, u64)> {
    let mut feed = db.changes(db.feed_start()?)?;
    let (mut shown, mut next, mut gaps) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut last = 0;
    loop {
        let has_ended = ended.load(Ordering::Acquire);
        match feed.next_timeout(Duration::from_millis(if has_ended { 0 } else { 20 })) {
            Ok(Some(batch)) => {
                assert!(batch.first_seq() > last && batch.last_seq() <= db.durable_seq());
                assert!(gaps > 0 || batch.missing_before() == 0, "{batch:?}");
                last = batch.last_seq();
                let (who, number) = author(&batch)?;
                let expected: &mut Option<u64> = next.entry(who.clone()).or_insert(Some(0));
                assert!(expected.is_none_or(|next| next == number), "{number} of {who}, not {expected:?}");
                *expected = Some(number + 1);
                *shown.entry(who).or_insert(0) += 1;
            }
            Ok(None) if has_ended => return Ok((shown, gaps)),
            Ok(None) => {}
            Err(Error::FeedGap { first_available, .. }) => {
                gaps += 1;
                // Whatever comes first behind it.
                let authors = (0..WRITERS).map(|writer| format!("w{writer}")).chain(["i".to_owned()]);
                next = authors.map(|who| (who, None)).collect();
                let mut from = first_available;
                feed = loop {
                    match db.changes(from) {
                        Err(Error::FeedGap { first_available, .. }) => from = first_available,
                        feed => break feed?,
                    }
                };
            }
            Err(error) => return Err(error),
        }
    }
}

fn run(feed: FeedOptions) -> Result<Vec<(BTreeMap<String, u64>, u64)>> {
    let dir = tempfile::tempdir().unwrap();
    let builder = Db::builder(dir.path().join("db")).feed(feed).memory_budget(16 << 20);
    let builder = builder.memtable_bytes(32 << 10).wal_segment_bytes(16 << 10);
    let db = builder.sync_interval(Duration::from_millis(2)).open()?;
    let ended = AtomicBool::new(false);
    let results = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read(&db, &ended))).collect();
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let db = &db;
            writers.push(scope.spawn(move || -> Result<()> {
                for number in 0..WRITES {
                    let mut batch = WriteBatch::new();
                    for _ in 0..1 + number % 3 {
                        batch.put(db, format!("w{writer}/{number}"), vec![1; (number % 200) as usize]);
                    }
                    let durability = if number % 16 == writer { Durability::Sync } else { Durability::Os };
                    db.write(batch, durability)?;
                }
                Ok(())
            }));
        }
        writers.push(scope.spawn(|| {
            for number in 0..INGESTS {
                let path = dir.path().join(number.to_string());
                let mut writer = SstWriter::create(&path, &Default::default())?;
                writer.put(format!("i/{number}"), "")?;
                writer.finish()?;
                let mut batch = IngestBatch::new();
                batch.add(&db, &path);
                db.ingest(&batch, IngestOptions { move_files: true })?;
                db.flush()?;
            }
            Ok(())
        }));
        writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
        db.sync().unwrap();
        ended.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Result<Vec<_>>>()
    })?;
    assert!(db.verify()?.problems.is_empty());
    db.close()?;
    Ok(results)
}

#[test]
fn readers_beside_writers_are_shown_all_batches_of_each_in_its_order() -> Result<()> {
    for (shown, gaps) in run(ALL)? {
        assert_eq!(gaps, 0);
        let writers = (0..WRITERS).map(|writer| (format!("w{writer}"), WRITES));
        assert_eq!(shown, writers.chain([("i".to_owned(), INGESTS)]).collect());
    }
    Ok(())
}

/// With hardly anything kept a reader may lose its place at any moment; what it is shown between two gaps is
/// without a hole.
#[test]
fn readers_beside_writers_are_told_of_every_hole() -> Result<()> {
    for (shown, gaps) in run(LITTLE)? {
        println!("figure: {} batches, {gaps} gaps", shown.values().sum::<u64>());
        assert!(!shown.is_empty());
    }
    Ok(())
}
