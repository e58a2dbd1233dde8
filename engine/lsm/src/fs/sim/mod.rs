//! The simulated file system: what the contract of [`crate::fs`] allows, taken literally.
//!
//! A [`SimFs`] is a disk in memory. It keeps apart what reads see and what a power loss leaves:
//! per 512-byte sector of a file, and per entry of a directory. From any point of a history (every
//! call is a numbered [`Operation`]; an [`Observer`] stands before and after each one that changes
//! something) it can hand out a *crash image*: a new, independent disk as a power loss may leave
//! it, chosen by [`Image`] and a seed. The same calls with the same seeds give the same bytes.
//!
//! Images share unchanged content with the disk they were taken from; taking one costs time in
//! proportion to what is unsynced, not to what is stored.
//!
//! What a disk may do beyond losing power is said by a rule that looks at each operation and may
//! answer with a [`Fault`].

mod content;
mod damage;
mod disk;
mod fault;
mod file;
mod image;
mod operation;
mod state;

pub use disk::{Moment, Observer, SimFile, SimFs};
pub use fault::{Fault, FaultRule};
pub use image::Image;
pub use operation::{Operation, OperationKind, Phase, Stats};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
