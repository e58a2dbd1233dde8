//! The rules of the house as functions from text to findings; `tests/tidy.rs` applies them to the tree.

mod documents;
mod finding;
mod layers;
mod lexer;
mod modules;
mod paths;
mod seams;
mod text;

pub use documents::{broken_links, pages_without_link, undocumented_dependencies};
pub use finding::{Finding, report};
pub use layers::{LAYERS, folder_of, layer_table, layering, unlisted_folders};
pub use lexer::Rust;
pub use modules::{contents_pages, dead_files};
pub use seams::{printing, seams};
pub use text::{foreign_words, ignored_tests, lengths, unfinished};
