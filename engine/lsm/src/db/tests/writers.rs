//! Writers of all kinds beside each other, with readers, and power lost at any moment.

use super::history::Store;
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
    explore("shuttle_writers_share_the_log", 14, || {
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

/// Unlogged batches are whole and a prefix among themselves, whatever is flushed between them.
#[test]
fn shuttle_unlogged_writes_stay_whole() {
    explore("shuttle_unlogged_writes_stay_whole", 8, || {
        let store = store(SimFs::new());
        together(vec![
            thread(&store, |s| {
                s.put(&[(0, 1, Some(1)), (1, 1, Some(1))], Unlogged);
                s.put(&[(1, 2, Some(2)), (0, 2, Some(2))], Unlogged);
            }),
            thread(&store, |s| {
                s.put(&[(0, 3, Some(11))], Os);
                s.put(&[(0, 3, Some(12)), (1, 3, Some(12))], Sync);
            }),
            thread(&store, |s| s.db.flush().unwrap()),
            thread(&store, |s| s.snapshot().unwrap()),
            thread(&store, |s| s.lose_power(Image::Random)),
        ]);
        store.end();
    });
}

/// Memtables of a kilobyte and segments of four: rotation, flushes, compactions and stalls while
/// writing.
#[test]
fn shuttle_memtables_and_segments_roll_over() {
    explore("shuttle_memtables_and_segments_roll_over", 14, || {
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
