//! How much one command takes into memory: a small command can ask for very much.

use super::handle::Store;
use super::unit::Unit;
use crate::base::error::{Error, Result};
use std::sync::atomic::Ordering;

/// Which limit is met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What a command may hold: [`Store::command_memory`].
    Command,
    /// What a reply may have.
    Reply,
}

/// What is still taken; below zero if there was more.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    elements: i64,
    bytes: i64,
    bound: Bound,
    /// The next element is taken however large it is.
    spares_one: bool,
}

/// About what an element takes besides its bytes: its place in an array, and an allocation of its own.
const ELEMENT_BYTES: i64 = 48;

fn bounded(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Budget {
    /// Up to so many elements of so many bytes.
    #[must_use]
    pub fn new(elements: usize, bytes: usize, bound: Bound) -> Budget {
        Budget { elements: bounded(elements), bytes: bounded(bytes), bound, spares_one: false }
    }

    /// Everything.
    #[must_use]
    pub fn unlimited() -> Budget {
        Budget::new(usize::MAX, usize::MAX, Bound::Command)
    }

    /// No more than so many bytes of a reply either.
    #[must_use]
    pub fn in_reply(self, bytes: usize) -> Budget {
        if bounded(bytes) < self.bytes { Budget::new(usize::MAX, bytes, Bound::Reply) } else { self }
    }

    /// Counts an element of so many bytes, and says whether more are taken.
    #[inline]
    pub fn takes(&mut self, bytes: usize) -> bool {
        self.elements -= 1;
        // A slice has at most as many bytes as an `isize` counts.
        self.bytes -= bytes as i64 + ELEMENT_BYTES;
        if self.spares_one {
            self.spares_one = false;
            self.bytes = self.bytes.max(0);
        }
        !self.is_exceeded()
    }

    /// The same, as an error.
    ///
    /// # Errors
    /// As [`Budget::check`].
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        self.takes(bytes);
        self.check()
    }

    /// How many elements are still taken.
    #[must_use]
    pub fn elements(&self) -> u64 {
        u64::try_from(self.elements).unwrap_or(0)
    }

    /// Whether there was more than is taken.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        (self.elements | self.bytes) < 0
    }

    /// The same, as an error.
    ///
    /// # Errors
    /// [`Error::COMMAND_TOO_LARGE`], [`Error::REPLY_TOO_LARGE`].
    pub fn check(&self) -> Result<()> {
        match self.bound {
            _ if !self.is_exceeded() => Ok(()),
            Bound::Command => Err(Error::COMMAND_TOO_LARGE),
            Bound::Reply => Err(Error::REPLY_TOO_LARGE),
        }
    }
}

impl Unit<'_> {
    /// What a command may take into memory. A single element may be larger.
    #[must_use]
    pub fn memory(&self) -> Budget {
        let bytes = self.store.command_bytes.load(Ordering::Relaxed);
        Budget { spares_one: true, ..Budget::new(usize::MAX, bytes, Bound::Command) }
    }
}

impl Store {
    /// About how many bytes of elements one command, or one typed call, may hold in memory at once:
    /// [`super::Builder::command_memory`], or what was set since.
    #[must_use]
    pub fn command_memory(&self) -> usize {
        self.0.command_bytes.load(Ordering::Relaxed)
    }

    /// Changes [`Store::command_memory`] for all commands that begin from now on; `usize::MAX` for no limit.
    pub fn set_command_memory(&self, bytes: usize) {
        self.0.command_bytes.store(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_element_is_taken_however_large() {
        let mut memory = Budget { spares_one: true, ..Budget::new(usize::MAX, 1000, Bound::Command) };
        assert!(memory.takes(5000) && memory.check().is_ok());
        assert!(!memory.takes(1));
        assert!(memory.check().unwrap_err().is(&Error::COMMAND_TOO_LARGE));
    }

    #[test]
    fn the_lesser_limit_names_itself() {
        for (reply, text) in [(500, Error::REPLY_TOO_LARGE), (2000, Error::COMMAND_TOO_LARGE)] {
            let mut budget = Budget::new(usize::MAX, 1000, Bound::Command).in_reply(reply);
            let refused = (0..).find_map(|_| budget.take(100).err()).unwrap();
            assert!(refused.is(&text), "{refused}");
        }
    }
}
