//! Default times to live, and what was deleted or has expired being gone from every file in time.

mod defaults;
mod erasure;
mod held;
mod pressure;
mod store;
