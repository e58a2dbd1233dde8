//! A cache beside a store, which a reader of changes keeps honest: what is written, by whomever, leaves the
//! cache, in the order of commits and over crashes. When the reader has fallen too far behind, it is told so,
//! and the cache begins anew.
//!
//! `cargo run --example cache_invalidation`

use esker::fs::{Fs, SimFs};
use esker::{ChangeFeed, Db, Error, FeedOptions, Operation, Result};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pages that are costly to make, each from the articles that it shows.
struct Cache {
    db: Db,
    feed: ChangeFeed,
    pages: BTreeMap<String, String>,
    made: u32,
}

impl Cache {
    /// An empty cache needs nothing of the past.
    fn new(db: &Db) -> Result<Cache> {
        let feed = db.changes(db.feed_end()?)?;
        Ok(Cache { db: db.clone(), feed, pages: BTreeMap::new(), made: 0 })
    }

    /// Takes out what has changed since. Returns how many pages that were.
    fn catch_up(&mut self) -> Result<usize> {
        let before = self.pages.len();
        loop {
            let batch = match self.feed.next_batch() {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(before - self.pages.len()),
                Err(Error::FeedGap { .. }) => {
                    // Nobody knows what has changed: everything may have.
                    self.feed = self.db.changes(self.db.feed_end()?)?;
                    self.pages.clear();
                    return Ok(before);
                }
                Err(error) => return Err(error),
            };
            let mut operations = batch.operations();
            while let Some(change) = operations.next()? {
                let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
                match change.operation {
                    Operation::Put { key, .. } | Operation::Delete { key } | Operation::Merge { key, .. } => {
                        self.pages.remove(&text(key));
                    }
                    Operation::DeleteRange { from, to } | Operation::DropRange { from, to } => {
                        let (from, to) = (text(from), to.map(text));
                        self.pages.retain(|key, _| *key < from || to.as_ref().is_some_and(|to| key >= to));
                    }
                    Operation::Ingested { first, last, .. } => {
                        let (first, last) = (text(first), text(last));
                        self.pages.retain(|key, _| *key < first || *key > last);
                    }
                    // What a later version may bring.
                    _ => self.pages.clear(),
                }
            }
        }
    }

    fn page(&mut self, article: &str) -> Result<String> {
        if let Some(page) = self.pages.get(article) {
            return Ok(page.clone());
        }
        let text =
            self.db.get(article)?.map_or_else(|| "gone".into(), |v| String::from_utf8_lossy(&v).into_owned());
        let page = format!("<h1>{article}</h1><p>{text}</p>");
        self.made += 1;
        self.pages.insert(article.into(), page.clone());
        Ok(page)
    }
}

fn main() -> Result<()> {
    // A disk that exists in memory.
    let disk = SimFs::new();
    let feed =
        FeedOptions { keep_bytes: 64 << 10, keep_age: Duration::from_secs(3600), ..Default::default() };
    let feed = FeedOptions { consumer_bytes: 64 << 10, ..feed };
    let builder = Db::builder("/articles").fs(Fs::Sim(disk)).wal_segment_bytes(16 << 10);
    let db = builder.memtable_bytes(64 << 10).feed(feed).open()?;
    (0..100).try_for_each(|i| db.put(format!("article:{i:03}"), "as it was first written"))?;

    let mut cache = Cache::new(&db)?;
    for _ in 0..3 {
        (0..100).try_for_each(|i| cache.page(&format!("article:{i:03}")).map(drop))?;
    }
    assert_eq!(cache.made, 100, "each page was made once");

    // Somebody edits one article, and takes ten away.
    db.put("article:007", "as it was corrected")?;
    db.delete_range("article:020".."article:030")?;
    assert_eq!(cache.catch_up()?, 11);
    assert!(cache.page("article:007")?.contains("corrected") && cache.page("article:025")?.contains("gone"));
    assert_eq!(cache.made, 102, "all others are as they were");

    // The cache is not asked for a while, and much is written: more than is kept.
    (0..5_000).try_for_each(|i| db.put(format!("article:{:03}", i % 100), "edited ".repeat(20)))?;
    db.flush()?;
    let left = cache.catch_up()?;
    assert!(cache.pages.is_empty() && cache.page("article:050")?.contains("edited"));
    println!("{left} pages had to go, {} were made in all", cache.made);
    Ok(())
}
