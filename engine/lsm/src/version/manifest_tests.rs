//! A manifest that grows, is torn, damaged and rewritten.

use super::edit::{Edit, EditOp};
use super::manifest::{Loaded, Manifest, load_manifest};
use super::state::StoreState;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::fs::sim::{Fault, Image, OperationKind};
use crate::fs::{Fs, SimFs};
use crate::ranges::{Range, RangeKind};
use crate::record::HEADER_BYTES;
use std::path::{Path, PathBuf};

const DIR: &str = "/db";

fn created() -> (SimFs, Manifest) {
    let sim = SimFs::new();
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(Path::new(DIR)).unwrap();
    let state = StoreState { store: 7, layer: "plain".into(), next_file: 1, ..StoreState::default() };
    (sim, Manifest::create(fs, Path::new(DIR), Random::seeded(1), state).unwrap())
}

fn commit(manifest: &mut Manifest, clock: u64) -> Result<()> {
    let mut next = manifest.state().next_file.max(100 + clock * 2);
    let edit = Edit(vec![EditOp::Clock(clock)]);
    manifest.commit(&edit, || {
        next += 1;
        next
    })
}

fn loaded(sim: &SimFs) -> Result<Loaded> {
    load_manifest(&Fs::Sim(sim.clone()), Path::new(DIR)).map(|loaded| loaded.expect("a CURRENT"))
}

fn path(number: FileNumber) -> PathBuf {
    FileKind::Manifest(number).path(Path::new(DIR))
}

#[test]
fn a_manifest_is_read_back_with_every_edit() {
    let (sim, mut manifest) = created();
    assert_eq!((manifest.number(), manifest.state().next_file), (1, 3));
    for clock in 1..9 {
        commit(&mut manifest, clock).unwrap();
        let found = loaded(&sim.image(Image::Nothing, 0)).unwrap();
        assert_eq!((&found.state, found.number, found.torn_bytes), (manifest.state(), 1, 0));
        assert_eq!(found.state.clock_ms, clock);
    }
    assert_eq!(manifest.bytes(), sim.read_raw(&path(1)).unwrap().len() as u64);
    assert!(load_manifest(&Fs::Sim(SimFs::new()), Path::new("/")).unwrap().is_none());
}

/// The last edit may be torn anywhere: it was never acknowledged. What is in front of it was.
#[test]
fn only_the_last_edit_may_be_torn() {
    let (sim, mut manifest) = created();
    commit(&mut manifest, 5).unwrap();
    let (before, start) = (manifest.state().clone(), manifest.bytes());
    commit(&mut manifest, 6).unwrap();
    let whole = sim.read_raw(&path(1)).unwrap();
    for at in HEADER_BYTES..whole.len() as u64 {
        let disk = sim.image(Image::All, 0);
        disk.flip(&path(1), at, 0x20).unwrap();
        match loaded(&disk) {
            // Padding.
            Ok(found) if found.state == *manifest.state() => assert_eq!(found.torn_bytes, 0),
            Ok(found) if at >= start => {
                assert!(found.state == before && found.torn_bytes == whole.len() as u64 - start);
            }
            Err(Error::Corruption(damage)) if at < start => assert!(damage.offset <= at, "{damage:?}"),
            other => panic!("byte {at}, the last edit from {start} on: {other:?}"),
        }
    }
    for len in start..whole.len() as u64 {
        let disk = sim.image(Image::All, 0);
        disk.write_raw(&path(1), &whole[..len as usize]).unwrap();
        let found = loaded(&disk).unwrap();
        assert!(found.state == before || found.state == *manifest.state(), "{len}");
        assert!(found.torn_bytes <= len - start);
    }
}

#[test]
fn a_manifest_is_rewritten_when_it_has_grown_and_not_before() {
    let (sim, mut manifest) = created();
    manifest.set_least_bytes(1 << 10);
    let (first, mut largest) = (manifest.bytes(), 0);
    for clock in 1..200 {
        let (number, bytes) = (manifest.number(), manifest.bytes());
        commit(&mut manifest, clock).unwrap();
        if manifest.number() != number {
            assert!(bytes + 100 > (first * 8).max(1 << 10), "rewritten at {bytes} bytes");
            assert!(!sim.paths().contains(&path(number)), "the old one goes");
        }
        largest = largest.max(manifest.bytes());
        assert_eq!(&loaded(&sim).unwrap().state, manifest.state());
    }
    assert!(manifest.number() != 1 && largest < 2_000, "{largest}");
}

/// A rewrite that fails loses nothing, and is not tried again with each edit.
#[test]
fn a_rewrite_that_fails_is_tried_again_later() {
    let (sim, mut manifest) = created();
    manifest.set_least_bytes(1 << 10);
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Create).then_some(Fault::ENOSPC)));
    for clock in 1..60 {
        commit(&mut manifest, clock).unwrap();
    }
    assert_eq!((manifest.number(), manifest.broken()), (1, false));
    let tries = sim.stats().of(OperationKind::Create);
    assert!((3..8).contains(&tries), "{tries} tries");
    sim.clear_fault();
    for clock in 60..300 {
        commit(&mut manifest, clock).unwrap();
    }
    assert!(manifest.number() != 1);
    assert_eq!(&loaded(&sim).unwrap().state, manifest.state());
}

