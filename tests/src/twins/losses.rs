//! Losing power and killing the process: between commands, within them, and within recoveries.

use super::disks::{open, recover};
use super::pair::Pair;
use super::steps::Step;
use crate::session::{catching, mix};
use esker::base::sync::Mutex;
use esker::fs::SimFs;
use esker::fs::sim::{Image, Operation, Phase};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// One of so many steps is looked into: every call that it makes to the disk.
const WITHIN_EVERY: u64 = 9;
/// After one of so many others something is lost.
const AFTER_EVERY: u64 = 8;
/// One of so many recoveries is itself crashed at each of its calls.
const SECOND_EVERY: u64 = 64;
/// In one of so many histories the making of the store is looked into as well.
const CREATION_EVERY: u64 = 16;

/// What is taken within a step ...
const WITHIN: &[Image] = &[Image::Nothing, Image::Torn, Image::LaterKept];
/// ... and within a recovery.
const AGAIN: &[Image] = &[Image::Nothing, Image::Random, Image::Torn, Image::LaterKept, Image::Garbage];

/// What was tried.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// Disks that a loss of power left.
    pub power: u64,
    /// Those that were left within a command, a sweep or a wait.
    pub within: u64,
    /// Those after which the last state was not there any more.
    pub behind: u64,
    /// Disks that a kill left.
    pub kills: u64,
    /// Disks that a loss of power within a recovery left.
    pub second: u64,
    /// What went wrong.
    pub violations: Vec<String>,
}

impl Losses {
    /// Adds up.
    pub fn add(&mut self, other: Losses) {
        self.power += other.power;
        self.within += other.within;
        self.behind += other.behind;
        self.kills += other.kills;
        self.second += other.second;
        self.violations.extend(other.violations);
    }
}

/// A disk as a loss leaves it.
struct Left {
    disk: SimFs,
    killed: bool,
    about: String,
}

/// Collects what is left at each call, each different disk once.
#[derive(Default)]
struct Collected {
    left: Vec<Left>,
    seen: HashSet<(u64, bool)>,
}

impl Collected {
    fn take(&mut self, disk: SimFs, killed: bool, about: impl FnOnce() -> String) {
        if self.seen.insert((disk.digest(), killed)) {
            self.left.push(Left { disk, killed, about: about() });
        }
    }
}

/// Does a job with a disk, and returns what a loss of power would leave before and after each of its calls,
/// and, if asked for, what a kill would.
fn watched<T>(
    disk: &SimFs,
    seed: u64,
    images: &'static [Image],
    kills: bool,
    job: impl FnOnce() -> T,
) -> (T, Vec<Left>) {
    let collected: Arc<Mutex<Collected>> = Arc::default();
    let watching = collected.clone();
    disk.observe(Box::new(move |operation: &Operation, phase: Phase, moment| {
        let mut collected = watching.lock();
        let seed = mix(&[seed, operation.index, phase as u64]);
        for image in images {
            collected.take(moment.image(*image, seed), false, || format!("{image} {phase} {operation}"));
        }
        if let Some(disk) = moment.image_amid(Image::Random, seed) {
            collected.take(disk, false, || format!("random amid {operation}"));
        }
        if kills {
            collected.take(moment.kill_image(), true, || format!("kill {phase} {operation}"));
        }
    }));
    let result = job();
    disk.stop_observing();
    let left = std::mem::take(&mut collected.lock().left);
    (result, left)
}

/// Carries a history out, loses power and kills the process in the midst of it, between steps and within
/// them, and recovers what is left.
#[must_use]
pub fn lose_everywhere(seed: u64, history: &[Step]) -> Losses {
    let mut losses = Losses::default();
    let result = catching(|| {
        let disk = SimFs::new();
        let make = || Pair::new(seed, &disk, &Arc::new(AtomicBool::new(false)), || ());
        let mut pair = if seed.is_multiple_of(CREATION_EVERY) {
            let (pair, left) = watched(&disk, seed, WITHIN, true, make);
            let pair = pair?;
            losses.within += left.len() as u64;
            left.into_iter().for_each(|left| losses.look(&pair, left, 0, "creation"));
            pair
        } else {
            make()?
        };
        for (at, step) in history.iter().enumerate() {
            let (chosen, about) = (mix(&[seed, at as u64]), format!("step {at}, {step:?}"));
            let (from, last) = (pair.durable, pair.states.len() - 1);
            if chosen.is_multiple_of(WITHIN_EVERY) {
                let (result, left) = watched(&disk, chosen, WITHIN, true, || pair.step(step));
                result.map_err(|why| format!("{about}: {why}"))?;
                losses.within += left.len() as u64;
                for left in left {
                    let from = if left.killed { last } else { from };
                    losses.look(&pair, left, from, &about);
                }
                continue;
            }
            pair.step(step).map_err(|why| format!("{about}: {why}"))?;
            if mix(&[chosen]).is_multiple_of(AFTER_EVERY) {
                let any = Image::ALL[(chosen % Image::ALL.len() as u64) as usize];
                for (number, image) in [any, Image::Torn, Image::Random, Image::Torn].into_iter().enumerate()
                {
                    let left = disk.image(image, mix(&[chosen, number as u64]));
                    let left = Left { disk: left, killed: false, about: format!("{image} {number} after") };
                    losses.look(&pair, left, pair.durable, &about);
                }
            }
        }
        pair.check_when_healed()
    });
    losses.violations.extend(result.err());
    losses
}

impl Losses {
    /// Recovers what is left, which must be one of the states from `from` on.
    fn look(&mut self, pair: &Pair, left: Left, from: usize, about: &str) {
        *(if left.killed { &mut self.kills } else { &mut self.power }) += 1;
        let Left { disk, killed, about: how } = left;
        let about = format!("{how} {about}");
        let seed = mix(&[pair.seed, disk.digest()]);
        let allowed = &pair.states[from..];
        if seed.is_multiple_of(SECOND_EVERY) {
            self.crash_again(pair, &disk, seed, from, &about);
        }
        match catching(|| recover(&disk, &pair.clock, seed, allowed)) {
            Ok(at) => self.behind += u64::from(!killed && allowed[at..].iter().any(|s| s != &allowed[at])),
            Err(why) => self.violations.push(format!("{about}: {why}")),
        }
    }

    /// Loses power once more, before and after each call of the recovery.
    fn crash_again(&mut self, pair: &Pair, disk: &SimFs, seed: u64, from: usize, about: &str) {
        let again = disk.image(Image::All, 0);
        let job = || catching(|| open(&again, &pair.clock, seed, 1).map(drop).map_err(|e| e.to_string()));
        let (opened, left) = watched(&again, seed, AGAIN, false, job);
        self.violations.extend(opened.err().map(|why| format!("{about}: cannot open: {why}")));
        for Left { disk, about: how, .. } in left {
            self.second += 1;
            let recovered = catching(|| recover(&disk, &pair.clock, seed, &pair.states[from..]));
            self.violations.extend(recovered.err().map(|why| format!("{about}, then {how}: {why}")));
        }
    }
}
