//! The batches of one group of the log.

use super::batch::Content;
use crate::base::coding::{Decoder, Malformed};
use crate::base::error::Result;
use crate::base::key::{MAX_SEQ, SeqNum};
use crate::base::sync::Arc;
use crate::fs::OpenFile;
use crate::wal::{Tailed, decode_group};
use std::collections::VecDeque;

/// More than what stands before the operations of a batch takes.
const MOST_BEFORE_OPS: u64 = 32;

/// What of a group has yet to be handed out.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) clock_ms: u64,
    batches: VecDeque<Placed>,
}

/// A batch, and where it stands.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) first_seq: SeqNum,
    pub(super) last_seq: SeqNum,
    pub(super) content: Content,
}

impl Group {
    /// Reads what stands in front of the operations of each batch.
    ///
    /// # Errors
    /// [`Error::Corruption`](crate::Error::Corruption) for what is no group; what reading gives.
    pub(super) fn read(file: &Arc<OpenFile>, tailed: &Tailed<'_>) -> Result<Group> {
        match *tailed {
            Tailed::Group { payload, base } => Group::loaded(file, payload, base),
            Tailed::Long { base, len } => Group::stored(file, base, len),
            Tailed::Next(_) | Tailed::End => Ok(Group::default()),
        }
    }

    fn loaded(file: &Arc<OpenFile>, payload: &[u8], base: u64) -> Result<Group> {
        let wrong = |malformed: Malformed| malformed.in_file(file.path(), base);
        let whole: Arc<[u8]> = payload.into();
        let (header, batches) = decode_group(&whole).map_err(wrong)?;
        let mut group = Group { clock_ms: header.clock_ms, batches: VecDeque::new() };
        for batch in batches {
            let batch = batch.map_err(wrong)?;
            let start = batch.ops.as_ptr() as usize - whole.as_ptr() as usize;
            let (payload, range, file) = (whole.clone(), start..start + batch.ops.len(), file.clone());
            let content = Content::Loaded { payload, range, file, base };
            group.push(batch.first_seq, batch.last_seq(), content);
        }
        Ok(group)
    }

    fn stored(file: &Arc<OpenFile>, base: u64, len: u64) -> Result<Group> {
        let (mut at, end) = (base, base + len);
        let read = |at: u64, most: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; most.min(end - at) as usize];
            file.read_exact_at(&mut bytes, at)?;
            Ok(bytes)
        };
        let bytes = read(at, 16)?;
        let (header, _) = decode_group(&bytes).map_err(|malformed| malformed.in_file(file.path(), at))?;
        let mut group = Group { clock_ms: header.clock_ms, batches: VecDeque::new() };
        at += bytes.len() as u64;
        while at < end {
            let bytes = read(at, MOST_BEFORE_OPS)?;
            let (first_seq, count, from, len) = before_ops(header.first_seq, &bytes, end - at)
                .map_err(|malformed| malformed.in_file(file.path(), at))?;
            let range = at + from..at + from + len;
            at = range.end;
            let content = Content::Stored { file: file.clone(), range };
            group.push(first_seq, (first_seq + count).saturating_sub(1), content);
        }
        Ok(group)
    }

    fn push(&mut self, first_seq: SeqNum, last_seq: SeqNum, content: Content) {
        // A batch of nothing has no place in the order.
        if last_seq >= first_seq {
            self.batches.push_back(Placed { first_seq, last_seq, content });
        }
    }

    /// The next batch.
    pub(super) fn next(&self) -> Option<&Placed> {
        self.batches.front()
    }

    /// Takes the next batch.
    pub(super) fn take(&mut self) -> Option<Placed> {
        self.batches.pop_front()
    }
}

/// What stands before the operations of a batch: its first sequence number, how many it has, how far
/// behind they begin, and their length.
fn before_ops(group_seq: SeqNum, bytes: &[u8], left: u64) -> Result<(SeqNum, u64, u64, u64), Malformed> {
    let mut decoder = Decoder::new(bytes);
    let wrong = decoder.malformed("a batch within its group, with sequence numbers of 56 bits");
    let distance = decoder.varint("the distance of a sequence number")?;
    let count = u64::from(decoder.varint32("a number of operations")?);
    let len = decoder.varint("the length of the operations")?;
    let from = decoder.position() as u64;
    let first_seq = group_seq.checked_add(distance).ok_or(wrong)?;
    if first_seq.saturating_add(count) > MAX_SEQ || len > left.saturating_sub(from) {
        return Err(wrong);
    }
    Ok((first_seq, count, from, len))
}
