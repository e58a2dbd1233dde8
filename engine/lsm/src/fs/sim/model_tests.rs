//! Random histories against a model that knows nothing of sectors kept apart: it remembers, for
//! each file and each name, every state since the last sync, and that is what an image may show.

use super::{Image, SimFs};
use crate::fs::{Fs, OpenFile};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SECTOR: usize = 512;
const NAMES: [&str; 3] = ["a", "b", "c"];
const SEEDS: u64 = 12;

#[derive(Clone, Debug)]
enum Step {
    Create(usize),
    Write { name: usize, offset: u16, bytes: u16, value: u8 },
    Truncate { name: usize, size: u16 },
    Allocate { name: usize, size: u16 },
    Sync(usize),
    Rename(usize, usize),
    Remove(usize),
    SyncDir,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        3 => name.clone().prop_map(Step::Create),
        8 => (name.clone(), 0..6_000u16, 1..3_000u16, 1..=255u8)
            .prop_map(|(name, offset, bytes, value)| Step::Write { name, offset, bytes, value }),
        4 => (name.clone(), 0..9_000u16).prop_map(|(name, size)| Step::Truncate { name, size }),
        1 => (name.clone(), 0..9_000u16).prop_map(|(name, size)| Step::Allocate { name, size }),
        3 => name.clone().prop_map(Step::Sync),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => name.prop_map(Step::Remove),
        2 => Just(Step::SyncDir),
    ]
}

/// The states of a file since it was last synced, the synced one first.
type States = Vec<Vec<u8>>;

#[derive(Default)]
struct Model {
    files: Vec<States>,
    /// The files that a name has stood for since the directory was last synced.
    names: BTreeMap<usize, Vec<Option<usize>>>,
}

impl Model {
    fn at(&self, name: usize) -> Option<usize> {
        *self.names.get(&name)?.last()?
    }

    fn name(&mut self, name: usize, file: Option<usize>) {
        self.names.entry(name).or_insert_with(|| vec![None]).push(file);
    }

    fn change(&mut self, file: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let states = &mut self.files[file];
        let mut next = states.last().cloned().unwrap_or_default();
        change(&mut next);
        states.push(next);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Create(name) if self.at(name).is_none() => {
                self.files.push(vec![Vec::new()]);
                self.name(name, Some(self.files.len() - 1));
            }
            Step::Write { name, offset, bytes, value } => {
                let Some(file) = self.at(name) else { return };
                let range = usize::from(offset)..usize::from(offset) + usize::from(bytes);
                self.change(file, |content| {
                    content.resize(content.len().max(range.end), 0);
                    content[range].fill(value);
                });
            }
            Step::Truncate { name, size } => {
                let Some(file) = self.at(name) else { return };
                self.change(file, |content| content.resize(size.into(), 0));
            }
            Step::Allocate { name, size } => {
                let Some(file) = self.at(name) else { return };
                self.change(file, |content| content.resize(content.len().max(size.into()), 0));
            }
            Step::Sync(name) => {
                let Some(file) = self.at(name) else { return };
                let states = &mut self.files[file];
                states.drain(..states.len() - 1);
            }
            Step::Rename(from, to) if from != to => {
                let Some(file) = self.at(from) else { return };
                self.name(from, None);
                self.name(to, Some(file));
            }
            Step::Remove(name) if self.at(name).is_some() => self.name(name, None),
            Step::SyncDir => {
                for states in self.names.values_mut() {
                    states.drain(..states.len() - 1);
                }
            }
            _ => {}
        }
    }
}

fn path(name: usize) -> PathBuf {
    Path::new("d").join(NAMES[name])
}

fn carry_out(fs: &Fs, step: &Step) {
    let open = |name: usize| -> Option<OpenFile> { fs.open_writable(&path(name)).ok() };
    match *step {
        Step::Create(name) => drop(fs.create_new(&path(name))),
        Step::Write { name, offset, bytes, value } => {
            if let Some(file) = open(name) {
                file.write_all_at(&vec![value; bytes.into()], offset.into()).unwrap();
            }
        }
        Step::Truncate { name, size } => {
            if let Some(file) = open(name) {
                file.truncate(size.into()).unwrap();
            }
        }
        Step::Allocate { name, size } => {
            if let Some(file) = open(name) {
                assert!(file.allocate(size.into()).unwrap());
            }
        }
        Step::Sync(name) => {
            if let Some(file) = open(name) {
                file.sync().unwrap();
            }
        }
        Step::Rename(from, to) => drop(fs.rename(&path(from), &path(to))),
        Step::Remove(name) => drop(fs.remove(&path(name))),
        Step::SyncDir => fs.sync_dir(Path::new("d")).unwrap(),
    }
}

