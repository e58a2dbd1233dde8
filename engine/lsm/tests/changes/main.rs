//! The change feed: what readers of changes are shown, and when they are told that something is missing.

mod consumers;
mod lives;
mod power;
mod reading;
mod threads;
mod world;
