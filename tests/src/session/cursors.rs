//! Cursors that live across operations, each beside a list of what it must show.

use super::read::shown;
use super::runner::Session;
use super::span::{Entries, scan_options};
use crate::history::{DROPPING, Movement, Span};
use crate::oracle::FamilyId;
use esker::{Cursor, Error};

/// A cursor with what it must show.
pub(super) struct Roaming {
    cursor: Cursor,
    family: String,
    /// Which family had the name when the cursor was made.
    id: Option<FamilyId>,
    span: Span,
    /// Of a snapshot: no refresh changes what it shows.
    frozen: bool,
    entries: Entries,
    /// On which of the entries it stands.
    at: Option<usize>,
    /// An error came: from now on every movement must give one.
    failed: bool,
}

impl Roaming {
    /// Where a movement must lead.
    fn expected(&self, to: &Movement) -> Option<usize> {
        let before = |key: &Vec<u8>| self.entries.partition_point(|(known, _)| known < key);
        let up_to = |key: &Vec<u8>| self.entries.partition_point(|(known, _)| known <= key);
        let at = match to {
            Movement::First => Some(0),
            Movement::Last => self.entries.len().checked_sub(1),
            Movement::Next => self.at.map(|at| at + 1),
            Movement::Prev => self.at.and_then(|at| at.checked_sub(1)),
            Movement::Seek(key) => Some(before(key)),
            Movement::SeekForPrev(key) => up_to(key).checked_sub(1),
            Movement::Refresh => self.at,
        };
        at.filter(|at| *at < self.entries.len())
    }

    fn carry_out(&mut self, to: &Movement) -> esker::Result<bool> {
        match to {
            Movement::First => self.cursor.seek_to_first(),
            Movement::Last => self.cursor.seek_to_last(),
            Movement::Next => self.cursor.next(),
            Movement::Prev => self.cursor.prev(),
            Movement::Seek(key) => self.cursor.seek(key),
            Movement::SeekForPrev(key) => self.cursor.seek_for_prev(key),
            Movement::Refresh => self.cursor.refresh(),
        }
    }

    /// Whether it stands where it must.
    fn compare(&self, found: bool) -> Result<(), String> {
        let expected = self.at.map(|at| &self.entries[at]);
        let stands = found.then(|| (self.cursor.key(), self.cursor.value()));
        let agrees = found == self.cursor.valid() && self.cursor.value_slice()[..] == *self.cursor.value();
        if agrees && stands == expected.map(|(key, value)| (&key[..], &value[..])) {
            return Ok(());
        }
        let entry = |entry: Option<(&[u8], &[u8])>| match entry {
            Some((key, value)) => format!("{} = {}", key.escape_ascii(), shown(Some(value))),
            None => "nowhere".into(),
        };
        let expected = entry(expected.map(|(key, value)| (&key[..], &value[..])));
        Err(format!("the cursor must stand at {expected}, and stands at {}", entry(stands)))
    }
}

impl Session {
    pub(super) fn make_cursor(
        &mut self,
        slot: u32,
        at: Option<u32>,
        family: &str,
        span: &Span,
    ) -> Result<(), String> {
        self.cursors.remove(&slot);
        // What was dropped may be read or not: nobody may walk there.
        let target = self.target(at, family).filter(|_| family != DROPPING);
        let Some((handle, held)) = target else { return Ok(()) };
        let options = scan_options(span);
        let cursor = match held {
            Some(held) => held.snapshot.cursor(handle, options),
            None => handle.cursor(options),
        };
        let cursor = match cursor {
            Ok(cursor) if self.is_writable() => cursor,
            Ok(_) => return Ok(()),
            Err(error) => return self.tolerate(&error),
        };
        let (entries, id) = (self.expected_entries(family, held, span), self.oracle.lock().family(family));
        let (family, span, frozen) = (family.into(), span.clone(), held.is_some());
        let roaming = Roaming { cursor, family, id, span, frozen, entries, at: None, failed: false };
        roaming.compare(false)?;
        self.cursors.insert(slot, roaming);
        Ok(())
    }

    pub(super) fn move_cursor(&mut self, slot: u32, to: &Movement) -> Result<(), String> {
        let Some(mut roaming) = self.cursors.remove(&slot) else { return Ok(()) };
        self.moved(&mut roaming, to)?;
        // A store that is read-only shows what is durable, which other checks look at.
        if self.is_writable() {
            self.cursors.insert(slot, roaming);
        }
        Ok(())
    }

    fn moved(&self, roaming: &mut Roaming, to: &Movement) -> Result<(), String> {
        let found = roaming.carry_out(to);
        let is_there = self.oracle.lock().family(&roaming.family) == roaming.id;
        let refreshed = *to == Movement::Refresh;
        match found {
            Ok(_) if roaming.failed => Err("a cursor goes on after an error".into()),
            // The drop of a family that failed may have happened or not.
            Ok(_) if refreshed && !is_there && !self.faulty => {
                Err("a cursor goes on to the present of a family that is gone".into())
            }
            Err(Error::FamilyDropped { .. }) if refreshed && (!is_there || self.faulty) => Ok(()),
            Err(error) => {
                roaming.failed = true;
                self.tolerate(&error)
            }
            Ok(_) if !self.is_writable() => Ok(()),
            Ok(found) => {
                let stood = roaming.at.map(|at| roaming.entries[at].0.clone());
                if refreshed && !roaming.frozen {
                    roaming.entries = self.expected_entries(&roaming.family, None, &roaming.span);
                }
                // A refresh leads to the key that it stood on, or the first one behind it.
                let to = match stood {
                    Some(key) if refreshed => &Movement::Seek(key),
                    _ => to,
                };
                roaming.at = roaming.expected(to);
                roaming.compare(found)
            }
        }
    }
}
