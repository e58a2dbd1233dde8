//! The parser of commands.
//!
//! It looks at a buffer of which more may follow, and remembers what it has understood of the command that
//! is not complete: each byte is looked at once, however it is cut into pieces. Arguments are places in the
//! buffer, nothing is copied. A declared length reserves nothing: what grows is the buffer, by what has
//! arrived, and the list of places, by 16 bytes for each argument that did.
//!
//! What is right and what is wrong follows Redis 7 (`processMultibulkBuffer`, `processInlineBuffer` in its
//! `networking.c`): so the two bytes behind an argument may be any, and a count of 0 or less is no command.

use super::inline;
use esker_structures::base::number::parse_i64;
use std::fmt;
use std::ops::Range;

/// The most elements that a command may have.
pub const MAX_ELEMENTS: i64 = 1 << 20;
/// The longest inline command, and the longest line with a length, in bytes.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Limits that can be changed while the server runs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest argument, in bytes.
    pub bulk_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bulk_bytes: 512 << 20 }
    }
}

/// Bytes that are no command. The connection cannot be understood any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A line that does not end.
    InlineTooLong,
    /// The line with the number of elements does not end.
    CountTooLong,
    /// The line with the length of an argument does not end.
    LengthTooLong,
    /// A number of elements that is none, or too large.
    Count,
    /// A length that is none, or too large.
    Length,
    /// Another byte where the length of an argument should begin.
    Expected(u8),
    /// Quotes in an inline command that do not match.
    Quotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ERR Protocol error: ")?;
        match self {
            ProtocolError::InlineTooLong => f.write_str("too big inline request"),
            ProtocolError::CountTooLong => f.write_str("too big mbulk count string"),
            ProtocolError::LengthTooLong => f.write_str("too big bulk count string"),
            ProtocolError::Count => f.write_str("invalid multibulk length"),
            ProtocolError::Length => f.write_str("invalid bulk length"),
            ProtocolError::Expected(byte) => write!(f, "expected '$', got '{}'", char::from(*byte)),
            ProtocolError::Quotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

/// Complete commands: places in the buffer.
#[derive(Debug, Default)]
pub struct Commands {
    args: Vec<Range<usize>>,
    /// Of each command: behind its last argument, and behind its last byte.
    ends: Vec<(usize, usize)>,
}

impl Commands {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The arguments of command `number`; none if there is no such command.
    #[must_use]
    pub fn args(&self, number: usize) -> &[Range<usize>] {
        let end = |number: usize| self.ends.get(number).map(|end| end.0);
        let start = number.checked_sub(1).and_then(end).unwrap_or(0);
        let end = end(number).unwrap_or(start);
        self.args.get(start..end).unwrap_or_default()
    }

    /// How many bytes the first `count` commands take; there must be so many.
    #[must_use]
    pub fn bytes(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| end.1)
    }

    /// Forgets all; keeps memory for as many as a usual pipeline has.
    pub fn clear(&mut self) {
        self.args.clear();
        self.ends.clear();
        self.args.shrink_to(8 << 10);
        self.ends.shrink_to(8 << 10);
    }

    fn push(&mut self, args: impl IntoIterator<Item = Range<usize>>, end: usize) {
        self.args.extend(args);
        self.ends.push((self.args.len(), end));
    }
}

/// What is known of a command that is not complete.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments that still lack; 0 between commands.
    missing: usize,
    /// The length of the argument that lacks next, if its line was there.
    length: Option<usize>,
    /// The arguments that are there; places counted from the first byte of the command.
    args: Vec<Range<usize>>,
    /// How far the command was looked at, counted likewise: to here it is understood ...
    at: usize,
    /// ... and to here there is no end of a line.
    searched: usize,
}

/// What a step finds.
enum Step {
    /// The command is complete; it ends here.
    Done(usize),
    /// Bytes lack.
    More,
}

impl Parser {
    /// Takes complete commands off the buffer, appends them to `commands`, and returns how many bytes they
    /// took: what stands behind is to be given again, at the start of the buffer, with more behind it. Stops
    /// when there are `most` commands, and before and behind an inline one. Whoever takes fewer begins with a
    /// new parser behind them ([`Commands::bytes`]).
    ///
    /// # Errors
    /// The bytes behind the last command are none.
    pub fn take(
        &mut self,
        buffer: &mut [u8],
        limits: Limits,
        most: usize,
        commands: &mut Commands,
    ) -> (usize, Result<(), ProtocolError>) {
        let mut start = 0;
        while start < buffer.len() && commands.len() < most {
            // An inline command is decoded in its place, so that it cannot be given back: it comes alone.
            let inline = self.missing == 0 && buffer[start] != b'*';
            if inline && !commands.is_empty() {
                break;
            }
            match self.step(&mut buffer[start..], start, limits, commands) {
                Ok(Step::Done(end)) => {
                    start += end;
                    (self.at, self.searched) = (0, 0);
                    if inline && !commands.is_empty() {
                        break;
                    }
                }
                Ok(Step::More) => break,
                Err(error) => return (start, Err(error)),
            }
        }
        (start, Ok(()))
    }

