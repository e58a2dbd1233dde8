//! The report as text.

use super::report::{
    Basis, Doubt, DoubtKind, FileRole, FileState, KeyRange, LogEnd, Loss, Order, RepairReport, RepairedFile,
    SeqRange, Use,
};
use crate::db::PLAIN;
use std::fmt;

/// How many bytes of a key are shown.
const KEY_BYTES: usize = 40;
/// How many of them stand before the place where two keys part.
const CONTEXT_BYTES: usize = 8;

/// A bound of a range: the key, how much it has in common with the other bound, and what stands for none.
struct Key<'a>(&'a Option<Vec<u8>>, usize, &'static str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(key) = &self.0 else { return f.write_str(self.2) };
        if key.len() <= KEY_BYTES {
            return write!(f, "\"{}\"", key.escape_ascii());
        }
        // The place where the two bounds part is shown, and a little of what comes before.
        let from = if self.1 < KEY_BYTES { 0 } else { self.1 - CONTEXT_BYTES };
        let to = key.len().min(from + KEY_BYTES);
        let (before, behind) = (if from > 0 { "..." } else { "" }, if to < key.len() { "..." } else { "" });
        write!(f, "\"{before}{}{behind}\" ({} bytes)", key[from..to].escape_ascii(), key.len())
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == KeyRange::ALL {
            return f.write_str("all keys");
        }
        let common = match (&self.from, &self.to) {
            (Some(from), Some(to)) => from.iter().zip(to).take_while(|(a, b)| a == b).count(),
            _ => 0,
        };
        let (from, to) = (Key(&self.from, common, "the first"), Key(&self.to, common, "the last"));
        write!(f, "keys {from} to {to}")
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            None if self.first == 0 => f.write_str("any sequence number"),
            None => write!(f, "sequence numbers from {} on", self.first),
            Some(last) if last == self.first => write!(f, "sequence number {last}"),
            Some(last) => write!(f, "sequence numbers {} to {last}", self.first),
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Basis::InForce(number) => write!(f, "MANIFEST-{number:06}, which is in force"),
            Basis::Newest(number) => {
                write!(f, "MANIFEST-{number:06}, the newest that is whole; CURRENT cannot be read")
            }
            Basis::Parts => f.write_str("pieces of manifests; every table and log that can be read counts"),
            Basis::Nothing => f.write_str("no manifest; every table and log that can be read counts"),
        }
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FileState::Intact => "intact",
            FileState::OpenEnd => "open end",
            FileState::PartlyRead => "partly read",
            FileState::Unreadable => "unreadable",
            FileState::Missing => "missing",
            FileState::NotRead => "not read",
        })
    }
}

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogEnd::Closed => "closed in good order",
            LogEnd::Open => "ends without the mark of a close, as after a crash",
            LogEnd::Torn => "ends in bytes that are no record: an unfinished write, or damage",
            LogEnd::Damaged => "ends in damage: more was known to be on disk",
            LogEnd::None => "is not needed, or none can be read",
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DoubtKind::Lost => "entries could not be read",
            DoubtKind::MayBeLost => "writes may be lost",
            DoubtKind::OpenEnd => "writes after the last that is there are not",
        };
        match &self.family {
            Some(family) => write!(f, "family {family:?}, {}: {what}", self.keys)?,
            None => write!(f, "every family, {}: {what}", self.keys)?,
        }
        write!(f, " ({}); {}", self.seqs, self.why)?;
        match (self.families_may_be_back, &self.family) {
            (false, _) => Ok(()),
            (true, Some(_)) => f.write_str("; the family may have been dropped"),
            (true, None) => f.write_str(
                "; families that were dropped may be back, ones that were created last may be missing",
            ),
        }
    }
}

