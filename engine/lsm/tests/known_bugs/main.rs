//! Bugs that other engines had: for each a test that builds exactly the situation in which it showed. The
//! numbers are those of the list in `docs/known-bugs.md`.

mod deleted;
mod order;
mod recovery;
mod store;
mod syncs;
mod trouble;
