//! Looking into a store: what reads cost, and why they answer what they do.

mod changes;
mod context;
mod explain;
mod memory;
mod metrics;
mod options;
mod sizes;
mod spans;
mod store;
