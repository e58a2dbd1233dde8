//! Replies taken apart.

use std::fmt;
use std::io::{self, BufRead};

/// A reply in RESP2.
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
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no reply of RESP2");
        let rest = line.strip_suffix(b"\r\n").ok_or_else(wrong)?;
        let (&mark, rest) = rest.split_first().ok_or_else(wrong)?;
        let number =
            || std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok()).ok_or_else(wrong);
        Ok(match mark {
            b'+' => Value::Simple(rest.to_vec()),
            b'-' => Value::Error(rest.to_vec()),
            b':' => Value::Integer(number()?),
            b'$' => match usize::try_from(number()?) {
                Err(_) => Value::Bulk(None),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    from.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Value::Bulk(Some(bytes))
                }
            },
            b'*' => match usize::try_from(number()?) {
                Err(_) => Value::Array(None),
                Ok(length) => {
                    Value::Array(Some((0..length).map(|_| Value::read(from)).collect::<io::Result<_>>()?))
                }
            },
            _ => return Err(wrong()),
        })
    }
}
