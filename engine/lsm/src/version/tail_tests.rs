//! A manifest that is read while it is written.

use super::edit::{Edit, EditOp};
use super::manifest::Manifest;
use super::state::StoreState;
use super::tail::{ManifestTail, Moved};
use crate::base::error::Error;
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::fs::{Fs, SimFs};
use std::path::Path;

const DIR: &str = "/db";

fn created() -> (SimFs, Manifest) {
    let sim = SimFs::new();
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(Path::new(DIR)).unwrap();
    let state = StoreState { store: 7, layer: "plain".into(), next_file: 1, ..StoreState::default() };
    (sim, Manifest::create(fs, Path::new(DIR), Random::seeded(1), state).unwrap())
}

fn opened(sim: &SimFs) -> Option<ManifestTail> {
    ManifestTail::open(&Fs::Sim(sim.clone()), Path::new(DIR)).unwrap()
}

fn commit(manifest: &mut Manifest, clock: u64) {
    let mut next = manifest.state().next_file.max(100 + clock * 2);
    let edit = Edit(vec![EditOp::Clock(clock)]);
    let next = || {
        next += 1;
        next
    };
    manifest.commit(&edit, next).unwrap();
}

#[test]
fn each_edit_is_met_once_and_a_new_manifest_is_noticed() {
    assert!(opened(&SimFs::new()).is_none());
    let (sim, mut manifest) = created();
    commit(&mut manifest, 1);
    let mut tail = opened(&sim).unwrap();
    assert_eq!((tail.state(), tail.number(), tail.lsn()), (manifest.state(), 1, manifest.lsn()));
    assert_eq!(tail.advance().unwrap(), Moved::No);
    for clock in 2..5 {
        commit(&mut manifest, clock);
        assert_eq!(tail.advance().unwrap(), Moved::Edits);
        assert_eq!((tail.state(), tail.offset()), (manifest.state(), manifest.bytes()));
        assert_eq!(tail.advance().unwrap(), Moved::No);
    }
    manifest.set_least_bytes(1);
    while manifest.number() == 1 {
        commit(&mut manifest, 9);
    }
    assert_eq!(tail.advance().unwrap(), Moved::Replaced);
    assert_eq!(opened(&sim).unwrap().state(), manifest.state());
}

/// What stands behind the last whole edit is not there yet, whatever part of it is.
#[test]
fn an_edit_that_is_only_partly_there_is_waited_for() {
    let (sim, mut manifest) = created();
    let path = FileKind::Manifest(1).path(Path::new(DIR));
    let before = sim.read_raw(&path).unwrap();
    commit(&mut manifest, 5);
    let whole = sim.read_raw(&path).unwrap();
    let (disk, mut waited) = (sim.image(crate::fs::sim::Image::All, 0), 0);
    for len in before.len()..=whole.len() {
        disk.write_raw(&path, &before).unwrap();
        let mut tail = opened(&disk).unwrap();
        disk.write_raw(&path, &whole[..len]).unwrap();
        let moved = tail.advance().unwrap();
        // The padding of the last record may be missing.
        assert!(moved == Moved::Edits || len < whole.len());
        waited += u32::from(moved == Moved::No);
        disk.write_raw(&path, &whole).unwrap();
        let expected = if moved == Moved::No { Moved::Edits } else { Moved::No };
        assert_eq!(tail.advance().unwrap(), expected, "{len}");
        assert_eq!(tail.state(), manifest.state());
    }
    assert!(waited > 30, "{waited}");
}

/// An edit whose append failed was whole for a moment, and another one stands in its place.
#[test]
fn an_edit_that_was_taken_back_is_noticed() {
    let (sim, mut manifest) = created();
    let path = FileKind::Manifest(1).path(Path::new(DIR));
    let before = sim.read_raw(&path).unwrap();
    commit(&mut manifest, 5);
    let mut tail = opened(&sim).unwrap();
    assert_eq!(tail.state().clock_ms, 5);
    let (taken_back, mut later) = created();
    commit(&mut later, 6);
    // The same store, the same place, another edit.
    let other = taken_back.read_raw(&path).unwrap();
    assert_eq!(other[..before.len()], before[..]);
    for bytes in [&before, &other] {
        sim.write_raw(&path, bytes).unwrap();
        assert_eq!(tail.advance().unwrap(), Moved::Replaced);
    }
    assert_eq!(opened(&sim).unwrap().state().clock_ms, 6);
}

/// A later edit says that one before it was synced.
#[test]
fn a_damaged_middle_is_refused() {
    let (sim, mut manifest) = created();
    let mut tail = opened(&sim).unwrap();
    let (path, start) = (FileKind::Manifest(1).path(Path::new(DIR)), manifest.bytes());
    commit(&mut manifest, 5);
    commit(&mut manifest, 6);
    sim.flip(&path, start + 33, 1).unwrap();
    let refused = tail.advance();
    assert!(matches!(&refused, Err(Error::Corruption(damage)) if damage.offset == start), "{refused:?}");
    let opened = ManifestTail::open(&Fs::Sim(sim.clone()), Path::new(DIR));
    assert!(matches!(opened, Err(Error::Corruption(_))));
}
