//! Replies on their way out: those that may be sent, and behind them those that wait for the disk.

use std::collections::VecDeque;
use std::io::{self, Write};

/// Bytes that were sent are taken off the front when there are so many.
const COMPACT_BYTES: usize = 64 << 10;

/// Replies that must not be told before a sequence number is durable.
#[derive(Clone, Copy, Debug)]
struct Held {
    seq: u64,
    /// Behind their last byte.
    end: usize,
    replies: usize,
}

/// The output of a connection: `sent <= released <= bytes.len()`.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    released: usize,
    held: VecDeque<Held>,
}

impl Output {
    /// Where replies are to be appended; [`Output::appended`] must follow.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// So many replies were appended, which depend on `seq`; all up to `durable` is.
    pub(super) fn appended(&mut self, seq: u64, durable: u64, replies: usize) {
        let end = self.bytes.len();
        match self.held.back_mut() {
            // The order of replies is kept: what stands behind one that waits waits, too.
            Some(last) if seq <= last.seq => {
                last.end = end;
                last.replies += replies;
            }
            None if seq <= durable => self.released = end,
            _ => self.held.push_back(Held { seq, end, replies }),
        }
    }

    /// The greatest sequence number that a reply waits for; 0 if none does.
    pub(super) fn waits_for(&self) -> u64 {
        self.held.back().map_or(0, |last| last.seq)
    }

    /// Lets go of what waited for `durable` or less.
    pub(super) fn release(&mut self, durable: u64) {
        while let Some(first) = self.held.front().filter(|first| first.seq <= durable) {
            self.released = first.end;
            self.held.pop_front();
        }
    }

    /// Puts an error in the place of each reply that waits.
    pub(super) fn fail(&mut self, error: &[u8]) {
        let replies: usize = self.held.drain(..).map(|held| held.replies).sum();
        self.bytes.truncate(self.released);
        for _ in 0..replies {
            self.bytes.extend_from_slice(error);
        }
        self.released = self.bytes.len();
    }

    /// Bytes that are not sent.
    pub(super) fn pending(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether bytes are there that could be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.sent < self.released
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Sends what may be sent, as far as it is taken, and returns how much that was. An empty output gives
    /// its memory to `spare`.
    pub(super) fn send(&mut self, to: &mut impl Write, spare: &mut Spare) -> io::Result<usize> {
        let before = self.sent;
        while self.sent < self.released {
            match to.write(&self.bytes[self.sent..self.released]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => self.sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let taken = self.sent - before;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            (self.sent, self.released) = (0, 0);
            spare.give(std::mem::take(&mut self.bytes));
        } else if self.sent >= COMPACT_BYTES && self.sent * 2 >= self.bytes.len() {
            let sent = std::mem::take(&mut self.sent);
            self.bytes.drain(..sent);
            self.released -= sent;
            self.held.iter_mut().for_each(|held| held.end -= sent);
        }
        Ok(taken)
    }

    /// Takes memory to append to, if it has none.
    pub(super) fn prepare(&mut self, spare: &mut Spare) {
        if self.bytes.capacity() == 0 {
            self.bytes = spare.take();
        }
    }
}

/// Empty buffers of a worker, for whoever needs one next.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<Vec<u8>>);

impl Spare {
    const MOST: usize = 64;
    const MOST_BYTES: usize = 64 << 10;

    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, buffer: Vec<u8>) {
        if self.0.len() < Self::MOST && (1..=Self::MOST_BYTES).contains(&buffer.capacity()) {
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(output: &mut Output, text: &str, seq: u64, durable: u64) {
        output.bytes().extend_from_slice(text.as_bytes());
        output.appended(seq, durable, 1);
    }

    fn sent(output: &mut Output) -> String {
        let mut to = Vec::new();
        output.send(&mut to, &mut Spare::default()).unwrap();
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn replies_wait_for_the_disk_in_their_order() {
        let mut output = Output::default();
        push(&mut output, "a", 5, 5);
        push(&mut output, "b", 7, 5);
        push(&mut output, "c", 0, 5);
        push(&mut output, "d", 9, 5);
        assert_eq!((sent(&mut output), output.waits_for()), ("a".into(), 9));
        output.release(6);
        assert_eq!(sent(&mut output), "");
        output.release(7);
        assert_eq!(sent(&mut output), "bc");
        output.release(9);
        assert_eq!((sent(&mut output), output.waits_for(), output.memory()), ("d".into(), 0, 0));
    }

    #[test]
    fn each_reply_that_cannot_be_told_becomes_an_error() {
        let mut output = Output::default();
        push(&mut output, "a", 1, 1);
        push(&mut output, "b", 2, 1);
        push(&mut output, "c", 1, 1);
        output.fail(b"-E\r\n");
        push(&mut output, "d", 1, 1);
        assert_eq!(sent(&mut output), "a-E\r\n-E\r\nd");
    }

    #[test]
    fn what_was_sent_is_forgotten_on_the_way() {
        struct Slow(usize);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let taken = self.0.min(bytes.len());
                self.0 -= taken;
                if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::default();
        push(&mut output, &"x".repeat(100_000), 0, 0);
        push(&mut output, "yz", 3, 0);
        let mut spare = Spare::default();
        assert_eq!(output.send(&mut Slow(80_000), &mut spare).unwrap(), 80_000);
        assert_eq!(output.pending(), 20_002);
        output.release(3);
        assert_eq!(sent(&mut output), format!("{}yz", "x".repeat(20_000)));
    }
}
