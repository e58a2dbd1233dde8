//! Calls that depend on what they read: conditional writes and transactions.

use super::call::{Cell, What};
use super::threads::{FAMILIES, Shared, cell_of, decode, encode, keeps_versions};
use esker::base::random::Random;
use esker::{ColumnFamily, Durability, Error, Locking, Result, Transaction, TransactionOptions, WriteBatch};
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

/// Cells, and what they hold.
type Held = Vec<(usize, Cell)>;

impl Shared {
    /// Sets a cell if it holds what it was just read to hold: by its value, or by the version of this where
    /// the family keeps versions.
    pub(super) fn compare_and_set(&self, cell: usize, value: Cell, random: &Random) -> Result<What> {
        let (family, key) = self.place(cell);
        let mut batch = WriteBatch::new();
        let by_version = keeps_versions(cell) && random.below(2) == 0;
        let from = if by_version { self.require_version(cell, &mut batch)? } else { self.get(cell)? };
        match from {
            0 => batch.require_absent(family, &key),
            _ if by_version => &mut batch,
            _ => batch.require_value(family, &key, encode(from, self.value_bytes)),
        };
        let to = if random.below(4) == 0 { 0 } else { value };
        match to {
            0 => batch.delete(family, &key),
            _ => batch.put(family, &key, encode(to, self.value_bytes)),
        };
        match self.db.commit(batch, Durability::Os) {
            Ok(ticket) => {
                Ok(What::Update { read: vec![(cell, from)], cells: vec![(cell, to)], seq: ticket.seq() })
            }
            Err(Error::ConditionFailed { .. }) => Ok(What::Differs { cell, from }),
            // Many others were faster each time.
            Err(Error::Conflict { .. }) => Ok(What::Read { cells: Vec::new() }),
            Err(error) => Err(error),
        }
    }

    /// Reads a cell, and makes the batch depend on the version of what it holds.
    fn require_version(&self, cell: usize, batch: &mut WriteBatch) -> Result<Cell> {
        let (family, key) = self.place(cell);
        let Some(read) = family.get_versioned(&key)? else { return Ok(0) };
        batch.require_version(family, &key, read.version);
        Ok(decode(&read.value))
    }

    /// The same through the call for one key, which does not tell its sequence number.
    pub(super) fn put_if_absent(&self, cell: usize, value: Cell, numbered: bool) -> Result<What> {
        let (family, key) = self.place(cell);
        if numbered {
            // All writes must have their numbers.
            return Ok(What::Read { cells: vec![(cell, self.get(cell)?)] });
        }
        match family.put_if_absent(key, encode(value, self.value_bytes)) {
            Ok(true) => Ok(What::Update { read: vec![(cell, 0)], cells: vec![(cell, value)], seq: 0 }),
            Ok(false) => Ok(What::Differs { cell, from: 0 }),
            Err(Error::Conflict { .. }) => Ok(What::Read { cells: Vec::new() }),
            Err(error) => Err(error),
        }
    }

    /// Reads cells and sets some of them, in a transaction that is tried until it is committed.
    pub(super) fn transaction(&self, cells: &[usize], value: Cell, random: &Random) -> Result<What> {
        let wait = TransactionOptions::default().lock_timeout(Duration::from_secs(600));
        let (options, for_update) = match random.below(3) {
            0 => (wait.serialisable(), false),
            1 => (TransactionOptions { locking: Locking::Pessimistic, ..wait }, true),
            _ => (wait, true),
        };
        // One cell is written, or all.
        let written = if random.below(2) == 0 { 1 } else { cells.len() };
        let deletes = random.below(6) == 0;
        self.until_committed(options, |transaction| {
            self.work(transaction, cells, written, value, for_update, deletes)
        })
    }

    /// Walks over cells beside each other, and sets one of them or removes a range of them, in a transaction
    /// that is tried until it is committed.
    pub(super) fn scan_and_write(
        &self,
        cells: RangeInclusive<usize>,
        value: Cell,
        random: &Random,
    ) -> Result<What> {
        let options = TransactionOptions::default().serialisable().lock_timeout(Duration::from_secs(600));
        let within = || cells.start() + random.below(cells.clone().count() as u64) as usize;
        let (backward, removes, one, other) =
            (random.below(2) == 0, random.below(3) == 0, within(), within());
        self.until_committed(options, |transaction| {
            let (family, range) = self.range(&cells);
            let entries = transaction.range(family, range)?;
            let entries: Result<Vec<_>> = if backward { entries.rev().collect() } else { entries.collect() };
            let mut read: Held = cells.clone().map(|cell| (cell, 0)).collect();
            for (key, found) in entries? {
                let (cell, held) = cell_of(usize::from(family.name() == FAMILIES[1]), &key, &found);
                read[cell - cells.start()].1 = held;
            }
            // Others come in between.
            thread::yield_now();
            if removes {
                let removed = one.min(other)..=one.max(other);
                let (family, range) = self.range(&removed);
                transaction.delete_range(family, range)?;
                return Ok((read, removed.map(|cell| (cell, 0)).collect()));
            }
            let (family, key) = self.place(one);
            transaction.put(family, &key, encode(value, self.value_bytes))?;
            Ok((read, vec![(one, value)]))
        })
    }

    /// Removes cells beside each other with one write.
    pub(super) fn delete_range(&self, cells: RangeInclusive<usize>) -> Result<What> {
        let (family, range) = self.range(&cells);
        let mut batch = WriteBatch::new();
        batch.delete_range(family, range);
        let ticket = self.db.commit(batch, Durability::Os)?;
        Ok(What::Write { cells: cells.map(|cell| (cell, 0)).collect(), seq: ticket.seq() })
    }

    /// The keys of cells beside each other.
    fn range(&self, cells: &RangeInclusive<usize>) -> (&ColumnFamily, RangeInclusive<String>) {
        let (family, from) = self.place(*cells.start());
        (family, from..=self.place(*cells.end()).1)
    }

    /// Begins transactions until one with what `work` does in it is committed.
    fn until_committed(
        &self,
        options: TransactionOptions,
        mut work: impl FnMut(&mut Transaction) -> Result<(Held, Held)>,
    ) -> Result<What> {
        loop {
            let mut transaction = self.db.begin(options)?;
            let result = work(&mut transaction).and_then(|(read, cells)| {
                let ticket = transaction.commit_with(Durability::Os)?;
                Ok(What::Update { read, cells, seq: ticket.seq() })
            });
            match result {
                Err(error) if error.is_transient_conflict() => thread::yield_now(),
                result => return result,
            }
        }
    }

    fn work(
        &self,
        transaction: &mut Transaction,
        cells: &[usize],
        written: usize,
        value: Cell,
        for_update: bool,
        deletes: bool,
    ) -> Result<(Held, Held)> {
        let (mut read, mut set) = (Vec::new(), Vec::new());
        for &cell in cells {
            let (family, key) = self.place(cell);
            let found = match for_update {
                true => transaction.get_for_update(family, &key)?,
                false => transaction.get(family, &key)?,
            };
            read.push((cell, found.map_or(0, |found| decode(&found))));
        }
        for &cell in &cells[..written] {
            let (family, key) = self.place(cell);
            let to = if deletes { 0 } else { value };
            match to {
                0 => transaction.delete(family, &key)?,
                _ => transaction.put(family, &key, encode(to, self.value_bytes))?,
            }
            set.push((cell, to));
        }
        Ok((read, set))
    }
}
