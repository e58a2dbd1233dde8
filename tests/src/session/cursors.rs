//! Cursors that live across operations, each beside a list of what it must show.

use super::read::shown;
use super::runner::Session;
use super::span::scan_options;
use super::standing::{Standing, move_to};
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
    standing: Standing,
    /// An error came: from now on every movement must give one.
    failed: bool,
}

impl Roaming {
    /// Whether it stands where it must.
    fn compare(&self, found: bool) -> Result<(), String> {
        let expected = self.standing.entry();
        let stands = found.then(|| (self.cursor.key(), self.cursor.value()));
        let agrees = found == self.cursor.valid() && self.cursor.value_slice()[..] == *self.cursor.value();
        if agrees && stands == expected {
            return Ok(());
        }
        let entry = |entry: Option<(&[u8], &[u8])>| match entry {
            Some((key, value)) => format!("{} = {}", key.escape_ascii(), shown(Some(value))),
            None => "nowhere".into(),
        };
        let expected = entry(expected);
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
        let standing = Standing::new(entries);
        let roaming = Roaming { cursor, family, id, span, frozen, standing, failed: false };
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
        let found = move_to(&mut roaming.cursor, to);
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
                let renewed = refreshed && !roaming.frozen;
                let present = renewed.then(|| self.expected_entries(&roaming.family, None, &roaming.span));
                roaming.standing.moved(to, present);
                roaming.compare(found)
            }
        }
    }
}
