//! Accounts, and a journal of the transfers between them.

use esker::base::random::Random;
use esker::{ColumnFamily, Db, Durability, Error, Locking, ReadOnlyDb, Result, Slice, Snapshot, Transaction};
use esker::{TransactionOptions, WriteBatch};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const ACCOUNTS: u64 = 8;
const FIRST: u64 = 1_000;

/// A store with accounts in it.
#[derive(Clone, Debug)]
pub struct Bank {
    db: Db,
    accounts: ColumnFamily,
    /// Each transfer, written with it.
    journal: ColumnFamily,
}

/// What the books say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// What each account holds.
    pub balances: BTreeMap<u64, u64>,
    /// The names of the transfers.
    pub transfers: BTreeSet<String>,
}

fn key(account: u64) -> [u8; 8] {
    account.to_be_bytes()
}

fn amount_in(value: Option<&[u8]>) -> u64 {
    value.and_then(|value| value.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Bank {
    /// Opens the accounts; a new store gets them in one batch.
    ///
    /// # Errors
    /// What the store gives.
    pub fn open(db: Db) -> Result<Bank> {
        let (accounts, journal) = (db.column_family("accounts")?, db.column_family("journal")?);
        let bank = Bank { db, accounts, journal };
        let mut batch = WriteBatch::new();
        for account in 0..ACCOUNTS {
            batch.require_absent(&bank.accounts, key(account));
            batch.put(&bank.accounts, key(account), FIRST.to_le_bytes());
        }
        match bank.db.write(batch, Durability::Sync) {
            Ok(()) | Err(Error::ConditionFailed { .. }) => Ok(bank),
            Err(error) => Err(error),
        }
    }

    /// The store.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Moves a random amount between two random accounts, in one of four ways. Returns the sequence number,
    /// or `None` if others were in the way all the time.
    ///
    /// # Errors
    /// What the store gives.
    pub fn transfer(&self, name: &str, random: &Random, durability: Durability) -> Result<Option<u64>> {
        let (from, step) = (random.below(ACCOUNTS), 1 + random.below(ACCOUNTS - 1));
        let (to, most) = ((from + step) % ACCOUNTS, 1 + random.below(40));
        let waiting = TransactionOptions::default().lock_timeout(Duration::from_secs(60));
        let options = match random.below(4) {
            0 => waiting,
            1 => waiting.serialisable(),
            2 => TransactionOptions { locking: Locking::Pessimistic, ..waiting },
            _ => return self.conditionally(name, (from, to), most, durability),
        };
        for _ in 0..200 {
            let mut transaction = self.db.begin(options)?;
            let moved = self.move_in(&mut transaction, name, (from, to), most, options.serialisable);
            let result = moved.and_then(|()| Ok(transaction.commit_with(durability)?));
            match result {
                Err(error) if error.is_transient_conflict() => std::thread::yield_now(),
                result => return result.map(|ticket| Some(ticket.seq())),
            }
        }
        Ok(None)
    }

    fn move_in(
        &self,
        transaction: &mut Transaction,
        name: &str,
        (from, to): (u64, u64),
        most: u64,
        plain_reads: bool,
    ) -> Result<()> {
        let mut read = |account| match plain_reads {
            true => transaction.get(&self.accounts, key(account)),
            false => transaction.get_for_update(&self.accounts, key(account)),
        };
        let (of_from, of_to) = (amount_in(read(from)?.as_deref()), amount_in(read(to)?.as_deref()));
        let amount = most.min(of_from);
        transaction.put(&self.accounts, key(from), (of_from - amount).to_le_bytes())?;
        transaction.put(&self.accounts, key(to), (of_to + amount).to_le_bytes())?;
        transaction.put(&self.journal, name, [from, to, amount].map(u64::to_le_bytes).concat())
    }

    /// The same with a batch that is written if both accounts hold what they were read to hold.
    fn conditionally(
        &self,
        name: &str,
        (from, to): (u64, u64),
        most: u64,
        durability: Durability,
    ) -> Result<Option<u64>> {
        for _ in 0..200 {
            let read = |account| Ok::<_, Error>(amount_in(self.accounts.get(key(account))?.as_deref()));
            let (of_from, of_to) = (read(from)?, read(to)?);
            let amount = most.min(of_from);
            let mut batch = WriteBatch::new();
            batch.require_value(&self.accounts, key(from), of_from.to_le_bytes());
            batch.require_value(&self.accounts, key(to), of_to.to_le_bytes());
            batch.put(&self.accounts, key(from), (of_from - amount).to_le_bytes());
            batch.put(&self.accounts, key(to), (of_to + amount).to_le_bytes());
            batch.put(&self.journal, name, [from, to, amount].map(u64::to_le_bytes).concat());
            match self.db.commit(batch, durability) {
                Err(Error::ConditionFailed { .. }) => std::thread::yield_now(),
                Err(error) if error.is_transient_conflict() => std::thread::yield_now(),
                result => return result.map(|ticket| Some(ticket.seq())),
            }
        }
        Ok(None)
    }

    /// Reads the books at one moment, and checks that they balance: no money came or went, and the accounts
    /// are what the journal says.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> std::result::Result<Books, String> {
        let snapshot = self.db.snapshot();
        self.read(&snapshot).map_err(|error| format!("cannot read the books: {error}"))?
    }

    fn read(&self, snapshot: &Snapshot) -> Result<std::result::Result<Books, String>> {
        Books::balanced(snapshot.iter(&self.accounts)?, snapshot.iter(&self.journal)?)
    }
}

impl Books {
    /// The books as somebody sees them who reads the store from outside, if they balance.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn seen(view: &ReadOnlyDb) -> std::result::Result<Books, String> {
        let read =
            || Books::balanced(view.column_family("accounts")?.iter(), view.column_family("journal")?.iter());
        read().map_err(|error| format!("cannot read the books: {error}"))?
    }

    fn balanced(
        accounts: impl Iterator<Item = Result<(Slice, Slice)>>,
        journal: impl Iterator<Item = Result<(Slice, Slice)>>,
    ) -> Result<std::result::Result<Books, String>> {
        let mut books = Books::default();
        for entry in accounts {
            let (account, balance) = entry?;
            let account = u64::from_be_bytes(*account.first_chunk().unwrap_or(&[0xff; 8]));
            books.balances.insert(account, amount_in(Some(&balance)));
        }
        let mut expected: BTreeMap<u64, i128> =
            (0..ACCOUNTS).map(|account| (account, i128::from(FIRST))).collect();
        for entry in journal {
            let (name, transfer) = entry?;
            let words: Vec<u64> = transfer.chunks(8).map(|word| amount_in(Some(word))).collect();
            let [from, to, amount] = words[..] else { return Ok(Err("a torn entry".into())) };
            *expected.entry(from).or_default() -= i128::from(amount);
            *expected.entry(to).or_default() += i128::from(amount);
            books.transfers.insert(String::from_utf8_lossy(&name).into_owned());
        }
        let found: BTreeMap<u64, i128> =
            books.balances.iter().map(|(account, balance)| (*account, i128::from(*balance))).collect();
        let sum: u64 = books.balances.values().sum();
        if sum != ACCOUNTS * FIRST || found != expected {
            return Ok(Err(format!("the sum is {sum}; accounts {found:?}, by the journal {expected:?}")));
        }
        Ok(Ok(books))
    }
}
