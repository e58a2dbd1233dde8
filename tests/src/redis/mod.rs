//! A real `redis-server` beside the store: the same commands to both, the replies compared.

mod compare;
mod generator;
mod server;
mod value;

pub use compare::agree;
pub use generator::{Generator, KEYS, SHAPES};
pub use server::{Client, Server};
pub use value::Value;
