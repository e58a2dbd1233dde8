//! Layer 2: an open store, and units of work on it: what types read and write through.

mod counts;
mod cursor;
mod databases;
mod handle;
mod headers;
mod incarnations;
mod locks;
mod open;
mod overlay;
mod scattered;
mod sweep;
mod unit;
mod watch;

pub use cursor::UnitCursor;
pub use handle::{Expired, Store};
pub use headers::Key;
pub use open::Builder;
pub use scattered::{Scattered, split_scattered};
pub use sweep::Swept;
pub use unit::{Access, Table, Unit};
pub use watch::Watching;
