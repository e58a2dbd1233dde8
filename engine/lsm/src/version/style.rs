//! How the tables of a column family are kept in order, as data: its compaction style.

use crate::base::coding::{Decoder, Malformed, put_varint};
use crate::base::error::{Error, Result};
use std::fmt;
use std::time::Duration;

/// How the tables of a column family are compacted: see `docs/compaction.md` for the rules and the costs.
/// [`FamilyOptions::compaction`](crate::FamilyOptions::compaction) sets it, and
/// [`Builder::compaction_style`](crate::Builder::compaction_style) changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompactionStyle {
    /// Sorted runs of growing size, one for each level: reads look into few, nine tenths of the data stand in
    /// one, and each entry is written about ten times.
    #[default]
    Leveled,
    /// Runs of similar size are merged with one another: each entry is written a few times, reads look into
    /// more runs, and what was overwritten stays for longer. For families that are written more than read.
    Tiered(Tiered),
    /// Only the newest is kept: tables are dropped whole, the oldest first, once the family is too large or
    /// they are too old. Each entry is written about once. For logs, events and caches, which may lose what
    /// is old without being asked.
    Fifo(Fifo),
}

/// The rules of [`CompactionStyle::Tiered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiered {
    /// So many neighbours of similar size are merged. More write less, and leave more runs. Default: 4;
    /// between 2 and 32.
    pub width: u32,
    /// More runs than this are not left, similar or not. Default: 12; between 2 and 64.
    pub runs: u32,
    /// When all runs but the oldest together are larger than this share of the oldest, in percent, all are
    /// merged: so the store takes at most this much more than what it shows. A merge of all needs as much
    /// room again while it goes on. Default: 200; between 10 and 10,000.
    pub space_percent: u32,
}

impl Default for Tiered {
    fn default() -> Self {
        Tiered { width: 4, runs: 12, space_percent: 200 }
    }
}

/// The rules of [`CompactionStyle::Fifo`]. One bound at least must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fifo {
    /// What the tables may take, in bytes; the oldest go as soon as it is more. Default: `None`; 64 KiB at
    /// least.
    pub bytes: Option<u64>,
    /// How old a table may become, counted from when the newest that is in it was flushed; in whole
    /// milliseconds. Default: `None`; between 1 s and ten years.
    pub age: Option<Duration>,
    /// If there are more tables than this, neighbours are merged. More write less, and have reads look into
    /// more. What is dropped at once is about the size divided by it. Default: 24; between 2 and 64.
    pub runs: u32,
}

impl Default for Fifo {
    fn default() -> Self {
        Fifo { bytes: None, age: None, runs: 24 }
    }
}

const LEAST_FIFO_BYTES: u64 = 64 << 10;
const LONGEST_AGE: Duration = Duration::from_secs(3650 * 24 * 3600);

impl Fifo {
    fn validate(&self) -> Result<()> {
        if self.bytes.is_none() && self.age.is_none() {
            return Err(Error::invalid("compaction", "a family that drops its oldest needs a bound"));
        }
        if self.bytes.is_some_and(|bytes| bytes < LEAST_FIFO_BYTES) {
            return Err(Error::invalid("bytes", format!("it must be {LEAST_FIFO_BYTES} at least")));
        }
        if self.age.is_some_and(|age| !(Duration::from_secs(1)..=LONGEST_AGE).contains(&age)) {
            return Err(Error::invalid("age", "it must be between 1 s and ten years"));
        }
        if !(2..=64).contains(&self.runs) {
            return Err(Error::invalid("runs", format!("{} is not between 2 and 64", self.runs)));
        }
        Ok(())
    }

    /// What may take no longer than that, in milliseconds.
    #[must_use]
    pub fn age_ms(&self) -> Option<u64> {
        self.age.map(|age| age.as_millis() as u64)
    }
}

