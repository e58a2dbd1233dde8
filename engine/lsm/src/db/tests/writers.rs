//! Writers of all kinds beside each other, with readers, and power lost at any moment.

use super::history::{SHORT, Store};
use super::rig::{builder, explore, thread, tiny, together};
use crate::base::sync::Arc;
use crate::commit::Durability::{None as Unlogged, Os, Sync};
use crate::fs::SimFs;
use crate::fs::sim::Image;

fn store(sim: SimFs) -> Arc<Store> {
    let db = builder(&sim).open().unwrap();
    Arc::new(Store::new(sim, db, 8))
}

/// Synced and unsynced writes, batches over two families, and every way to read.
#[test]
fn shuttle_writers_share_the_log() {
    explore("shuttle_writers_share_the_log", 8, || {
        let store = store(SimFs::new());
        together(vec![
            thread(&store, |s| {
                for i in 1..=3 {
                    s.put(&[(0, 1, Some(i))], Sync);
                }
            }),
            thread(&store, |s| {
                s.put(&[(0, 1, Some(11)), (1, 1, Some(11))], Os);
                s.put(&[(0, 1, None), (1, 2, Some(12)), (1, 1, None)], Os);
            }),
            thread(&store, |s| {
                s.put(&[(1, 1, Some(21)), (0, 2, Some(21))], Sync);
                s.get(0, 1).unwrap();
            }),
            thread(&store, |s| {
                s.multi_get(1, &[1, 2]).unwrap();
                s.snapshot().unwrap();
                s.scan(0, true).unwrap();
            }),
            thread(&store, |s| s.lose_power(Image::Nothing)),
        ]);
        store.end();
    });
}

/// Unlogged batches are whole and a prefix among themselves, although only one family's memtables fill
/// up.
#[test]
fn shuttle_unlogged_writes_stay_whole() {
    explore("shuttle_unlogged_writes_stay_whole", 6, || {
        let sim = SimFs::new();
        let db = tiny(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 700));
        together(vec![
            thread(&store, |s| {
                s.put(&[(0, 1, Some(1)), (1, SHORT, Some(1))], Unlogged);
                s.put(&[(1, SHORT, Some(2)), (0, 2, Some(2))], Unlogged);
                s.put(&[(0, 1, Some(3)), (1, SHORT + 1, Some(3))], Unlogged);
            }),
            thread(&store, |s| {
                s.put(&[(0, SHORT + 2, Some(11))], Os);
                s.put(&[(0, SHORT + 2, Some(12)), (1, SHORT + 2, Some(12))], Sync);
            }),
            thread(&store, |s| s.db.flush().unwrap()),
            thread(&store, |s| {
                s.lose_power(Image::Nothing);
                s.snapshot().unwrap();
                s.lose_power(Image::Random);
            }),
        ]);
        store.end();
    });
}

/// One family is flushed again and again while the other's few entries stay in the log: a flush does
/// not outrun the log, and the log is kept for as long as anything in it is not flushed.
#[test]
fn shuttle_a_flush_waits_for_the_log_and_keeps_it() {
    explore("shuttle_a_flush_waits_for_the_log_and_keeps_it", 6, || {
        let sim = SimFs::new();
        let db = tiny(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 1_500));
        store.put(&[(1, SHORT, Some(1))], Sync);
        together(vec![
            thread(&store, |s| {
                for i in 11..=16 {
                    s.put(&[(0, i as u8 % 2, Some(i))], Os);
                }
            }),
            thread(&store, |s| {
                for i in 21..=22 {
                    s.put(&[(1, SHORT + 1, Some(i))], Os);
                }
            }),
            thread(&store, |s| (0..3).for_each(|_| s.lose_power(Image::Nothing))),
        ]);
        store.lose_power(Image::Nothing);
        store.end();
    });
}

/// Memtables of a kilobyte and segments of four: rotation, flushes, compactions and stalls while
/// writing.
#[test]
fn shuttle_memtables_and_segments_roll_over() {
    explore("shuttle_memtables_and_segments_roll_over", 8, || {
        let sim = SimFs::new();
        let db = tiny(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 700));
        together(vec![
            thread(&store, |s| {
                for i in 1..=4 {
                    s.put(&[(0, i as u8 % 2, Some(i)), (1, i as u8 % 3, Some(i))], Os);
                }
            }),
            thread(&store, |s| {
                for i in 11..=13 {
                    s.put(&[(0, i as u8 % 2, Some(i))], Sync);
                }
                s.get(0, 1).unwrap();
            }),
            thread(&store, |s| {
                s.scan(0, false).unwrap();
                s.snapshot().unwrap();
                s.multi_get(0, &[0, 1]).unwrap();
            }),
            thread(&store, |s| s.lose_power(Image::LaterKept)),
        ]);
        store.end();
    });
}