    /// Whether nothing is known of the next command yet.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.at == 0 && self.missing == 0
    }

    /// The memory that the unfinished command takes beside its bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.args.capacity() * size_of::<Range<usize>>()
    }

    /// How long the unfinished argument is said to be: no promise that it ever comes.
    #[must_use]
    pub fn expects(&self) -> usize {
        self.length.unwrap_or(0)
    }

    fn step(
        &mut self,
        text: &mut [u8],
        start: usize,
        limits: Limits,
        commands: &mut Commands,
    ) -> Result<Step, ProtocolError> {
        if self.missing == 0 {
            if text[0] != b'*' {
                return self.inline(text, start, commands);
            }
            let Some(line) = self.line(text, ProtocolError::CountTooLong)? else { return Ok(Step::More) };
            let count = parse_i64(&text[1..line.end]).filter(|count| *count <= MAX_ELEMENTS);
            let count = count.ok_or(ProtocolError::Count)?;
            if count <= 0 {
                return Ok(Step::Done(self.at));
            }
            self.missing = usize::try_from(count).map_err(|_| ProtocolError::Count)?;
        }
        while self.missing > 0 {
            let length = match self.length {
                Some(length) => length,
                None => {
                    // Without a whole line the first byte is not looked at, as in Redis.
                    let line = self.line(text, ProtocolError::LengthTooLong)?;
                    let Some(line) = line else { return Ok(Step::More) };
                    match text.get(line.start) {
                        Some(b'$') => {}
                        other => return Err(ProtocolError::Expected(other.copied().unwrap_or(b'\r'))),
                    }
                    let length = parse_i64(&text[line.start + 1..line.end]);
                    let length = length.and_then(|length| usize::try_from(length).ok());
                    let length = length.filter(|length| *length <= limits.bulk_bytes);
                    *self.length.insert(length.ok_or(ProtocolError::Length)?)
                }
            };
            if text.len() - self.at < length + 2 {
                return Ok(Step::More);
            }
            self.args.push(self.at..self.at + length);
            self.at += length + 2;
            self.searched = self.at;
            self.length = None;
            self.missing -= 1;
        }
        let args = self.args.drain(..).map(|place| place.start + start..place.end + start);
        commands.push(args, start + self.at);
        // A command of a million arguments does not leave its list behind.
        self.args.shrink_to(64);
        Ok(Step::Done(self.at))
    }

    /// The next line, to its `\r`; `at` is then behind it and the byte that follows.
    fn line(&mut self, text: &[u8], too_long: ProtocolError) -> Result<Option<Range<usize>>, ProtocolError> {
        let rest = text.get(self.searched..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
            self.searched = text.len();
            return if text.len() - self.at > MAX_LINE_BYTES { Err(too_long) } else { Ok(None) };
        };
        let end = self.searched + end;
        if end + 2 > text.len() {
            self.searched = end;
            return Ok(None);
        }
        let line = self.at..end;
        (self.at, self.searched) = (end + 2, end + 2);
        Ok(Some(line))
    }

    fn inline(
        &mut self,
        text: &mut [u8],
        start: usize,
        commands: &mut Commands,
    ) -> Result<Step, ProtocolError> {
        let rest = text.get(self.searched..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = text.len();
            let too_long = text.len() > MAX_LINE_BYTES;
            return if too_long { Err(ProtocolError::InlineTooLong) } else { Ok(Step::More) };
        };
        let end = self.searched + end;
        if end > MAX_LINE_BYTES {
            return Err(ProtocolError::InlineTooLong);
        }
        let line = text[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
        let args = &mut self.args;
        inline::split(&mut text[..line], |word| args.push(word)).map_err(|_| ProtocolError::Quotes)?;
        if !self.args.is_empty() {
            let args = self.args.drain(..).map(|place| place.start + start..place.end + start);
            commands.push(args, start + end + 1);
        }
        Ok(Step::Done(end + 1))
    }
}
