//! Doing what a phase says with an engine.

mod bulk;
mod context;
mod own;
mod reads;
mod writes;

pub(super) use context::Context;
pub(super) use own::purpose;
