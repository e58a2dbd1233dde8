//! Compaction styles: what is read is the same in each and after every change, and what each costs.

use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use esker::hooks::{Append, MergeOperator};
use esker::{
    CompactionStyle, Db, Durability, Error, FamilyChanges, FamilyOptions, FamilyStats, Result, Snapshot,
    Tiered,
};
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const RULES: Tiered = Tiered { width: 3, runs: 5, space_percent: 300 };
const STYLES: [CompactionStyle; 2] = [CompactionStyle::Leveled, CompactionStyle::Tiered(RULES)];

fn open(disk: &SimFs, style: CompactionStyle, seed: u64) -> Result<Db> {
    let builder = Db::builder("/db").fs(Fs::Sim(disk.clone())).deterministic(seed).memory_budget(16 << 20);
    // So small that merges are made in parts.
    let builder = builder.memtable_bytes(4 << 10).target_file_bytes(1 << 10).level_base_bytes(8 << 10);
    let builder = builder.default_durability(Durability::Os).register_merge_operator(Append::new());
    builder.compaction_style("f", style).open()
}

fn family(db: &Db) -> FamilyStats {
    db.stats().families.into_iter().find(|family| family.name == "f").expect("the family")
}

/// Lets background work do all that it finds to do.
fn settle(db: &Db) -> Result<()> {
    (0..400).try_for_each(|_| db.contains_key("nothing").map(drop))
}

fn key(random: &Random) -> Vec<u8> {
    format!("key{:03}", random.below(400)).into_bytes()
}

fn is_shown(db: &Db, held: Option<&Snapshot>, model: &Model) -> Result<()> {
    let family = db.column_family("f")?;
    let entries = match held {
        Some(snapshot) => snapshot.iter(&family)?,
        None => family.iter()?,
    };
    let shown: Result<Model> = entries.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect();
    assert!(shown? == *model);
    Ok(())
}

#[test]
fn every_style_and_every_change_of_it_shows_the_same() -> Result<()> {
    for seed in 0..6 {
        let (disk, random) = (SimFs::new(), Random::seeded(seed));
        let mut db = open(&disk, STYLES[seed as usize % 2], seed)?;
        let options =
            FamilyOptions { merge_operator: Some(Append::new().name().into()), ..FamilyOptions::default() };
        db.create_column_family("f", options)?;
        let mut model = Model::new();
        let mut held: Option<(Snapshot, Model)> = None;
        for step in 0..6_000 {
            let (f, key) = (db.open_column_family("f")?, key(&random));
            match random.below(24) {
                0..12 => {
                    let value = format!("{step}{}", "v".repeat(random.below(60) as usize)).into_bytes();
                    f.put(&key, &value)?;
                    model.insert(key, value);
                }
                12..15 => {
                    f.delete(&key)?;
                    model.remove(&key);
                }
                15..18 => {
                    f.merge(&key, b"+")?;
                    model.entry(key).or_default().push(b'+');
                }
                18 if random.below(20) == 0 => {
                    let to = [&key[..5], b"~"].concat();
                    f.delete_range(&key[..]..&to[..])?;
                    model.retain(|k, _| !(*k >= key && *k < to));
                }
                19 if random.below(40) == 0 => held = Some((db.snapshot(), model.clone())),
                20 if random.below(100) == 0 => db.flush()?,
                21 if random.below(200) == 0 => f.compact_range(&key[..]..)?,
                22 if random.below(60) == 0 => {
                    held = None;
                    drop(f);
                    db.close()?;
                    db = open(&disk, STYLES[random.below(2) as usize], step)?;
                }
                23 if random.below(100) == 0 => {
                    let compaction = Some(STYLES[random.below(2) as usize]);
                    f.change_options(FamilyChanges { compaction, ..Default::default() })?;
                }
                _ => {
                    let shown = f.get(&key)?;
                    assert_eq!(shown.as_deref(), model.get(&key).map(Vec::as_slice), "step {step}");
                }
            }
            if step % 500 == 0 {
                is_shown(&db, None, &model)?;
                if let Some((snapshot, model)) = &held {
                    is_shown(&db, Some(snapshot), model)?;
                }
            }
        }
        assert!(db.verify()?.problems.is_empty());
    }
    Ok(())
}

