//! How much of a reply is taken into memory: a small command can ask for very much.

use super::session::Session;
use super::stream::{WHOLE, WHOLE_BYTES};
use crate::base::error::{Error, Result};

/// What is still taken; below zero if there was more.
#[derive(Debug)]
pub(super) struct Budget {
    elements: i64,
    bytes: i64,
}

/// What an element takes besides its bytes.
const ELEMENT_BYTES: i64 = 16;

impl Budget {
    /// Up to so many elements of so many bytes.
    fn new(elements: usize, bytes: usize) -> Budget {
        let bounded = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Budget { elements: bounded(elements), bytes: bounded(bytes) }
    }

    /// Everything.
    pub(super) fn unlimited() -> Budget {
        Budget::new(usize::MAX, usize::MAX)
    }

    /// What of a reply that could be streamed is made whole.
    pub(super) fn whole() -> Budget {
        Budget::new(WHOLE, WHOLE_BYTES)
    }

    /// Counts an element of so many bytes, and says whether more are taken.
    #[inline]
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        self.elements -= 1;
        // A slice has at most as many bytes as an `isize` counts.
        self.bytes -= bytes as i64 + ELEMENT_BYTES;
        !self.is_exceeded()
    }

    /// The same, as an error.
    pub(super) fn take(&mut self, bytes: usize) -> Result<()> {
        self.takes(bytes);
        self.check()
    }

    /// How many elements are still taken.
    pub(super) fn elements(&self) -> u64 {
        u64::try_from(self.elements).unwrap_or(0)
    }

    /// Whether there was more than is taken.
    pub(super) fn is_exceeded(&self) -> bool {
        (self.elements | self.bytes) < 0
    }

    /// The same, as an error.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_exceeded() { Err(Error::REPLY_TOO_LARGE) } else { Ok(()) }
    }
}

impl Session {
    /// What the reply to a command may have.
    pub(super) fn budget(&self) -> Budget {
        Budget::new(usize::MAX, self.most_reply_bytes.saturating_sub(self.replied_bytes))
    }
}
