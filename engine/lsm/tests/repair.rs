//! Repairing a damaged store, case by case. The generated damages stand in the tests of the whole.

use esker::fs::{Fs, SimFs};
use esker::repair::{FileState, ManifestUse};
use esker::{Builder, Db, Durability, Error, Repair, RepairReport, Result, WriteBatch};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

type Content = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>;

fn builder(sim: &SimFs, dir: &str) -> Builder {
    Db::builder(dir)
        .fs(Fs::Sim(sim.clone()))
        .deterministic(7)
        .memory_budget(4 << 20)
        .memtable_bytes(16 << 10)
        .target_file_bytes(16 << 10)
        .wal_segment_bytes(16 << 10)
        .default_durability(Durability::Os)
}

/// Two families, several levels, overwritten, deleted and expiring keys, and what is only in the log.
fn fill(sim: &SimFs) -> Result<Db> {
    let db = builder(sim, "/db").open()?;
    let tokens = db.column_family("tokens")?;
    for round in 0..4 {
        for i in 0..400 {
            let mut batch = WriteBatch::new();
            let key = format!("user{i:012}");
            batch.put(&db, &key, format!("{round}-{i}-{}", "v".repeat(60)));
            batch.put_with_ttl(&tokens, &key, b"token", Duration::from_secs(3_600));
            if i % 7 == round {
                batch.delete(&db, &key);
            }
            db.write(batch, Durability::Os)?;
        }
        if round < 2 {
            db.compact()?;
        }
    }
    db.sync()?;
    Ok(db)
}

fn content(db: &Db) -> Result<Content> {
    let mut content = Content::new();
    for name in db.column_families() {
        let family = db.open_column_family(&name)?;
        let entries = family.iter()?.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())));
        content.insert(name, entries.collect::<Result<_>>()?);
    }
    Ok(content)
}

fn files(sim: &SimFs, dir: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let inside = |path: &PathBuf| path.parent() == Some(Path::new(dir));
    sim.paths().into_iter().filter(inside).map(|p| (p.clone(), sim.read_raw(&p).unwrap())).collect()
}

fn named(sim: &SimFs, end: &str) -> Vec<PathBuf> {
    files(sim, "/db").into_keys().filter(|path| path.to_string_lossy().contains(end)).collect()
}

/// Repairs, checks that the original stays as it is, and reads the new store.
fn repair(sim: &SimFs) -> Result<(RepairReport, Content)> {
    let before = files(sim, "/db");
    let of = || Repair::new("/db", "/new").fs(Fs::Sim(sim.clone())).seed(3);
    let dry = of().dry_run(true).run()?;
    assert!(files(sim, "/new").is_empty(), "a dry run writes nothing");
    let report = of().run()?;
    assert_eq!((&dry.lost, &dry.gaps, &dry.files), (&report.lost, &report.gaps, &report.files));
    assert!(files(sim, "/db") == before, "the original was changed");
    let db = builder(sim, "/new").open()?;
    assert!(db.verify()?.problems.is_empty());
    let found = content(&db)?;
    db.close()?;
    Ok((report, found))
}

#[test]
fn an_intact_store_is_the_same_afterwards() -> Result<()> {
    for close in [true, false] {
        let sim = SimFs::new();
        let db = fill(&sim)?;
        let expected = content(&db)?;
        let sim = if close {
            db.close()?;
            sim
        } else {
            sim.kill_image()
        };
        let (report, found) = repair(&sim)?;
        assert!(report.is_lossless(), "{report}");
        assert!(found == expected, "{report}");
        assert_eq!(expected["default"].len() + expected["tokens"].len(), found.values().map(Vec::len).sum());
    }
    Ok(())
}

#[test]
fn without_current_or_manifest_everything_is_still_found() -> Result<()> {
    for gone in ["CURRENT", "MANIFEST"] {
        let sim = SimFs::new();
        let db = fill(&sim)?;
        let expected = content(&db)?;
        db.close()?;
        for path in named(&sim, gone) {
            Fs::Sim(sim.clone()).remove(&path)?;
        }
        let (report, found) = repair(&sim)?;
        if gone == "CURRENT" {
            assert!(report.is_lossless() && found == expected, "{report}");
            continue;
        }
        assert_eq!(report.manifest, ManifestUse::None);
        assert!(!report.comebacks.is_empty() && report.lost.is_empty(), "{report}");
        let names: Vec<_> = report.families.iter().map(|f| (f.name.as_str(), f.name_known)).collect();
        assert_eq!(names, [("default", true), ("family-1", false)]);
        assert!(
            found["default"] == expected["default"] && found["family-1"] == expected["tokens"],
            "{report}"
        );
    }
    Ok(())
}

