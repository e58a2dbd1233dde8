//! The groups of the log as a reader decodes them.

use super::batch::{ChangeBatch, Content};
use super::group::Group;
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::fs::{Fs, OpenFile, SimFs};
use crate::wal::{GroupHeader, LoggedBatch, Tailed, begin_group, push_batch};
use proptest::prelude::*;
use std::path::Path;

const BASE: u64 = 96;

/// A file in which a payload stands at [`BASE`].
fn file(payload: &[u8]) -> Arc<OpenFile> {
    let sim = SimFs::new();
    let path = Path::new("/000001.log");
    sim.write_raw(path, &[&[0; BASE as usize], payload].concat()).unwrap();
    Arc::new(Fs::Sim(sim).open(path).unwrap())
}

/// A group of two batches: three operations from 7 on, and one at 20.
fn payload() -> Vec<u8> {
    let (mut first, mut second) = (WriteBatch::new(), WriteBatch::new());
    first.push_put(1, 0, b"a", &[b'v'; 400]);
    first.push_delete(1, 5, b"b");
    first.push_put(1, 9, b"c", b"");
    second.push_put(1, 0, b"d", b"w");
    let (mut out, header) = (Vec::new(), GroupHeader { first_seq: 7, clock_ms: 99 });
    begin_group(&mut out, header);
    push_batch(&mut out, header, LoggedBatch { first_seq: 7, count: 3, ops: first.encoded() });
    push_batch(&mut out, header, LoggedBatch { first_seq: 20, count: 1, ops: second.encoded() });
    out
}

fn group(payload: &[u8], is_long: bool) -> Result<Group> {
    let tailed = match is_long {
        true => Tailed::Long { base: BASE, len: payload.len() as u64 },
        false => Tailed::Group { payload, base: BASE },
    };
    Group::read(&file(payload), &tailed)
}

/// Everything in a group as words; the first error.
fn words(payload: &[u8], is_long: bool, hidden: Option<u32>) -> Result<Vec<String>> {
    let (mut group, mut all) = (group(payload, is_long)?, Vec::new());
    while let Some(placed) = group.take() {
        let batch = ChangeBatch {
            history: 1,
            first_seq: placed.first_seq,
            last_seq: placed.last_seq,
            clock_ms: group.clock_ms,
            missing: 0,
            content: placed.content,
            names: Arc::default(),
            hidden,
        };
        let mut operations = batch.operations();
        while let Some(change) = operations.next()? {
            all.push(
                format!("{} {} {:?}", change.seq, change.family_id, change.operation)
                    .chars()
                    .take(30)
                    .collect(),
            );
        }
        assert!(operations.next()?.is_none(), "the end stays the end");
    }
    Ok(all)
}

#[test]
fn a_group_in_memory_and_one_in_the_file_are_walked_alike() {
    for hidden in [None, Some(5), Some(0)] {
        let loaded = words(&payload(), false, hidden).unwrap();
        assert_eq!(words(&payload(), true, hidden).unwrap(), loaded);
        let expected: &[&str] = match hidden {
            None => &["7 0", "8 5", "9 9", "20 0"],
            Some(5) => &["7 0", "9 9", "20 0"],
            _ => &["8 5", "9 9"],
        };
        assert_eq!(loaded.len(), expected.len());
        assert!(loaded.iter().zip(expected).all(|(word, begins)| word.starts_with(begins)), "{loaded:?}");
    }
}

/// A batch that says another number of operations than it has is refused, wherever it stands.
#[test]
fn a_batch_that_is_miscounted_is_damage() {
    let mut ops = WriteBatch::new();
    ops.push_put(1, 0, b"a", b"v");
    ops.push_put(1, 0, b"b", b"v");
    for count in [1, 3] {
        let (mut out, header) = (Vec::new(), GroupHeader { first_seq: 7, clock_ms: 99 });
        begin_group(&mut out, header);
        push_batch(&mut out, header, LoggedBatch { first_seq: 7, count, ops: ops.encoded() });
        for is_long in [false, true] {
            assert!(matches!(words(&out, is_long, None), Err(Error::Corruption(_))), "{count}, {is_long}");
        }
    }
}

#[test]
fn what_is_long_is_not_held() {
    let mut long = group(&payload(), true).unwrap();
    assert!(matches!(long.take().unwrap().content, Content::Stored { .. }));
}

proptest! {
    /// The same verdict on any bytes, however they are read, and no panic.
    #[test]
    fn any_bytes_are_judged_alike(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        at in 0usize..400,
        flip in 1u8..255,
        arbitrary: bool,
    ) {
        let mut payload = payload();
        let at = at % payload.len();
        payload[at] ^= flip;
        let payload = if arbitrary { bytes } else { payload };
        let (loaded, stored) = (words(&payload, false, None), words(&payload, true, None));
        prop_assert_eq!(loaded.is_ok(), stored.is_ok());
        if let (Ok(loaded), Ok(stored)) = (loaded, stored) {
            prop_assert_eq!(loaded, stored);
        }
    }
}
