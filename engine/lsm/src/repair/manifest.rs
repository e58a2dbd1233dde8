//! Which manifest can be believed, and how far.

use super::report::{FileReport, FileState, ManifestUse};
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::fs::Fs;
use crate::inspect::{ManifestItem, walk_manifest};
use crate::version::{Edit, EditOp, StoreState, read_current};
use std::collections::BTreeMap;
use std::path::Path;

/// What the manifests say.
pub(super) struct Manifests {
    /// The state, if it is certain.
    pub(super) state: Option<StoreState>,
    /// What is wrong with the last edit, if the state ends before one that does not hold.
    pub(super) torn: Option<String>,
    /// How it was come by.
    pub(super) usage: ManifestUse,
    /// Names and options of families, as far as any manifest has them.
    pub(super) families: BTreeMap<u32, (String, Vec<u8>)>,
    /// The layer that wrote the store, if any manifest says so.
    pub(super) layer: Option<String>,
    /// What became of the files.
    pub(super) files: Vec<FileReport>,
}

/// One manifest, read as far as it goes.
struct Reading {
    number: FileNumber,
    state: StoreState,
    /// Why it cannot be believed.
    wrong: Option<String>,
    /// What is wrong with its last edit, if it may never have been completed.
    torn: Option<String>,
    changes: u64,
    bytes: u64,
    families: BTreeMap<u32, (String, Vec<u8>)>,
    layer: Option<String>,
}

/// Reads `CURRENT` and every manifest.
pub(super) fn find(fs: &Fs, dir: &Path, names: &[String]) -> Result<Manifests> {
    let mut readings = Vec::new();
    for name in names {
        if let Some(FileKind::Manifest(number)) = FileKind::parse(name) {
            readings.push(read(fs, dir, number)?);
        }
    }
    // The newest first: where CURRENT is lost, the one that was written last is at least as new, since
    // it begins with the whole state of the one before.
    readings.sort_by_key(|reading| std::cmp::Reverse(reading.number));
    let has_current = names.iter().any(|name| name == "CURRENT");
    let current = read_current(fs, dir);
    let mut files = Vec::new();
    if has_current {
        let why = current.as_ref().err().map(ToString::to_string);
        let state = if why.is_none() { FileState::Intact } else { FileState::Unreadable };
        let bytes = fs.open(&FileKind::Current.path(dir)).and_then(|file| file.size()).unwrap_or(0);
        files.push(FileReport {
            name: "CURRENT".into(),
            state,
            bytes,
            saved: 0,
            lost: Some(0),
            seqs: None,
            why,
        });
    }
    let current = current.ok().flatten();
    let chosen = match &current {
        Some(current) => readings.iter().find(|reading| reading.number == current.manifest),
        None => readings.first(),
    };
    let wrong = match (chosen, &current) {
        (Some(reading), Some(current)) if reading.wrong.is_none() && reading.state.store != current.store => {
            Some(format!("{} belongs to another store", name_of(reading.number)))
        }
        (Some(reading), _) => reading.wrong.clone(),
        (None, Some(current)) => Some(format!("{} is missing", name_of(current.manifest))),
        (None, None) => Some("there is no manifest".into()),
    };
    let mut found = Manifests {
        state: None,
        torn: None,
        usage: ManifestUse::None,
        families: BTreeMap::new(),
        layer: readings.iter().find_map(|reading| reading.layer.clone()),
        files,
    };
    for reading in readings.iter().rev() {
        found.families.extend(reading.families.clone());
    }
    match (chosen, wrong) {
        (Some(reading), None) => {
            found.usage = ManifestUse::Whole { name: name_of(reading.number) };
            found.state = Some(reading.state.clone());
            found.torn = reading.torn.clone();
        }
        (_, Some(why)) if !found.families.is_empty() => found.usage = ManifestUse::NamesOnly { why },
        _ => {}
    }
    let used = chosen.map(|reading| reading.number);
    if let (Some(current), None) = (&current, used) {
        found.files.push(FileReport {
            name: name_of(current.manifest),
            state: FileState::Missing,
            bytes: 0,
            saved: 0,
            lost: None,
            seqs: None,
            why: Some("CURRENT names it".into()),
        });
    }
    found.files.extend(readings.into_iter().map(|reading| report(reading, used)));
    Ok(found)
}

