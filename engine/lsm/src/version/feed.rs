//! What of the log is kept for readers of changes, and how far its consumers are, as the manifest has it.
//!
//! # Invariants
//! - All that was logged behind `from`, and all that was ingested, stands in `segments` and in the log that
//!   is being written, each change once and in the order of its sequence number.
//! - Sequence numbers and file numbers of `segments` ascend, sequence numbers of `ended` and `ingests` too.
//! - A segment counts from the edit that names it, and until the edit that moves `from` behind it.

use super::state::History;
use crate::base::checksum::Identity;
use crate::base::coding::{Decoder, Malformed, put_bytes, put_varint};
use crate::base::filename::FileNumber;
use crate::base::key::SeqNum;
use crate::base::limits::MAX_KEY_BYTES;
use crate::base::position::Position;

use super::edit::{file_number, seq_num};

/// So many histories that are over are known; what came before them is let go.
pub const MOST_HISTORIES: usize = 1000;
/// And so many tables that were ingested.
pub const MOST_INGESTS: usize = 10_000;

/// What is kept for readers of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedState {
    /// All changes behind this sequence number can be read.
    pub from: SeqNum,
    /// The histories that are over and in which `from` or something behind it lies, oldest first.
    pub ended: Vec<EndedHistory>,
    /// Segments of the log that the store itself does not need, oldest first.
    pub segments: Vec<KeptSegment>,
    /// Tables that were ingested: the log does not have them.
    pub ingests: Vec<IngestMark>,
}

/// A history that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedHistory {
    /// Its number.
    pub id: u64,
    /// Positions in it up to this sequence number are good: nothing was lost of what was shown up to there.
    pub last_seq: SeqNum,
}

/// A segment of the log that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSegment {
    /// The number in its name.
    pub number: FileNumber,
    /// Its own random number.
    pub identity: Identity,
    /// Where what counts ends in the file. All of it is synced.
    pub end: u64,
    /// The last sequence number in it.
    pub last_seq: SeqNum,
    /// What the file takes, in bytes: some of it may have been set aside and not used.
    pub file_bytes: u64,
    /// Since when it is kept, in milliseconds since the epoch; no record of it is younger.
    pub kept_ms: u64,
}

/// A table that was ingested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestMark {
    /// The sequence number of its entries.
    pub seq: SeqNum,
    /// The column family.
    pub family: u32,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// How many entries it has.
    pub entries: u64,
    /// Its first key.
    pub smallest: Vec<u8>,
    /// Its last key.
    pub largest: Vec<u8>,
}

impl FeedState {
    /// Nothing is asked for any more that lies before `from`.
    pub fn release(&mut self, from: SeqNum) {
        self.from = self.from.max(from);
        let from = self.from;
        self.segments.retain(|segment| segment.last_seq > from);
        self.ingests.retain(|mark| mark.seq > from);
        self.ended.retain(|history| history.last_seq >= from);
    }

    /// The history in which a sequence number was handed out, if `current` is the present one.
    #[must_use]
    pub fn history_of(&self, seq: SeqNum, current: History) -> u64 {
        self.ended.iter().find(|history| history.last_seq >= seq).map_or(current.id, |history| history.id)
    }

    /// The first position from which all changes can be read.
    #[must_use]
    pub fn start(&self, current: History) -> Position {
        Position { history: self.history_of(self.from, current), seq: self.from }
    }

    /// Whether all changes behind a position can be read; `newest` is the last number that was handed out.
    #[must_use]
    pub fn can_follow(&self, asked: Position, current: History, newest: SeqNum) -> bool {
        let last = match self.ended.iter().find(|history| history.id == asked.history) {
            Some(ended) => ended.last_seq,
            None if asked.history == current.id => newest,
            None => return false,
        };
        (self.from..=last).contains(&asked.seq)
    }

    /// The bytes of the files of segments that are kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| segment.file_bytes.saturating_add(sum))
    }

    /// Whether a segment is kept.
    #[must_use]
    pub fn keeps(&self, number: FileNumber) -> bool {
        self.segments.iter().any(|segment| segment.number == number)
    }

    pub(super) fn end_history(&mut self, ended: EndedHistory) -> Result<(), String> {
        if self.ended.last().is_some_and(|before| before.last_seq > ended.last_seq) {
            return Err(format!("a history that ends at {} behind a later one", ended.last_seq));
        }
        self.ended.push(ended);
        Ok(())
    }

    pub(super) fn keep(&mut self, segment: KeptSegment) -> Result<(), String> {
        let before = self.segments.last().map_or((0, self.from), |last| (last.number, last.last_seq));
        if segment.number <= before.0 || segment.last_seq <= before.1 {
            return Err(format!("segment {} is kept behind a later one", segment.number));
        }
        self.segments.push(segment);
        Ok(())
    }

    pub(super) fn note_ingest(&mut self, mark: &IngestMark) -> Result<(), String> {
        if mark.seq <= self.ingests.last().map_or(self.from, |last| last.seq) {
            return Err(format!("an ingested table at {} behind a later one", mark.seq));
        }
        self.ingests.push(mark.clone());
        Ok(())
    }
}

