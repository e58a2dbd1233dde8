//! A process that makes transfers until it is killed. It says each that has returned on its standard output.
//!
//! Arguments: the store, a seed, and a number that no earlier process has had.

use super::accounts::Bank;
use esker::base::random::Random;
use esker::{Builder, Db, Durability};
use std::io::Write;
use std::path::Path;
use std::process::{ExitCode, exit};

/// How the store is opened: everything fills up fast. What accounts hold stands apart from their keys, where
/// nearly all of it is soon dead; the journal stands beside its own.
#[must_use]
pub fn builder(store: &Path) -> Builder {
    Db::builder(store)
        .memory_budget(16 << 20)
        .memtable_bytes(64 << 10)
        .target_file_bytes(64 << 10)
        .level_base_bytes(128 << 10)
        .wal_segment_bytes(256 << 10)
        .recent_writes_bytes(4 << 10)
        .default_durability(Durability::Os)
        .blob_values_from("accounts", Some(8))
}

/// Writers beside each other.
const WRITERS: u64 = 3;

/// The process.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [store, seed, life] = &args[..] else { return ExitCode::from(2) };
    let (Ok(seed), Ok(life)) = (seed.parse::<u64>(), life.parse::<u64>()) else { return ExitCode::from(2) };
    let bank = builder(Path::new(store)).open().and_then(Bank::open);
    let bank = bank.unwrap_or_else(|error| say_wrong(&error.to_string()));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let bank = &bank;
            scope.spawn(move || {
                let random = Random::seeded(seed ^ (life << 8) ^ writer);
                for number in 0.. {
                    let name = format!("{life:06}/{writer}/{number:08}");
                    let durability = if random.below(8) == 0 { Durability::Sync } else { Durability::Os };
                    match bank.transfer(&name, &random, durability) {
                        Ok(Some(_)) => say(&name),
                        Ok(None) => {}
                        Err(error) => say_wrong(&error.to_string()),
                    }
                }
            });
        }
        loop {
            if let Err(why) = bank.check() {
                say_wrong(&why);
            }
        }
    })
}

fn say(line: &str) {
    let line = format!("{line}\n");
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        // Whoever listened has gone.
        exit(1);
    }
}

fn say_wrong(why: &str) -> ! {
    say(&format!("wrong: {why}"));
    exit(1)
}
