//! Consumers that the store remembers by name.

use crate::world::{ALL, words_of};
use esker::fs::{Fs, SimFs};
use esker::{Db, Error, FeedOptions, Result};

fn open(disk: &SimFs, feed: FeedOptions) -> Result<Db> {
    let builder = Db::builder("/db").fs(Fs::Sim(disk.clone())).deterministic(1).wal_segment_bytes(4 << 10);
    builder.memtable_bytes(8 << 10).reserve_bytes(0).feed(feed).open()
}

fn fill(db: &Db, range: std::ops::Range<u32>) -> Result<()> {
    range.into_iter().try_for_each(|i| db.put(format!("k{i:04}"), "v".repeat(100)))
}

#[test]
fn what_a_consumer_has_acknowledged_outlasts_a_loss_of_power() -> Result<()> {
    let disk = SimFs::new();
    let db = open(&disk, ALL)?;
    let consumer = db.feed_consumer("search")?;
    fill(&db, 0..20)?;
    let mut feed = consumer.changes()?;
    for _ in 0..7 {
        feed.next_batch()?;
    }
    consumer.acknowledge(feed.position())?;
    feed.next_batch()?;
    let lost = disk.image(esker::fs::sim::Image::Nothing, 1);
    let db = open(&lost, ALL)?;
    let info = &db.feed_consumers()[0];
    assert_eq!((info.name.as_str(), info.position.seq, info.is_cut_loose), ("search", 7, false));
    let batch = db.feed_consumer("search")?.changes()?.next_batch()?.unwrap();
    assert!(words_of(&batch)?[0].contains("k0007"), "the one behind what was acknowledged comes again");
    Ok(())
}

#[test]
fn segments_are_kept_for_the_slowest_and_go_when_it_is_removed() -> Result<()> {
    let db = open(&SimFs::new(), FeedOptions { keep_bytes: 0, ..ALL })?;
    let (fast, slow) = (db.feed_consumer("fast")?, db.feed_consumer("slow")?);
    fill(&db, 0..200)?;
    db.flush()?;
    let kept = db.stats().feed.segments;
    assert!(kept > 2);
    fast.acknowledge(db.feed_end()?)?;
    db.flush()?;
    assert!(db.stats().feed.segments >= kept && db.feed_consumers()[1].lag == 200);
    let mut feed = slow.changes()?;
    (0..100).try_for_each(|_| feed.next_batch().map(drop))?;
    slow.acknowledge(feed.position())?;
    fill(&db, 200..300)?;
    db.flush()?;
    let start = db.feed_start()?.seq;
    assert!(start > 50 && start <= 100, "{start}");
    db.remove_feed_consumer("slow")?;
    assert!(matches!(slow.position(), Err(Error::NoSuchConsumer { .. })));
    assert!(matches!(slow.acknowledge(feed.position()), Err(Error::NoSuchConsumer { .. })));
    assert!(matches!(db.remove_feed_consumer("slow"), Err(Error::NoSuchConsumer { .. })));
    (0..400).try_for_each(|_| db.contains_key("k").map(drop))?;
    assert_eq!(db.feed_consumers().len(), 1);
    assert!(db.feed_start()?.seq >= 200);
    Ok(())
}

#[test]
fn a_consumer_beyond_the_bound_is_cut_loose_and_may_go_on_behind_the_gap() -> Result<()> {
    let options = FeedOptions { keep_bytes: 0, consumer_bytes: 16 << 10, ..ALL };
    let db = open(&SimFs::new(), options)?;
    let consumer = db.feed_consumer("slow")?;
    fill(&db, 0..300)?;
    db.flush()?;
    let info = &db.feed_consumers()[0];
    assert!(info.is_cut_loose && info.lag == 300);
    let Err(Error::FeedGap { first_available, .. }) = consumer.changes() else { panic!("no gap") };
    consumer.acknowledge(first_available)?;
    assert!(!db.feed_consumers()[0].is_cut_loose);
    let mut feed = consumer.changes()?;
    while feed.next_batch()?.is_some() {}
    assert_eq!(feed.position(), db.feed_end()?);
    assert!(db.stats().feed.bytes <= 16 << 10);
    Ok(())
}

#[test]
fn consumers_outlast_a_feed_that_is_switched_off_and_are_told_then() -> Result<()> {
    let disk = SimFs::new();
    let db = open(&disk, ALL)?;
    db.feed_consumer("one")?;
    fill(&db, 0..3)?;
    db.close()?;
    let without = Db::builder("/db").fs(Fs::Sim(disk.clone())).deterministic(1).reserve_bytes(0).open()?;
    assert!(without.feed_consumers()[0].is_cut_loose);
    without.close()?;
    let db = open(&disk, ALL)?;
    assert!(matches!(db.feed_consumer("one")?.changes(), Err(Error::FeedGap { .. })));
    Ok(())
}

#[test]
fn names_and_positions_are_judged() -> Result<()> {
    let db = open(&SimFs::new(), ALL)?;
    for name in ["", &"x".repeat(256)] {
        assert!(matches!(db.feed_consumer(name), Err(Error::InvalidArgument { what: "name", .. })));
    }
    let end = db.feed_end()?;
    let strange = esker::Position { history: end.history ^ 1, ..end };
    assert!(matches!(db.feed_consumer_at("one", strange), Err(Error::FeedGap { .. })));
    fill(&db, 0..3)?;
    let one = db.feed_consumer_at("one", db.feed_end()?)?;
    assert!(one.changes()?.next_batch()?.is_none());
    assert_eq!(db.feed_consumer_at("one", end)?.position()?, one.position()?, "it is there already");
    assert!(matches!(one.acknowledge(strange), Err(Error::FeedGap { .. })));
    one.acknowledge(end)?;
    assert!(one.changes()?.next_batch()?.is_some(), "it may go back");
    Ok(())
}
