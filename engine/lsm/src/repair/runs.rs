//! The sorted runs that a new store is merged from: tables as far as they can be read, one behind the
//! other where they do not overlap.

use super::holes::Holes;
use super::plan::Input;
use super::tables::{Blocks, Summary, open, read_again};
use super::values::SeparateValues;
use crate::base::error::Result;
use crate::base::filename::FileNumber;
use crate::base::key::{EntryRef, Kind, SeqNum};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::block::BlockCursor;
use crate::fs::Fs;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::path::Path;

/// An entry that owns its key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) seq: SeqNum,
    pub(super) kind: Kind,
    pub(super) expires_at: u64,
    pub(super) value: Slice,
    /// Whether it comes from a file that only fills in.
    pub(super) filling: bool,
    /// The table that it comes from, 0 for the log: of two entries of the last level, whose sequence
    /// numbers are gone, the one of the later table is the newer one.
    table: FileNumber,
}

impl Entry {
    pub(super) fn as_ref(&self) -> EntryRef<'_> {
        let (key, seq, kind, expires_at) = (&self.key, self.seq, self.kind, self.expires_at);
        EntryRef { key, seq, kind, expires_at, value: &self.value }
    }

    /// Whether this entry is what `newer`, an operand, changes.
    fn stands_below(&self, newer: &Entry) -> bool {
        newer.kind == Kind::Merge && self.seq < newer.seq
    }

    /// Whether this entry, which only fills in, is certainly newer than one that counts.
    fn is_newer(&self, counting: &Entry) -> bool {
        if counting.seq == 0 { self.table > counting.table } else { self.seq > counting.seq }
    }
}

/// Tables that do not overlap, in order.
struct Run {
    fs: Fs,
    waiting: VecDeque<Input>,
    reading: Option<Reading>,
    holes: Arc<Holes>,
}

/// A table that is being read.
struct Reading {
    input: Input,
    blocks: Blocks,
    cursor: BlockCursor,
    /// Whether the cursor stands on an entry that was handed out.
    used: bool,
    last: Option<Vec<u8>>,
    entries: u64,
    values: SeparateValues,
}

impl Reading {
    /// Moves to the next entry; `false` behind the last. Makes of each block what the survey made of it.
    fn advance(&mut self) -> Result<bool> {
        if std::mem::replace(&mut self.used, true) && self.cursor.valid() {
            // The whole of the block was walked before.
            let _ = self.cursor.next();
        }
        while !self.cursor.valid() {
            if let Some(block) = self.cursor.block() {
                let mut end = BlockCursor::new();
                end.set_block(block.clone());
                if end.seek_to_last().is_ok() && end.valid() {
                    self.last = Some(end.user_key().to_vec());
                }
            }
            let Some(block) = self.blocks.next_block() else { return Ok(false) };
            if let Ok(block) = block
                && Summary::of(&block, self.last.as_ref()).is_ok()
            {
                self.cursor.set_block(block);
                let _ = self.cursor.seek_to_first();
            }
        }
        self.entries += 1;
        Ok(true)
    }
}

impl Run {
    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let Some(reading) = &mut self.reading else {
                let Some(input) = self.waiting.pop_front() else { return Ok(None) };
                let (blocks, errors) = open(&self.fs, &input.table.path, input.table.identity);
                let Some(blocks) = blocks else {
                    let why = errors.into_iter().next().unwrap_or_default();
                    return Err(crate::base::error::Error::invalid("table", why));
                };
                let (cursor, used, last, entries) = (BlockCursor::new(), false, None, 0);
                let dir = input.table.path.parent().unwrap_or(Path::new(""));
                let store = input.table.properties.as_ref().map_or(0, |properties| properties.store);
                let values = SeparateValues::new(&self.fs, dir, store);
                self.reading = Some(Reading { input, blocks, cursor, used, last, entries, values });
                continue;
            };
            if !reading.advance()? {
                let table = &reading.input.table;
                read_again(&table.path, table.entries, reading.entries, None)?;
                self.reading = None;
                continue;
            }
            let (entry, filling) = (reading.cursor.entry(), reading.input.filling);
            let Ok(separate) = reading.values.load(&entry) else {
                // It is among what the survey has lost.
                reading.entries -= 1;
                continue;
            };
            if filling && !self.holes.contains(entry.key) {
                continue;
            }
            return Ok(Some(Entry {
                key: entry.key.to_vec(),
                seq: entry.seq | reading.input.table.base,
                // The new store separates values anew when it compacts them.
                kind: if separate.is_some() { Kind::Put } else { entry.kind },
                expires_at: entry.expires_at,
                value: separate.unwrap_or_else(|| reading.cursor.value_slice()),
                filling,
                table: reading.input.table.number,
            }));
        }
    }
}

