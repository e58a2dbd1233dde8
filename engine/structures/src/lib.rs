//! Redis' structures, durably, in your own process: strings, hashes and the rest on the ordered keys of
//! [`esker`].
//!
//! ```
//! # fn main() -> esker_structures::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("data");
//! let store = esker_structures::Store::open(&path)?;
//! let db = store.db(0);
//! db.string("visits").increment(1)?;
//! db.hash("user:1").set("name", "Ada")?; // on disk when it returns
//! for entry in db.hash("user:1").entries()? {
//!     let (field, value) = entry?;
//!     println!("{field:?} = {value:?}");
//! }
//! store.close()
//! # }
//! ```
//!
//! Semantics are those of Redis 7: replies, errors, edge cases. [`command::Connection`] executes commands
//! given as byte strings, as a server gets them; the typed calls under [`api`] do the same without text. The
//! bytes on disk stand in `docs/format/structures.md`.
//!
//! The folders of this crate are layers; each imports only from layers below it.

pub mod base;

pub mod encoding;
pub mod ranks;

pub mod store;

pub mod hash;
pub mod keys;
pub mod list;
pub mod set;
pub mod string;
pub mod zset;

pub mod sort;

pub mod verify;

pub mod api;
pub mod command;

pub use base::error::{Error, Result};
pub use store::{Builder, Store};
