//! Disks that refuse: each call of a history fails in turn, once or from then on.

use super::crash::{catching, mix};
use super::place::{Place, RESERVE_BYTES};
use super::runner::{Session, named};
use crate::history::Operation;
use crate::oracle::{Dump, Loss};
use esker::base::sync::Mutex;
use esker::fs::SimFs;
use esker::fs::sim::{Fault, FaultRule, Image, OperationKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What goes wrong with the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It fails.
    Fail(Fault),
    /// It and all that follow fail, as far as they are of a kind that can: with a full disk those that
    /// need space; of interrupted calls every second one, since they are tried again.
    FailOn(Fault),
    /// It and a number of calls behind it fail; then all is well again without the store being opened anew.
    FailFor(Fault, u64),
    /// It, a read, and all reads that follow fail.
    FailReads(Fault),
}

impl FaultKind {
    /// Every kind that is tried.
    pub const ALL: [FaultKind; 16] = [
        FaultKind::Fail(Fault::EIO),
        FaultKind::Fail(Fault::ErrnoAfter(5)),
        FaultKind::Fail(Fault::ENOSPC),
        FaultKind::Fail(Fault::EINTR),
        FaultKind::Fail(Fault::EMFILE),
        FaultKind::Fail(Fault::ShortWrite(7)),
        FaultKind::Fail(Fault::ShortRead(5)),
        FaultKind::FailOn(Fault::EIO),
        FaultKind::FailOn(Fault::ENOSPC),
        FaultKind::FailOn(Fault::EINTR),
        FaultKind::FailOn(Fault::EMFILE),
        FaultKind::FailOn(Fault::ShortWrite(700)),
        FaultKind::FailOn(Fault::ShortRead(500)),
        FaultKind::FailFor(Fault::EIO, 25),
        FaultKind::FailFor(Fault::ENOSPC, 60),
        FaultKind::FailReads(Fault::EIO),
    ];

    /// Whether it can happen to a call of this kind.
    #[must_use]
    pub fn fits(self, kind: OperationKind) -> bool {
        use OperationKind::{
            Allocate, Create, CreateDir, List, Lock, Open, Read, Rename, Sync, SyncDir, Write,
        };
        match self {
            FaultKind::Fail(Fault::ShortWrite(_)) | FaultKind::FailOn(Fault::ShortWrite(_)) => kind == Write,
            FaultKind::Fail(Fault::ShortRead(_)) | FaultKind::FailOn(Fault::ShortRead(_)) => kind == Read,
            FaultKind::FailReads(_) => kind == Read,
            FaultKind::Fail(Fault::EMFILE) | FaultKind::FailOn(Fault::EMFILE) => {
                // Whoever syncs a directory, lists it or takes a lock opens a file for it.
                matches!(kind, Create | List | Lock | Open | SyncDir)
            }
            FaultKind::Fail(Fault::ENOSPC) => {
                matches!(kind, Allocate | Create | CreateDir | Lock | Rename | Sync | SyncDir | Write)
            }
            // A full disk that heals: no sync has failed.
            FaultKind::FailOn(Fault::ENOSPC) | FaultKind::FailFor(Fault::ENOSPC, _) => {
                matches!(kind, Allocate | Create | Write)
            }
            _ => true,
        }
    }

    /// Makes a disk fail at the call with this number.
    fn set(self, disk: &SimFs, index: u64) {
        disk.set_fault(self.at(index));
    }

    /// What goes wrong on a disk that fails at the call with this number.
    #[must_use]
    pub fn at(self, index: u64) -> FaultRule {
        let mut turns = 0;
        Box::new(move |operation| {
            let behind = operation.index >= index;
            let (fault, due) = match self {
                FaultKind::Fail(fault) => (fault, operation.index == index),
                FaultKind::FailOn(fault) | FaultKind::FailReads(fault) => (fault, behind),
                FaultKind::FailFor(fault, calls) => (fault, behind && operation.index < index + calls),
            };
            let fits = due && self.fits(operation.kind);
            turns += u64::from(fits);
            let is_retried = self == FaultKind::FailOn(Fault::EINTR) && turns % 2 == 0;
            (fits && !is_retried).then_some(fault)
        })
    }
}

/// The numbers of `count` calls to which a fault can happen, of those that a history makes: so many of each
/// kind of call as there are, and evenly over the history.
#[must_use]
pub fn calls_to_fail(fault: FaultKind, calls: &[OperationKind], count: u64, seed: u64) -> Vec<u64> {
    let mut by_kind: BTreeMap<OperationKind, Vec<u64>> = BTreeMap::new();
    for (number, kind) in calls.iter().enumerate().filter(|(_, kind)| fault.fits(**kind)) {
        by_kind.entry(*kind).or_default().push(number as u64);
    }
    let mut chosen = BTreeSet::new();
    let mut kinds: Vec<Vec<u64>> = by_kind.into_values().collect();
    kinds.sort_by_key(Vec::len);
    while let Some(numbers) = (!kinds.is_empty()).then(|| kinds.remove(0)) {
        // What rare kinds leave of their share goes to the others.
        let share = ((count - chosen.len() as u64) / (kinds.len() as u64 + 1)).min(numbers.len() as u64);
        for turn in 0..share {
            let at = turn * numbers.len() as u64 / share + seed % (numbers.len() as u64 / share);
            chosen.insert(numbers[at as usize]);
        }
    }
    chosen.into_iter().collect()
}

