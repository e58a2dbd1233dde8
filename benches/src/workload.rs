//! The entries of a bench: 16-byte keys `user%012d`, 100-byte values of which half compresses.

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub const VALUE_BYTES: usize = 100;

/// Keys that differ in their last two bytes alone: the most members that a group has room for.
const GROUP_ROOM: u64 = 100;

/// A key.
pub type Key = [u8; KEY_BYTES];

/// A stream of numbers that follow from `seed` (SplitMix64; Steele, Lea, Flood, 2014).
pub fn rng(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A number of entries, the same at each run.
#[derive(Clone, Debug)]
pub struct Workload {
    seed: u64,
    order: Vec<u32>,
}

impl Workload {
    /// `entries` of them, in an order that follows from `seed`.
    #[must_use]
    pub fn new(entries: u32, seed: u64) -> Workload {
        let mut order: Vec<u32> = (0..entries).collect();
        let mut next = rng(seed);
        for at in (1..order.len()).rev() {
            order.swap(at, (next() % (at as u64 + 1)) as usize);
        }
        Workload { seed, order }
    }

    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.order.len() as u32
    }

    /// The numbers of all entries in random order.
    #[must_use]
    pub fn shuffled(&self) -> &[u32] {
        &self.order
    }

    /// The key of entry `i`. Keys ascend with `i`, and between any two there is room for a missing one.
    #[must_use]
    pub fn key(&self, i: u32) -> Key {
        key_of(2 * u64::from(i))
    }

    /// A key that no entry has, right behind that of entry `i`.
    #[must_use]
    pub fn missing_key(&self, i: u32) -> Key {
        key_of(2 * u64::from(i) + 1)
    }

    /// The value of entry `i` in its `version`: random bytes, then the same bytes again.
    #[must_use]
    pub fn value(&self, i: u32, version: u32) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        self.fill_value(i, version, &mut value);
        value
    }

    /// A value of any length: piece by piece of [`VALUE_BYTES`], each random bytes and then the same again,
    /// so that half of it compresses however fast a codec hurries over what it cannot compress.
    pub fn fill_value(&self, i: u32, version: u32, value: &mut [u8]) {
        let mut next = rng(self.seed ^ u64::from(i) << 32 ^ u64::from(version));
        for piece in value.chunks_mut(VALUE_BYTES) {
            let (first, second) = piece.split_at_mut(piece.len().div_ceil(2));
            for chunk in first.chunks_mut(8) {
                let random = next().to_le_bytes();
                chunk.copy_from_slice(&random[..chunk.len()]);
            }
            second.copy_from_slice(&first[..second.len()]);
        }
    }

    /// The key of entry `i` where `members` of them share all but the last two bytes. Groups ascend with
    /// `i`, and between any two there is room for a missing one.
    #[must_use]
    pub fn grouped_key(&self, i: u32, members: u32) -> Key {
        key_of(2 * GROUP_ROOM * u64::from(i / members) + u64::from(i % members))
    }

    /// The key that entry `i` would have in the missing group right behind its own.
    #[must_use]
    pub fn missing_grouped_key(&self, i: u32, members: u32) -> Key {
        key_of(2 * GROUP_ROOM * u64::from(i / members) + GROUP_ROOM + u64::from(i % members))
    }
}

fn key_of(mut number: u64) -> Key {
    let mut key = *b"user000000000000";
    for digit in key[4..].iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_from_the_seed() {
        let workload = Workload::new(1000, 7);
        assert_eq!(&workload.key(21), b"user000000000042");
        assert_eq!(&workload.missing_key(21), b"user000000000043");
        assert_eq!(workload.shuffled(), Workload::new(1000, 7).shuffled());
        assert_ne!(workload.shuffled(), Workload::new(1000, 8).shuffled());
        let mut all = workload.shuffled().to_vec();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1000));
        assert_ne!(workload.value(1, 0), workload.value(1, 1));
        let value = workload.value(3, 0);
        assert_eq!(value[..50], value[50..]);
    }

    #[test]
    fn long_values_are_pieces_of_which_half_repeats() {
        let workload = Workload::new(10, 7);
        let of = |i, version| {
            let mut value = [0; 4096];
            workload.fill_value(i, version, &mut value);
            value
        };
        let value = of(3, 1);
        assert_eq!(value[..VALUE_BYTES], workload.value(3, 1));
        assert!(value.chunks(VALUE_BYTES).all(|piece| piece[..piece.len() / 2] == piece[piece.len() / 2..]));
        assert_ne!(value[..50], value[100..150]);
        assert!(value != of(3, 2) && value != of(4, 1) && value == of(3, 1));
    }

    #[test]
    fn groups_share_all_but_two_bytes() {
        let workload = Workload::new(10, 7);
        assert_eq!(&workload.grouped_key(29, 10), b"user000000000409");
        assert_eq!(&workload.missing_grouped_key(29, 10), b"user000000000509");
        assert!((0..100).map(|i| workload.grouped_key(i, 10)).is_sorted());
    }
}
