//! Disks that fail, whose syncs fail, and that are full for a while.

use super::disks::{RESERVE_BYTES, recover};
use super::pair::{Outcome, Pair};
use super::steps::{Step, named};
use crate::session::{FaultKind, catching};
use esker::base::sync::Mutex;
use esker::fs::SimFs;
use esker::fs::sim::{Fault, FaultRule, Image, OperationKind};
use esker_structures::command::flags;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A rule that says when it has been applied for the first time.
fn noted(mut rule: FaultRule, hit: &Arc<AtomicBool>) -> FaultRule {
    let hit = hit.clone();
    Box::new(move |operation| {
        let fault = rule(operation);
        hit.fetch_or(fault.is_some(), Ordering::Relaxed);
        fault
    })
}

/// The kinds of the calls that a history makes without any fault, in their order.
///
/// # Errors
/// If the history fails by itself.
pub fn calls(seed: u64, history: &[Step]) -> Result<Vec<OperationKind>, String> {
    let disk = SimFs::new();
    let calls: Arc<Mutex<Vec<OperationKind>>> = Arc::default();
    let noted = calls.clone();
    disk.set_fault(Box::new(move |operation| {
        noted.lock().push(operation.kind);
        None
    }));
    catching(|| run(&disk, seed, history, &Arc::default(), || ()).map(drop))?;
    Ok(std::mem::take(&mut *calls.lock()))
}

fn run(
    disk: &SimFs,
    seed: u64,
    history: &[Step],
    failing: &Arc<AtomicBool>,
    heal: impl FnOnce(),
) -> Result<Pair, String> {
    let mut pair = Pair::new(seed, disk, failing, heal)?;
    for (at, step) in history.iter().enumerate() {
        pair.step(step).map_err(|why| format!("step {at}, {step:?}: {why}\n{}", pair.tail()))?;
    }
    Ok(pair)
}

/// Loses what ran on a disk that works again, and recovers what is left.
fn lose(mut pair: Pair, seed: u64) -> Result<(), String> {
    pair.check_when_healed().map_err(|why| format!("when the disk works again: {why}"))?;
    let killed = seed.is_multiple_of(2);
    let image = [Image::Nothing, Image::Random, Image::LaterKept][(seed % 3) as usize];
    let left = if killed { pair.disk.kill_image() } else { pair.disk.image(image, seed) };
    let allowed = &pair.states[pair.may_be_left(killed)];
    let how = if killed { "a kill".to_owned() } else { format!("a loss of power, {image}") };
    recover(&left, &pair.clock, seed, allowed).map_err(|why| format!("after {how}: {why}")).map(drop)
}

/// Runs a history on a disk on which the call with the number `index` goes wrong; then all is well again, and
/// the store is opened after a kill or a loss of power, and once more. Returns whether it became read-only.
///
/// # Errors
/// What the store does that it must not, a panic above all.
pub fn fails(seed: u64, history: &[Step], kind: FaultKind, index: u64) -> Result<bool, String> {
    catching(|| {
        let (disk, hit) = (SimFs::new(), Arc::default());
        disk.set_fault(noted(kind.at(index), &hit));
        let pair = run(&disk, seed, history, &hit, || disk.clear_fault())?;
        disk.clear_fault();
        let read_only = pair.read_only.is_some();
        lose(pair, index)?;
        Ok(read_only)
    })
}

/// Runs a history on a disk whose sync with this number among all syncs fails and drops what it should have
/// written: the store must become read-only, or never have noticed. `None` if the history has fewer syncs;
/// otherwise whether the store became read-only.
///
/// # Errors
/// What the store does that it must not.
pub fn sync_fails(seed: u64, history: &[Step], number: u64, killed: bool) -> Result<Option<bool>, String> {
    catching(|| {
        let (disk, hit): (SimFs, Arc<AtomicBool>) = (SimFs::new(), Arc::default());
        let mut reached = 0;
        let rule: FaultRule = Box::new(move |operation| {
            let is_sync = matches!(operation.kind, OperationKind::Sync | OperationKind::SyncDir);
            reached += u64::from(is_sync);
            (is_sync && reached == number + 1).then_some(Fault::FailedSyncDropsPages)
        });
        disk.set_fault(noted(rule, &hit));
        let pair = run(&disk, seed, history, &hit, || ())?;
        let read_only = pair.read_only.is_some();
        lose(pair, number * 2 + u64::from(!killed))?;
        Ok(hit.load(Ordering::Relaxed).then_some(read_only))
    })
}