#[test]
fn a_damaged_block_costs_its_own_entries() -> Result<()> {
    let sim = SimFs::new();
    let db = fill(&sim)?;
    let expected = content(&db)?;
    db.close()?;
    let tables = named(&sim, ".sst");
    sim.flip(&tables[0], 300, 1).unwrap();
    let (report, found) = repair(&sim)?;
    assert!(!report.is_lossless());
    let [lost] = &report.lost[..] else { panic!("{report}") };
    let file = report.files.iter().find(|f| f.state == FileState::Partial).unwrap();
    assert!(tables[0].ends_with(&file.name) && file.saved > 0 && file.lost == lost.entries, "{report}");
    let (from, to) = (lost.from.as_ref().unwrap(), lost.to.as_ref().unwrap());
    let family = &report.families.iter().find(|f| Some(f.id) == lost.family).unwrap().name;
    for (name, entries) in &expected {
        for (key, value) in entries {
            let inside = name == family && from <= key && key <= to;
            let now = found[name].iter().find(|(k, _)| k == key).map(|(_, v)| v);
            assert!(inside || now == Some(value), "{name} {}: {report}", key.escape_ascii());
        }
    }
    Ok(())
}

#[test]
fn a_table_without_its_footer_is_read_block_by_block() -> Result<()> {
    let sim = SimFs::new();
    let db = fill(&sim)?;
    let expected = content(&db)?;
    db.close()?;
    for path in named(&sim, ".sst") {
        let size = sim.read_raw(&path).unwrap().len() as u64;
        sim.flip(&path, size - 20, 1).unwrap();
    }
    let (report, found) = repair(&sim)?;
    assert!(report.lost.is_empty() && found == expected, "{report}");
    Ok(())
}

#[test]
fn what_stands_behind_damage_in_the_log_is_saved() -> Result<()> {
    let sim = SimFs::new();
    let db = fill(&sim)?;
    let sim = sim.kill_image();
    drop(db);
    let logs = named(&sim, ".log");
    sim.flip(&logs[0], 64 + 40, 1).unwrap();
    let (report, found) = repair(&sim)?;
    let [gap] = &report.gaps[..] else { panic!("{report}") };
    assert!(gap.certain && gap.before.is_some(), "{report}");
    let last = &found["default"].last().unwrap().1;
    assert!(last.starts_with(b"3-399-"), "{report}");
    Ok(())
}

#[test]
fn a_missing_segment_is_told() -> Result<()> {
    let sim = SimFs::new();
    // Memtables that are larger than a segment pin several of them.
    let db = builder(&sim, "/db").memtable_bytes(1 << 20).open()?;
    for i in 0..600 {
        db.put(format!("key{i:04}"), vec![b'm'; 100])?;
    }
    db.sync()?;
    let sim = sim.kill_image();
    drop(db);
    let logs = named(&sim, ".log");
    assert!(logs.len() >= 2, "{logs:?}");
    Fs::Sim(sim.clone()).remove(&logs[0])?;
    let (report, _) = repair(&sim)?;
    assert!(report.gaps.iter().any(|gap| gap.certain), "{report}");
    assert!(report.files.iter().any(|file| file.state == FileState::Missing), "{report}");
    Ok(())
}

#[test]
fn what_cannot_be_repaired_is_refused() -> Result<()> {
    let sim = SimFs::new();
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(Path::new("/empty"))?;
    let of = |dir: &str, into: &str| Repair::new(dir, into).fs(fs.clone()).run();
    assert!(matches!(of("/empty", "/new"), Err(Error::NotADatabase { .. })));
    assert!(of("/missing", "/new").is_err());
    let db = fill(&sim)?;
    assert!(matches!(of("/db", "/new"), Err(Error::Locked { .. })));
    db.close()?;
    assert!(matches!(of("/db", "/db"), Err(Error::InvalidArgument { .. })));
    Ok(())
}
