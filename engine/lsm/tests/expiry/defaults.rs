//! A family's default time to live.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Db, Durability, FamilyOptions, Result, WriteBatch};
use std::time::Duration;

#[test]
fn what_is_put_without_a_word_lives_as_long_as_the_family_says() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
    let open = || {
        let fs = Fs::Sim(sim.clone());
        Db::builder("/db").fs(fs).clock(Clock::Manual(clock.clone())).deterministic(1).open()
    };
    let options = FamilyOptions { default_ttl: Some(Duration::from_secs(60)), ..Default::default() };
    let db = open()?;
    db.create_column_family("sessions", options)?;
    db.close()?;
    // The default is stored beside the data.
    let db = open()?;
    let sessions = db.open_column_family("sessions")?;
    sessions.put("default", "v")?;
    sessions.put_with_ttl("longer", "v", Duration::from_secs(90))?;
    let mut batch = WriteBatch::new();
    batch.put_until(&sessions, "for ever", "v", u64::MAX).put(&db, "other family", "v");
    db.write(batch, Durability::Sync)?;
    let there = |key: &str| sessions.contains_key(key);
    assert!(there("default")? && there("longer")? && there("for ever")?);
    clock.advance(Duration::from_secs(60));
    assert!(!there("default")? && there("longer")? && there("for ever")?);
    clock.advance(Duration::from_secs(30));
    assert!(!there("longer")? && there("for ever")? && db.contains_key("other family")?);
    db.close()
}

#[test]
fn times_out_of_range_are_refused() -> Result<()> {
    let db = Db::builder("/db").fs(Fs::Sim(SimFs::new())).deterministic(1).open()?;
    let refused = |options: FamilyOptions, field: &str| {
        let error = db.create_column_family("f", options).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    };
    refused(FamilyOptions { default_ttl: Some(Duration::ZERO), ..Default::default() }, "default_ttl");
    refused(FamilyOptions { erase_within: Some(Duration::ZERO), ..Default::default() }, "erase_within");
    let centuries = Some(Duration::from_secs(1 << 40));
    refused(FamilyOptions { erase_within: centuries, ..Default::default() }, "erase_within");
    Ok(())
}
