//! Values that can be made again: each begins with a stamp of the operation that wrote it, and the rest
//! follows from the stamp, the key and the seed.

use std::fmt;

/// The size of a stamp. Shorter values follow from the key and their length alone.
pub const STAMP_BYTES: usize = 16;

/// Where an operation stands in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The round: one process from its start to its end.
    pub round: u32,
    /// The writer.
    pub writer: u8,
    /// The number of its commit within the round.
    pub commit: u32,
    /// The number of the operation within the commit.
    pub operation: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { round, writer, commit, operation } = self;
        write!(f, "operation {operation} of commit {commit} of writer {writer} in round {round}")
    }
}

/// What is known of a value, instead of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A value with a stamp, and with the bytes that follow from it.
    Stamped {
        /// Who wrote it.
        origin: Origin,
        /// Its size in bytes.
        len: u32,
    },
    /// A value too short for a stamp, with the bytes that follow from its length.
    Short {
        /// Its size in bytes.
        len: u32,
    },
    /// Bytes that were never written for this key.
    Foreign {
        /// The size of the value in bytes.
        len: usize,
        /// The first of them that is wrong.
        at: usize,
    },
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Stamped { origin, len } => write!(f, "{len} bytes by {origin}"),
            Mark::Short { len } => write!(f, "{len} bytes without a stamp"),
            Mark::Foreign { len, at } => {
                write!(f, "{len} bytes that were never written so, wrong from byte {at} on")
            }
        }
    }
}

/// The mark of the value of `len` bytes that an operation writes.
#[must_use]
pub fn mark(origin: Origin, len: u32) -> Mark {
    if len as usize >= STAMP_BYTES { Mark::Stamped { origin, len } } else { Mark::Short { len } }
}

/// The value that an operation writes.
#[must_use]
pub fn value(seed: u64, key: &[u8], origin: Origin, len: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(len as usize + 8);
    if len as usize >= STAMP_BYTES {
        value.extend(origin.round.to_be_bytes());
        value.extend(origin.commit.to_be_bytes());
        value.extend(origin.operation.to_be_bytes());
        value.extend([origin.writer, 0]);
        value.extend(len.to_be_bytes());
    }
    let mut state = start(seed, key, &value, len);
    while value.len() < len as usize {
        // Every other word is constant, so that there is something to compress.
        state = mix(state);
        value.extend(state.to_le_bytes());
        value.extend(*b"esker   ");
    }
    value.truncate(len as usize);
    value
}

/// Reads what a value is.
#[must_use]
pub fn read(seed: u64, key: &[u8], bytes: &[u8]) -> Mark {
    let (origin, len) = match stamp(bytes) {
        Some(stamp) => stamp,
        None if bytes.len() >= STAMP_BYTES => return Mark::Foreign { len: bytes.len(), at: 0 },
        None => (Origin { round: 0, writer: 0, commit: 0, operation: 0 }, bytes.len() as u32),
    };
    let expected = value(seed, key, origin, len);
    match expected.iter().zip(bytes).position(|(a, b)| a != b) {
        Some(at) => Mark::Foreign { len: bytes.len(), at },
        None => mark(origin, len),
    }
}

/// The stamp of a value, if its length is the value's.
fn stamp(bytes: &[u8]) -> Option<(Origin, u32)> {
    let (stamp, _) = bytes.split_first_chunk::<STAMP_BYTES>()?;
    let [a, b, c, d, e, f, g, h, i, j, writer, 0, l, m, n, o] = *stamp else { return None };
    let origin = Origin {
        round: u32::from_be_bytes([a, b, c, d]),
        writer,
        commit: u32::from_be_bytes([e, f, g, h]),
        operation: u16::from_be_bytes([i, j]),
    };
    let len = u32::from_be_bytes([l, m, n, o]);
    (len as usize == bytes.len()).then_some((origin, len))
}

fn start(seed: u64, key: &[u8], stamp: &[u8], len: u32) -> u64 {
    let word = |state: u64, chunk: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        mix(state ^ u64::from_le_bytes(bytes))
    };
    let state = mix(seed ^ u64::from(len));
    let state = key.chunks(8).fold(state, word);
    stamp.chunks(8).fold(state, word)
}

/// One step of splitmix64 (Steele, Lea and Flood, 2014).
#[must_use]
pub fn mix(state: u64) -> u64 {
    let x = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { round: 1, writer: 1, commit: 77, operation: 3 };

    #[test]
    fn a_value_tells_who_wrote_it() {
        for len in [16, 17, 24, 1000, 1 << 20] {
            let bytes = value(5, b"key", ORIGIN, len);
            assert_eq!(bytes.len(), len as usize);
            assert_eq!(read(5, b"key", &bytes), Mark::Stamped { origin: ORIGIN, len });
        }
        for len in 0..16 {
            let bytes = value(5, b"key", ORIGIN, len);
            assert_eq!(read(5, b"key", &bytes), Mark::Short { len });
            assert_eq!(mark(ORIGIN, len), Mark::Short { len });
        }
    }

    #[test]
    fn bytes_that_were_never_written_are_noticed() {
        let bytes = value(5, b"key", ORIGIN, 100);
        assert!(matches!(read(5, b"other", &bytes), Mark::Foreign { len: 100, .. }));
        assert!(matches!(read(6, b"key", &bytes), Mark::Foreign { .. }));
        assert!(matches!(read(5, b"key", &bytes[..99]), Mark::Foreign { at: 0, .. }));
        let mut flipped = bytes.clone();
        flipped[40] ^= 1;
        assert_eq!(read(5, b"key", &flipped), Mark::Foreign { len: 100, at: 40 });
        assert!(matches!(read(5, b"key", &[0; 100]), Mark::Foreign { .. }));
    }
}
