use super::*;
use crate::fs::SimFs;
use crate::fs::sim::{Fault, Image, OperationKind};

const DIR: &str = "/db";
const BYTES: u64 = 64 << 10;

fn reserve(sim: &SimFs, bytes: u64) -> Reserve {
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(Path::new(DIR)).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    Reserve::new(&fs, Path::new(DIR), bytes)
}

fn path() -> PathBuf {
    FileKind::Reserve.path(Path::new(DIR))
}

/// The size of its file; `None` if there is none.
fn size(sim: &SimFs) -> Option<u64> {
    sim.read_raw(&path()).ok().map(|bytes| bytes.len() as u64)
}

fn leave(sim: &SimFs, bytes: u64) {
    sim.set_capacity(Some(sim.used() + bytes));
}

/// What needs space fails so often, with `error`, and then finds it. Returns how it went, and the attempts.
fn draw(reserve: &Reserve, failures: u32, error: impl Fn() -> Error) -> (Result<()>, u32) {
    let mut attempts = 0;
    let result = reserve.draw(Drawer::Anybody, || {
        attempts += 1;
        if attempts > failures { Ok(()) } else { Err(error()) }
    });
    (result, attempts)
}

fn full() -> Error {
    no_room(Path::new("/db/000007.sst"))
}

#[test]
fn a_reserve_is_given_up_once_and_made_again_when_there_is_room() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    assert!(!reserve.is_short(), "one that was never made is missed by nobody");
    assert!(reserve.make().unwrap());
    assert_eq!((size(&sim), size(&sim.image(Image::Nothing, 0))), (Some(BYTES), Some(BYTES)));
    assert!(!reserve.is_short() && reserve.why().is_none());
    leave(&sim, 0);
    let before = sim.used();
    let (drawn, attempts) = draw(&reserve, 1, full);
    assert!(drawn.is_ok() && attempts == 2, "the second attempt found the space");
    assert_eq!((size(&sim), before - sim.used()), (Some(0), BYTES));
    assert!(reserve.is_short() && matches!(reserve.why(), Some(Error::DiskFull(_))));
    let (refused, attempts) = draw(&reserve, 9, full);
    assert!(matches!(refused, Err(Error::DiskFull(_))) && attempts == 1, "there is nothing left to give up");
    leave(&sim, BYTES - 1);
    assert!(!reserve.make().unwrap(), "all of it or nothing");
    assert!(reserve.is_short() && size(&sim) == Some(0));
    leave(&sim, BYTES);
    assert!(reserve.make().unwrap());
    assert!(!reserve.is_short() && reserve.why().is_none() && size(&sim) == Some(BYTES));
}

#[test]
fn only_a_full_disk_is_a_reason_to_give_it_up() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    reserve.make().unwrap();
    let failed_sync = || Error::io("sync", Path::new("/db/000007.sst"), io::ErrorKind::StorageFull.into());
    let other = || Error::io("write to", Path::new("/db/000007.sst"), io::ErrorKind::Other.into());
    for error in [failed_sync(), other()] {
        let (result, attempts) = draw(&reserve, 1, || error.clone());
        assert!(result.is_err() && attempts == 1, "{error}");
    }
    assert!(!reserve.is_short() && size(&sim) == Some(BYTES));
}

/// Whoever is refused space twice in a row gets what another one has given up in between.
#[test]
fn what_another_one_gave_up_is_a_reason_to_try_again() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    reserve.make().unwrap();
    let mut attempts = 0;
    let result = reserve.draw(Drawer::Anybody, || {
        attempts += 1;
        if attempts == 1 {
            assert_eq!(draw(&reserve, 1, full).1, 2);
            return Err(full());
        }
        Ok(())
    });
    assert!(result.is_ok() && attempts == 2);
}

#[test]
fn a_reserve_that_was_never_made_is_not_made_by_giving_it_up() {
    for bytes in [0, BYTES] {
        let sim = SimFs::new();
        let reserve = reserve(&sim, bytes);
        let (result, attempts) = draw(&reserve, 1, full);
        assert!(result.is_err() && attempts == 1);
        assert!(!reserve.is_short() && size(&sim).is_none());
    }
    let sim = SimFs::new();
    assert!(reserve(&sim, 0).make().unwrap(), "nothing is wanted");
    assert_eq!(size(&sim), None);
}

