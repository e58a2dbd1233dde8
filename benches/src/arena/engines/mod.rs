//! The engines, each behind the trait [`Engine`](super::engine::Engine).

mod esker;
#[cfg(feature = "fjall")]
mod fjall;
mod kind;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;

pub use kind::Kind;
