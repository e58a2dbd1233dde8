//! What a call of this crate can fail with.

use std::borrow::Cow;
use std::fmt;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operation does not fit what is stored or what was asked for. The text is Redis' own, its first
    /// word the kind of error. Nothing was written.
    Refused(Cow<'static, str>),
    /// As [`Error::Refused`], with bytes of the command in the text that are no UTF-8.
    Quoted(Vec<u8>),
    /// Bytes on disk are not what this crate writes. Nothing of the unit in which the operation stood is
    /// written.
    Corrupt(String),
    /// The engine failed. Nothing of the unit in which the operation stood was written, unless the error
    /// says that it may have been.
    Engine(esker::Error),
    /// Another unit of work holds a key that this one needs, and waiting could last for ever: the unit must
    /// be committed or given up first. [`crate::store::Store::transaction`] does so by itself.
    Busy,
}

/// The texts that more than one operation gives.
impl Error {
    /// The key holds another type.
    pub const WRONG_TYPE: Error =
        Error::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// Not an integer of 64 bits.
    pub const NOT_INTEGER: Error = Error::fixed("ERR value is not an integer or out of range");
    /// Not a number.
    pub const NOT_FLOAT: Error = Error::fixed("ERR value is not a valid float");
    /// A sum that leaves 64 bits.
    pub const OVERFLOW: Error = Error::fixed("ERR increment or decrement would overflow");
    /// Options that do not go together, or do not exist.
    pub const SYNTAX: Error = Error::fixed("ERR syntax error");
    /// There is no such key.
    pub const NO_KEY: Error = Error::fixed("ERR no such key");
    /// An index outside of the list, or a database that does not exist.
    pub const INDEX_RANGE: Error = Error::fixed("ERR index out of range");
    /// A database that does not exist.
    pub const DATABASE_RANGE: Error = Error::fixed("ERR DB index is out of range");
    /// A number that is none of 32 bits.
    pub const INT_RANGE: Error =
        Error::fixed("ERR value is out of range, value must between -2147483648 and 2147483647");
    /// A string longer than [`crate::encoding::limits::MAX_STRING_BYTES`].
    pub const STRING_TOO_LONG: Error =
        Error::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    /// A bit beyond the longest string that can be set.
    pub const BIT_OFFSET: Error = Error::fixed("ERR bit offset is not an integer or out of range");
    /// A width that no integer in a string has.
    pub const BIT_WIDTH: Error = Error::fixed(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    /// A count or an index outside of what a reply can hold.
    pub const OUT_OF_RANGE: Error = Error::fixed("ERR value is out of range");
    /// A count whose opposite no integer of 64 bits can hold.
    pub const SYMMETRIC_RANGE: Error = Error::fixed(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    /// More members by chance than [`crate::encoding::limits::MAX_REPEATED`] or
    /// [`crate::encoding::limits::MAX_REPEATED_BYTES`] allows.
    pub const TOO_MANY_REPEATED: Error =
        Error::fixed("ERR a reply may repeat at most 1048576 members by chance, of 268435456 bytes together");
    /// More bytes than [`crate::command::Session::most_reply_bytes`] allows.
    pub const REPLY_TOO_LARGE: Error =
        Error::fixed("ERR the reply would have more bytes than may wait for a client");
    /// More bytes of elements than [`crate::Store::command_memory`] allows.
    pub const COMMAND_TOO_LARGE: Error =
        Error::fixed("ERR the command would hold more in memory than command-memory-limit allows");
    /// A key that is to be copied or moved to where it is.
    pub const SAME_OBJECT: Error = Error::fixed("ERR source and destination objects are the same");
    /// A negative count.
    pub const NOT_POSITIVE: Error = Error::fixed("ERR value is out of range, must be positive");
    /// A user key longer than [`crate::encoding::limits::MAX_NAME_BYTES`].
    pub const KEY_TOO_LONG: Error = Error::fixed("ERR a key may have at most 65536 bytes");
    /// A field or member longer than [`crate::encoding::limits::MAX_NAME_BYTES`].
    pub const MEMBER_TOO_LONG: Error = Error::fixed("ERR a field or member may have at most 65536 bytes");

    /// An error with a text of its own.
    #[must_use]
    pub const fn fixed(text: &'static str) -> Error {
        Error::Refused(Cow::Borrowed(text))
    }

    /// An error whose text depends on what was asked for.
    #[must_use]
    pub fn text(text: String) -> Error {
        Error::Refused(Cow::Owned(text))
    }

    /// An error whose text quotes what was asked for: as Redis does, up to its first zero byte, and all other
    /// bytes as they are.
    ///
    /// ```
    /// use esker_structures::command::{Protocol, Reply};
    /// let error = esker_structures::Error::quoting("ERR no '", b"\xff\0x", "'");
    /// let mut sent = Vec::new();
    /// Reply::from(error).encode(Protocol::Resp2, &mut sent);
    /// assert_eq!(sent, b"-ERR no '\xff'\r\n");
    /// ```
    #[must_use]
    pub fn quoting(before: &str, bytes: &[u8], behind: &str) -> Error {
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Error::bytes([before.as_bytes(), bytes, behind.as_bytes()].concat())
    }

    /// An error whose text may be no UTF-8.
    #[must_use]
    pub fn bytes(text: Vec<u8>) -> Error {
        String::from_utf8(text).map_or_else(|error| Error::Quoted(error.into_bytes()), Error::text)
    }

    /// Bytes on disk that are not what this crate writes.
    #[must_use]
    pub fn malformed(what: &str) -> Error {
        Error::Corrupt(what.to_owned())
    }

    /// Whether it is a refusal with the text of another: of one of the constants here.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::Error;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// store.db(0).string("k").set("many")?;
    /// let refused = store.db(0).string("k").increment(1).unwrap_err();
    /// assert!(refused.is(&Error::NOT_INTEGER));
    /// assert_eq!(refused.to_string(), "ERR value is not an integer or out of range");
    /// # store.close() }
    /// ```
    #[must_use]
    pub fn is(&self, other: &Error) -> bool {
        matches!((self, other), (Error::Refused(text), Error::Refused(known)) if text == known)
    }

    /// Whether the key holds another type than the operation is for.
    #[must_use]
    pub fn is_wrong_type(&self) -> bool {
        self.is(&Error::WRONG_TYPE)
    }

    /// Whether the error leaves everything before it in the same unit as it was.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Refused(_) | Error::Quoted(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(text) => f.write_str(text),
            Error::Quoted(text) => f.write_str(&String::from_utf8_lossy(text)),
            Error::Corrupt(what) => write!(f, "ERR corrupt data: {what}"),
            Error::Engine(error @ esker::Error::DiskFull(_)) => write!(f, "MISCONF {error}"),
            Error::Engine(error) => write!(f, "ERR {error}"),
            Error::Busy => f.write_str("BUSY another unit of work holds a key that is needed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Engine(error) => Some(error),
            _ => None,
        }
    }
}

impl From<esker::Error> for Error {
    fn from(error: esker::Error) -> Error {
        Error::Engine(error)
    }
}

impl From<esker::base::coding::Malformed> for Error {
    fn from(_: esker::base::coding::Malformed) -> Error {
        Error::malformed("a record of a structure")
    }
}
