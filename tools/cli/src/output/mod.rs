//! What is printed: entries, findings about files, notes on stderr, progress.

pub mod entries;
pub mod items;
pub mod notes;
pub mod out;
pub mod progress;

pub use entries::{EntryFormat, EntryWriter};
pub use items::{Cell, Item, ItemPrinter};
pub use out::Out;
