//! What the tests of the command share.

pub mod folder;

pub use folder::Folder;
