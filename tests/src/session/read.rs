//! Reads: each is compared with what the oracle knows.

use super::runner::{Held, Session, must_be_refused};
use super::span::{Entries, open_iter, walk};
use crate::history::{DROPPING, Span, Step};
use crate::oracle::{Dump, Unreadable};
use esker::batch::FamilyRef as _;
use esker::explain::Answer;
use esker::{ColumnFamily, Db};

impl Session {
    /// The handle of a family, and the snapshot to read it at. `None` if there is nothing to read.
    pub(super) fn target(&self, at: Option<u32>, family: &str) -> Option<(&ColumnFamily, Option<&Held>)> {
        let held = match at {
            Some(slot) => Some(self.snapshots.get(&slot)?),
            None => None,
        };
        let handle = self.families.get(family)?;
        if let Some(held) = held {
            // A name that was dropped and created again is another family.
            let now = self.oracle.lock().family(family);
            if held.families.get(family).is_some_and(|then| Some(*then) != now) {
                return None;
            }
        }
        Some((handle, held))
    }

    // Reads of a store that is read-only show what is durable; see `check_read_only`.
    fn expected(&self, family: &str, held: Option<&Held>, key: &[u8]) -> Option<Vec<u8>> {
        let oracle = self.oracle.lock();
        let value = match held {
            Some(held) => held.families.get(family).and_then(|id| held.state.get(*id, key, held.now_ms)),
            None => oracle.family(family).and_then(|id| oracle.visible().get(id, key, oracle.now_ms())),
        };
        value.map(|value| value.to_vec())
    }

    /// Whether a key of the family in which ranges are dropped was set, and not dropped since.
    fn may_be_read(&self, held: Option<&Held>, key: &[u8]) -> bool {
        let oracle = self.oracle.lock();
        let version = match held {
            Some(held) => held.families.get(DROPPING).and_then(|id| held.state.version(*id, key)),
            None => oracle.family(DROPPING).and_then(|id| oracle.visible().version(id, key)),
        };
        // After a failed sync less is shown, and then it may be what was dropped.
        self.is_writable() && version.is_some_and(|version| !version.dropped)
    }

    /// In the family in which ranges are dropped only single keys are read: those that no drop may cover.
    pub(super) fn check_never_dropped(&self, db: &Db) -> Result<(), String> {
        let keys = self.oracle.lock().never_dropped(db.now_ms());
        let Ok(family) = db.open_column_family(DROPPING) else { return Ok(()) };
        for (key, allowed) in keys {
            match family.get(&key) {
                Ok(found) if allowed.iter().any(|value| value.as_deref() == found.as_deref()) => {}
                Ok(found) => {
                    let (key, found) = (key.escape_ascii(), found.map(|value| value.len()));
                    return Err(format!(
                        "{key} of the family {DROPPING} has {found:?} bytes, none of those allowed"
                    ));
                }
                Err(error) => self.tolerate(&error)?,
            }
        }
        Ok(())
    }