fn byte(state: &[u8], at: usize) -> u8 {
    state.get(at).copied().unwrap_or(0)
}

/// Why these bytes cannot be what is left of a file with these states.
fn verdict(image: Image, states: &States, found: &[u8]) -> Result<(), String> {
    let lens = || states.iter().map(Vec::len);
    let (shortest, longest) = (lens().min().unwrap_or(0), lens().max().unwrap_or(0));
    if !(shortest..=longest).contains(&found.len()) {
        return Err(format!("{} bytes are not in {shortest}..={longest}", found.len()));
    }
    let durable_len = states[0].len();
    for start in (0..found.len()).step_by(SECTOR) {
        let mut end = found.len().min(start + SECTOR);
        if image == Image::Garbage && states.len() > 1 {
            end = end.min(durable_len.max(start));
        }
        let is = |state: &Vec<u8>| (start..end).all(|at| found[at] == byte(state, at));
        let torn = || (start..end).all(|at| states.iter().any(|state| byte(state, at) == found[at]));
        let fits = states.iter().any(is) || image == Image::Torn && torn();
        if !fits {
            return Err(format!("the sector at {start} is in none of its {} states", states.len()));
        }
    }
    let exact = match image {
        Image::Nothing | Image::EntriesOnly => states.first(),
        Image::All | Image::ContentOnly => states.last(),
        _ => None,
    };
    match exact {
        Some(exact) if exact != found => Err("another state than the image asks for".into()),
        _ => Ok(()),
    }
}

fn check(model: &Model, image: Image, left: &SimFs) -> Result<(), String> {
    for (&name, states) in &model.names {
        let candidates = match image {
            Image::Nothing | Image::ContentOnly => &states[..1],
            Image::All | Image::EntriesOnly => &states[states.len() - 1..],
            _ => states,
        };
        let found = left.read_raw(&path(name)).ok();
        let mut complaints = Vec::new();
        let fits = candidates.iter().any(|candidate| match (candidate, &found) {
            (None, None) => true,
            (Some(file), Some(bytes)) => match verdict(image, &model.files[*file], bytes) {
                Ok(()) => true,
                Err(complaint) => {
                    complaints.push(complaint);
                    false
                }
            },
            _ => false,
        });
        if !fits {
            return Err(format!("{}: {candidates:?}: {complaints:?}", NAMES[name]));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What was synced is intact in every image, and everything else is in one of its states.
    #[test]
    fn an_image_shows_nothing_that_never_was(steps in prop::collection::vec(step(), 1..40)) {
        let sim = SimFs::new();
        let fs = Fs::Sim(sim.clone());
        fs.create_dir_all(Path::new("d")).unwrap();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            carry_out(&fs, step);
            model.apply(step);
            for image in Image::ALL {
                for seed in 0..if image.is_random() { SEEDS } else { 1 } {
                    let left = sim.image(image, seed);
                    if let Err(complaint) = check(&model, image, &left) {
                        prop_assert!(false, "{image} seed {seed} after step {number} {step:?}: {complaint}");
                    }
                }
            }
        }
        for (&name, states) in &model.names {
            let file = states.last().copied().flatten();
            let expected = file.and_then(|file| model.files[file].last().cloned());
            prop_assert_eq!(sim.read_raw(&path(name)).ok(), expected);
        }
    }

    /// The same calls with the same seeds give the same bytes, on the same disk or on another; a
    /// kill in between changes nothing of it.
    #[test]
    fn a_history_replays_bit_for_bit(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let digests = |kill_at: usize| {
            let mut sim = SimFs::new();
            Fs::Sim(sim.clone()).create_dir_all(Path::new("d")).unwrap();
            let mut digests = Vec::new();
            for (number, step) in steps.iter().enumerate() {
                carry_out(&Fs::Sim(sim.clone()), step);
                for image in Image::ALL {
                    digests.push(sim.image(image, seed).digest());
                }
                if number == kill_at {
                    sim = sim.kill_image();
                }
            }
            digests
        };
        let once = digests(usize::MAX);
        prop_assert_eq!(&once, &digests(usize::MAX));
        prop_assert_eq!(&once, &digests(steps.len() / 2));
    }
}
