//! What a worker lends to the connections that it works for.

use super::output::Spare;
use crate::protocol::Commands;
use crate::shared::Shared;
use esker_structures::command::Reply;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// A command that comes alone, as most do, and has no more arguments than this is spared some work.
const FEW: usize = 8;

/// What a worker lends to the connection that it works for.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) scratch: Box<[u8]>,
    pub(super) commands: Commands,
    pub(super) replies: Vec<Reply>,
    pub(super) spare: Spare,
    /// When this round began.
    pub(super) now: Instant,
}

/// The arguments of a command that has few, and how many these are: without an allocation.
pub(super) fn few<'b>(bytes: &'b [u8], places: &[Range<usize>]) -> Option<([&'b [u8]; FEW], usize)> {
    let mut args = [&bytes[..0]; FEW];
    args.get_mut(..places.len())?.iter_mut().zip(places).for_each(|(arg, at)| *arg = &bytes[at.clone()]);
    Some((args, places.len()))
}
