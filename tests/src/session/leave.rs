//! Disks as histories leave them, with everything that was ever written there.

use super::place::Place;
use super::runner::{Session, named};
use crate::history::{Operation, What};
use esker::fs::SimFs;
use std::collections::BTreeSet;

/// What a history left behind.
#[derive(Clone, Debug)]
pub struct Left {
    /// The disk.
    pub disk: SimFs,
    /// The time, in milliseconds since the epoch.
    pub now_ms: u64,
    /// Whether the store was closed in good order.
    pub closed: bool,
    /// Every key with every value that was ever written to it, in any family.
    pub written: BTreeSet<(Vec<u8>, Vec<u8>)>,
    /// Every key that an operand was ever written to, in any family.
    pub merged: BTreeSet<Vec<u8>>,
}

/// Runs a history on a simulated disk, with all values beside their keys, and leaves the store: closed in
/// good order, or killed.
///
/// # Errors
/// If the history fails by itself.
pub fn leave(seed: u64, history: &[Operation], close: bool) -> Result<Left, String> {
    leave_in(Place { values_inline: true, ..Place::fresh(seed) }, history, close)
}

/// The same of a store that begins in a place.
///
/// # Errors
/// As [`leave`].
pub fn leave_in(place: Place, history: &[Operation], close: bool) -> Result<Left, String> {
    let mut session = Session::new(place);
    session.start()?;
    let mut written = BTreeSet::new();
    let changes = history.iter().flat_map(Operation::changes);
    let operands = changes.filter(|change| matches!(change.what, What::Merge { .. }));
    let merged = operands.map(|change| change.key.clone()).collect();
    for (at, operation) in history.iter().enumerate() {
        session.step(operation).map_err(|why| format!("{}: {why}", named(at, operation)))?;
        let oracle = session.oracle.lock();
        for (_, key, version) in oracle.visible().versions() {
            if let Some(value) = &version.value {
                written.insert((key.to_vec(), value.to_vec()));
            }
        }
    }
    let disk = session.place.disk.clone().ok_or("a simulated disk")?;
    let now_ms = session.oracle.lock().now_ms();
    if close {
        let closed = session.db.take().map_or(Ok(()), |db| db.close());
        closed.map_err(|error| format!("cannot close: {error}"))?;
        return Ok(Left { disk: disk.kill_image(), now_ms, closed: true, written, merged });
    }
    Ok(Left { disk: disk.kill_image(), now_ms, closed: false, written, merged })
}