impl EndedHistory {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        put_varint(out, self.last_seq);
    }

    pub(super) fn decode(bytes: &mut Decoder<'_>) -> Result<EndedHistory, Malformed> {
        Ok(EndedHistory { id: bytes.fixed64("a history's number")?, last_seq: seq_num(bytes)? })
    }
}

impl KeptSegment {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.number);
        out.extend_from_slice(&self.identity.to_le_bytes());
        [self.end, self.last_seq, self.file_bytes, self.kept_ms]
            .into_iter()
            .for_each(|number| put_varint(out, number));
    }

    pub(super) fn decode(bytes: &mut Decoder<'_>) -> Result<KeptSegment, Malformed> {
        Ok(KeptSegment {
            number: file_number(bytes)?,
            identity: bytes.fixed64("a segment's identity")?,
            end: bytes.varint("the end of a segment")?,
            last_seq: seq_num(bytes)?,
            file_bytes: bytes.varint("the size of a segment")?,
            kept_ms: bytes.varint("a time")?,
        })
    }
}

impl IngestMark {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [self.seq, u64::from(self.family), self.at_ms, self.entries];
        numbers.into_iter().for_each(|number| put_varint(out, number));
        put_bytes(out, &self.smallest);
        put_bytes(out, &self.largest);
    }

    pub(super) fn decode(bytes: &mut Decoder<'_>) -> Result<IngestMark, Malformed> {
        let wrong = bytes.malformed("the first and last key of an ingested table");
        let mark = IngestMark {
            seq: seq_num(bytes)?,
            family: bytes.varint32("a family's number")?,
            at_ms: bytes.varint("a time")?,
            entries: bytes.varint("a number of entries")?,
            smallest: bytes.bytes("a key")?.to_vec(),
            largest: bytes.bytes("a key")?.to_vec(),
        };
        let sound =
            mark.smallest <= mark.largest && mark.smallest.len().max(mark.largest.len()) <= MAX_KEY_BYTES;
        if sound { Ok(mark) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: History = History { id: 3, first_seq: 1001 };

    fn segment(number: FileNumber, last_seq: SeqNum) -> KeptSegment {
        KeptSegment { number, identity: number, end: 100, last_seq, file_bytes: 128, kept_ms: 5 }
    }

    fn state() -> FeedState {
        let mut state = FeedState { from: 10, ..FeedState::default() };
        state.end_history(EndedHistory { id: 1, last_seq: 500 }).unwrap();
        state.end_history(EndedHistory { id: 2, last_seq: 1000 }).unwrap();
        for kept in [segment(4, 20), segment(6, 40), segment(9, 700)] {
            state.keep(kept).unwrap();
        }
        let mark =
            |seq| IngestMark { seq, family: 0, at_ms: 1, entries: 1, smallest: vec![], largest: vec![1] };
        state.note_ingest(&mark(30)).unwrap();
        state.note_ingest(&mark(800)).unwrap();
        state
    }

    #[test]
    fn what_was_let_go_is_forgotten_with_its_history() {
        let mut state = state();
        assert_eq!(state.start(CURRENT), Position { history: 1, seq: 10 });
        state.release(40);
        assert_eq!(state.start(CURRENT), Position { history: 1, seq: 40 });
        assert!(state.keeps(9) && !state.keeps(6) && state.ingests.len() == 1);
        state.release(700);
        assert_eq!((state.start(CURRENT), state.ended.len()), (Position { history: 2, seq: 700 }, 1));
        state.release(3);
        assert_eq!(state.from, 700, "it never goes back");
        state.release(2000);
        assert_eq!(state, FeedState { from: 2000, ..FeedState::default() });
        assert_eq!(state.start(CURRENT), Position { history: 3, seq: 2000 });
    }

    #[test]
    fn a_position_is_followed_within_what_its_history_has_left() {
        let state = state();
        let can = |history, seq| state.can_follow(Position { history, seq }, CURRENT, 1200);
        assert!(can(1, 10) && can(1, 500) && can(2, 1000) && can(3, 1001) && can(3, 1200));
        assert!(!can(1, 9), "it is gone");
        assert!(!can(1, 501) && !can(2, 1001), "what was shown behind the end was lost");
        assert!(!can(3, 1201), "nobody was shown that");
        assert!(!can(4, 100), "another store's");
    }

    #[test]
    fn what_does_not_ascend_is_refused() {
        let mut state = state();
        assert!(state.keep(segment(9, 900)).is_err() && state.keep(segment(12, 700)).is_err());
        assert!(state.end_history(EndedHistory { id: 5, last_seq: 999 }).is_err());
        let mark =
            IngestMark { seq: 800, family: 0, at_ms: 1, entries: 1, smallest: vec![], largest: vec![] };
        assert!(state.note_ingest(&mark).is_err());
    }
}
