//! Replies taken apart.

use std::fmt;
use std::io::{self, BufRead};

/// A reply in RESP2 or RESP3. Numbers stay the texts that they are on the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A word.
    Simple(Vec<u8>),
    /// An error.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// Bytes; `None` for no value.
    Bulk(Option<Vec<u8>>),
    /// Replies; `None` for no array.
    Array(Option<Vec<Value>>),
    /// No value, in RESP3.
    Null,
    /// A number of RESP3.
    Double(Vec<u8>),
    /// Yes or no, in RESP3.
    Boolean(Vec<u8>),
    /// A text of RESP3, its format in front.
    Verbatim(Vec<u8>),
    /// Keys and values in turn, in RESP3.
    Map(Vec<Value>),
    /// Replies without an order, in RESP3.
    Set(Vec<Value>),
    /// What comes without being asked for, in RESP3.
    Push(Vec<Value>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| {
            let shown = bytes[..bytes.len().min(200)].escape_ascii().to_string();
            if bytes.len() > 200 { format!("{shown}.. ({} bytes)", bytes.len()) } else { shown }
        };
        match self {
            Value::Simple(bytes) => write!(f, "+{}", text(bytes)),
            Value::Error(bytes) => write!(f, "-{}", text(bytes)),
            Value::Integer(value) => write!(f, ":{value}"),
            Value::Bulk(Some(bytes)) => write!(f, "\"{}\"", text(bytes)),
            Value::Bulk(None) => write!(f, "nil"),
            Value::Array(None) => write!(f, "nil array"),
            Value::Array(Some(items)) => f.debug_list().entries(items).finish(),
            Value::Null => write!(f, "null"),
            Value::Double(bytes) => write!(f, ",{}", text(bytes)),
            Value::Boolean(bytes) => write!(f, "#{}", text(bytes)),
            Value::Verbatim(bytes) => write!(f, "={}", text(bytes)),
            Value::Map(items) => write!(f, "%{items:?}"),
            Value::Set(items) => write!(f, "~{items:?}"),
            Value::Push(items) => write!(f, ">{items:?}"),
        }
    }
}

impl Value {
    /// Reads one reply.
    ///
    /// # Errors
    /// What reading gives, and what is no reply.
    pub fn read(from: &mut impl BufRead) -> io::Result<Value> {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no reply");
        let rest = line.strip_suffix(b"\r\n").ok_or_else(wrong)?;
        let (&mark, rest) = rest.split_first().ok_or_else(wrong)?;
        let number =
            || std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok()).ok_or_else(wrong);
        let count = || number().map(|number| usize::try_from(number).ok());
        let many = |from: &mut _, count| (0..count).map(|_| Value::read(from)).collect::<io::Result<_>>();
        Ok(match mark {
            b'+' => Value::Simple(rest.to_vec()),
            b'-' => Value::Error(rest.to_vec()),
            b':' => Value::Integer(number()?),
            b'$' => match count()? {
                None => Value::Bulk(None),
                Some(length) => Value::Bulk(Some(bytes(from, length)?)),
            },
            b'*' => match count()? {
                None => Value::Array(None),
                Some(count) => Value::Array(Some(many(from, count)?)),
            },
            b'_' => Value::Null,
            b',' => Value::Double(rest.to_vec()),
            b'#' => Value::Boolean(rest.to_vec()),
            b'=' => Value::Verbatim(bytes(from, count()?.ok_or_else(wrong)?)?),
            b'%' => Value::Map(many(from, 2 * count()?.ok_or_else(wrong)?)?),
            b'~' => Value::Set(many(from, count()?.ok_or_else(wrong)?)?),
            b'>' => Value::Push(many(from, count()?.ok_or_else(wrong)?)?),
            _ => return Err(wrong()),
        })
    }
}

/// So many bytes, and the end of the line behind them.
fn bytes(from: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length + 2];
    from.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}
