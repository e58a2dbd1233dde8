//! A real `redis-server` beside the store: the same commands to both, the replies compared.

mod both;
mod chance;
mod compare;
mod coverage;
mod errors;
mod generator;
mod line;
mod lives;
mod options;
mod racing;
mod server;
mod value;
mod ways;

pub use both::{Both, Pair, answer, looks};
pub use compare::agree;
pub use coverage::{Coverage, ErrorKind};
pub use errors::{forgotten, unmet};
pub use generator::{Generator, KEYS, SHAPES, shown};
pub use line::Line;
pub use lives::LastMoments;
pub use options::OPTIONS;
pub use racing::{Raced, Refused, race};
pub use server::{Client, Server};
pub use value::Value;
pub use ways::{Step, Way, parse as parse_ways, print as print_ways};