impl CompactionStyle {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field and its limits.
    pub fn validate(&self) -> Result<()> {
        let rules = match self {
            CompactionStyle::Leveled => return Ok(()),
            CompactionStyle::Tiered(rules) => rules,
            CompactionStyle::Fifo(rules) => return rules.validate(),
        };
        for (what, value, least, most) in [
            ("width", rules.width, 2, 32),
            ("runs", rules.runs, 2, 64),
            ("space_percent", rules.space_percent, 10, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(what, format!("{value} is not between {least} and {most}")));
            }
        }
        Ok(())
    }

    /// Appends the stored form: see `docs/format/manifest.md`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            CompactionStyle::Leveled => put_varint(out, 0),
            CompactionStyle::Tiered(Tiered { width, runs, space_percent }) => {
                [1, *width, *runs, *space_percent].iter().for_each(|n| put_varint(out, u64::from(*n)));
            }
            CompactionStyle::Fifo(rules) => {
                let numbers =
                    [2, rules.bytes.unwrap_or(0), rules.age_ms().unwrap_or(0), u64::from(rules.runs)];
                numbers.iter().for_each(|n| put_varint(out, *n));
            }
        }
    }

    /// Decodes the stored form, which must be all there is.
    ///
    /// # Errors
    /// [`Malformed`] if it is none that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<CompactionStyle, Malformed> {
        let mut decoder = Decoder::new(bytes);
        let unknown = decoder.malformed("a compaction style that this version knows");
        let style = match decoder.varint("a compaction style")? {
            0 => CompactionStyle::Leveled,
            1 => {
                let mut number = || decoder.varint32("a rule of tiered compaction");
                CompactionStyle::Tiered(Tiered {
                    width: number()?,
                    runs: number()?,
                    space_percent: number()?,
                })
            }
            2 => {
                let mut number =
                    || decoder.varint("a rule of keeping the newest").map(|n| (n > 0).then_some(n));
                let (bytes, age) = (number()?, number()?.map(Duration::from_millis));
                let runs = decoder.varint32("a number of tables")?;
                CompactionStyle::Fifo(Fifo { bytes, age, runs })
            }
            _ => return Err(unknown),
        };
        if !decoder.is_empty() || style.validate().is_err() {
            return Err(unknown);
        }
        Ok(style)
    }
}

impl fmt::Display for CompactionStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompactionStyle::Leveled => f.write_str("leveled"),
            CompactionStyle::Tiered(Tiered { width, runs, space_percent }) => {
                write!(f, "tiered, width {width}, runs {runs}, space_percent {space_percent}")
            }
            CompactionStyle::Fifo(rules) => {
                f.write_str("fifo")?;
                rules.bytes.map_or(Ok(()), |bytes| write!(f, ", bytes {bytes}"))?;
                rules.age_ms().map_or(Ok(()), |ms| write!(f, ", age {ms}ms"))?;
                write!(f, ", runs {}", rules.runs)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_read_back_and_nothing_else_is() {
        let other = CompactionStyle::Tiered(Tiered { width: 7, runs: 64, space_percent: 1000 });
        let sized = CompactionStyle::Fifo(Fifo { bytes: Some(1 << 40), ..Fifo::default() });
        let aged = CompactionStyle::Fifo(Fifo { age: Some(Duration::from_millis(1500)), ..Fifo::default() });
        for style in
            [CompactionStyle::Leveled, CompactionStyle::Tiered(Tiered::default()), other, sized, aged]
        {
            let mut stored = Vec::new();
            style.encode(&mut stored);
            assert_eq!(CompactionStyle::decode(&stored), Ok(style));
            assert!(CompactionStyle::decode(&stored[..stored.len() - 1]).is_err());
            stored.push(0);
            assert!(CompactionStyle::decode(&stored).is_err());
        }
        for wrong in
            [&[9][..], &[1, 1, 4, 100], &[1, 4, 65, 100], &[1, 4, 12, 1], &[2, 0, 0, 24], &[2, 9, 0, 24]]
        {
            assert!(CompactionStyle::decode(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_style_is_told_in_words() {
        let aged = Fifo { bytes: Some(9 << 20), age: Some(Duration::from_secs(60)), runs: 7 };
        for (style, words) in [
            (CompactionStyle::Leveled, "leveled"),
            (CompactionStyle::Tiered(Tiered::default()), "tiered, width 4, runs 12, space_percent 200"),
            (CompactionStyle::Fifo(aged), "fifo, bytes 9437184, age 60000ms, runs 7"),
        ] {
            assert_eq!(style.to_string(), words);
        }
    }

    #[test]
    fn a_wrong_rule_names_its_field() {
        let base = Tiered::default();
        for (rules, what) in [
            (Tiered { width: 1, ..base }, "width"),
            (Tiered { runs: 65, ..base }, "runs"),
            (Tiered { space_percent: 9, ..base }, "space_percent"),
        ] {
            let error = CompactionStyle::Tiered(rules).validate().unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { what: named, .. } if named == what), "{error}");
        }
        let base = Fifo { bytes: Some(1 << 20), ..Fifo::default() };
        for (rules, what) in [
            (Fifo::default(), "compaction"),
            (Fifo { bytes: Some(5), ..base }, "bytes"),
            (Fifo { age: Some(Duration::from_millis(999)), ..base }, "age"),
            (Fifo { runs: 1, ..base }, "runs"),
        ] {
            let error = CompactionStyle::Fifo(rules).validate().unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { what: named, .. } if named == what), "{error}");
        }
    }
}
