//! Named consumers of changes: how far each has come stands in the manifest, beside what is kept for them.

use super::store::Store;
use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::limits::MAX_CONSUMER_NAME_BYTES;
use crate::base::position::Position;
use crate::version::{Edit, EditOp, FeedState, StoreState};

/// So many there may be.
const MOST_CONSUMERS: usize = 1000;

/// A consumer of changes, as [`Db::feed_consumers`](crate::Db::feed_consumers) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedConsumerInfo {
    /// Its name.
    pub name: String,
    /// All before this is done with.
    pub position: Position,
    /// How many sequence numbers lie between that and the last that is durable.
    pub lag: SeqNum,
    /// Whether it has fallen behind what is kept, so that reading on gives [`Error::FeedGap`].
    pub is_cut_loose: bool,
}

/// A place in the manifest's state that readers of changes may start from.
fn checked(state: &StoreState, asked: Position, newest: SeqNum) -> Result<()> {
    let feed = begun(state)?;
    if feed.can_follow(asked, state.history, newest) {
        return Ok(());
    }
    Err(Error::FeedGap { asked, first_available: feed.start(state.history) })
}

fn begun(state: &StoreState) -> Result<&FeedState> {
    let off = || Error::invalid("feed", "the store was opened without it: set `Options::feed`");
    state.feed.as_ref().ok_or_else(off)
}

impl Store {
    /// Whether all changes behind a position can be read.
    ///
    /// # Errors
    /// [`Error::FeedGap`] if they cannot; [`Error::InvalidArgument`] if changes are not kept at all.
    pub fn check_position(&self, asked: Position) -> Result<()> {
        let newest = self.visible_seq();
        self.with_manifest(|manifest| checked(manifest.state(), asked, newest))
    }

    /// The first position from which all changes can be read, and the one behind all that are durable.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if changes are not kept.
    pub fn feed_bounds(&self) -> Result<(Position, Position)> {
        let durable = self.durable.seq();
        self.with_manifest(|manifest| {
            let state = manifest.state();
            let start = begun(state)?.start(state.history);
            Ok((start, Position { history: state.history.id, seq: durable }))
        })
    }

    /// How far a consumer has come. If there is none of this name, one is entered at `at`, or where what is
    /// kept begins.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is empty or too long, for one more than there may be, or if
    /// changes are not kept; [`Error::FeedGap`] for a place from which not all can be read; what writing the
    /// manifest gives.
    pub fn enter_consumer(&self, name: &str, at: Option<Position>) -> Result<Position> {
        self.check_writable()?;
        if !(1..=MAX_CONSUMER_NAME_BYTES).contains(&name.len()) {
            return Err(Error::invalid("name", "a feed consumer's name has 1 to 255 bytes"));
        }
        let newest = self.visible_seq();
        self.with_manifest(|manifest| {
            let state = manifest.state();
            let start = begun(state)?.start(state.history);
            if let Some(position) = state.consumers.get(name) {
                return Ok(*position);
            }
            if state.consumers.len() >= MOST_CONSUMERS {
                return Err(Error::invalid(
                    "name",
                    format!("there are {MOST_CONSUMERS} feed consumers already"),
                ));
            }
            let position = at.unwrap_or(start);
            checked(state, position, newest)?;
            let edit = Edit(vec![EditOp::Consumer { name: name.into(), position }]);
            self.commit_edit(manifest, edit)?;
            Ok(position)
        })
    }

    /// Has a consumer be at another position; durable when it returns.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`]; [`Error::FeedGap`] for a place from which not all can be read; what writing
    /// the manifest gives.
    pub fn move_consumer(&self, name: &str, position: Position) -> Result<()> {
        self.check_writable()?;
        let newest = self.visible_seq();
        self.with_manifest(|manifest| {
            let state = manifest.state();
            if !state.consumers.contains_key(name) {
                return Err(Error::NoSuchConsumer { name: name.into() });
            }
            checked(state, position, newest)?;
            let edit = Edit(vec![EditOp::Consumer { name: name.into(), position }]);
            self.commit_edit(manifest, edit)
        })
    }

    /// Removes a consumer; durable when it returns.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`]; what writing the manifest gives.
    pub fn remove_consumer(&self, name: &str) -> Result<()> {
        self.check_writable()?;
        self.with_manifest(|manifest| {
            if !manifest.state().consumers.contains_key(name) {
                return Err(Error::NoSuchConsumer { name: name.into() });
            }
            self.commit_edit(manifest, Edit(vec![EditOp::RemoveConsumer(name.into())]))
        })
    }

    /// How far a consumer has come, if there is one of this name.
    #[must_use]
    pub fn consumer(&self, name: &str) -> Option<Position> {
        self.with_manifest(|manifest| manifest.state().consumers.get(name).copied())
    }

    /// All consumers by name.
    #[must_use]
    pub fn consumers(&self) -> Vec<FeedConsumerInfo> {
        let (newest, durable) = (self.visible_seq(), self.durable.seq());
        self.with_manifest(|manifest| {
            let state = manifest.state();
            let info = |(name, position): (&String, &Position)| FeedConsumerInfo {
                name: name.clone(),
                position: *position,
                lag: durable.saturating_sub(position.seq),
                is_cut_loose: checked(state, *position, newest).is_err(),
            };
            state.consumers.iter().map(info).collect()
        })
    }
}
