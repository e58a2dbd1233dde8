//! Where random numbers come from: file identities, history ids, seeded decisions of tests.

use super::sync::{Arc, Mutex};

/// A source of random numbers.
#[derive(Clone, Debug, Default)]
pub enum Random {
    /// The operating system.
    #[default]
    System,
    /// A reproducible sequence, for simulation.
    Seeded(Arc<Mutex<u64>>),
}

impl Random {
    /// A reproducible source.
    #[must_use]
    pub fn seeded(seed: u64) -> Random {
        Random::Seeded(Arc::new(Mutex::new(seed)))
    }

    /// The next 64 random bits.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        match self {
            // The fallback can only be met where the system has no random source at all; an
            // identity must then still differ from file to file.
            Random::System => getrandom::u64().unwrap_or_else(|_| {
                use std::hash::{BuildHasher, RandomState};
                RandomState::new().hash_one(super::clock::Clock::System.monotonic())
            }),
            Random::Seeded(state) => {
                // splitmix64 (Steele, Lea and Flood, 2014).
                let mut state = state.lock();
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut x = *state;
                x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                x ^ (x >> 31)
            }
        }
    }

    /// Makes a reproducible source go on differently, depending on `value`; the system's needs none.
    pub fn stir(&self, value: u64) {
        if let Random::Seeded(state) = self {
            let mut state = state.lock();
            *state = state.rotate_left(17) ^ value.wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
    }

    /// A random number below `bound`, which must not be zero.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "a random number below zero was asked for");
        // The bias of the remainder is far below what any caller could notice.
        self.next_u64() % bound
    }
}