#[test]
fn compactions_leave_half_of_it_to_others() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    reserve.make().unwrap();
    leave(&sim, 0);
    assert!(reserve.leave_some().is_ok(), "it is whole");
    assert!(draw(&reserve, 1, full).0.is_ok());
    for (free, left) in [(BYTES, true), (BYTES / 2, true), (BYTES / 2 - 512, false), (0, false)] {
        leave(&sim, free);
        match reserve.leave_some() {
            Ok(()) => assert!(left, "{free}"),
            Err(error) => assert!(!left && matches!(error, Error::DiskFull(_)), "{free}: {error}"),
        }
    }
    sim.set_capacity(None);
    assert!(reserve.leave_some().is_ok(), "nobody knows how much is free");
}

/// Whatever a crash has left of it is made whole, with bytes where no space can be reserved.
#[test]
fn what_is_left_of_an_earlier_one_is_made_whole() {
    let bytes = (1 << 20) + 4_000;
    for (found, can_reserve) in [
        (0, true),
        (700, true),
        (700, false),
        (bytes, true),
        (bytes, false),
        (3 * bytes, true),
        (3 * bytes, false),
    ] {
        let sim = SimFs::new();
        let reserve = reserve(&sim, bytes);
        sim.write_raw(&path(), &vec![1; found as usize]).unwrap();
        if !can_reserve {
            let unsupported = Fault::Kind(io::ErrorKind::Unsupported);
            sim.set_fault(Box::new(move |op| (op.kind == OperationKind::Allocate).then_some(unsupported)));
        }
        let syncs = sim.stats().of(OperationKind::Sync);
        assert!(reserve.make().unwrap() && !reserve.is_short());
        assert_eq!(size(&sim), Some(bytes), "{found} bytes were found");
        assert!(sim.used() >= bytes, "a length alone is no space");
        assert_eq!(sim.stats().of(OperationKind::Sync) - syncs, u64::from(found != bytes));
    }
}

#[test]
fn a_reserve_that_cannot_be_made_stops_nobody_unless_a_sync_failed() {
    for (kind, is_final) in [
        (OperationKind::Open, false),
        (OperationKind::Create, false),
        (OperationKind::Allocate, false),
        (OperationKind::Sync, true),
    ] {
        let sim = SimFs::new();
        let reserve = reserve(&sim, BYTES);
        sim.set_fault(Box::new(move |op| (op.kind == kind).then_some(Fault::EIO)));
        assert_eq!(reserve.make().is_err(), is_final, "{kind}");
        sim.clear_fault();
        assert_eq!((size(&sim), reserve.is_short()), (is_final.then_some(0), is_final), "{kind}");
        let full = || Error::io("write to", &path(), io::ErrorKind::StorageFull.into());
        let drawn = reserve.draw(Drawer::Anybody, || Err::<(), _>(full()));
        assert!(drawn.is_err() && reserve.is_short() == is_final, "{kind}: nothing is refused for its sake");
        assert!(reserve.make().unwrap() && size(&sim) == Some(BYTES), "{kind}");
    }
}

#[test]
fn what_nobody_waits_for_leaves_the_room_of_a_reserve_free_and_a_short_one_alone() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    assert!(reserve.make().unwrap());
    leave(&sim, BYTES + 999);
    assert!(reserve.has_room_for(999) && !reserve.has_room_for(1_000) && !reserve.has_room_for(u64::MAX));
    assert!(reserve.leave_all().is_ok());
    leave(&sim, 0);
    assert!(draw(&reserve, 1, full).0.is_ok());
    sim.set_capacity(None);
    assert!(!reserve.has_room_for(1), "the room is what the reserve is to be made of");
    assert!(matches!(reserve.leave_all(), Err(Error::DiskFull(_))));
    assert!(reserve.make().unwrap() && reserve.has_room_for(1) && reserve.leave_all().is_ok());
}

