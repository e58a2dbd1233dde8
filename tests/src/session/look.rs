//! Reading the store from outside, beside the one who writes.

use super::runner::Session;
use crate::oracle::{Dump, Loss, Unreadable};
use esker::{Follower, ReadOnlyDb};

impl Session {
    /// Whoever reads from outside sees what a kill of the store would leave, at this moment.
    pub(super) fn look(&mut self) -> Result<(), String> {
        match self.followed() {
            Ok(view) => self.explain_view(&view).map_err(|why| format!("who follows: {why}"))?,
            Err(error) => self.tolerate(&error)?,
        }
        match self.place.builder().any_layer().open_read_only() {
            Ok(view) => self.explain_view(&view).map_err(|why| format!("who opens it to read: {why}")),
            Err(error) => self.tolerate(&error),
        }
    }

    /// What somebody sees who has followed the store for a while.
    fn followed(&mut self) -> esker::Result<ReadOnlyDb> {
        let follower = match self.follower.take() {
            Some(follower) => follower,
            None => self.place.builder().any_layer().follow()?,
        };
        let before = follower.view().seq();
        let reached = follower.catch_up();
        let view = follower.view();
        self.keep(follower);
        let reached = reached?;
        assert!(view.seq() >= before && view.seq() == reached.seq, "a follower goes back");
        Ok(view)
    }

    fn keep(&mut self, follower: Follower) {
        self.follower = Some(follower);
    }

    fn explain_view(&self, view: &ReadOnlyDb) -> Result<(), String> {
        let found = match Dump::of_view(view) {
            Ok(found) => found,
            Err(Unreadable::Error(error)) => return self.tolerate(&error),
            Err(why) => return Err(why.to_string()),
        };
        self.oracle.lock().explain(&found, Loss::Kill).map(drop)
    }
}
