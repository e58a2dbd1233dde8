//! Families that come and go beside writers.

use super::history::Store;
use super::rig::{builder, explore, quiet, thread, tiny, together};
use crate::base::error::Error;
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::commit::Durability::{Os, Sync};
use crate::fs::SimFs;
use crate::fs::sim::Image;

/// A batch over a family that is being dropped is written whole or not at all; nobody waits for the
/// dropped family's memtables.
#[test]
fn shuttle_families_come_and_go() {
    explore("shuttle_families_come_and_go", 6, || {
        let sim = SimFs::new();
        let db = tiny(&sim).open().unwrap();
        let guest = db.column_family("guest").unwrap();
        let shared = Arc::new((sim, db, guest));
        together(vec![
            thread(&shared, |(_, db, guest)| {
                for i in 0..3_u8 {
                    let mut batch = WriteBatch::new();
                    batch.put(db, [b'd', i], vec![i; 400]).put(guest, [b'g', i], vec![i; 400]);
                    let written = db.write(batch, if i == 1 { Sync } else { Os });
                    let refused = matches!(written, Err(Error::FamilyDropped { .. }));
                    assert!(written.is_ok() || refused, "{written:?}");
                    assert_eq!(db.contains_key([b'd', i]).unwrap(), written.is_ok(), "half a batch");
                }
            }),
            thread(&shared, |(_, db, _)| db.drop_column_family("guest").unwrap()),
            thread(&shared, |(_, db, guest)| {
                let found = guest.get("g\0").map(|value| value.is_none_or(|value| value.len() == 400));
                assert!(matches!(found, Ok(true) | Err(Error::FamilyDropped { .. })), "{found:?}");
                db.flush().unwrap();
            }),
            thread(&shared, |(_, db, _)| {
                let new = db.column_family("new").unwrap();
                new.put("n", "n").unwrap();
                assert_eq!(new.get("n").unwrap().unwrap(), b"n");
            }),
        ]);
        let (sim, db, guest) = &*shared;
        assert!(matches!(guest.get("x"), Err(Error::FamilyDropped { .. })));
        assert_eq!(db.column_families(), ["default", "new"]);
        assert!(db.health().is_well() && db.verify().unwrap().problems.is_empty());
        db.clone().close().unwrap();
        let db = quiet(&sim.image(Image::Nothing, 0)).open().unwrap();
        assert_eq!(db.column_families(), ["default", "new"]);
        assert_eq!(db.open_column_family("new").unwrap().get("n").unwrap().unwrap(), b"n");
    });
}

/// Two who create the same family get the same; what they write is there after a loss of power.
#[test]
fn shuttle_two_create_the_same_family() {
    explore("shuttle_two_create_the_same_family", 2, || {
        let sim = SimFs::new();
        let db = builder(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 8));
        let create = |value: u32| {
            move |s: &Store| {
                let family = s.db.column_family("third").unwrap();
                let mut batch = WriteBatch::new();
                batch.put(&family, [value as u8], [0]);
                s.db.write(batch, Sync).unwrap();
            }
        };
        together(vec![
            thread(&store, create(1)),
            thread(&store, create(2)),
            thread(&store, |s| {
                s.put(&[(0, 1, Some(1)), (1, 1, Some(1))], Sync);
            }),
        ]);
        let lost = store.sim.image(Image::Nothing, 0);
        store.db.clone().close().unwrap();
        let db = quiet(&lost).open().unwrap();
        assert_eq!(db.open_column_family("third").unwrap().iter().unwrap().count(), 2);
        drop(db);
        assert_eq!(store.dump(&lost).len(), 2);
    });
}
