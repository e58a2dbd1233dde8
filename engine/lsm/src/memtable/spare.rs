//! Memory of memtables that were dropped, for those to come: what the system hands out anew it clears first,
//! which costs as much as copying a value there.

use super::arena::Chunk;
use crate::base::sync::{Arc, Mutex};
use std::fmt;
use std::time::Duration;

/// After so long without a memtable that grows, the memory goes back to the system.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// Chunks that the memtables of a store leave to each other.
pub struct Spare(Mutex<State>);

#[derive(Default)]
struct State {
    chunks: Vec<Chunk>,
    bytes: usize,
    most_bytes: usize,
    was_used: bool,
    /// When it was last found used.
    used_at: Duration,
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spare").field(&self.bytes()).finish()
    }
}

impl Spare {
    /// Keeps up to so many bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Arc<Spare> {
        Arc::new(Spare(Mutex::new(State { most_bytes, ..State::default() })))
    }

    /// Changes how much is kept.
    pub fn set_most_bytes(&self, most_bytes: usize) {
        let mut state = self.0.lock();
        state.most_bytes = most_bytes;
        if state.bytes > most_bytes {
            state.clear();
        }
    }

    /// What it holds, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// Gives all back to the system once nobody has wanted any of it for a while. Called now and then, with
    /// the time of a clock that only goes on.
    pub fn tidy(&self, now: Duration) {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.was_used) {
            state.used_at = now;
        } else if now.saturating_sub(state.used_at) >= KEPT_FOR {
            state.clear();
        }
    }

    pub(super) fn take(&self) -> Option<Chunk> {
        let mut state = self.0.lock();
        state.was_used = true;
        let chunk = state.chunks.pop()?;
        state.bytes -= chunk.bytes();
        Some(chunk)
    }

    pub(super) fn give(&self, chunk: Chunk) {
        let mut state = self.0.lock();
        if state.bytes + chunk.bytes() <= state.most_bytes {
            state.bytes += chunk.bytes();
            state.chunks.push(chunk);
        }
    }
}

impl State {
    fn clear(&mut self) {
        self.chunks = Vec::new();
        self.bytes = 0;
    }
}
