//! What separating values promises of writing and of space, where a flush is little of the whole.

use crate::store::{Rig, blobs, builder, key, settle, value};
use esker::base::random::Random;
use esker::{Db, Result, Stats};

const KEYS: u64 = 50_000;
const BYTES: usize = 4096;

fn open(rig: &Rig) -> Result<Db> {
    let builder = builder(&rig.disk, &rig.clock).memory_budget(64 << 20).wal_segment_bytes(1 << 20);
    builder.memtable_bytes(1 << 20).target_file_bytes(256 << 10).level_base_bytes(512 << 10).open()
}

fn written(stats: &Stats) -> u64 {
    stats.logged_bytes + stats.flushed_bytes + stats.compacted_bytes_out
}

/// Where the bytes went between two readings: log, values with their flushes, keys with theirs, values that
/// were copied, keys that compactions wrote; each as a multiple of what was given.
fn shares(before: &Stats, after: &Stats, flushed_values: u64, given: f64) -> String {
    let of = |bytes: u64| bytes as f64 / given;
    let (flushed, compacted) =
        (after.flushed_bytes - before.flushed_bytes, after.compacted_bytes_out - before.compacted_bytes_out);
    let copied = after.separated_bytes - before.separated_bytes - flushed_values;
    format!(
        "log {:.2}, flushed values {:.2} and keys {:.2}, copied values {:.2}, keys of compactions {:.2}",
        of(after.logged_bytes - before.logged_bytes),
        of(flushed_values),
        of(flushed - flushed_values),
        of(copied),
        of(compacted - copied),
    )
}

#[test]
fn fifty_thousand_values_are_written_and_overwritten_within_the_bounds() -> Result<()> {
    let rig = Rig::new();
    let db = open(&rig)?;
    let given = |writes: u64| (writes * (BYTES as u64 + 12)) as f64;
    let start = db.stats();
    (0..KEYS).try_for_each(|i| db.put(key(i * 7919 % KEYS), value(i * 7919 % KEYS, 0, BYTES)))?;
    db.flush()?;
    settle(&db)?;
    let filled = db.stats();
    assert_eq!(filled.families[0].blobs.dead_bytes, 0);
    let fill = (written(&filled) - written(&start)) as f64 / given(KEYS);
    let live = filled.families[0].blobs.bytes as f64;
    // A record of each value, of which no other compresses better or worse.
    let record = (live / KEYS as f64) as u64;
    println!("figure: fill {fill:.2}: {}", shares(&start, &filled, record * KEYS, given(KEYS)));

    let random = Random::seeded(17);
    let mut turns = vec![0; KEYS as usize];
    let (mut most, mut most_files) = (0.0f64, 0);
    let writes = 3 * KEYS;
    for turn in 1..=writes {
        let i = random.below(KEYS);
        db.put(key(i), value(i, turn, BYTES))?;
        turns[i as usize] = turn;
        if turn % 500 == 0 {
            let (family, found) = (&db.stats().families[0], blobs(&db));
            most = most.max((family.table_bytes() + found.bytes) as f64 / live);
            most_files = most_files.max(found.files);
        }
    }
    db.flush()?;
    settle(&db)?;
    let after = db.stats();
    let overwrite = (written(&after) - written(&filled)) as f64 / given(writes);
    println!("figure: overwrite {overwrite:.2}: {}", shares(&filled, &after, record * writes, given(writes)));
    let family = &after.families[0];
    let end = (family.table_bytes() + family.blobs.bytes) as f64 / live;
    let files = blobs(&db).files;
    println!("figure: space {end:.2}, at most {most:.2}; {files} blob files, at most {most_files}");
    assert!(fill <= 2.1, "a fill writes {fill:.2} times what it is given");
    assert!(overwrite <= 3.0, "overwriting writes {overwrite:.2} times what it is given");
    assert!(end <= 1.4 && most <= 1.4, "{end:.2} times the space of what lives, at most {most:.2}");
    for i in (0..KEYS).step_by(97) {
        assert_eq!(db.get(key(i))?.unwrap(), value(i, turns[i as usize], BYTES));
    }
    db.close()
}

/// All blob files cross the threshold with the same compaction. If all of them were collected together, their
/// live values would stand twice on the disk before the first of them is gone.
#[test]
fn files_that_cross_the_threshold_together_do_not_stand_twice_on_the_disk() -> Result<()> {
    const KEYS: u64 = 6_000;
    let rig = Rig::new();
    let db = open(&rig)?;
    // Every file has all parts of the keys.
    (0..KEYS).try_for_each(|i| db.put(key(i * 7919 % KEYS), value(i * 7919 % KEYS, 0, BYTES)))?;
    db.compact()?;
    settle(&db)?;
    let files = blobs(&db).files;
    assert!(files > 10, "{files} blob files");
    // Half of every file dies, all at once: there are too few tables in level 0 for compactions to come by.
    (0..KEYS).filter(|i| i % 2 == 0).try_for_each(|i| db.delete(key(i)))?;
    db.flush()?;
    db.compact_range::<&[u8], _>(..)?;
    let (before, mut most, mut steps) = (rig.disk.used(), rig.disk.used(), 0);
    let mut last = before;
    for _ in 0..3_000 {
        db.contains_key("nothing")?;
        let used = rig.disk.used();
        (most, steps, last) = (most.max(used), steps + u32::from(used != last), used);
    }
    let share = |bytes: u64| bytes as f64 / before as f64;
    println!("figure: collecting {files} files takes {steps} steps, at most {:.2} times", share(most));
    println!("figure: their space, and {:.2} times in the end", share(last));
    assert!(steps > 6, "{steps} steps");
    assert!(share(most) <= 1.2 && share(last) <= 0.7, "{most} and {last} of {before} bytes");
    assert!(db.verify()?.problems.is_empty());
    db.close()
}
