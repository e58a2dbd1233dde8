//! A process that writes, and reads its own changes, is killed again and again: what its reader was shown is
//! there afterwards, and a reader that goes on where that one was is shown everything else, once.

use esker::base::random::Random;
use esker::{Builder, ChangeBatch, Db, Durability, FeedOptions, Operation, Position, Result, WriteBatch};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const DIR: &str = "ESKER_FEED_DIR";
const FROM: &str = "ESKER_FEED_FROM";
const LIFE: &str = "ESKER_FEED_LIFE";
const WRITERS: u64 = 3;

fn builder(dir: &Path) -> Builder {
    let feed = FeedOptions { keep_bytes: 0, ..FeedOptions::default() };
    let builder = Db::builder(dir).feed(feed).memory_budget(16 << 20).memtable_bytes(64 << 10);
    builder
        .wal_segment_bytes(64 << 10)
        // Some values stand apart, once they are in tables; the feed shows them whole.
        .blob_values_from("default", Some(200))
        .default_durability(Durability::Os)
        .sync_interval(Duration::from_millis(5))
}

/// The names that a batch has put, and where it ends.
fn line(batch: &ChangeBatch) -> Result<String> {
    let (mut line, mut operations) = (batch.position().to_string(), batch.operations());
    while let Some(change) = operations.next()? {
        let Operation::Put { key, .. } = change.operation else { panic!("{change:?}") };
        line.push(' ');
        line.push_str(&String::from_utf8_lossy(key));
    }
    Ok(line)
}

/// Writes and reads until it is killed; says each batch that it was shown.
fn work(dir: &Path, life: u64, from: Option<Position>) -> Result<()> {
    let db = builder(dir).open()?;
    // Nothing goes that was not acknowledged, however little is kept.
    let consumer = db.feed_consumer("reader")?;
    let mut feed = db.changes(from.map_or_else(|| db.feed_start(), Ok)?)?;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let db = &db;
            scope.spawn(move || {
                let random = Random::seeded((life << 8) ^ writer);
                for number in 0u64.. {
                    let mut batch = WriteBatch::new();
                    for part in 0..1 + random.below(3) {
                        let name = format!("{life:04}/{writer}/{number:08}/{part}");
                        batch.put(db, name, vec![b'v'; random.below(300) as usize]);
                    }
                    let durability = if random.below(8) == 0 { Durability::Sync } else { Durability::Os };
                    db.write(batch, durability).expect("a disk that works");
                }
            });
        }
        let mut since = 0;
        loop {
            let Some(batch) = feed.next_timeout(Duration::from_secs(60))? else { continue };
            println!("shown {}", line(&batch)?);
            since += 1;
            if since % 50 == 0 {
                // What was said is with the parent, who outlives this process.
                std::io::stdout().flush().expect("a parent");
                consumer.acknowledge(batch.position())?;
            }
        }
    })
}

/// Not a test of its own: what the other one starts as a process.
#[test]
fn worker() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let from = std::env::var(FROM).ok().map(|text| text.parse().expect("a position"));
    let life = std::env::var(LIFE).expect("a number").parse().expect("a number");
    let ended = work(Path::new(&dir), life, from);
    println!("wrong: {:?}", ended.err());
}

#[test]
fn a_reader_beside_kills_is_shown_everything_once_and_nothing_that_is_lost() {
    let kills: u64 = std::env::var("ESKER_FEED_KILLS").map_or(12, |kills| kills.parse().expect("a number"));
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("db");
    let random = Random::seeded(11);
    let (mut from, mut shown) = (None::<Position>, BTreeMap::<String, u64>::new());
    let note = |text: &str, from: &mut Option<Position>, shown: &mut BTreeMap<String, u64>| {
        let mut words = text.split(' ');
        let position: Position = words.next().unwrap().parse().unwrap();
        assert!(from.is_none_or(|from| from.seq < position.seq), "{text} behind {from:?}");
        *from = Some(position);
        for name in words {
            assert_eq!(shown.insert(name.into(), position.seq), None, "{name} twice");
        }
    };
    for life in 0..kills {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "worker", "--nocapture"]).env(DIR, &store).env(LIFE, life.to_string());
        if let Some(from) = from {
            command.env(FROM, from.to_string());
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        let (mut seen, enough) = (0, 40 + random.below(1_500));
        for text in lines {
            let text = String::from_utf8(text.unwrap()).unwrap();
            assert!(!text.contains("wrong:"), "{text}");
            // The last line may be cut short by the kill: it was not heard.
            if let Some((_, said)) = text.split_once("shown ")
                && let Some(said) = whole(said)
            {
                note(said, &mut from, &mut shown);
                seen += 1;
            }
            if seen == enough {
                // What it had said by then is read to the end.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    // What is there is what was shown and what is shown now, and nothing else.
    let db = builder(&store).open().unwrap();
    let before = shown.len();
    for name in shown.keys() {
        assert!(db.contains_key(name).unwrap(), "{name} was shown and is lost");
    }
    let mut feed = db.changes(from.unwrap()).unwrap();
    while let Some(batch) = feed.next_batch().unwrap() {
        note(&line(&batch).unwrap(), &mut from, &mut shown);
    }
    let there: Vec<String> =
        db.iter().unwrap().map(|entry| String::from_utf8(entry.unwrap().0.to_vec()).unwrap()).collect();
    assert!(there.iter().eq(shown.keys()), "{} there, {} shown", there.len(), shown.len());
    assert!(db.verify().unwrap().problems.is_empty());
    println!(
        "figure: {kills} kills, {before} operations shown before, {} behind the last",
        shown.len() - before
    );
}

/// A line whose last name is whole.
fn whole(said: &str) -> Option<&str> {
    said.rsplit(' ').next().filter(|name| name.len() == "0000/0/00000000/0".len()).map(|_| said)
}
