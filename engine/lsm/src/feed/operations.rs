//! The operations of a batch, one by one.

use super::batch::{ChangeBatch, Content};
use crate::base::coding::Malformed;
use crate::base::error::{Corruption, Result};
use crate::base::key::{Kind, NEVER, SeqNum};
use crate::base::operand::Operand;
use crate::batch::{Op, OpIter, decode_ops};
use crate::fs::OpenFile;
use std::time::Duration;

/// So much of a long batch is held in memory at once, if no operation in it is longer.
const WINDOW_BYTES: u64 = 256 << 10;

/// An operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change<'a> {
    /// Its sequence number.
    pub seq: SeqNum,
    /// The number of its column family, which no other ever has.
    pub family_id: u32,
    /// The name of that; `None` if it has been dropped.
    pub family: Option<&'a str>,
    /// What was done.
    pub operation: Operation<'a>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// A key was given a value.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// When it expires, in milliseconds since the epoch, if it does. Nothing tells when it has.
        expires_ms: Option<u64>,
    },
    /// A key was deleted.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// An operand was merged into what a key has.
    Merge {
        /// The key.
        key: &'a [u8],
        /// The operand, as the merge operator gets it.
        operand: &'a [u8],
        /// When it was written, by the expiry clock, in milliseconds since the epoch.
        written_ms: u64,
        /// The time to live that it was given, if any.
        ttl: Option<Duration>,
    },
    /// All keys in a range were deleted.
    DeleteRange {
        /// The first key in it.
        from: &'a [u8],
        /// The first key behind it, if it ends.
        to: Option<&'a [u8]>,
    },
    /// A range was dropped: its owner has promised never to read what was in it.
    DropRange {
        /// The first key in it.
        from: &'a [u8],
        /// The first key behind it, if it ends.
        to: Option<&'a [u8]>,
    },
    /// A table that was made outside was taken in: its keys are not in the log. Who needs them scans the
    /// range from the first to the last, in the present.
    Ingested {
        /// How many entries it has.
        entries: u64,
        /// Its first key.
        first: &'a [u8],
        /// Its last key.
        last: &'a [u8],
    },
}

/// Walks the operations of a batch. A loop over it allocates nothing for most batches:
/// `while let Some(change) = operations.next()? { .. }`.
#[derive(Debug)]
pub struct Operations<'b> {
    batch: &'b ChangeBatch,
    next_seq: SeqNum,
    walk: Walk<'b>,
}

#[derive(Debug)]
enum Walk<'b> {
    Loaded(OpIter<'b>),
    Stored(Window),
    Ingested,
    /// At the end, or behind an error.
    Over,
}

/// What is held of operations that stand in a file.
#[derive(Debug)]
struct Window {
    bytes: Vec<u8>,
    /// Where in `bytes` the next operation begins.
    start: usize,
    /// Where that is in the file.
    at: u64,
    /// Where the operations end in the file.
    end: u64,
}

impl Window {
    /// The length of the next operation, which then stands in the window; `None` at the end.
    fn next_len(&mut self, file: &OpenFile) -> Result<Option<usize>> {
        loop {
            let held = &self.bytes[self.start..];
            let is_whole = self.at + held.len() as u64 == self.end;
            let mut ops = decode_ops(held);
            match ops.next() {
                None if is_whole => return Ok(None),
                Some(Ok(_)) => return Ok(Some(ops.position())),
                Some(Err(malformed)) if is_whole => return Err(malformed.in_file(file.path(), self.at)),
                // It may only be cut off.
                None | Some(Err(_)) => self.grow(file)?,
            }
        }
    }

    /// Reads on; each time as much again, so that a long operation is soon whole.
    fn grow(&mut self, file: &OpenFile) -> Result<()> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let held = self.bytes.len();
        let left = self.end - self.at - held as u64;
        let more = left.min(WINDOW_BYTES.max(held as u64)) as usize;
        self.bytes.resize(held + more, 0);
        file.read_exact_at(&mut self.bytes[held..], self.at + held as u64)
    }

    fn pass(&mut self, len: usize) {
        self.start += len;
        self.at += len as u64;
    }
}

