//! Ranges that are deleted beside readers, flushes and compactions.

use super::rig::{builder, explore, thread, tiny, together};
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::db::Db;
use crate::fs::SimFs;

/// The store of these programs: each batch deletes all keys and sets two.
struct Store {
    db: Db,
}

impl Store {
    fn replace(&self, round: u8) {
        let mut batch = WriteBatch::new();
        batch.delete_range::<&str, _>(&self.db, ..);
        batch.put(&self.db, [b'k', round % 3], [round]).put(&self.db, [b'k', 3 + round % 2], [round]);
        self.db.write(batch, Durability::Os).unwrap();
    }

    /// Two keys of one round, whichever way they are read.
    fn look(&self, reverse: bool) {
        let walk = self.db.iter().unwrap();
        let values: Vec<_> = match reverse {
            false => walk.map(|entry| entry.unwrap().1.to_vec()).collect(),
            true => walk.rev().map(|entry| entry.unwrap().1.to_vec()).collect(),
        };
        assert!(values.len() == 2 && values[0] == values[1], "a walk shows {values:?}");
        let keys: Vec<[u8; 2]> = (0..5).map(|i| [b'k', i]).collect();
        let values: Vec<_> = self.db.multi_get(&keys).unwrap().into_iter().flatten().collect();
        assert!(values.len() == 2 && values[0] == values[1], "many gets show {values:?}");
    }
}

#[test]
fn shuttle_a_range_is_seen_with_the_rest_of_its_batch() {
    explore("shuttle_a_range_is_seen_with_the_rest_of_its_batch", 8, || {
        let store = Arc::new(Store { db: builder(&SimFs::new()).open().unwrap() });
        store.replace(0);
        together(vec![
            thread(&store, |s| (1..4).for_each(|round| s.replace(round))),
            thread(&store, |s| (0..2).for_each(|_| s.look(false))),
            thread(&store, |s| (0..2).for_each(|_| s.look(true))),
            thread(&store, |s| s.db.flush().unwrap()),
        ]);
        store.look(false);
    });
}

#[test]
fn shuttle_ranges_are_flushed_and_compacted_away_while_snapshots_come_and_go() {
    explore("shuttle_ranges_are_flushed_and_compacted_away_while_snapshots_come_and_go", 6, || {
        let store = Arc::new(Store { db: tiny(&SimFs::new()).open().unwrap() });
        store.replace(0);
        together(vec![
            thread(&store, |s| (1..4).for_each(|round| s.replace(round))),
            thread(&store, |s| {
                for _ in 0..2 {
                    let snapshot = s.db.snapshot();
                    let values = || snapshot.iter(&s.db).unwrap().map(|entry| entry.unwrap().1.to_vec());
                    let before: Vec<_> = values().collect();
                    assert!(before.len() == 2 && before[0] == before[1], "a snapshot shows {before:?}");
                    s.db.flush().unwrap();
                    assert_eq!(values().collect::<Vec<_>>(), before);
                }
            }),
            thread(&store, |s| {
                s.db.compact().unwrap();
                s.look(true);
            }),
        ]);
        store.db.compact().unwrap();
        store.look(false);
        assert_eq!(store.db.stats().families[0].ranges.deleted, 0);
    });
}