/// The next entry of a run, in a heap.
struct Head {
    entry: Entry,
    run: usize,
}

impl Head {
    /// Keys ascending; of one key the newest first.
    fn order(&self, other: &Head) -> Ordering {
        let (a, b) = (&self.entry, &other.entry);
        let newest = b.seq.cmp(&a.seq).then(a.filling.cmp(&b.filling)).then(b.table.cmp(&a.table));
        a.key.cmp(&b.key).then(newest).then(self.run.cmp(&other.run))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        // The heap has the greatest on top.
        other.order(self)
    }
}

/// The newest entries of each key of several runs, in the order of keys.
pub(super) struct Newest {
    runs: Vec<Run>,
    heads: BinaryHeap<Head>,
}

impl Newest {
    /// Begins to read. Tables are opened when their turn comes, and closed behind their last entry.
    ///
    /// # Errors
    /// A table is not what it was when it was read first.
    pub(super) fn of(fs: &Fs, inputs: Vec<Input>, holes: Holes) -> Result<Newest> {
        let holes = Arc::new(holes);
        let runs = chains(inputs).into_iter();
        let run = |waiting| Run { fs: fs.clone(), waiting, reading: None, holes: holes.clone() };
        let mut newest = Newest { runs: runs.map(run).collect(), heads: BinaryHeap::new() };
        for run in 0..newest.runs.len() {
            newest.refill(run)?;
        }
        Ok(newest)
    }

    fn refill(&mut self, run: usize) -> Result<()> {
        if let Some(entry) = self.runs[run].next()? {
            self.heads.push(Head { entry, run });
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Option<Entry>> {
        let Some(head) = self.heads.pop() else { return Ok(None) };
        self.refill(head.run)?;
        Ok(Some(head.entry))
    }

    /// The newest entry of the next key; if that is an operand, also the older ones down to the first that
    /// is none, newest first.
    ///
    /// An entry that counts and whose sequence number is gone stands in the last level. One that only
    /// fills in cannot be compared with it by its number, and gives way; unless it stands in a table
    /// that was written later, which cannot hold anything older. Nor are operands that count put on top of
    /// what only fills in: it may have been part of them before.
    ///
    /// # Errors
    /// A table is not what it was when it was read first.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        let Some(first) = self.pop()? else { return Ok(None) };
        let (mut counting, mut filling) = (Vec::new(), Vec::new());
        let mut entry = Some(first);
        while let Some(found) = entry.take() {
            let key_ends = self.heads.peek().is_none_or(|head| head.entry.key != found.key);
            let slot = if found.filling { &mut filling } else { &mut counting };
            if slot.last().is_none_or(|last| found.stands_below(last)) {
                slot.push(found);
            }
            if !key_ends {
                entry = self.pop()?;
            }
        }
        Ok(Some(match (counting.first(), filling.first()) {
            (Some(of_counting), Some(of_filling)) if of_filling.is_newer(of_counting) => filling,
            (Some(_), _) => counting,
            (None, _) => filling,
        }))
    }
}

/// Puts tables behind each other as far as they do not overlap, so that few are open at once.
fn chains(mut inputs: Vec<Input>) -> Vec<VecDeque<Input>> {
    inputs.retain(|input| input.table.entries > 0);
    inputs.sort_by(|a, b| a.table.keys.cmp(&b.table.keys));
    let mut chains: Vec<VecDeque<Input>> = Vec::new();
    for input in inputs {
        let first = input.table.keys.as_ref().map(|(first, _)| first);
        let ends_before = |chain: &&mut VecDeque<Input>| {
            chain.back().and_then(|last| last.table.keys.as_ref()).map(|(_, last)| last) < first
        };
        match chains.iter_mut().find(ends_before) {
            Some(chain) => chain.push_back(input),
            None => chains.push(VecDeque::from([input])),
        }
    }
    chains
}