/// What came of histories on disks that were full for a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Full {
    /// Commands that were refused.
    pub refused: u64,
    /// Commands that make room, and did so while others were refused.
    pub freed: u64,
}

impl Full {
    /// Adds up.
    pub fn add(&mut self, other: Full) {
        self.refused += other.refused;
        self.freed += other.freed;
    }

    /// Fills the disk, then makes room by every command that does, which must not be refused.
    fn make_room(&mut self, pair: &mut Pair) -> Result<(), String> {
        let command =
            |line: &str| Step::Command(line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
        pair.step(&command("discard"))?;
        pair.step(&command("select 0"))?;
        let (fill, mut tries) = (command(&format!("append w0 {}", "x".repeat(3000))), 0);
        while pair.step(&fill)? != Outcome::Full {
            tries += 1;
            if tries > 1000 {
                return Err("the disk is never full".into());
            }
        }
        self.refused += 1;
        let of_each =
            (0..8).flat_map(|key| ROOM.iter().map(move |line| line.replace("key", &format!("k{key}"))));
        for line in of_each.chain(["flushdb".into(), "flushall".into()]) {
            match pair.step(&command(&line)).map_err(|why| format!("{line}: {why}"))? {
                Outcome::Full => return Err(format!("{line}: refused, though it makes room")),
                outcome => self.freed += u64::from(outcome == Outcome::Done),
            }
        }
        Ok(())
    }
}

/// Commands that make room; those that do not fit the key's type are refused for that.
const ROOM: &[&str] = &[
    "hdel key field1 f1 f2",
    "lpop key 3",
    "rpop key",
    "lrem key 1 e1",
    "ltrim key 1 -2",
    "lmpop 1 key left",
    "srem key 1 2 3",
    "zrem key m1 m2",
    "zpopmin key",
    "zpopmax key 2",
    "zmpop 1 key max",
    "zremrangebyrank key 0 1",
    "zremrangebyscore key 1 2",
    "getdel key",
    "del key",
    "unlink key",
];

/// Runs a third of a history, then leaves so many bytes on the disk for the second third. What adds anything
/// may be refused then, with the reason; reads go on, and what makes room does, unless the store is not to be
/// `helped`: then what its reserve gives up is not enough to make the disk less than full. In the last third
/// there is space again, and everything must work without opening the store anew.
///
/// # Errors
/// What the store does that it must not.
pub fn runs_full(seed: u64, history: &[Step], free: u64, helped: bool) -> Result<Full, String> {
    catching(|| {
        let (disk, failing): (SimFs, Arc<AtomicBool>) = (SimFs::new(), Arc::default());
        let mut pair = Pair::new(seed, &disk, &failing, || ())?;
        let (third, mut full) = (history.len() / 3, Full::default());
        for (at, step) in history.iter().enumerate() {
            if at == third {
                let reserved = if helped { 0 } else { RESERVE_BYTES };
                disk.set_capacity(Some((disk.used() + free).saturating_sub(reserved)));
                failing.store(true, Ordering::Relaxed);
            }
            if at == third * 2 {
                if helped {
                    full.make_room(&mut pair)?;
                }
                disk.set_capacity(None);
                pair.check_when_healed().map_err(|why| format!("when there is space again: {why}"))?;
                failing.store(false, Ordering::Relaxed);
            }
            let is_full = pair.store.is_full();
            let outcome = pair.step(step).map_err(|why| format!("step {at}, {step:?}: {why}"))?;
            let Step::Command(args) = step else { continue };
            let frees = named(args).is_some_and(|command| command.has(flags::FREES));
            match outcome {
                Outcome::Full if frees && helped => {
                    return Err(format!("step {at}, {step:?}: refused, though it makes room"));
                }
                Outcome::Full => full.refused += 1,
                Outcome::ReadOnly => return Err("a full disk made the store read-only".into()),
                Outcome::Done => full.freed += u64::from(frees && is_full),
                Outcome::Failed => {}
            }
        }
        pair.store.engine().flush().map_err(|e| format!("a flush when there is space again: {e}"))?;
        lose(pair, seed + free)?;
        Ok(full)
    })
}
