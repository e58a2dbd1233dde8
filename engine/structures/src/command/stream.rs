//! Replies that are encoded while they are read: a large collection is never in memory as a whole.

use super::context::Context;
use super::reply::{Protocol, Reply};
use crate::base::error::Result;
use crate::encoding::fields::Field;
use crate::store::{Bound, Budget, Stretch, Unit, split_scattered};
use crate::zset;

/// Up to so many elements a reply is made whole, in which case it shares its unit of work with others. Tests
/// have more often more.
pub(super) const WHOLE: usize = if cfg!(any(test, feature = "invariants")) { 8 } else { 128 };
/// And up to so many bytes.
const WHOLE_BYTES: usize = 1 << 20;

/// What of a reply that could be streamed is made whole.
pub(super) fn whole() -> Budget {
    Budget::new(WHOLE, WHOLE_BYTES, Bound::Reply)
}

/// What is shown of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Fields of a hash with their values.
    Pairs,
    /// Fields of a hash.
    Fields,
    /// Values of a hash.
    Values,
    /// Members of a set.
    Members,
    /// Elements of a list.
    Elements,
    /// Members of a sorted set in the order of their scores.
    Ranked,
    /// The same, with their scores.
    Scored,
}

/// The reply to a command that asks for a large collection, of which every piece is read when it is encoded.
/// It shows the moment of the command, whatever is written meanwhile.
///
/// ```
/// use esker_structures::command::{Connection, Protocol};
/// # fn main() -> esker_structures::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let store = esker_structures::Store::open(dir.path().join("data"))?;
/// let mut connection = Connection::new(&store);
/// connection.session_mut().streams = true;
/// let members: Vec<String> = (0..10_000).map(|n| format!("m{n}")).collect();
/// for some in members.chunks(100) {
///     let args = ["sadd", "s"].into_iter().chain(some.iter().map(String::as_str));
///     connection.execute(&args.collect::<Vec<_>>());
/// }
/// connection.execute(&["smembers", "s"]);
/// let mut stream = connection.session_mut().take_stream().expect("a large set");
/// let (mut bytes, mut piece) = (0, Vec::new());
/// while !stream.is_done() {
///     stream.encode(&mut piece, 4096)?;
///     bytes += piece.len();
///     piece.clear();
/// }
/// assert!(bytes > 10_000 * 8);
/// # drop(stream);
/// # drop(connection);
/// # store.close() }
/// ```
#[derive(Debug)]
pub struct Stream {
    stretch: Stretch,
    shape: Shape,
    protocol: Protocol,
    begun: bool,
}

impl Stream {
    /// Whether all of it has been encoded.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.begun && self.stretch.left() == 0
    }

    /// Appends the next piece as it goes over the wire: elements, one at least, until `out` has `enough`
    /// bytes.
    ///
    /// # Errors
    /// What reading gives. Then the reply cannot be brought to its end: all that is left is to close the
    /// connection.
    pub fn encode(&mut self, out: &mut Vec<u8>, enough: usize) -> Result<()> {
        let Stream { stretch, shape, protocol, begun } = self;
        if !*begun {
            *begun = true;
            Head::of(*shape, *protocol).put(stretch.left(), out);
        }
        stretch.go_on(|key, value| {
            shape.put(*protocol, key, value, out)?;
            Ok(out.len() < enough)
        })
    }
}

/// How a reply begins.
struct Head {
    mark: u8,
    /// How many replies there are for an element.
    times: u64,
}

impl Head {
    fn of(shape: Shape, protocol: Protocol) -> Head {
        let three = protocol == Protocol::Resp3;
        let (mark, times) = match shape {
            Shape::Pairs if three => (b'%', 1),
            Shape::Members if three => (b'~', 1),
            Shape::Pairs => (b'*', 2),
            Shape::Scored if !three => (b'*', 2),
            _ => (b'*', 1),
        };
        Head { mark, times }
    }

    fn put(&self, count: u64, out: &mut Vec<u8>) {
        out.push(self.mark);
        out.extend_from_slice(count.saturating_mul(self.times).to_string().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl Shape {
    /// Appends what is shown of a record.
    fn put(self, protocol: Protocol, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Shape::Pairs | Shape::Fields | Shape::Values => {
                let field = Field::from_record(split_scattered(key)?.1, value)?;
                if self != Shape::Values {
                    Reply::put_bulk(field.name, out);
                }
                if self != Shape::Fields {
                    Reply::put_bulk(field.value, out);
                }
            }
            Shape::Members => Reply::put_bulk(split_scattered(key)?.1, out),
            Shape::Elements => Reply::put_bulk(value, out),
            Shape::Ranked => Reply::put_bulk(zset::split_record(key)?.1, out),
            Shape::Scored => {
                let (score, member) = zset::split_record(key)?;
                if protocol == Protocol::Resp3 {
                    out.extend_from_slice(b"*2\r\n");
                }
                Reply::put_bulk(member, out);
                Reply::Double(score).encode(protocol, out);
            }
        }
        Ok(())
    }
}

impl Context<'_, '_> {
    /// The reply to a command that asks for elements of a collection. `read` reads them, to the first beyond
    /// a budget, and `reply` is made of them; if there are many and the connection streams, `stretch` has the
    /// records from the first on, or `None` where there are no records.
    pub(super) fn at_once_or_streamed<T>(
        &mut self,
        shape: Shape,
        mut read: impl FnMut(&mut Unit<'_>, &mut Budget) -> Result<Vec<T>>,
        stretch: impl FnOnce(&mut Unit<'_>, &T) -> Result<Option<Stretch>>,
        reply: impl FnOnce(Vec<T>) -> Reply,
    ) -> Result<Reply> {
        if self.session.streams {
            let mut whole = whole();
            let found = read(self.unit, &mut whole)?;
            let first = found.first().filter(|_| whole.is_exceeded());
            let Some(first) = first else { return Ok(reply(found)) };
            if let Some(stretch) = stretch(self.unit, first)? {
                return Ok(self.stream(shape, stretch));
            }
        }
        let mut budget = self.budget();
        let found = read(self.unit, &mut budget)?;
        budget.check()?;
        Ok(reply(found))
    }

    /// Has the records of a stretch be the reply; returns what stands in its place.
    pub(super) fn stream(&mut self, shape: Shape, stretch: Stretch) -> Reply {
        let protocol = self.session.protocol;
        self.session.stream = Some(Stream { stretch, shape, protocol, begun: false });
        Reply::Null
    }
}
