//! A real `redis-server` beside the store: the same commands to both, the replies compared.

mod both;
mod compare;
mod coverage;
mod generator;
mod options;
mod server;
mod value;

pub use both::{Both, Pair, looks};
pub use compare::agree;
pub use coverage::Coverage;
pub use generator::{Generator, KEYS, SHAPES, shown};
pub use options::OPTIONS;
pub use server::{Client, Server};
pub use value::Value;
