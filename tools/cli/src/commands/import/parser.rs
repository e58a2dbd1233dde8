//! The first stage: records from the input, gathered into batches.

use crate::commands::import::args::{ImportArgs, OnError};
use crate::failure::Failure;
use crate::output::notes;
use crate::records::{ReadError, Record, RecordReader};
use esker::base::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use esker::{ColumnFamily, Db, WriteBatch};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// A batch is handed on at this size, in bytes of keys and values, or at its number of records.
const BATCH_BYTES: usize = 1 << 20;

/// How many bad records are named; the others are only counted.
const NAMED_MISTAKES: u64 = 5;

/// What the writer is told.
pub enum Event {
    /// Records to write.
    Batch {
        /// The records.
        batch: WriteBatch,
        /// How many there are.
        records: u64,
    },
    /// The input is read to its end.
    End {
        /// How many bad records were left out.
        skipped: u64,
    },
    /// The input cannot be read any further; what came before it was handed on.
    Failed(Failure),
    /// Ctrl-C.
    Interrupted,
}

/// Gathers batches.
pub struct Parser {
    reader: Box<dyn RecordReader + Send>,
    db: Db,
    family: ColumnFamily,
    /// The families that the file itself names.
    named: BTreeMap<String, ColumnFamily>,
    on_error: OnError,
    ttl: Option<Duration>,
    batch_records: u64,
    bar: ProgressBar,
    skipped: u64,
}

/// Why no further record was added.
enum Stop {
    End,
    Failed(Failure),
    /// The writer has gone away.
    Closed,
}

impl Parser {
    /// A parser over an open input.
    pub fn new(
        args: &ImportArgs,
        db: &Db,
        family: ColumnFamily,
        reader: Box<dyn RecordReader + Send>,
        bar: ProgressBar,
    ) -> Parser {
        Parser {
            reader,
            db: db.clone(),
            family,
            named: BTreeMap::new(),
            on_error: args.on_error,
            ttl: args.ttl,
            batch_records: args.batch.into(),
            bar,
            skipped: 0,
        }
    }

    /// Reads to the end of the input, or until the writer goes away.
    pub fn run(mut self, events: &SyncSender<Event>) {
        let mut record = Record::default();
        let (mut batch, mut records, mut bytes) = (WriteBatch::new(), 0, 0);
        let stop = loop {
            match self.next(&mut record) {
                Ok(true) => {}
                Ok(false) => break Stop::End,
                Err(failure) => break Stop::Failed(failure),
            }
            if let Err(failure) = self.add(&mut batch, &record) {
                break Stop::Failed(failure);
            }
            records += 1;
            bytes += record.key.len() + record.value.len();
            if records >= self.batch_records || bytes >= BATCH_BYTES {
                let event = Event::Batch { batch: std::mem::take(&mut batch), records };
                if events.send(event).is_err() {
                    break Stop::Closed;
                }
                (records, bytes) = (0, 0);
            }
        };
        if records > 0 && !matches!(stop, Stop::Closed) {
            // If the writer has gone away, nobody waits for what follows either.
            let _ = events.send(Event::Batch { batch, records });
        }
        let _ = match stop {
            Stop::End => events.send(Event::End { skipped: self.end() }),
            Stop::Failed(failure) => events.send(Event::Failed(failure)),
            Stop::Closed => Ok(()),
        };
    }

    /// Fills `record` with the next good one.
    fn next(&mut self, record: &mut Record) -> Result<bool, Failure> {
        loop {
            match self.reader.next(record).and_then(|more| check(record, more)) {
                Ok(more) => return Ok(more),
                Err(ReadError::Fatal(failure)) => return Err(failure),
                Err(ReadError::Record { line, what }) if self.on_error == OnError::Stop => {
                    return Err(Failure::error(format!("line {line}: {what}")));
                }
                Err(ReadError::Record { line, what }) => {
                    self.skipped += 1;
                    if self.skipped <= NAMED_MISTAKES {
                        self.bar.suspend(|| notes::warning(&format!("line {line} is skipped: {what}")));
                    }
                }
            }
        }
    }

    fn add(&mut self, batch: &mut WriteBatch, record: &Record) -> Result<(), Failure> {
        let family = match &record.family {
            None => &self.family,
            Some(name) => {
                if !self.named.contains_key(name) {
                    self.named.insert(name.clone(), self.db.column_family(name)?);
                }
                &self.named[name]
            }
        };
        match self.ttl {
            None => batch.put(family, &record.key, &record.value),
            Some(ttl) => batch.put_with_ttl(family, &record.key, &record.value, ttl),
        };
        Ok(())
    }

    fn end(&self) -> u64 {
        let unnamed = self.skipped.saturating_sub(NAMED_MISTAKES);
        if unnamed > 0 {
            self.bar.suspend(|| notes::warning(&format!("{unnamed} more were skipped")));
        }
        self.skipped
    }
}

/// The limits of the engine, told with the line.
fn check(record: &Record, more: bool) -> Result<bool, ReadError> {
    if more && record.key.len() > MAX_KEY_BYTES {
        let what = format!("the key has {} bytes; at most {MAX_KEY_BYTES} are allowed", record.key.len());
        return Err(ReadError::record(record.line, what));
    }
    if more && record.value.len() > MAX_VALUE_BYTES {
        let what =
            format!("the value has {} bytes; at most {MAX_VALUE_BYTES} are allowed", record.value.len());
        return Err(ReadError::record(record.line, what));
    }
    Ok(more)
}