/// The kinds of the calls that a history makes without any fault, in their order.
///
/// # Errors
/// If the history fails by itself.
pub fn kinds_of_calls(seed: u64, history: &[Operation]) -> Result<Vec<OperationKind>, String> {
    let place = Place::fresh(seed);
    let disk = place.disk.clone().expect("a simulated disk");
    let calls: Arc<Mutex<Vec<OperationKind>>> = Arc::default();
    let noted = calls.clone();
    disk.set_fault(Box::new(move |operation| {
        noted.lock().push(operation.kind);
        None
    }));
    let mut session = Session::new(place);
    // The very calls that are made when one of them fails.
    session.faulty = true;
    run_until_closed(&mut session, history)?;
    drop(session);
    Ok(std::mem::take(&mut *calls.lock()))
}

/// Runs a history on a disk on which the call with the number `index` goes wrong; then all is well again, and
/// the store is opened after a kill or a loss of power, and once more after a loss of power.
///
/// # Errors
/// What the store does that it must not, a panic above all.
pub fn run_with_fault(seed: u64, history: &[Operation], kind: FaultKind, index: u64) -> Result<(), String> {
    catching(|| {
        let place = Place::fresh(seed);
        let disk = place.disk.clone().expect("a simulated disk");
        kind.set(&disk, index);
        let mut session = Session::new(place);
        session.faulty = true;
        run_until_closed(&mut session, history)?;
        recover_twice(&mut session, &disk, either(index), seed)
    })
}

/// Runs a history on a disk that is full from the call with the number `index` on, for about a third of the
/// history; then there is space again, and without being opened anew the store must do all that it is asked.
///
/// # Errors
/// What the store does that it must not.
pub fn run_with_full_disk(seed: u64, history: &[Operation], index: u64) -> Result<(), String> {
    catching(|| {
        let place = Place::fresh(seed);
        let disk = place.disk.clone().expect("a simulated disk");
        let mut session = Session::new(place);
        session.start()?;
        FaultKind::FailOn(Fault::ENOSPC).set(&disk, index);
        let mut full_for = 0;
        for (at, operation) in history.iter().enumerate() {
            full_for += usize::from(disk.stats().total() > index);
            // The call may come within this very operation: until there is space again, errors are in order.
            session.faulty = full_for <= history.len() / 3;
            if !session.faulty {
                disk.clear_fault();
            }
            let leaves =
                matches!(operation, Operation::Kill | Operation::PowerLoss { .. } | Operation::Reopen);
            if !leaves {
                session.step(operation).map_err(|why| format!("{}: {why}", named(at, operation)))?;
            }
        }
        disk.clear_fault();
        session.faulty = false;
        let health = session.db().health();
        if let Some(why) = health.poisoned {
            return Err(format!("a full disk made the store read-only: {why}"));
        }
        session.check_everything()?;
        session.step(&Operation::Flush).map_err(|why| format!("a flush when there is space again: {why}"))?;
        recover_twice(&mut session, &disk, either(index), seed)
    })
}

/// What came of histories on disks that were too small.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cramped {
    /// What the full disk refused.
    pub refused: u64,
    /// How often the store was opened while there was too little room.
    pub opened: u64,
    /// How often it could not be.
    pub not_opened: u64,
}

impl Cramped {
    /// Adds up.
    pub fn add(&mut self, other: Cramped) {
        self.refused += other.refused;
        self.opened += other.opened;
        self.not_opened += other.not_opened;
    }
}

impl std::fmt::Display for Cramped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cramped { refused, opened, not_opened } = self;
        write!(f, "{refused} refusals; {opened} times opened without room, {not_opened} times not")
    }
}

