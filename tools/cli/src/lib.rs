//! The `esker` command: import, export, look into and check an Esker store.
//!
//! A command is a file in [`commands`], its arguments beside its code; [`run`] parses the command
//! line, calls it and turns its outcome into an exit code ([`failure`]). Whatever is read from a
//! file of records comes through [`records`], whatever is printed goes through [`output`], and bytes
//! become text (and back) in [`text`]. [`allocator`] says where memory comes from.

pub mod allocator;
pub mod args;
pub mod commands;
pub mod failure;
pub mod output;
pub mod records;
pub mod run;
pub mod store;
pub mod text;
