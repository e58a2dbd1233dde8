//! Histories: what is done to a store, as data. A history has a text form, so that a case that failed can be
//! kept in `fixtures/histories/` and replayed; see `docs/testing.md`.

mod generator;
mod operation;
mod operators;
mod profile;
mod text;

pub use generator::{SMALLEST_OPTIONS, generate};
pub use operation::{
    Asked, Change, Condition, DROPPING, Movement, Operation, Span, Step, TransactionKind, What, value,
};
pub use operators::{Operator, Sum};
pub use profile::Profile;
pub use text::{parse, print};