/// Runs a third of a history, then leaves so many bytes on the disk for the second third, in which the store
/// is closed, killed and opened again as the history says and once more at the end; then there is space
/// again, and everything must work. Unless the store is to be `helped`, what its reserve gives up is not
/// enough to make the disk less than full.
///
/// # Errors
/// What the store does that it must not.
pub fn run_on_small_disk(
    seed: u64,
    history: &[Operation],
    free: u64,
    helped: bool,
) -> Result<Cramped, String> {
    catching(|| {
        let mut session = Session::new(Place::fresh(seed));
        session.start()?;
        let mut cramped = Cramped::default();
        let third = history.len() / 3;
        for (at, operation) in history.iter().enumerate() {
            if at == third {
                let disk = session.disk();
                let reserved = if helped { 0 } else { RESERVE_BYTES };
                disk.set_capacity(Some((disk.used() + free).saturating_sub(reserved)));
                session.faulty = true;
            }
            if at == third * 2 {
                session.step(&Operation::Reopen)?;
                cramped.note(&session);
                session.disk().set_capacity(None);
                session.faulty = false;
            }
            if !session.is_open() {
                session.step(&Operation::Reopen)?;
                cramped.note(&session);
            }
            let opens = matches!(operation, Operation::Kill | Operation::Reopen);
            if session.is_open() && !matches!(operation, Operation::PowerLoss { .. }) {
                session.step(operation).map_err(|why| format!("{}: {why}", named(at, operation)))?;
                if opens {
                    cramped.note(&session);
                }
            }
        }
        if let Some(why) = session.db().health().poisoned {
            return Err(format!("a full disk made the store read-only: {why}"));
        }
        cramped.refused = session.tolerated.get();
        session.check_everything()?;
        session.step(&Operation::Flush)?;
        let disk = session.disk();
        recover_twice(&mut session, &disk, either(free / 48), seed)?;
        Ok(cramped)
    })
}

impl Session {
    /// Syncs the log. A store that is read-only says of what reads see that it is durable; a write whose fate
    /// is open need not be among it.
    pub(super) fn sync(&self) -> Result<(), String> {
        let result = self.db().sync();
        let all = self.is_writable();
        self.after(result, |oracle| {
            if all {
                oracle.synced();
            }
        })
    }

    /// The simulated disk that the store lives on now.
    pub(super) fn disk(&self) -> SimFs {
        self.place.disk.clone().expect("a simulated disk")
    }
}

impl Cramped {
    /// The store was to be opened.
    fn note(&mut self, session: &Session) {
        if session.faulty {
            *(if session.is_open() { &mut self.opened } else { &mut self.not_opened }) += 1;
        }
    }
}

/// Runs a history on a disk whose sync with this number among all syncs fails and drops what it should have
/// written. The store must become read-only, or never have noticed; what it served must last.
/// `Ok(false)` if the history has fewer syncs.
///
/// # Errors
/// What the store does that it must not.
pub fn sync_fails(seed: u64, history: &[Operation], number: u64, loss: Loss) -> Result<bool, String> {
    catching(|| {
        let place = Place::fresh(seed);
        let disk = place.disk.clone().expect("a simulated disk");
        let (hit, reached) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), 0);
        let (noted, mut reached) = (hit.clone(), reached);
        disk.set_fault(Box::new(move |operation| {
            let is_sync = matches!(operation.kind, OperationKind::Sync | OperationKind::SyncDir);
            reached += u64::from(is_sync);
            let due = is_sync && reached == number + 1;
            noted.fetch_or(due, std::sync::atomic::Ordering::Relaxed);
            due.then_some(Fault::FailedSyncDropsPages)
        }));
        let mut session = Session::new(place);
        session.faulty = true;
        run_until_closed(&mut session, history)?;
        recover_twice(&mut session, &disk, loss, mix(&[seed, number]))?;
        Ok(hit.load(std::sync::atomic::Ordering::Relaxed))
    })
}

/// Runs a history as far as the store stays open, without crashes of its own, which lead to other disks.
fn run_until_closed(session: &mut Session, history: &[Operation]) -> Result<(), String> {
    session.start()?;
    for (at, operation) in history.iter().enumerate() {
        if !session.is_open() {
            return Ok(());
        }
        if matches!(operation, Operation::Kill | Operation::PowerLoss { .. }) {
            continue;
        }
        session.step(operation).map_err(|why| format!("{}: {why}", named(at, operation)))?;
    }
    session.check_everything()
}

fn either(number: u64) -> Loss {
    if number.is_multiple_of(2) { Loss::Kill } else { Loss::Power }
}

/// Kills the process or takes the power away at once, then the power again.
fn recover_twice(session: &mut Session, disk: &SimFs, loss: Loss, seed: u64) -> Result<(), String> {
    let image = [Image::Nothing, Image::Random, Image::LaterKept][(seed % 3) as usize];
    let left = match loss {
        Loss::Kill => disk.kill_image(),
        Loss::Power => {
            disk.power_off();
            disk.image(image, seed)
        }
    };
    session.faulty = false;
    session.move_to(left.clone(), loss).map_err(|why| format!("after the fault and a {loss:?}: {why}"))?;
    session.check_everything()?;
    session.step(&Operation::Verify)?;
    let served = Dump::read(session.db()).map_err(|e| e.to_string())?;
    left.power_off();
    session
        .move_to(left.image(image, seed), Loss::Power)
        .map_err(|why| format!("after a loss of power: {why}"))?;
    let found = Dump::read(session.db()).map_err(|e| e.to_string())?;
    session.finish()?;
    if found != served {
        return Err(format!("what was served after recovery did not last:\n{served:?}and then\n{found:?}"));
    }
    Ok(())
}