    pub(super) fn expected_entries(&self, family: &str, held: Option<&Held>, span: &Span) -> Entries {
        let oracle = self.oracle.lock();
        let (state, id, now_ms) = match held {
            Some(held) => (&held.state, held.families.get(family).copied(), held.now_ms),
            None => (oracle.visible(), oracle.family(family), oracle.now_ms()),
        };
        let Some(id) = id else { return Vec::new() };
        let inside = state.entries(id, now_ms).filter(|(key, _)| span.contains(key));
        inside.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    pub(super) fn get(&self, at: Option<u32>, family: &str, key: &[u8]) -> Result<(), String> {
        let Some((handle, held)) = self.target(at, family) else { return Ok(()) };
        if family == DROPPING && !self.may_be_read(held, key) {
            return Ok(());
        }
        let expected = self.expected(family, held, key);
        let found = match held {
            Some(held) => held.snapshot.get(handle, key).and_then(|found| {
                let found = found.map(|value| value.to_vec());
                Ok([found.is_some() == held.snapshot.contains_key(handle, key)?, found == expected])
            }),
            None => handle.get(key).and_then(|found| {
                let found = found.map(|value| value.to_vec());
                let agree = handle.get_with(key, <[u8]>::to_vec)? == found
                    && handle.size_of(key)? == found.as_ref().map(Vec::len)
                    && handle.contains_key(key)? == found.is_some()
                    && explained_bytes(handle, key)? == found.as_ref().map(Vec::len);
                Ok([agree, found == expected])
            }),
        };
        // A sync in the background may have failed between one way to read and another.
        match found {
            Ok(_) if !self.is_writable() => Ok(()),
            Ok([true, true]) => Ok(()),
            Ok([false, _]) => Err("the ways to read a key do not agree".into()),
            Ok([_, false]) => Err(format!("something else than {} was found", shown(expected.as_deref()))),
            Err(error) => self.tolerate(&error),
        }
    }

    pub(super) fn multi_get(&self, at: Option<u32>, family: &str, keys: &[Vec<u8>]) -> Result<(), String> {
        let Some((handle, held)) = self.target(at, family) else { return Ok(()) };
        let found = match held {
            Some(held) => held.snapshot.multi_get(handle, keys),
            None => handle.multi_get(keys),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.tolerate(&error),
        };
        if found.len() != keys.len() {
            return Err(format!("{} answers for {} keys", found.len(), keys.len()));
        }
        for (key, found) in keys.iter().zip(&found) {
            let expected = self.expected(family, held, key);
            if found.as_deref() != expected.as_deref() && self.is_writable() {
                let (expected, found) = (shown(expected.as_deref()), shown(found.as_deref()));
                return Err(format!("{}: expected {expected}, found {found}", key.escape_ascii()));
            }
        }
        Ok(())
    }

    pub(super) fn scan(&self, at: Option<u32>, family: &str, span: &Span, step: Step) -> Result<(), String> {
        let Some((handle, held)) = self.target(at, family) else { return Ok(()) };
        let expected = self.expected_entries(family, held, span);
        let found =
            open_iter(handle, held.map(|held| &held.snapshot), span).and_then(|iter| walk(iter, step));
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.tolerate(&error),
        };
        if found == expected || !self.is_writable() {
            return Ok(());
        }
        let same = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        let entry = |entries: &Entries| match entries.get(same) {
            Some((key, value)) => format!("{} = {}", key.escape_ascii(), shown(Some(value))),
            None => "the end".into(),
        };
        let (lengths, here) = ((expected.len(), found.len()), (entry(&expected), entry(&found)));
        Err(format!(
            "expected and found {lengths:?} entries; at {same} expected {}, found {}",
            here.0, here.1
        ))
    }

    /// Compares everything: the whole store, and each snapshot.
    pub(super) fn check_everything(&self) -> Result<(), String> {
        if self.db.is_none() {
            return Ok(());
        }
        if !self.is_writable() {
            return self.check_read_only();
        }
        let slots = self.snapshots.keys().map(|slot| Some(*slot)).chain([None]);
        for at in slots {
            for family in self.families.keys().filter(|family| *family != DROPPING) {
                for step in [Step::Forward, Step::Reverse] {
                    self.scan(at, family, &Span::All, step)
                        .map_err(|why| format!("at the end, snapshot {at:?}, {family}, {step:?}: {why}"))?;
                }
            }
        }
        Ok(())
    }

    /// What a store that a failed sync has made read-only must do.
    pub(super) fn check_read_only(&self) -> Result<(), String> {
        let db = self.db();
        must_be_refused(db.put(b"after the failure", b""))?;
        match Dump::read(db) {
            Ok(found) => {
                let oracle = self.oracle.lock();
                let allowed = oracle.explain(&found, crate::oracle::Loss::Power);
                allowed.map(drop).map_err(|why| format!("reads of a read-only store: {why}"))
            }
            Err(Unreadable::Error(error)) => self.tolerate(&error),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// The size of the value that a get answers, as an explanation has it.
fn explained_bytes(family: &ColumnFamily, key: &[u8]) -> esker::Result<Option<usize>> {
    match family.explain(key)?.answer {
        Answer::Value { bytes, .. } => Ok(Some(bytes)),
        Answer::Failed(error) => Err(error),
        _ => Ok(None),
    }
}

pub(super) fn shown(value: Option<&[u8]>) -> String {
    match value {
        None => "nothing".into(),
        Some(value) => format!("{} bytes ({})", value.len(), value[..value.len().min(12)].escape_ascii()),
    }
}