#[test]
fn an_edit_that_fails_leaves_the_manifest_as_it_was_or_broken() {
    let (sim, mut manifest) = created();
    commit(&mut manifest, 1).unwrap();
    let (state, bytes) = (manifest.state().clone(), manifest.bytes());
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Write).then_some(Fault::ErrnoAfter(28))));
    assert!(matches!(commit(&mut manifest, 2), Err(Error::DiskFull(_))));
    assert!(!manifest.broken());
    assert_eq!((manifest.state(), sim.read_raw(&path(1)).unwrap().len() as u64), (&state, bytes));
    assert_eq!(loaded(&sim.image(Image::Nothing, 0)).unwrap().state, state);
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Sync).then_some(Fault::EIO)));
    assert!(commit(&mut manifest, 3).is_err());
    assert!(manifest.broken());
    assert_eq!(manifest.state(), &state);
}

/// Whoever erases asks whether the file still names what is gone.
#[test]
fn a_manifest_names_what_was_removed_until_it_is_shortened() {
    let (sim, mut manifest) = created();
    let create = |id, name: &str| EditOp::CreateFamily { id, name: name.into(), options: vec![] };
    let committed = |manifest: &mut Manifest, op| {
        manifest.commit(&Edit(vec![op]), || unreachable!("too small to be rewritten")).unwrap();
        manifest.names_removed()
    };
    assert!(!manifest.names_removed());
    assert!(!committed(&mut manifest, create(1, "a secret")));
    assert!(committed(&mut manifest, EditOp::DropFamily(1)));
    assert!(committed(&mut manifest, create(2, "another")), "it still names the first");
    let text = |manifest: &Manifest| sim.read_raw(&path(manifest.number())).unwrap();
    assert!(text(&manifest).windows(8).any(|bytes| bytes == b"a secret"));
    let mut next = 10;
    let shortened = manifest.shorten(|| {
        next += 1;
        next
    });
    shortened.unwrap();
    assert!(!manifest.names_removed());
    assert!(!text(&manifest).windows(8).any(|bytes| bytes == b"a secret"));
    // The bounds of ranges are keys, too.
    let range = Arc::new(Range::new(RangeKind::Deleted, 5, b"from", b"to", 0));
    assert!(!committed(&mut manifest, EditOp::AddRange { family: 2, range }));
    assert!(committed(&mut manifest, EditOp::RemoveRange { family: 2, seq: 5 }));
    assert_eq!(&loaded(&sim).unwrap().state, manifest.state());
}

/// `CURRENT` is being switched to a new manifest when something fails. Only a disk that was too full for the
/// rename leaves no doubt about which of the two is in force.
#[test]
fn a_switch_that_fails_leaves_no_doubt_only_where_the_disk_was_full() {
    use OperationKind::{Rename, SyncDir};
    const FULL: i32 = 28;
    let cases = [
        (Rename, Fault::ENOSPC, false),
        (Rename, Fault::ErrnoAfter(FULL), true),
        (Rename, Fault::EIO, true),
        (Rename, Fault::ErrnoAfter(5), true),
        (SyncDir, Fault::ENOSPC, true),
        (SyncDir, Fault::EIO, true),
    ];
    for (kind, fault, broken) in cases {
        let (sim, mut manifest) = created();
        commit(&mut manifest, 1).unwrap();
        let (state, paths) = (manifest.state().clone(), sim.paths());
        // The directory is synced once before the switch, and that succeeds.
        let (mut renamed, mut failed) = (false, false);
        sim.set_fault(Box::new(move |op| {
            let due = op.kind == kind && (renamed || kind == Rename) && !failed;
            renamed |= op.kind == Rename;
            failed |= due;
            due.then_some(fault)
        }));
        let mut next = 50;
        let result = manifest.shorten(|| {
            next += 1;
            next
        });
        assert!(result.is_err(), "{kind} {fault:?}");
        assert_eq!(manifest.broken(), broken, "{kind} {fault:?}");
        assert_eq!((manifest.state(), manifest.number()), (&state, 1));
        sim.clear_fault();
        if !broken {
            assert_eq!(sim.paths(), paths, "nothing of the attempt is left");
            commit(&mut manifest, 2).unwrap();
            assert_eq!(&loaded(&sim.image(Image::Nothing, 0)).unwrap().state, manifest.state());
        }
    }
}

/// A directory that could not be synced for a new manifest may have held tables of others, which a later sync
/// reports as durable: such a failure was passed over, since the edit itself was safe.
#[test]
fn a_sync_that_fails_within_a_rewrite_is_not_passed_over() {
    use OperationKind::{Create, Sync, SyncDir, Write};
    for (kind, fault, broken) in [
        (SyncDir, Fault::EIO, true),
        (SyncDir, Fault::ENOSPC, true),
        (Sync, Fault::EIO, true),
        (Create, Fault::EMFILE, false),
        (Write, Fault::ENOSPC, false),
    ] {
        let (sim, mut manifest) = created();
        manifest.set_least_bytes(1);
        let (mut begun, mut failed) = (false, false);
        sim.set_fault(Box::new(move |op| {
            begun |= op.kind == Create;
            let due = begun && op.kind == kind && !failed;
            failed |= due;
            due.then_some(fault)
        }));
        let committed = (1..100).map(|id| commit(&mut manifest, id)).find(Result::is_err);
        assert_eq!((committed.is_some(), manifest.broken()), (broken, broken), "{kind} {fault:?}");
        assert!(sim.stats().of(Create) > 2, "it was to be rewritten");
    }
}
