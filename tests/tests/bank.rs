//! The sums of a bank hold while processes that make transfers are killed, and while power is lost.
//!
//! `ESKER_BANK_KILLS` and `ESKER_BANK_LOSSES` say how often; `ESKER_BANK_SEED` where the random numbers
//! begin. How threads meet does not follow from it.

use esker::base::random::Random;
use esker::fs::sim::Image;
use esker::fs::{Fs, SimFs};
use esker::{Db, Durability};
use esker_tests::bank::{Bank, teller};
use esker_tests::figure;
use esker_tests::process::Limit;
use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const TELLER: &str = env!("CARGO_BIN_EXE_esker-teller");

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn sums_hold_while_tellers_are_killed() {
    let (kills, seed) = (number("ESKER_BANK_KILLS", 20), number("ESKER_BANK_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("bank");
    let random = Random::seeded(seed);
    let mut said = BTreeSet::new();
    let mut found = BTreeSet::new();
    for life in 0..kills {
        let mut child = Command::new(TELLER)
            .args([store.to_str().unwrap(), &seed.to_string(), &life.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let limit = Limit::new(&child, Duration::from_millis(100 + random.below(500)));
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let status = child.wait().unwrap();
        drop(limit);
        assert!(!text.contains("wrong"), "seed {seed}, life {life}: {text}");
        assert!(!status.success() && status.code().is_none(), "seed {seed}, life {life}: {status}");
        // The last line may have been cut off.
        said.extend(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned));
        let bank = Bank::open(teller::builder(&store).open().unwrap()).unwrap();
        let books = bank.check().unwrap_or_else(|why| panic!("seed {seed}, life {life}: {why}"));
        let lost: Vec<_> = said.difference(&books.transfers).collect();
        assert!(lost.is_empty(), "seed {seed}, life {life}: {lost:?}");
        found = books.transfers;
        bank.db().clone().close().unwrap();
    }
    assert!(said.len() as u64 > kills, "only {} transfers", said.len());
    figure!(
        "a bank under kills: {kills} kills, {} transfers in transactions and conditional writes, {} of them \
         heard of before the kill, all there; sums and journal agree; violations 0 (seed {seed})",
        found.len(),
        said.len()
    );
}

#[test]
fn sums_hold_while_power_is_lost() {
    let (losses, seed) = (number("ESKER_BANK_LOSSES", 120), number("ESKER_BANK_SEED", 1));
    let (mut transfers, mut kept) = (0, 0);
    for round in 0..losses.div_ceil(8) {
        let sim = SimFs::new();
        let db = small(&sim, round).open().unwrap();
        let bank = Bank::open(db).unwrap();
        let (stop, synced, made) = (AtomicBool::new(false), Mutex::new(BTreeSet::new()), AtomicU64::new(0));
        let images = std::thread::scope(|scope| {
            for writer in 0..3u64 {
                let (bank, stop, synced, made) = (&bank, &stop, &synced, &made);
                scope.spawn(move || {
                    let random = Random::seeded(seed ^ (round << 8) ^ (writer << 40));
                    for number in 0..400 {
                        let name = format!("{writer}/{number:05}");
                        let sync = random.below(6) == 0;
                        let durability = if sync { Durability::Sync } else { Durability::Os };
                        let Some(seq) = bank.transfer(&name, &random, durability).unwrap() else { continue };
                        made.fetch_add(1, Ordering::Relaxed);
                        if sync {
                            bank.db().wait_durable(seq).unwrap();
                            synced.lock().unwrap().insert(name);
                        }
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            let mut images = Vec::new();
            for (at, image) in Image::ALL.into_iter().enumerate() {
                let wanted = made.load(Ordering::Relaxed) + 1 + (seed + round + at as u64) % 40;
                while made.load(Ordering::Relaxed) < wanted.min(1_000) {
                    std::thread::yield_now();
                }
                // In this order: what becomes durable in between is on the disk as well.
                let durable = synced.lock().unwrap().clone();
                images.push((image, sim.image(image, seed ^ round), durable));
            }
            stop.store(true, Ordering::Relaxed);
            images
        });
        transfers += made.into_inner();
        bank.check().unwrap();
        for (image, disk, durable) in images {
            let bank = Bank::open(small(&disk, round).deterministic(1).open().unwrap()).unwrap();
            let books =
                bank.check().unwrap_or_else(|why| panic!("seed {seed}, round {round}, {image}: {why}"));
            let lost: Vec<_> = durable.difference(&books.transfers).collect();
            assert!(lost.is_empty(), "seed {seed}, round {round}, {image}: {lost:?}");
            kept += 1;
        }
    }
    figure!(
        "a bank under losses of power: {kept} losses amid {transfers} transfers on threads, every synced \
         transfer kept; sums and journal agree; violations 0 (seed {seed})"
    );
}

/// Everything fills up fast.
fn small(sim: &SimFs, round: u64) -> esker::Builder {
    Db::builder("/bank")
        .fs(Fs::Sim(sim.clone()))
        .memory_budget(1 << 20)
        .memtable_bytes([2 << 10, 16 << 10][round as usize % 2])
        .wal_segment_bytes(8 << 10)
        .target_file_bytes(2 << 10)
        .level_base_bytes(4 << 10)
        .manifest_bytes(2 << 10)
        .sync_interval(Duration::from_millis(3))
        .lock_timeout(Duration::from_secs(600))
        .recent_writes_bytes([1 << 10, 64 << 10][round as usize / 2 % 2])
        .blob_values_from("accounts", [None, Some(8)][round as usize / 4 % 2])
        .blob_values_from("journal", [None, Some(24)][round as usize / 2 % 2])
}
