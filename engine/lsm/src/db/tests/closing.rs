//! A store that is closed while everything is under way.

use super::rig::{explore, quiet, thread, tiny, together};
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::base::sync::quiet::{AtomicU64, Ordering};
use crate::batch::WriteBatch;
use crate::commit::Durability::{None as Unlogged, Os, Sync};
use crate::db::Db;
use crate::fs::sim::Image;
use crate::fs::{Fs, SimFs};

/// What happened to the disk after the store was closed.
static LATE: std::sync::Mutex<Option<String>> = std::sync::Mutex::new(None);

/// What a call answers beside a close: it worked, or the store is closed.
fn done<T>(result: Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(Error::Closed) => false,
        Err(error) => panic!("beside a close: {error:?}"),
    }
}

fn put(db: &Db, who: u8, number: u8, durability: crate::commit::Durability) -> bool {
    let mut batch = WriteBatch::new();
    batch.put(db, [who, number], vec![number; 500]);
    done(db.write(batch, durability))
}

/// Writers, readers, a flush, a compaction and another close end, each in good order; what they were
/// told was written is there, and the store opens as one that was closed.
#[test]
fn shuttle_close_waits_for_nothing_forever() {
    explore("shuttle_close_waits_for_nothing_forever", 8, || {
        let sim = SimFs::new();
        let db = tiny(&sim).open().unwrap();
        let written: [AtomicU64; 2] = Default::default();
        let shared = Arc::new((db, written));
        together(vec![
            thread(&shared, |(db, written)| {
                for i in 0..3 {
                    if put(db, 0, i, [Os, Unlogged, Sync][usize::from(i)]) {
                        written[0].fetch_max(u64::from(i) + 1, Ordering::Relaxed);
                    }
                }
            }),
            thread(&shared, |(db, written)| {
                for i in 0..3 {
                    if put(db, 1, i, Sync) {
                        written[1].fetch_max(u64::from(i) + 1, Ordering::Relaxed);
                    }
                }
            }),
            thread(&shared, |(db, _)| {
                done(db.flush());
                done(db.compact());
            }),
            thread(&shared, |(db, _)| {
                if let Ok(iter) = db.iter() {
                    let all: Result<Vec<_>> = iter.collect();
                    assert!(all.is_ok(), "an iterator that the close took away: {all:?}");
                }
                done(db.get([0, 0]));
                done(db.sync());
            }),
            thread(&shared, |(db, _)| {
                db.clone().close().unwrap();
                let Fs::Sim(disk) = &db.inner().store.fs else { unreachable!("a simulated disk") };
                disk.observe(Box::new(|operation, _, _| {
                    LATE.lock().unwrap().get_or_insert(format!("{operation:?}"));
                }));
            }),
        ]);
        assert_eq!(LATE.lock().unwrap().take(), None, "the disk was changed behind a close");
        let (db, written) = &*shared;
        db.clone().close().unwrap();
        assert!(matches!(db.get("x"), Err(Error::Closed)));
        let after = quiet(&sim.image(Image::Nothing, 0)).open().unwrap();
        assert!(after.recovery().clean, "{:?}", after.recovery());
        for (who, written) in written.iter().enumerate() {
            for number in 0..written.load(Ordering::Relaxed) {
                let found = after.get([who as u8, number as u8]).unwrap();
                assert!(found.is_some_and(|value| value.len() == 500), "{who} {number} is gone");
            }
        }
    });
}
