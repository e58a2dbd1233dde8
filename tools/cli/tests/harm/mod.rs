//! Harm for stores.

mod store;
