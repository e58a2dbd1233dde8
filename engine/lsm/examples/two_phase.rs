//! Money that moves from one store to another, though either may be lost in between: each of them prepares
//! its half, a decision is written down, and both commit.
//!
//! `cargo run --example two_phase`

use esker::fs::{Fs, SimFs};
use esker::{Db, Durability, Error, Result};

/// Two banks, and the journal of the one who moves the money.
struct Transfers {
    from: Db,
    to: Db,
    journal: Db,
}

fn balance(bank: &Db, who: &str) -> Result<u64> {
    let held = bank.get(who)?;
    Ok(held.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok()).unwrap_or(0))
}

/// One half: the account is read and written, and nobody else touches it before the decision.
fn prepare(bank: &Db, name: &str, who: &str, change: i64) -> Result<()> {
    let mut transaction = bank.begin(esker::TransactionOptions::pessimistic())?;
    let held = transaction.get_for_update(bank, who)?;
    let held = held.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<u64>().ok()).unwrap_or(0);
    let Some(left) = held.checked_add_signed(change) else {
        return Err(Error::invalid("amount", format!("{who} has {held}")));
    };
    transaction.put(bank, who, left.to_string())?;
    transaction.prepare(name, Durability::Sync)?;
    Ok(())
}

impl Transfers {
    /// Moves an amount; nothing happens if one of the halves cannot be prepared.
    fn transfer(&self, name: &str, from: &str, to: &str, amount: u32) -> Result<()> {
        self.prepare_both(name, from, to, amount)?;
        // From here on it happens, whatever is lost.
        self.journal.put(name, "commit")?;
        self.finish()
    }

    fn prepare_both(&self, name: &str, from: &str, to: &str, amount: u32) -> Result<()> {
        let halves = prepare(&self.from, name, from, -i64::from(amount))
            .and_then(|()| prepare(&self.to, name, to, i64::from(amount)));
        if halves.is_err() {
            // The first half may be there without the second; nothing was decided.
            self.finish()?;
        }
        halves
    }

    /// Ends whatever is open, as the journal says: what is not in it was never decided.
    fn finish(&self) -> Result<()> {
        for bank in [&self.from, &self.to] {
            for open in bank.prepared() {
                if self.journal.get(&open.name)?.is_some() {
                    bank.commit_prepared(&open.name, Durability::Sync)?;
                } else {
                    bank.rollback_prepared(&open.name)?;
                }
            }
        }
        Ok(())
    }
}

fn open(disk: &SimFs) -> Result<Transfers> {
    let store = |dir| Db::builder(dir).fs(Fs::Sim(disk.clone())).open();
    Ok(Transfers { from: store("/north")?, to: store("/south")?, journal: store("/journal")? })
}

fn main() -> Result<()> {
    // A disk that exists in memory, and can lose power.
    let disk = SimFs::new();
    let transfers = open(&disk)?;
    transfers.from.put("ada", "100")?;
    transfers.transfer("1", "ada", "bob", 30)?;
    assert_eq!((balance(&transfers.from, "ada")?, balance(&transfers.to, "bob")?), (70, 30));
    assert!(transfers.transfer("2", "ada", "bob", 1_000).is_err());

    // Prepared on both sides, decided, and then power is lost.
    transfers.prepare_both("3", "ada", "bob", 20)?;
    transfers.journal.put("3", "commit")?;
    let lost = disk.kill_image();
    let found = open(&lost)?;
    assert_eq!((balance(&found.from, "ada")?, balance(&found.to, "bob")?), (70, 30), "nobody sees it yet");
    found.finish()?;
    assert_eq!((balance(&found.from, "ada")?, balance(&found.to, "bob")?), (50, 50));

    // Prepared on one side alone, and lost before anything was decided.
    prepare(&found.from, "4", "ada", -50)?;
    let found = open(&lost.kill_image())?;
    found.finish()?;
    assert_eq!((balance(&found.from, "ada")?, balance(&found.to, "bob")?), (50, 50));
    println!("ada has 50, bob has 50, and nothing is open");
    Ok(())
}
