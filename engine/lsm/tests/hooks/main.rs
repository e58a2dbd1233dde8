//! Merge operators and compaction filters, as a program that brings its own meets them.

mod calls;
mod events;
mod filters;
mod merges;
mod operators;
mod panics;
mod store;
