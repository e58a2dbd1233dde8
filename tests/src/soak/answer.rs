//! What the child says to each line that it was sent: one line of text.

use super::print::{Sum, hex, unhex};
use std::fmt::Write as _;

/// An answer, with the sequence number up to which logged writes are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What `Db::durable_seq` says.
    pub durable_seq: u64,
    /// The answer itself.
    pub what: What,
}

/// The answer to one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It went well; with the last visible sequence number.
    Done(u64),
    /// A write failed before it was visible.
    Refused(String),
    /// A write failed after it was visible.
    Published(String),
    /// Anything else failed.
    Failed(String),
    /// The fingerprints of the values that were found.
    Values(Vec<Option<Vec<u8>>>),
    /// What a scan met.
    Entries(Sum),
    /// The families.
    Names(Vec<String>),
    /// How the store is.
    Status(Status),
}

/// How a store is, in numbers. Bytes unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The time against which entries expire, in milliseconds since the epoch.
    pub now_ms: u64,
    /// All tables.
    pub table_bytes: u64,
    /// What flushes and compactions wrote since the store was opened.
    pub written_bytes: u64,
    /// Flushes, compactions and moves of tables since the store was opened.
    pub jobs: u64,
    /// Memtables that wait to be flushed, and compactions that run.
    pub running: u64,
    /// Memtables, cache, indexes, filters and what readers hold.
    pub memory_bytes: u64,
    /// Failures that background work has to get over.
    pub failures: u64,
    /// Why the store is read-only, if it is.
    pub poisoned: Option<String>,
}

impl Answer {
    /// The answer as a line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("{} ", self.durable_seq);
        let plain = |text: &str| text.replace('\n', " ");
        let written = match &self.what {
            What::Done(seq) => write!(line, "done {seq}"),
            What::Refused(why) => write!(line, "refused {}", plain(why)),
            What::Published(why) => write!(line, "published {}", plain(why)),
            What::Failed(why) => write!(line, "failed {}", plain(why)),
            What::Values(values) => {
                let text = |value: &Option<Vec<u8>>| value.as_ref().map_or("-".into(), |print| hex(print));
                write!(line, "values {}", values.iter().map(text).collect::<Vec<_>>().join(" "))
            }
            What::Entries(sum) => write!(line, "entries {} {}", sum.count, sum.hash),
            What::Names(names) => write!(line, "names {}", names.join(" ")),
            What::Status(status) => write!(line, "status {}", status.line()),
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        line
    }

    /// Reads a line.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(line: &str) -> Result<Answer, String> {
        let answer = || {
            let (durable_seq, rest) = line.split_once(' ')?;
            let (word, rest) = rest.split_once(' ')?;
            let mut words = rest.split_whitespace();
            let what = match word {
                "done" => What::Done(rest.parse().ok()?),
                "refused" => What::Refused(rest.into()),
                "published" => What::Published(rest.into()),
                "failed" => What::Failed(rest.into()),
                "values" => {
                    let value = |word| if word == "-" { Some(None) } else { Some(Some(unhex(word)?)) };
                    What::Values(words.map(value).collect::<Option<_>>()?)
                }
                "entries" => {
                    let mut number = || words.next()?.parse().ok();
                    What::Entries(Sum { count: number()?, hash: number()? })
                }
                "names" => What::Names(words.map(Into::into).collect()),
                "status" => What::Status(Status::parse(rest)?),
                _ => return None,
            };
            Some(Answer { durable_seq: durable_seq.parse().ok()?, what })
        };
        answer().ok_or_else(|| format!("this is no answer: {line}"))
    }
}

impl Status {
    fn line(&self) -> String {
        let Status { now_ms, table_bytes, written_bytes, jobs, running, memory_bytes, failures, poisoned } =
            self;
        let poisoned = poisoned.as_deref().unwrap_or_default();
        format!(
            "{now_ms} {table_bytes} {written_bytes} {jobs} {running} {memory_bytes} {failures} {poisoned}"
        )
    }

    fn parse(text: &str) -> Option<Status> {
        let mut words = text.splitn(8, ' ');
        let mut number = || words.next()?.parse().ok();
        let (now_ms, table_bytes, written_bytes) = (number()?, number()?, number()?);
        let (jobs, running, memory_bytes, failures) = (number()?, number()?, number()?, number()?);
        let poisoned = words.next().filter(|why| !why.is_empty()).map(Into::into);
        Some(Status { now_ms, table_bytes, written_bytes, jobs, running, memory_bytes, failures, poisoned })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_back_as_they_were_written() {
        let well =
            Status { now_ms: 1, table_bytes: 2, written_bytes: 3, jobs: 4, running: 5, ..Status::default() };
        let all = [
            What::Done(7),
            What::Refused("the disk is full".into()),
            What::Published("x".into()),
            What::Failed("y z".into()),
            What::Values(vec![Some(vec![1, 255]), None]),
            What::Values(Vec::new()),
            What::Entries(Sum { count: 3, hash: u64::MAX }),
            What::Names(vec!["default".into(), "f1".into()]),
            What::Status(well.clone()),
            What::Status(Status { poisoned: Some("a sync failed".into()), ..well }),
        ];
        for what in all {
            let answer = Answer { durable_seq: 12, what };
            assert_eq!(Answer::parse(&answer.line()).unwrap(), answer);
        }
        assert!(Answer::parse("12 dance 3").is_err());
    }
}
