//! Hashes: the keyed one that orders keys and elements, and Redis Cluster's of a key's slot.

/// The secret of a store that makes the order of its elements unpredictable from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(u64, u64);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl HashKey {
    /// From the 16 bytes that the store keeps.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> HashKey {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        HashKey(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest))
    }

    /// SipHash-1-3 of `bytes` (Aumasson and Bernstein, 2012, with one and three rounds). Positions on disk
    /// depend on it: it must never change.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let mut state = [
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            absorb(&mut state, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = bytes.len() as u8;
        absorb(&mut state, u64::from_le_bytes(last));
        state[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut state);
        }
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }

    /// The upper 53 bits of the hash: a number that every client can hold exactly.
    #[must_use]
    pub fn hash53(self, bytes: &[u8]) -> u64 {
        self.hash(bytes) >> 11
    }
}

fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

/// How many slots there are.
pub const SLOTS: usize = 1 << 14;

/// The slot of a key, as in Redis Cluster: CRC16/XMODEM of what stands between the first `{` and the next
/// `}`, if that is not empty, otherwise of the whole key.
#[must_use]
pub fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|&byte| byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) & (SLOTS as u16 - 1)
}

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") & 16383);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    /// The standard library's hasher of no key is SipHash-1-3 with a key of zeros.
    #[test]
    #[allow(deprecated)]
    fn the_keyed_hash_is_siphash() {
        use std::hash::Hasher;
        let bytes: Vec<u8> = (0..40).collect();
        for len in 0..bytes.len() {
            let mut oracle = std::hash::DefaultHasher::new();
            oracle.write(&bytes[..len]);
            assert_eq!(HashKey::new([0; 16]).hash(&bytes[..len]), oracle.finish(), "{len}");
        }
        assert_ne!(HashKey::new([1; 16]).hash(b"a"), HashKey::new([0; 16]).hash(b"a"));
        assert!(HashKey::new([3; 16]).hash53(b"a") < 1 << 53);
    }
}
