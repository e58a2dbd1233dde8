//! The store's own options on disk.

use esker::base::filename::FileKind;
use esker::fs::sim::{Fault, Image, OperationKind};
use esker::fs::{FileSystem as _, Fs, SimFs};
use esker::{Backups, Builder, Db, Options, Repair, Result, StoredOptions};
use std::path::{Path, PathBuf};

const DIR: &str = "/db";

fn builder(sim: &SimFs) -> Builder {
    Db::builder(DIR).fs(Fs::Sim(sim.clone())).memory_budget(4 << 20).deterministic(1)
}

/// The files of options in a directory.
fn files(sim: &SimFs, dir: &str) -> Vec<PathBuf> {
    let names = sim.list(Path::new(dir)).unwrap();
    let ours = |name: &&String| matches!(FileKind::parse(name), Some(FileKind::Options(_)));
    names.iter().filter(ours).map(|name| Path::new(dir).join(name)).collect()
}

fn only(sim: &SimFs) -> PathBuf {
    let files = files(sim, DIR);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn stored(sim: &SimFs, dir: &str) -> Result<Options> {
    Ok(StoredOptions::load(&Fs::Sim(sim.clone()), dir)?.options)
}

/// A closed store with an entry.
fn made(sim: &SimFs) -> Result<()> {
    let db = builder(sim).open()?;
    db.put("k", "v")?;
    db.close()
}

#[test]
fn options_are_stored_once_and_what_differs_is_told() -> Result<()> {
    let sim = SimFs::new();
    made(&sim)?;
    let first = only(&sim);
    assert_eq!(stored(&sim, DIR)?, Options { memory_budget: 4 << 20, ..Options::default() });

    let db = builder(&sim).open()?;
    assert_eq!(db.recovery().stored_options.as_deref(), Some(first.as_path()));
    assert!(db.recovery().changed_options.is_empty());
    assert_eq!((db.options_file(), only(&sim)), (Some(first.clone()), first.clone()), "nothing to write");
    db.close()?;

    let db = builder(&sim).max_open_files(77).open()?;
    let changed = &db.recovery().changed_options;
    assert_eq!(changed.len(), 1, "{changed:?}");
    let change = (changed[0].name.as_str(), changed[0].stored.as_str(), changed[0].given.as_str());
    assert_eq!(change, ("max_open_files", "512", "77"));
    assert!(only(&sim) != first && db.recovery().removed_files.iter().any(|name| first.ends_with(name)));
    db.close()?;

    let db = builder(&sim).stored_options().open()?;
    assert!(db.recovery().changed_options.is_empty());
    assert_eq!(db.memory_report().open_files_budget, 77);
    Ok(())
}

#[test]
fn a_file_that_is_missing_or_damaged_holds_nothing_up() -> Result<()> {
    type Harm = fn(&SimFs, &Path);
    let harms: [(Harm, bool); 5] = [
        (|sim, path| sim.remove(path).unwrap(), false),
        (|sim, path| sim.flip(path, 40, 1).unwrap(), true),
        (|sim, path| sim.write_raw(path, b"").unwrap(), true),
        (|sim, path| sim.write_raw(path, &[0; 300]).unwrap(), true),
        (|sim, path| sim.write_raw(path, &vec![b'a'; 100_000]).unwrap(), true),
    ];
    for (harm, is_damage) in harms {
        let sim = SimFs::new();
        made(&sim)?;
        let path = only(&sim);
        harm(&sim, &path);
        let db = builder(&sim).stored_options().memory_budget(4 << 20).open()?;
        let recovery = db.recovery();
        assert_eq!(recovery.stored_options, None);
        assert_eq!(recovery.damaged_options.len(), usize::from(is_damage), "{recovery:?}");
        let name = path.to_str().unwrap();
        assert!(recovery.damaged_options.iter().all(|damage| damage.contains(name)), "{recovery:?}");
        assert_eq!(db.get("k")?.unwrap(), b"v");
        assert!(only(&sim) != path || !is_damage, "it is written anew");
        db.close()?;
        assert_eq!(stored(&sim, DIR)?.memory_budget, 4 << 20);
    }
    Ok(())
}

#[test]
fn options_of_a_later_version_are_named_and_kept() -> Result<()> {
    let sim = SimFs::new();
    made(&sim)?;
    let text = String::from_utf8(sim.read_raw(&only(&sim)).unwrap()).unwrap();
    let (body, end) = text.split_at(text.rfind("end ").unwrap());
    let count: usize = end.split(' ').nth(1).unwrap().parse().unwrap();
    let body = format!("{body}turbo = very = much\n");
    let later = format!("{body}end {} {:08x}\n", count + 1, crc32fast::hash(body.as_bytes()));
    sim.write_raw(&only(&sim), later.as_bytes()).unwrap();
    for files in [100, 101] {
        let db = builder(&sim).max_open_files(files).open()?;
        assert_eq!(db.recovery().unknown_options, ["turbo"]);
        db.close()?;
        let stored = StoredOptions::load(&Fs::Sim(sim.clone()), DIR)?;
        assert_eq!(stored.unknown, [("turbo".to_owned(), "very = much".to_owned())]);
        assert_eq!(stored.options.max_open_files, files);
    }
    Ok(())
}

#[test]
fn a_disk_that_has_no_room_for_them_holds_nothing_up() -> Result<()> {
    let sim = SimFs::new();
    made(&sim)?;
    let before = only(&sim);
    sim.set_fault(Box::new(|op| {
        let ours = op.path.to_string_lossy().contains("OPTIONS");
        (ours && op.kind == OperationKind::Write).then_some(Fault::ENOSPC)
    }));
    let db = builder(&sim).max_open_files(99).open()?;
    assert!(db.health().options_not_stored.is_some() && db.health().is_well());
    assert_eq!((only(&sim), db.options_file()), (before.clone(), Some(before)));
    assert_eq!(db.get("k")?.unwrap(), b"v");
    db.close()?;
    sim.clear_fault();
    let db = builder(&sim).max_open_files(99).open()?;
    assert!(db.health().options_not_stored.is_none());
    assert_eq!(stored(&sim, DIR)?.max_open_files, 99);
    Ok(())
}

/// Opens a store with other options, and loses power behind each operation: what was stored before or what
/// was given stands there, and the one file of it.
#[test]
fn a_loss_of_power_leaves_the_old_options_or_the_new() -> Result<()> {
    let original = SimFs::new();
    made(&original)?;
    let open = |sim: &SimFs| builder(sim).max_open_files(99).open().and_then(Db::close);
    let probe = original.kill_image();
    let before = probe.stats().total();
    open(&probe)?;
    for at in before..probe.stats().total() {
        for image in [Image::Nothing, Image::All, Image::LaterKept] {
            let sim = original.kill_image();
            sim.crash_at(at, esker::fs::sim::Phase::After);
            let _ = open(&sim);
            let left = sim.image(image, 0);
            let found = stored(&left, DIR)?.max_open_files;
            assert!(found == 99 || found == 512, "operation {at}: {found}");
            let db = builder(&left).stored_options().open()?;
            assert_eq!(db.get("k")?.unwrap(), b"v", "operation {at}");
            assert_eq!(files(&left, DIR).len(), 1, "operation {at}");
        }
    }
    Ok(())
}

#[test]
fn copies_take_them_along() -> Result<()> {
    let sim = SimFs::new();
    let db = builder(&sim).max_open_files(77).open()?;
    db.put("k", "v")?;
    db.checkpoint("/copy")?;
    let backups = Backups::at("/backups").fs(Fs::Sim(sim.clone()));
    let backup = backups.create(&db)?;
    backups.restore(backup.number, "/restored")?;
    db.close()?;
    Repair::new(DIR).fs(Fs::Sim(sim.clone())).write("/repaired")?;
    for dir in ["/copy", "/restored", "/repaired"] {
        assert_eq!(stored(&sim, dir)?.max_open_files, 77, "{dir}");
        let db = Db::builder(dir).fs(Fs::Sim(sim.clone())).stored_options().open()?;
        assert!(
            db.recovery().changed_options.is_empty() && db.recovery().damaged_options.is_empty(),
            "{dir}"
        );
        assert_eq!(db.get("k")?.unwrap(), b"v", "{dir}");
        assert_eq!(files(&sim, dir).len(), 1, "{dir}");
    }
    Ok(())
}
