//! The durable watermark: waiting for it, being called back, and what it promises.

use super::history::Store;
use super::rig::{builder, explore, thread, tiny, together};
use crate::base::sync::quiet::{AtomicU64, Ordering};
use crate::base::sync::{Arc, Condvar, Mutex};
use crate::commit::Durability::{Os, Sync};
use crate::fs::SimFs;
use crate::fs::sim::Image;
use std::time::Duration;

/// Where a callback leaves its word, and somebody waits for it without a time limit.
#[derive(Default)]
struct Word(Mutex<Option<bool>>, Condvar);

impl Word {
    fn say(&self, word: bool) {
        assert!(self.0.lock().replace(word).is_none(), "called twice");
        self.1.notify_all();
    }

    fn wait(&self) -> bool {
        let mut word = self.0.lock();
        while word.is_none() {
            self.1.wait(&mut word);
        }
        *word == Some(true)
    }
}

fn call_back(store: &Arc<Store>, value: u32) {
    let ticket = store.put(&[(0, value as u8, Some(value))], Os);
    let word = Arc::new(Word::default());
    let (told, within) = (word.clone(), Arc::downgrade(store));
    store.db.on_durable(ticket.seq(), move |result| {
        if let (Ok(()), Some(store)) = (&result, within.upgrade()) {
            store.told(ticket.seq());
        }
        told.say(result.is_ok());
    });
    assert!(word.wait(), "a callback that hears of a failure");
}

/// No timer runs: every callback is called because somebody was woken for it, and the watermark only
/// rises, never above what is visible.
#[test]
fn shuttle_durability_is_told_once_it_is_true() {
    explore("shuttle_durability_is_told_once_it_is_true", 9, || {
        let sim = SimFs::new();
        let db = builder(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 8));
        let shared = [store.clone(), store.clone()];
        let [first, second] = shared;
        together(vec![
            Box::new(move || call_back(&first, 1)),
            Box::new(move || call_back(&second, 11)),
            thread(&store, |s| {
                let ticket = s.put(&[(1, 1, Some(21)), (0, 2, Some(21))], Os);
                s.db.wait_durable(ticket.seq()).unwrap();
                s.told(ticket.seq());
            }),
            thread(&store, |s| {
                s.put(&[(1, 1, Some(31))], Os);
                let visible = s.db.visible_seq();
                s.db.sync().unwrap();
                s.told(visible);
            }),
            thread(&store, |s| {
                let mut last = 0;
                for _ in 0..4 {
                    let durable = s.db.durable_seq();
                    assert!(durable >= last, "the watermark fell");
                    assert!(durable <= s.db.visible_seq(), "durable before it was written");
                    last = durable;
                }
                s.lose_power(Image::Nothing);
            }),
        ]);
        store.end();
    });
}

/// The same over segments that fill up: a sync covers all older segments first.
#[test]
fn shuttle_syncs_cover_older_segments() {
    explore("shuttle_syncs_cover_older_segments", 6, || {
        let sim = SimFs::new();
        let db = tiny(&sim).memtable_bytes(64 << 10).sync_interval(Duration::from_millis(5)).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 1_500));
        let called = store.clone();
        together(vec![
            Box::new(move || call_back(&called, 1)),
            thread(&store, |s| {
                for i in 11..=13 {
                    s.put(&[(1, 1, Some(i))], Os);
                }
            }),
            thread(&store, |s| {
                for i in 21..=22 {
                    s.put(&[(0, 2, Some(i))], Sync);
                }
            }),
            thread(&store, |s| {
                s.lose_power(Image::LaterKept);
                s.lose_power(Image::Nothing);
            }),
        ]);
        store.end();
    });
}

/// Callbacks may drop the last handle of the store, which closes it on the thread that calls them.
#[test]
fn shuttle_a_callback_may_drop_the_last_handle() {
    explore("shuttle_a_callback_may_drop_the_last_handle", 3, || {
        let sim = SimFs::new();
        let db = builder(&sim).open().unwrap();
        let mut batch = crate::batch::WriteBatch::new();
        batch.put(&db, "k", "v");
        let ticket = db.commit(batch, Os).unwrap();
        let (word, calls) = (Arc::new(Word::default()), Arc::new(AtomicU64::new(0)));
        let (told, counted, held) = (word.clone(), calls.clone(), db.clone());
        db.on_durable(ticket.seq(), move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(held);
            told.say(true);
        });
        drop(db);
        assert!(word.wait());
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let db = super::rig::quiet(&sim.image(Image::Nothing, 0)).open().unwrap();
        assert_eq!(db.get("k").unwrap().unwrap(), b"v");
    });
}
