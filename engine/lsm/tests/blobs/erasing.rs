//! What was deleted is gone from blob files, too, within the time that the family promises.

use crate::store::{FROM, Rig, settle};
use esker::{FamilyOptions, Result};
use std::time::Duration;

const SECRET: &str = "the secret that nobody may find";

#[test]
fn the_bytes_of_a_deleted_value_are_gone_in_time_and_the_rest_stays() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let within = Duration::from_secs(3600);
    let options = FamilyOptions {
        zstd_level: None,
        erase_within: Some(within),
        blob_values_from: Some(FROM),
        ..FamilyOptions::default()
    };
    let family = db.create_column_family("f", options)?;
    let long = |i: u32| format!("{i} {}", "x".repeat(FROM));
    for i in 0..50 {
        family.put(format!("k{i:03}"), long(i))?;
    }
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
