//! A store is followed from another process while the processes that write to it are killed.
//!
//! `ESKER_FOLLOWER_KILLS` says how often; `ESKER_FOLLOWER_SEED` where the random numbers begin. How the
//! processes meet does not follow from it.

use esker::base::random::Random;
use esker::{Error, Follower};
use esker_tests::bank::{Bank, Books, teller};
use esker_tests::figure;
use esker_tests::process::Limit;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const TELLER: &str = env!("CARGO_BIN_EXE_esker-teller");

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// What was seen so far.
struct Watcher {
    follower: Follower,
    seen: Books,
    looks: u64,
    /// Looks that showed more than the one before.
    moved: u64,
    /// How often the writer was faster, each time of many.
    slow: u64,
}

impl Watcher {
    /// Catches up and reads all: the books balance, and nothing that was seen is gone.
    fn look(&mut self) {
        match self.follower.catch_up() {
            Ok(_) => {}
            Err(Error::FileGone { .. }) => self.slow += 1,
            Err(error) => panic!("{error}"),
        }
        let books = Books::seen(&self.follower.view()).unwrap();
        let lost: Vec<_> = self.seen.transfers.difference(&books.transfers).collect();
        assert!(lost.is_empty(), "no longer seen: {lost:?}");
        self.moved += u64::from(books.transfers.len() > self.seen.transfers.len());
        self.looks += 1;
        self.seen = books;
    }

    /// The same of somebody who opens the store now.
    fn look_anew(&self, store: &Path) {
        match teller::builder(store).open_read_only() {
            Ok(view) => {
                let books = Books::seen(&view).unwrap();
                assert!(self.seen.transfers.is_subset(&books.transfers));
            }
            Err(Error::FileGone { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_was_seen_outlives_kills_of_the_writer() {
    let (kills, seed) = (number("ESKER_FOLLOWER_KILLS", 12), number("ESKER_FOLLOWER_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("bank");
    let random = Random::seeded(seed);
    Bank::open(teller::builder(&store).open().unwrap()).unwrap().db().clone().close().unwrap();
    let follower = teller::builder(&store).follow().unwrap();
    let mut watcher = Watcher { follower, seen: Books::default(), looks: 0, moved: 0, slow: 0 };
    for life in 0..kills {
        let mut child = Command::new(TELLER)
            .args([store.to_str().unwrap(), &seed.to_string(), &life.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let limit = Limit::new(&child, Duration::from_millis(200 + random.below(500)));
        let status = loop {
            watcher.look();
            if watcher.looks.is_multiple_of(8) {
                watcher.look_anew(&store);
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
        };
        drop(limit);
        assert!(!status.success() && status.code().is_none(), "seed {seed}, life {life}: {status}");
        // What the dead one has left: all of it, and whoever opens the store finds the same.
        watcher.look();
        let bank = Bank::open(teller::builder(&store).open().unwrap()).unwrap();
        let books = bank.check().unwrap_or_else(|why| panic!("seed {seed}, life {life}: {why}"));
        assert!(books.transfers == watcher.seen.transfers, "seed {seed}, life {life}");
        watcher.look();
        bank.db().clone().close().unwrap();
    }
    let stats = watcher.follower.stats();
    assert!(watcher.moved > kills, "{} of {} looks showed more", watcher.moved, watcher.looks);
    assert_eq!((stats.new_histories, stats.taken_back), (kills, 0));
    figure!(
        "a follower under kills of the writer: {kills} kills, {} looks, {} of which showed more, \
         {} restarts, {} times too slow, {} transfers seen, violations 0 (seed {seed})",
        watcher.looks,
        watcher.moved,
        stats.restarts,
        watcher.slow,
        watcher.seen.transfers.len()
    );
}