impl fmt::Display for RepairedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {:<11}", self.name, self.state)?;
        if matches!(self.role, FileRole::Table | FileRole::Log) && self.used != Use::LeftOut {
            write!(f, " {} entries saved, ", self.entries_saved)?;
            match self.entries_lost {
                Some(lost) if lost > self.entries_gone => {
                    write!(f, "{lost} lost, {} of them for certain", self.entries_gone)?;
                }
                Some(lost) => write!(f, "{lost} lost")?,
                None => write!(f, "lost: unknown")?,
            }
        }
        match self.used {
            Use::LeftOut => f.write_str(" left out")?,
            Use::Filled => f.write_str(" (fills in)")?,
            Use::Taken => {}
        }
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.loss() {
            Loss::NoneFound => "no loss was found",
            Loss::OpenEnd => {
                "nothing is damaged, but the store was not closed and nobody knows where it ended"
            }
            Loss::Possible => "something may be lost",
            Loss::Certain => "something is lost",
        };
        writeln!(f, "{verdict}")?;
        writeln!(f, "entries saved, deletions and older versions included: {}", self.entries_saved())?;
        match self.entries_lost() {
            Some(lost) => writeln!(f, "entries lost: {lost}")?,
            None => match self.entries_gone() {
                0 => writeln!(f, "entries lost: unknown")?,
                gone => writeln!(f, "entries lost: unknown, at least {gone}")?,
            },
        }
        writeln!(f, "what counts is said by: {}", self.basis)?;
        let order = match self.order {
            Order::Holds => "a prefix of the order of commits, every batch whole",
            Order::MayBeBroken => "perhaps no prefix of the order of commits; batches may be there in part",
        };
        writeln!(f, "what is saved is {order}")?;
        if !self.layer_known {
            let layer = &self.layer;
            write!(f, "no manifest tells which layer wrote the keys; the new store has them as {layer}'s")?;
            let hint = if layer == PLAIN { ": if they are structures, `--structures` says so" } else { "" };
            writeln!(f, "{hint}")?;
        }
        writeln!(f, "\nfamilies")?;
        for family in &self.families {
            write!(f, "  {:<3} {:?}", family.id, family.name)?;
            if let Some(keys) = family.keys {
                write!(f, ", {keys} keys")?;
            }
            if let Some(expired @ 1..) = family.expired {
                write!(f, " and {expired} that have expired")?;
            }
            if family.assumed {
                f.write_str(", its name and options were lost and are those of the layer")?;
            } else if !family.name_known {
                f.write_str(", its name was lost")?;
            }
            if !family.options_known && !family.assumed {
                f.write_str(", with default options")?;
            }
            writeln!(f)?;
        }
        let log = &self.log;
        writeln!(f, "\nlog: {} groups in {} segments; it {}", log.groups, log.segments, log.end)?;
        for seqs in &log.missing {
            writeln!(f, "  cannot be read: {seqs}")?;
        }
        writeln!(f, "\nfiles")?;
        self.files.iter().try_for_each(|file| writeln!(f, "  {file}"))?;
        if self.doubts.is_empty() {
            return writeln!(f, "\nevery key has the state that was last written");
        }
        writeln!(f, "\nin doubt: an older value may show, a deleted key may be back, a key may be missing")?;
        self.doubts.iter().try_for_each(|doubt| writeln!(f, "  {doubt}"))?;
        writeln!(f, "every other key has the state that was last written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_range_can_be_told_apart() {
        let key = |text: &str| Some(format!("{}{text}", "p".repeat(100)).into_bytes());
        let range = KeyRange { from: key("aaa"), to: key("b") };
        let shown = range.to_string();
        assert_eq!(shown, "keys \"...ppppppppaaa\" (103 bytes) to \"...ppppppppb\" (101 bytes)");
        let short = KeyRange { from: Some(b"a".to_vec()), to: None };
        assert_eq!(short.to_string(), "keys \"a\" to the last");
        let apart = KeyRange { from: Some(vec![b'a'; 50]), to: Some(vec![b'z'; 41]) };
        let (a, z) = ("a".repeat(40), "z".repeat(40));
        assert_eq!(apart.to_string(), format!("keys \"{a}...\" (50 bytes) to \"{z}...\" (41 bytes)"));
        let inside = KeyRange { from: Some(vec![b'k'; 45]), to: Some(vec![b'k'; 46]) };
        assert!(inside.to_string().contains("(45 bytes) to") && inside.to_string().ends_with("(46 bytes)"));
    }
}
