//! A buffer for one key that needs no allocation for most keys.

use std::fmt;
use std::ops::Deref;

/// Keys up to this length, in bytes, stand in the buffer itself.
const INLINE_BYTES: usize = 56;

/// A key that is put together again and again, as cursors do. It allocates when the first key comes that is
/// longer than 56 bytes, and from then on stays on the heap.
#[derive(Clone)]
pub struct KeyBuffer {
    len: usize,
    inline: [u8; INLINE_BYTES],
    /// Where keys stand once one did not fit; without capacity before that.
    heap: Vec<u8>,
}

impl Default for KeyBuffer {
    fn default() -> Self {
        KeyBuffer { len: 0, inline: [0; INLINE_BYTES], heap: Vec::new() }
    }
}

impl KeyBuffer {
    /// Keeps the first `keep` bytes, at most what there is, and puts `rest` behind them.
    #[inline]
    pub fn replace_from(&mut self, keep: usize, rest: &[u8]) {
        let keep = keep.min(self.len);
        let len = keep + rest.len();
        match self.inline.get_mut(keep..len) {
            Some(room) if self.heap.capacity() == 0 => {
                copy_short(room, rest);
                self.len = len;
            }
            _ => self.replace_on_heap(keep, rest),
        }
    }

    /// Holds a copy of `key`.
    #[inline]
    pub fn set(&mut self, key: &[u8]) {
        self.replace_from(0, key);
    }

    /// Holds the empty key.
    #[inline]
    pub fn clear(&mut self) {
        self.replace_from(0, &[]);
    }

    #[cold]
    fn replace_on_heap(&mut self, keep: usize, rest: &[u8]) {
        if self.heap.capacity() == 0 {
            self.heap.reserve((keep + rest.len()).next_power_of_two());
            self.heap.extend_from_slice(&self.inline[..keep]);
        }
        self.heap.truncate(keep);
        self.heap.extend_from_slice(rest);
        self.len = self.heap.len();
    }
}

/// Copies `from` to `to`, which are of one length, without a call where they are short: with two overlapping
/// words.
#[inline]
fn copy_short(to: &mut [u8], from: &[u8]) {
    match from {
        [] => {}
        [byte] => to[0] = *byte,
        _ if from.len() <= 16 => {
            if let (Some(first), Some(last)) = (from.first_chunk::<8>(), from.last_chunk::<8>()) {
                let end = to.len() - 8;
                to[..8].copy_from_slice(first);
                to[end..].copy_from_slice(last);
            } else {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        }
        _ => to.copy_from_slice(from),
    }
}

impl Deref for KeyBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.heap.capacity() == 0 { &self.inline[..self.len] } else { &self.heap }
    }
}

impl fmt::Debug for KeyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_vector(steps in prop::collection::vec((0usize..120, 0usize..120, any::<u8>()), 1..20)) {
            let (mut buffer, mut model) = (KeyBuffer::default(), Vec::new());
            for (keep, len, byte) in steps {
                let rest = vec![byte; len];
                buffer.replace_from(keep, &rest);
                model.truncate(keep);
                model.extend_from_slice(&rest);
                prop_assert_eq!(&buffer[..], &model[..]);
            }
        }
    }

    #[test]
    fn short_keys_do_not_allocate() {
        let mut buffer = KeyBuffer::default();
        buffer.set(&[7; INLINE_BYTES]);
        buffer.replace_from(INLINE_BYTES - 1, b"x");
        assert_eq!(buffer.heap.capacity(), 0);
        buffer.replace_from(INLINE_BYTES - 1, b"xy");
        buffer.set(b"short");
        assert_eq!(&buffer[..], b"short");
    }
}
