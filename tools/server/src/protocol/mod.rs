//! Commands as they come over the wire: arrays of RESP, and lines of words.

mod inline;
mod parser;
#[cfg(test)]
mod parser_tests;

pub use parser::{Commands, Limits, MAX_ELEMENTS, MAX_LINE_BYTES, Parser, ProtocolError};
