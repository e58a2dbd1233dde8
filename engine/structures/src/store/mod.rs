//! Layer 2: an open store, and units of work on it: what types read and write through.

mod ahead;
mod budget;
mod cost;
mod counts;
mod cursor;
mod databases;
mod fallback;
mod handle;
mod headers;
mod incarnations;
mod locks;
mod open;
mod overlay;
mod pages;
mod publish;
mod remember;
mod scans;
mod scattered;
mod stretch;
mod sweep;
mod unit;
mod watch;

pub use budget::{Bound, Budget};
pub use cost::Cost;
pub use cursor::UnitCursor;
pub use handle::{Expired, Store};
pub use headers::Key;
pub use open::Builder;
pub use pages::{PAGE, Pages};
pub use scans::PLACES;
pub use scattered::{SPARSE, Scattered, Selection, distinct, repeated, split_scattered};
pub use stretch::Stretch;
pub use sweep::Swept;
pub use unit::{Access, FETCH, Table, Unit};
pub use watch::Watching;
