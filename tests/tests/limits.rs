//! What happens at the limits of the interface, and one byte beyond them.
//!
//! Writing and reading the largest of all takes gigabytes: `cargo xtask nightly limits` does it at full size
//! (`ESKER_LIMITS=full`), everybody else with less. What is beyond a limit is always refused at full size.

use esker::base::limits::{MAX_BATCH_BYTES, MAX_FAMILY_NAME_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use esker::{Db, Durability, Error, FamilyOptions, Result, TransactionOptions, WriteBatch};
use std::path::Path;

/// The largest value that is tried, and whether that is the limit.
fn largest() -> (usize, bool) {
    let full = std::env::var("ESKER_LIMITS").is_ok_and(|size| size == "full");
    (if full { MAX_VALUE_BYTES } else { 48 << 20 }, full)
}

fn open(dir: &Path) -> Result<Db> {
    Db::builder(dir)
        .merge_operator("default", esker::hooks::Append::new())
        .default_durability(Durability::Os)
        .open()
}

/// Zeros that take no memory as long as nobody looks at them.
fn zeros(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

#[test]
fn what_is_too_large_is_refused_whole_and_by_name() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("db"))?;
    let (key, value) = (zeros(MAX_KEY_BYTES + 1), zeros(MAX_VALUE_BYTES + 1));
    let key_too_large = |result: Result<()>| {
        assert!(matches!(result, Err(Error::KeyTooLarge { bytes }) if bytes == key.len()))
    };
    let value_too_large = |result: Result<()>| {
        assert!(matches!(result, Err(Error::ValueTooLarge { bytes }) if bytes >= value.len()), "{result:?}");
    };
    key_too_large(db.put(&key, "v"));
    key_too_large(db.delete(&key));
    key_too_large(db.merge(&key, "v"));
    key_too_large(db.delete_range(&key[..]..));
    key_too_large(db.put_if_absent(&key, "v").map(drop));
    value_too_large(db.put("k", &value));
    value_too_large(db.merge("k", &value));
    let mut transaction = db.begin(TransactionOptions::default())?;
    key_too_large(transaction.put(&db, &key, "v"));
    key_too_large(transaction.merge(&db, &key, "v"));
    value_too_large(transaction.put(&db, "k", &value));
    value_too_large(transaction.merge(&db, "k", &value));
    assert!(transaction.is_empty());
    let mut batch = WriteBatch::new();
    batch.put(&db, "in the same batch", "v").put(&db, "k", &value);
    value_too_large(db.write(batch, Durability::Sync));
    for name in ["", &"n".repeat(MAX_FAMILY_NAME_BYTES + 1)] {
        let refused = db.create_column_family(name, FamilyOptions::default());
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
    drop(transaction);
    assert_eq!(db.iter()?.count(), 0);
    db.create_column_family(&"n".repeat(MAX_FAMILY_NAME_BYTES), FamilyOptions::default())?;
    db.close()
}

#[test]
fn the_largest_of_all_is_written_read_and_kept() -> Result<()> {
    let (bytes, _) = largest();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let mut db = open(&path)?;
    let (key, mut value) = (vec![b'k'; MAX_KEY_BYTES], zeros(bytes));
    // Not all of it is the same, nor easily compressed.
    let random = esker::base::random::Random::seeded(7);
    value.chunks_mut(4096).for_each(|page| page[..8].copy_from_slice(&random.next_u64().to_le_bytes()));
    db.put(&key, &value)?;
    db.put("z", "behind")?;
    for round in 0..3 {
        assert!(db.get(&key)?.unwrap() == value[..], "round {round}");
        assert_eq!(db.size_of(&key)?, Some(bytes));
        let walk: Vec<usize> = db.iter()?.map(|entry| entry.unwrap().1.len()).collect();
        assert_eq!(walk, [bytes, 6]);
        match round {
            0 => db.flush()?,
            1 => db.compact()?,
            _ => break,
        }
        db.close()?;
        db = open(&path)?;
    }
    assert_eq!(db.verify()?.problems.len(), 0);
    esker_tests::figure!("limits: a key of {} bytes with a value of {bytes}", key.len());
    db.close()
}

#[test]
fn operands_come_to_the_largest_value_and_no_further() -> Result<()> {
    let (bytes, full) = largest();
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("db"))?;
    let part = vec![b'x'; bytes / 4];
    for _ in 0..4 {
        db.merge("k", &part)?;
    }
    assert_eq!(db.get("k")?.unwrap().len(), bytes);
    db.merge("k", "x")?;
    for _ in 0..2 {
        match db.get("k") {
            Err(Error::MergeFailed { .. }) => assert!(full),
            found => assert!(found?.unwrap().len() == bytes + 1 && !full),
        }
        db.flush()?;
    }
    db.put("k", "anew")?;
    assert_eq!(db.get("k")?.unwrap(), "anew");
    db.close()
}

#[test]
fn a_batch_is_full_when_it_says_so() -> Result<()> {
    let (bytes, full) = largest();
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("db"))?;
    let value = zeros(bytes - 1024);
    let mut batch = WriteBatch::new();
    batch.put(&db, "a", &value).put(&db, "b", &value);
    assert!(batch.size_bytes() < MAX_BATCH_BYTES && batch.size_bytes() > 2 * value.len());
    if full {
        let mut larger = batch.clone();
        larger.put(&db, "c", zeros(1 << 20));
        assert!(matches!(db.write(larger, Durability::Os), Err(Error::BatchTooLarge { .. })));
    }
    assert_eq!(db.iter()?.count(), 0);
    db.write(batch, Durability::Os)?;
    db.flush()?;
    assert_eq!(db.size_of("b")?, Some(value.len()));
    db.close()
}
