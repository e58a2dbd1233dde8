//! Where writes go.

use crate::base::sync::Arc;
use crate::memtable::Memtable;
use crate::tree::Family;
use std::time::Duration;

/// Where writes to a family go.
#[derive(Debug)]
pub(super) struct Target {
    /// The family.
    pub(super) family: Arc<Family>,
    /// Its active memtable.
    pub(super) active: Arc<Memtable>,
    /// When the first entry was inserted, by monotonic time.
    pub(super) since: Option<Duration>,
    /// Whether it is settled by which heads the active memtable is searched.
    pub(super) heads_chosen: bool,
}

impl Target {
    pub(super) fn new(family: Arc<Family>) -> Target {
        let active = family.pin().active.clone();
        let heads_chosen = active.has_heads();
        Target { family, active, since: None, heads_chosen }
    }
}

/// The targets of all families by their numbers. Every write walks over them, and most stores have few.
#[derive(Debug, Default)]
pub(super) struct Targets(Vec<(u32, Target)>);

impl Targets {
    /// Those of families, in any order.
    pub(super) fn new<'f>(families: impl Iterator<Item = &'f Arc<Family>>) -> Targets {
        let mut targets = Targets::default();
        families.for_each(|family| targets.insert(Target::new(family.clone())));
        targets
    }

    #[inline]
    fn find(&self, id: u32) -> Result<usize, usize> {
        match self.0.first() {
            Some((first, _)) if *first == id => Ok(0),
            _ => self.0.binary_search_by_key(&id, |(id, _)| *id),
        }
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&Target> {
        self.find(id).ok().map(|at| &self.0[at].1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Target> {
        self.find(id).ok().map(|at| &mut self.0[at].1)
    }

    /// Adds the target of a family, in the place of what it had.
    pub(super) fn insert(&mut self, target: Target) {
        let id = target.family.id();
        match self.find(id) {
            Ok(at) => self.0[at].1 = target,
            Err(at) => self.0.insert(at, (id, target)),
        }
    }

    pub(super) fn remove(&mut self, id: u32) {
        if let Ok(at) = self.find(id) {
            self.0.remove(at);
        }
    }

    /// The memory of all active memtables together, and of the largest.
    #[inline]
    pub(super) fn sizes(&self) -> (usize, usize) {
        self.values().fold((0, 0), |(total, largest), target| {
            let bytes = target.active.allocated_bytes();
            (total + bytes, largest.max(bytes))
        })
    }

    #[inline]
    pub(super) fn values(&self) -> impl Iterator<Item = &Target> {
        self.0.iter().map(|(_, target)| target)
    }

    #[inline]
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        self.0.iter_mut().map(|(_, target)| target)
    }
}
