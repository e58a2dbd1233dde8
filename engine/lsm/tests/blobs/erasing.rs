//! What was deleted is gone from blob files, too, within the time that the family promises.

use crate::store::{FROM, Rig, blob_files, settle};
use esker::{ColumnFamily, Db, FamilyOptions, Result};
use std::time::Duration;

/// A value that stands in a blob file.
fn long(i: u32) -> String {
    format!("{i} {}", "x".repeat(FROM))
}

/// A family that separates values, with fifty of them.
fn filled(db: &Db, options: FamilyOptions) -> Result<ColumnFamily> {
    let options = FamilyOptions { blob_values_from: Some(FROM), ..options };
    let family = db.create_column_family("f", options)?;
    for i in 0..50 {
        family.put(format!("k{i:03}"), long(i))?;
    }
    Ok(family)
}

/// Where values are only overwritten nothing has to be gone, and no file is collected for a single dead one.
#[test]
fn a_value_that_was_overwritten_is_no_reason_to_collect_a_file() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let within = Duration::from_secs(3600);
    let family = filled(&db, FamilyOptions { erase_within: Some(within), ..FamilyOptions::default() })?;
    db.flush()?;
    family.compact_range::<&[u8], _>(..)?;
    let first = blob_files(&rig.disk);
    let dead = || db.stats().families.iter().map(|family| family.blobs.dead_bytes).sum::<u64>();
    family.put("k007", long(8))?;
    db.flush()?;
    family.compact_range::<&[u8], _>(..)?;
    assert!(dead() > 0, "its old value is known to be dead");
    for _ in 0..120 {
        rig.clock.advance(Duration::from_secs(60));
        settle(&db)?;
        family.put("tick", "t")?;
    }
    let left = blob_files(&rig.disk);
    assert!(first.iter().all(|file| left.contains(file)), "{first:?} became {left:?}");
    // A deletion beside it changes that, and shows until it is done.
    family.delete("k009")?;
    let deleted_ms = esker::batch::FamilyRef::now_ms(&family);
    db.flush()?;
    family.compact_range::<&[u8], _>(..)?;
    let hidden = |db: &Db| db.stats().families.iter().filter_map(|family| family.hidden_since_ms).min();
    assert!(hidden(&db).is_some_and(|since_ms| since_ms <= deleted_ms), "{:?} {deleted_ms}", hidden(&db));
    for _ in 0..60 {
        rig.clock.advance(Duration::from_secs(60));
        settle(&db)?;
        family.put("tick", "t")?;
    }
    assert_eq!(hidden(&db), None);
    let left = blob_files(&rig.disk);
    assert!(first.iter().all(|file| !left.contains(file)), "{first:?} became {left:?}");
    assert!(db.verify()?.problems.is_empty());
    drop(family);
    db.close()
}

const SECRET: &str = "the secret that nobody may find";

#[test]
fn the_bytes_of_a_deleted_value_are_gone_in_time_and_the_rest_stays() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let within = Duration::from_secs(3600);
    let family = filled(
        &db,
        FamilyOptions { zstd_level: None, erase_within: Some(within), ..FamilyOptions::default() },
    )?;
    family.put("secret", format!("{SECRET} {}", "x".repeat(FROM)))?;
    db.flush()?;
    let holds = || {
        let found = |path: &std::path::PathBuf| {
            let bytes = rig.disk.read_raw(path).unwrap_or_default();
            bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        };
        rig.disk.paths().into_iter().filter(found).collect::<Vec<_>>()
    };
    assert!(!holds().is_empty(), "it stands in a file");
    family.delete("secret")?;
    let mut waited = Duration::ZERO;
    let step = Duration::from_secs(60);
    while waited < within {
        rig.clock.advance(step);
        waited += step;
        settle(&db)?;
        // The clock is what others see move: somebody writes now and then.
        family.put("tick", format!("{}", waited.as_secs()))?;
    }
    assert_eq!(holds(), Vec::<std::path::PathBuf>::new(), "after {waited:?}");
    for i in 0..50 {
        assert_eq!(family.get(format!("k{i:03}"))?.unwrap(), long(i));
    }
    assert!(db.verify()?.problems.is_empty());
    db.close()
}