impl<'b> Operations<'b> {
    pub(super) fn of(batch: &'b ChangeBatch) -> Operations<'b> {
        let walk = match &batch.content {
            Content::Loaded { payload, range, .. } => Walk::Loaded(decode_ops(&payload[range.clone()])),
            Content::Stored { range, .. } => {
                Walk::Stored(Window { bytes: Vec::new(), start: 0, at: range.start, end: range.end })
            }
            Content::Ingested(_) => Walk::Ingested,
        };
        Operations { batch, next_seq: batch.first_seq, walk }
    }

    /// The next operation; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Corruption`](crate::Error::Corruption) for bytes that are no operation, or not as many as the
    /// batch says; what reading gives. After an error there is no further operation.
    #[allow(
        clippy::should_implement_trait,
        reason = "what it hands out is borrowed from it, and it can fail"
    )]
    pub fn next(&mut self) -> Result<Option<Change<'_>>> {
        let batch = self.batch;
        let walk = std::mem::replace(&mut self.walk, Walk::Over);
        match (walk, &batch.content) {
            (Walk::Loaded(mut ops), Content::Loaded { range, file, base, .. }) => loop {
                let place = base + range.start as u64;
                let op = ops.next().transpose().map_err(|malformed| malformed.in_file(file.path(), place))?;
                let Some(seq) = self.count(op.is_some(), file, place)? else { return Ok(None) };
                let Some(op) = op.filter(|op| batch.hidden != Some(op.family)) else { continue };
                self.walk = Walk::Loaded(ops);
                return shown(batch, seq, &op)
                    .map_err(|malformed| malformed.in_file(file.path(), place))
                    .map(Some);
            },
            (Walk::Stored(window), Content::Stored { file, .. }) => self.next_stored(window, file),
            (Walk::Ingested, Content::Ingested(mark)) => {
                let (first, last) = (&mark.smallest[..], &mark.largest[..]);
                let ingested = Operation::Ingested { entries: mark.entries, first, last };
                Ok(Some(named(batch, batch.first_seq, mark.family, ingested)))
            }
            _ => Ok(None),
        }
    }

    fn next_stored(&mut self, mut window: Window, file: &OpenFile) -> Result<Option<Change<'_>>> {
        let batch = self.batch;
        loop {
            let (len, place) = (window.next_len(file)?, window.at);
            let Some(seq) = self.count(len.is_some(), file, place)? else { return Ok(None) };
            let (start, len) = (window.start, len.unwrap_or(0));
            window.pass(len);
            let family = decode_ops(&window.bytes[start..]).next().and_then(|op| op.ok()).map(|op| op.family);
            if family == batch.hidden && family.is_some() {
                continue;
            }
            self.walk = Walk::Stored(window);
            let Walk::Stored(window) = &self.walk else { return Ok(None) };
            let wrong = Malformed { at: 0, expected: "an operation" };
            let op = decode_ops(&window.bytes[start..start + len]).next().unwrap_or(Err(wrong));
            let change = op.and_then(|op| shown(batch, seq, &op));
            return change.map(Some).map_err(|malformed| malformed.in_file(file.path(), place));
        }
    }

    /// Counts an operation that was found, or that none was: its sequence number, or `None` at the end.
    fn count(&mut self, is_found: bool, file: &OpenFile, place: u64) -> Result<Option<SeqNum>> {
        let (seq, last) = (self.next_seq, self.batch.last_seq);
        if is_found == (seq <= last) {
            self.next_seq += u64::from(is_found);
            return Ok(is_found.then_some(seq));
        }
        let expected = format!("operations up to the sequence number {last}");
        let found = if is_found { "another one".into() } else { format!("those before {seq}") };
        Err(Corruption::new(file.path(), place, expected, found).into())
    }
}

fn shown<'a>(batch: &'a ChangeBatch, seq: SeqNum, op: &Op<'a>) -> Result<Change<'a>, Malformed> {
    let (key, value) = (op.key, op.value);
    let operation = match op.kind {
        Kind::Delete => Operation::Delete { key },
        Kind::RangeDelete => Operation::DeleteRange { from: key, to: op.range_end() },
        Kind::DroppedRange => Operation::DropRange { from: key, to: op.range_end() },
        Kind::Merge => {
            let wrong = Malformed { at: 0, expected: "an operand with its time to live" };
            let (ttl_ms, operand) = Operand::decode_value(value).ok_or(wrong)?;
            let ttl = (ttl_ms > 0).then(|| Duration::from_millis(ttl_ms));
            Operation::Merge { key, operand, written_ms: op.expires_at, ttl }
        }
        _ => {
            let expires_ms = (op.expires_at != NEVER).then_some(op.expires_at);
            Operation::Put { key, value, expires_ms }
        }
    };
    Ok(named(batch, seq, op.family, operation))
}

fn named<'a>(batch: &'a ChangeBatch, seq: SeqNum, family_id: u32, operation: Operation<'a>) -> Change<'a> {
    Change { seq, family_id, family: batch.names.get(&family_id).map(|name| &**name), operation }
}
