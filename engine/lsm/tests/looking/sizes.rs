//! How much a range holds.

use crate::store::{START_MS, builder, filled, key};
use esker::base::clock::ManualClock;
use esker::{Db, Error, Result};
use proptest::prelude::*;

fn everything(db: &Db) -> (u64, u64) {
    (db.approximate_size::<&[u8], _>(..).unwrap(), db.approximate_count::<&[u8], _>(..).unwrap())
}

/// A store whose keys stand in memtables, in level 0 and below.
fn mixed(seed: u64, each: usize) -> Db {
    let random = esker::base::random::Random::seeded(seed);
    let db = builder(&ManualClock::new(START_MS)).target_file_bytes(32 << 10).open().unwrap();
    for part in 0..3 {
        for _ in 0..each {
            let value: Vec<u8> = (0..12).flat_map(|_| random.next_u64().to_le_bytes()).collect();
            db.put((random.next_u64() % 100_000).to_be_bytes(), value).unwrap();
        }
        match part {
            0 => db.compact().unwrap(),
            1 => db.flush().unwrap(),
            _ => {}
        }
    }
    db
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sizes_add_up_and_grow_with_their_range(
        seed in 0u64..1_000,
        each in 1usize..1_500,
        mut cuts in prop::collection::vec(0u64..100_001, 1..8),
    ) {
        let db = mixed(seed, each);
        cuts.sort_unstable();
        let (size, count) = everything(&db);
        let stats = &db.stats().families[0];
        let tables: u64 = stats.levels.iter().map(|level| level.bytes).sum();
        // Few keys are drawn twice.
        let most = 3 * each as u64;
        let counted = count <= most && count + most / 20 + 1 >= most;
        prop_assert!(size > tables && counted, "{size} {count} {most}");
        let keys: Vec<_> = cuts.iter().map(|cut| cut.to_be_bytes()).collect();
        let mut sums = (db.approximate_size(..keys[0]).unwrap(), db.approximate_count(..keys[0]).unwrap());
        for pair in keys.windows(2) {
            sums.0 += db.approximate_size(pair[0]..pair[1]).unwrap();
            sums.1 += db.approximate_count(pair[0]..pair[1]).unwrap();
            let so_far = (db.approximate_size(..pair[1]).unwrap(), db.approximate_count(..pair[1]).unwrap());
            prop_assert_eq!(sums, so_far);
        }
        let last = keys[keys.len() - 1];
        sums.0 += db.approximate_size(last..).unwrap();
        sums.1 += db.approximate_count(last..).unwrap();
        prop_assert_eq!(sums, (size, count));
        // Entries of the same size: off by a block of each table at each end, and by the sample.
        let tables: u64 = stats.levels.iter().map(|level| level.files).sum();
        let (most_in_block, most_sampled) = (90, each as u64 / 20 + 1);
        let off = 2 * (tables.min(4) * most_in_block + most_sampled) + count / 50;
        let (from, to) = (keys[0], last);
        let counted = db.approximate_count(from..to).unwrap();
        let held: u64 = db.range(from..to).unwrap().count() as u64;
        prop_assert!(counted.abs_diff(held) <= off + count / 20, "{} {} {}", counted, held, off);
        let points = db.split_points(from..to, 5).unwrap();
        prop_assert!(points.len() < 5 && points.is_sorted_by(|a, b| a < b));
        prop_assert!(points.iter().all(|point| from[..] < point[..] && point[..] < to[..]));
    }
}

#[test]
fn a_table_counts_whole_or_not_at_all_where_it_is_not_cut() -> Result<()> {
    let (db, _) = filled(10_000)?;
    let level = db.stats().families[0].levels[6];
    assert_eq!(db.approximate_size(key(0)..=key(9_998))?, level.bytes);
    assert_eq!(db.approximate_count(key(0)..=key(9_998))?, 5_000);
    assert_eq!(db.approximate_size(key(0)..key(0))?, 0);
    assert_eq!(db.approximate_size(.."a".to_owned())?, 0);
    assert_eq!(db.approximate_size("z".to_owned()..)?, 0);
    let half = db.approximate_count(key(0)..key(5_000))?;
    assert!((2_400..=2_600).contains(&half), "{half}");
    // The wrong way round there is nothing.
    let (from, to) = (key(5_000), key(100));
    assert_eq!(db.approximate_size(from..to)?, 0);
    Ok(())
}

#[test]
fn parts_are_of_about_the_same_size() -> Result<()> {
    let (db, _) = filled(10_000)?;
    let parts = |points: &[Vec<u8>]| {
        let ends = points.iter().map(|point| Some(point.clone())).chain([None]);
        let mut from = Vec::new();
        let counts = ends.map(|end| {
            let begin = from.clone();
            from = end.clone().unwrap_or_default();
            let all = db.range(begin..).unwrap().map(|entry| entry.unwrap().0);
            all.take_while(|key| end.as_ref().is_none_or(|end| key[..] < end[..])).count()
        });
        counts.collect::<Vec<_>>()
    };
    let counts = parts(&db.split_points::<&[u8], _>(.., 4)?);
    assert!(counts.len() == 4 && counts.iter().all(|count| (1_000..1_500).contains(count)), "{counts:?}");
    assert!(db.split_points::<&[u8], _>(.., 1)?.is_empty());
    let none = db.split_points::<&[u8], _>(.., 0);
    assert!(matches!(none, Err(Error::InvalidArgument { .. })), "{none:?}");
    let many = db.split_points::<&[u8], _>(.., 1_000_000)?;
    assert!(many.len() > 10 && many.is_sorted_by(|a, b| a < b));
    Ok(())
}