/// Bytes that flushes and compactions write for each that a flush does, and the bytes of the tables.
fn overwritten(style: CompactionStyle) -> Result<(f64, f64, usize)> {
    let disk = SimFs::new();
    let builder = Db::builder("/db").fs(Fs::Sim(disk)).deterministic(1).memory_budget(64 << 20);
    let builder = builder.memtable_bytes(64 << 10).target_file_bytes(64 << 10).level_base_bytes(256 << 10);
    let db = builder.default_durability(Durability::Os).compaction_style("f", style).open()?;
    let (f, random) = (db.column_family("f")?, Random::seeded(2));
    for _ in 0..200_000 {
        let value: Vec<u8> = (0..13).flat_map(|_| random.next_u64().to_le_bytes()).take(100).collect();
        f.put(format!("key{:09}", random.below(20_000)), value)?;
    }
    db.flush()?;
    settle(&db)?;
    let stats = db.stats();
    let amplification = (stats.flushed_bytes + stats.compacted_bytes_out) as f64 / stats.flushed_bytes as f64;
    let levels = family(&db).levels;
    let runs = levels[0].files as usize + levels[1..].iter().filter(|level| level.files > 0).count();
    let held = family(&db).table_bytes() as f64;
    db.compact()?;
    Ok((amplification, held / family(&db).table_bytes() as f64, runs))
}

#[test]
fn tiers_write_less_than_levels_and_hold_more() -> Result<()> {
    let [leveled, tiered] =
        [CompactionStyle::Leveled, CompactionStyle::Tiered(Tiered::default())].map(|style| {
            let (amplification, space, runs) = overwritten(style).unwrap();
            println!(
                "figure: {style:?}: written {amplification:.2} times, {space:.2} of the space, {runs} runs"
            );
            (amplification, space, runs)
        });
    assert!(tiered.0 * 1.5 < leveled.0, "{tiered:?} {leveled:?}");
    assert!(tiered.1 < 3.2 && tiered.2 <= 12, "{tiered:?}");
    Ok(())
}

#[test]
fn keys_in_order_are_written_once() -> Result<()> {
    let disk = SimFs::new();
    let db = open(&disk, CompactionStyle::Tiered(RULES), 5)?;
    // From where all levels are stored alike.
    let f = db.create_column_family("f", FamilyOptions { zstd_level: None, ..FamilyOptions::default() })?;
    for i in 0..20_000u32 {
        f.put(i.to_be_bytes(), [7; 20])?;
    }
    db.flush()?;
    settle(&db)?;
    let stats = db.stats();
    assert!(stats.table_moves > 10 && stats.compacted_bytes_out < stats.flushed_bytes / 10, "{stats:?}");
    Ok(())
}

#[test]
fn a_style_out_of_its_range_is_refused_and_one_that_is_stored_is_kept() -> Result<()> {
    let disk = SimFs::new();
    let wrong = CompactionStyle::Tiered(Tiered { runs: 1, ..RULES });
    let db = open(&disk, CompactionStyle::Tiered(RULES), 1)?;
    let options = FamilyOptions { compaction: wrong, ..FamilyOptions::default() };
    let refused = db.create_column_family("g", options).unwrap_err();
    assert!(matches!(refused, Error::InvalidArgument { what: "runs", .. }), "{refused}");
    let f = db.create_column_family("f", FamilyOptions::default())?;
    (0..40).try_for_each(|i: u32| f.put(i.to_be_bytes(), [7; 1000]))?;
    settle(&db)?;
    db.close()?;
    let refused = open(&disk, wrong, 1).unwrap_err();
    assert!(matches!(refused, Error::InvalidArgument { what: "runs", .. }), "{refused}");
    // Opened without a word it is compacted as before.
    let db = Db::builder("/db").fs(Fs::Sim(disk.clone())).deterministic(1).memtable_bytes(4 << 10).open()?;
    let f = db.open_column_family("f")?;
    for round in 0..12u8 {
        (0..9).try_for_each(|i: u32| f.put(i.to_be_bytes(), [round; 900]))?;
        db.flush()?;
    }
    settle(&db)?;
    let levels = family(&db).levels;
    assert!(levels[0].files + levels[1..].iter().filter(|level| level.files > 0).count() as u64 <= 5);
    Ok(())
}