#[test]
fn a_small_one_is_half_or_a_part_of_the_tables_and_whole_again_when_that_is_wanted() {
    let part = |tables: u64| {
        let sim = SimFs::new();
        let reserve = reserve(&sim, BYTES);
        assert!(reserve.make().unwrap());
        reserve.shrink(tables);
        assert_eq!(reserve.small(), size(&sim).filter(|size| *size < BYTES));
        (sim, reserve)
    };
    for (tables, left) in [(0, BYTES / 2), (PART_OF_TABLES * 40_000, 40_000), (PART_OF_TABLES * BYTES, BYTES)]
    {
        assert_eq!(size(&part(tables).0), Some(left), "{tables}");
    }
    let (sim, reserve) = part(0);
    assert!(reserve.make().unwrap() && reserve.small().is_some(), "nobody wants it whole");
    leave(&sim, BYTES / 2 - 1);
    assert!(reserve.want() && !reserve.want(), "the first time it is news");
    assert!(!reserve.make().unwrap() && !reserve.is_short(), "a small one does");
    assert_eq!((reserve.small(), size(&sim)), (Some(BYTES / 2), Some(BYTES / 2)));
    reserve.shrink(0);
    assert!(reserve.make().unwrap(), "nobody wants it any more");
    leave(&sim, BYTES / 2);
    assert!(reserve.want() && reserve.make().unwrap() && reserve.small().is_none());
    assert_eq!(size(&sim), Some(BYTES));
}

#[test]
fn a_small_one_is_given_up_as_a_whole_one_is() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    reserve.make().unwrap();
    reserve.shrink(0);
    leave(&sim, 0);
    assert!(draw(&reserve, 1, full).0.is_ok());
    assert!(reserve.is_short() && reserve.small().is_none() && size(&sim) == Some(0));
    assert!(reserve.leave_some().is_ok(), "all of what was given up is left");
    leave(&sim, BYTES / 4 - 512);
    assert!(reserve.leave_some().is_err(), "half of what was given up is not for compactions");
    leave(&sim, BYTES - 1);
    reserve.shrink(0);
    assert!(!reserve.make().unwrap() && reserve.is_short(), "once given up it has to be whole");
}

#[test]
fn what_an_earlier_process_has_left_is_small_or_has_to_be_made() {
    for (found, small) in
        [(0, false), (BYTES / 2 - 1, false), (BYTES / 2, true), (BYTES - 1, true), (BYTES, false)]
    {
        let sim = SimFs::new();
        let reserve = reserve(&sim, BYTES);
        sim.write_raw(&path(), &vec![1; found as usize]).unwrap();
        reserve.find();
        assert_eq!(reserve.small(), small.then_some(found), "{found}");
        assert!(reserve.make().unwrap());
        assert_eq!(size(&sim), Some(if small { found } else { BYTES }), "{found}");
    }
}

/// Two that work with what was given up to one would both fail.
#[test]
fn compactions_draw_on_it_one_at_a_time() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    reserve.make().unwrap();
    leave(&sim, 0);
    let attempt = |attempts: &mut u32| {
        reserve.draw(Drawer::Compaction, || {
            *attempts += 1;
            Err::<(), _>(full())
        })
    };
    let (mut first, mut meanwhile, mut after) = (0, 0, 0);
    let drawn = reserve.draw(Drawer::Compaction, || {
        first += 1;
        if first == 1 {
            return Err(full());
        }
        assert!(matches!(attempt(&mut meanwhile), Err(Error::DiskFull(_))));
        assert_eq!(draw(&reserve, 1, full).1, 1, "there is nothing left to give up");
        Ok(())
    });
    assert!(drawn.is_ok());
    assert_eq!((first, meanwhile), (2, 0), "one is not even begun while another one draws");
    leave(&sim, BYTES);
    assert!(reserve.make().unwrap());
    assert!(attempt(&mut after).is_err());
    assert_eq!(after, 2, "it is the next one's turn");
}

/// It would be made of the very room that somebody is about to use.
#[test]
fn it_is_not_made_of_what_somebody_works_with() {
    let sim = SimFs::new();
    let reserve = reserve(&sim, BYTES);
    reserve.make().unwrap();
    leave(&sim, 0);
    let mut attempts = 0;
    let drawn = reserve.draw(Drawer::Anybody, || {
        attempts += 1;
        if attempts == 1 {
            return Err(full());
        }
        assert!(!reserve.make().unwrap() && size(&sim) == Some(0));
        leave(&sim, 2 * BYTES - 1);
        assert!(!reserve.make().unwrap() && size(&sim) == Some(0));
        leave(&sim, 2 * BYTES);
        assert!(reserve.make().unwrap() && !reserve.is_short(), "there is room for both");
        Ok(())
    });
    assert!(drawn.is_ok() && attempts == 2);
    leave(&sim, 0);
    assert!(draw(&reserve, 1, full).0.is_ok());
    leave(&sim, BYTES);
    assert!(reserve.make().unwrap(), "nobody works with it any more");
}