fn name_of(number: FileNumber) -> String {
    FileKind::Manifest(number).name()
}

fn report(reading: Reading, used: Option<FileNumber>) -> FileReport {
    let whole = reading.wrong.is_none() && reading.torn.is_none();
    let wrong = reading.wrong.or(reading.torn);
    let state = match (&wrong, reading.changes) {
        _ if used != Some(reading.number) => FileState::Unused,
        (None, _) => FileState::Intact,
        (Some(_), 0) => FileState::Unreadable,
        (Some(_), _) => FileState::Partial,
    };
    FileReport {
        name: name_of(reading.number),
        state,
        bytes: reading.bytes,
        saved: reading.changes,
        lost: if whole || state == FileState::Unused { Some(0) } else { None },
        seqs: None,
        why: match wrong {
            None if state == FileState::Unused => Some("another manifest is in force".into()),
            wrong => wrong,
        },
    }
}

fn read(fs: &Fs, dir: &Path, number: FileNumber) -> Result<Reading> {
    let path = FileKind::Manifest(number).path(dir);
    let mut reading = Reading {
        number,
        state: StoreState::default(),
        wrong: None,
        torn: None,
        changes: 0,
        bytes: 0,
        families: BTreeMap::new(),
        layer: None,
    };
    let file = match fs.open(&path) {
        Ok(file) => file,
        Err(error) => {
            reading.wrong = Some(error.to_string());
            return Ok(reading);
        }
    };
    reading.bytes = file.size()?;
    // The changes of the edit that is being read: it counts as a whole.
    let mut edit: Option<Edit> = None;
    let walked = walk_manifest(&file, |item| {
        match item {
            ManifestItem::Header(header) => {
                if let Some(damage) = header.damage {
                    reading.doubt(damage.to_string());
                } else if header.header.number != number {
                    reading.doubt(format!("it was written as number {}", header.header.number));
                }
            }
            ManifestItem::Edit(_) => {
                reading.apply(edit.take());
                edit = Some(Edit::default());
            }
            ManifestItem::Op(op) => {
                reading.note(&op);
                if let Some(edit) = &mut edit {
                    edit.push(op);
                }
            }
            ManifestItem::Damage(damage) => reading.doubt(damage.to_string()),
            ManifestItem::Break(place) => {
                reading.apply(edit.take());
                if let Some(damage) = place.damage {
                    reading.doubt(damage.to_string());
                } else if !place.last {
                    reading.doubt(format!("edits follow behind a gap at {}", place.offset));
                } else if let Some((expected, found)) = place.why {
                    // An edit that was never completed, or one that was and is damaged: nothing in the
                    // file tells.
                    let at = place.offset;
                    reading.torn =
                        Some(format!("the edit at {at} does not hold: expected {expected}, found {found}"));
                }
            }
        }
        Ok::<_, Error>(())
    });
    match walked {
        Ok(()) => {}
        Err(error @ Error::UnsupportedVersion { .. }) => reading.doubt(error.to_string()),
        Err(error) => return Err(error),
    }
    if reading.changes == 0 {
        reading.doubt("it holds no edit".into());
    }
    Ok(reading)
}

impl Reading {
    fn doubt(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }

    fn apply(&mut self, edit: Option<Edit>) {
        let Some(edit) = edit else { return };
        self.changes += 1;
        if self.wrong.is_none()
            && let Err(why) = self.state.apply(&edit)
        {
            self.doubt(format!("an edit that does not fit: {why}"));
        }
    }

    /// Keeps what is of use even if the whole cannot be believed.
    fn note(&mut self, op: &EditOp) {
        match op {
            EditOp::CreateFamily { id, name, options } => {
                self.families.insert(*id, (name.clone(), options.clone()));
            }
            EditOp::Store { layer, .. } => self.layer = Some(layer.clone()),
            _ => {}
        }
    }
}
