//! Replies, and their bytes on the wire (RESP2 and RESP3 as in the protocol's specification).

use crate::base::error::Error;
use crate::base::number::{format_f64, put_i64};

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, with which every connection begins.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A word.
    Simple(&'static str),
    /// An error, its kind first.
    Error(String),
    /// The same with a text that quotes bytes which are no UTF-8.
    ErrorBytes(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// No value.
    Null,
    /// No array.
    NullArray,
    /// Several replies in order.
    Array(Vec<Reply>),
    /// Byte strings in order, for [`super::Session::streams`].
    Bulks(Bulks),
    /// Pairs; in RESP2 an array of twice the length.
    Map(Vec<(Reply, Reply)>),
    /// Replies without an order; in RESP2 an array.
    Set(Vec<Reply>),
    /// A number; in RESP2 its text.
    Double(f64),
    /// True or false; in RESP2 1 or 0.
    Boolean(bool),
    /// Text for people; in RESP2 bytes.
    Verbatim(String),
    /// What comes without being asked for; in RESP2 an array.
    Push(Vec<Reply>),
}

/// Byte strings as an array of them goes over the wire, in either protocol: one allocation for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bulks {
    count: usize,
    encoded: Vec<u8>,
}

impl Bulks {
    /// None yet, with room for so many bytes on the wire.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Bulks {
        Bulks { count: 0, encoded: Vec::with_capacity(bytes) }
    }

    /// Appends a byte string.
    pub fn push(&mut self, bytes: &[u8]) {
        self.count += 1;
        bulk(&mut self.encoded, bytes);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Reply {
    /// `OK`.
    pub const OK: Reply = Reply::Simple("OK");

    /// 1 or 0.
    #[must_use]
    pub fn flag(yes: bool) -> Reply {
        Reply::Integer(i64::from(yes))
    }

    /// A number of things.
    #[must_use]
    pub fn count(count: u64) -> Reply {
        Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Bytes, or no value.
    #[must_use]
    pub fn bulk_or_null<B: Into<Vec<u8>>>(bytes: Option<B>) -> Reply {
        bytes.map_or(Reply::Null, |bytes| Reply::Bulk(bytes.into()))
    }

    /// An array of byte strings.
    #[must_use]
    pub fn bulks<B: Into<Vec<u8>>>(items: impl IntoIterator<Item = B>) -> Reply {
        Reply::Array(items.into_iter().map(|item| Reply::Bulk(item.into())).collect())
    }

    /// Appends bytes as [`Reply::Bulk`] goes over the wire, without having one.
    pub(super) fn put_bulk(bytes: &[u8], out: &mut Vec<u8>) {
        bulk(out, bytes);
    }

    /// Whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_) | Reply::ErrorBytes(_))
    }

    /// About how many bytes it has.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        16 + match self {
            Reply::Error(text) | Reply::Verbatim(text) => text.len(),
            Reply::Bulk(bytes) | Reply::ErrorBytes(bytes) => bytes.len(),
            Reply::Bulks(bulks) => bulks.encoded.len(),
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
                items.iter().map(Reply::size_bytes).sum()
            }
            Reply::Map(pairs) => pairs.iter().map(|(key, value)| key.size_bytes() + value.size_bytes()).sum(),
            _ => 0,
        }
    }

    /// Appends the reply as it goes over the wire.
    ///
    /// ```
    /// use esker_structures::command::{Protocol, Reply};
    /// let mut bytes = Vec::new();
    /// Reply::Array(vec![Reply::Integer(1), Reply::Null]).encode(Protocol::Resp2, &mut bytes);
    /// assert_eq!(bytes, b"*2\r\n:1\r\n$-1\r\n");
    /// ```
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let three = protocol == Protocol::Resp3;
        match self {
            Reply::Simple(text) => line(out, b'+', text.as_bytes()),
            Reply::Error(text) => error_line(out, text.as_bytes()),
            Reply::ErrorBytes(text) => error_line(out, text),
            Reply::Integer(value) => number(out, b':', *value),
            Reply::Bulk(bytes) => bulk(out, bytes),
            Reply::Null | Reply::NullArray if three => out.extend_from_slice(b"_\r\n"),
            Reply::Null => out.extend_from_slice(b"$-1\r\n"),
            Reply::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Reply::Array(items) => many(out, b'*', items, protocol),
            Reply::Bulks(bulks) => {
                number(out, b'*', bulks.count as i64);
                out.extend_from_slice(&bulks.encoded);
            }
            Reply::Map(pairs) => {
                let (mark, times) = if three { (b'%', 1) } else { (b'*', 2) };
                number(out, mark, pairs.len() as i64 * times);
                for (key, value) in pairs {
                    key.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
            Reply::Set(items) => many(out, if three { b'~' } else { b'*' }, items, protocol),
            Reply::Double(value) if three => line(out, b',', format_f64(*value).as_bytes()),
            Reply::Double(value) => bulk(out, format_f64(*value).as_bytes()),
            Reply::Boolean(yes) if three => out.extend_from_slice(if *yes { b"#t\r\n" } else { b"#f\r\n" }),
            Reply::Boolean(yes) => number(out, b':', i64::from(*yes)),
            Reply::Verbatim(text) if three => {
                number(out, b'=', text.len() as i64 + 4);
                out.extend_from_slice(b"txt:");
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Reply::Verbatim(text) => bulk(out, text.as_bytes()),
            Reply::Push(items) => many(out, if three { b'>' } else { b'*' }, items, protocol),
        }
    }
}

fn line(out: &mut Vec<u8>, mark: u8, text: &[u8]) {
    out.push(mark);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A line must stay one: breaks at its ends are left away, others become spaces.
fn error_line(out: &mut Vec<u8>, text: &[u8]) {
    let breaks = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let from = text.iter().position(|byte| !breaks(byte)).unwrap_or(text.len());
    let to = text.iter().rposition(|byte| !breaks(byte)).map_or(from, |last| last + 1);
    let clean: Vec<u8> = text[from..to].iter().map(|byte| if breaks(byte) { b' ' } else { *byte }).collect();
    line(out, b'-', &clean);
}

fn number(out: &mut Vec<u8>, mark: u8, value: i64) {
    out.push(mark);
    put_i64(out, value);
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, b'$', bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn many(out: &mut Vec<u8>, mark: u8, items: &[Reply], protocol: Protocol) {
    number(out, mark, items.len() as i64);
    items.iter().for_each(|item| item.encode(protocol, out));
}

impl From<Error> for Reply {
    fn from(error: Error) -> Reply {
        match error {
            Error::Quoted(text) => Reply::ErrorBytes(text),
            error => Reply::Error(error.to_string()),
        }
    }
}

impl From<&str> for Reply {
    fn from(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply) -> (String, String) {
        let of = |protocol| {
            let mut bytes = Vec::new();
            reply.encode(protocol, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        (of(Protocol::Resp2), of(Protocol::Resp3))
    }

    #[test]
    fn replies_have_the_bytes_of_their_protocol() {
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        for (reply, expected) in [
            (Reply::OK, pair("+OK\r\n", "+OK\r\n")),
            (Reply::Error("ERR a\r\nb".into()), pair("-ERR a  b\r\n", "-ERR a  b\r\n")),
            (Reply::Error("ERR a\r\n".into()), pair("-ERR a\r\n", "-ERR a\r\n")),
            (Reply::Integer(-7), pair(":-7\r\n", ":-7\r\n")),
            (Reply::Bulk(vec![]), pair("$0\r\n\r\n", "$0\r\n\r\n")),
            (Reply::Null, pair("$-1\r\n", "_\r\n")),
            (Reply::NullArray, pair("*-1\r\n", "_\r\n")),
            (
                Reply::Map(vec![("a".into(), Reply::Integer(1))]),
                pair("*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
            ),
            (Reply::Set(vec!["a".into()]), pair("*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n")),
            (Reply::Double(1.5), pair("$3\r\n1.5\r\n", ",1.5\r\n")),
            (Reply::Boolean(true), pair(":1\r\n", "#t\r\n")),
            (Reply::Verbatim("hi".into()), pair("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n")),
            (Reply::Push(vec![Reply::Null]), pair("*1\r\n$-1\r\n", ">1\r\n_\r\n")),
        ] {
            assert_eq!(encoded(&reply), expected);
        }
    }
}
