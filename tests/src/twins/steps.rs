//! What is done to both: commands, most of which write, sweeps, time, and waits for the disk.

use crate::redis::{Generator, Value};
use esker_structures::command::{Command, find, flags};
use std::fmt;

/// Something that is done to both.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// A command.
    Command(Vec<Vec<u8>>),
    /// What has expired is removed.
    Sweep,
    /// Time goes by, in ms.
    Advance(u64),
    /// Until everything so far is durable.
    Wait,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Command(args) => f.write_str(&crate::redis::shown(args)),
            Step::Sweep => f.write_str("(sweep)"),
            Step::Advance(ms) => write!(f, "(advance {ms})"),
            Step::Wait => f.write_str("(wait)"),
        }
    }
}

/// The command that these arguments name.
pub(super) fn named(args: &[Vec<u8>]) -> Option<&'static Command> {
    find(&args.first()?.to_ascii_lowercase())
}

/// Whether nothing can change by a command. (EXEC changes what its commands do.)
pub(super) fn only_reads(args: &[Vec<u8>]) -> bool {
    named(args).is_none_or(|c| !c.has(flags::WRITE | flags::ALONE) && c.name != "exec")
}

/// Whether a reply says that a command waits for EXEC.
pub(super) fn is_queued(reply: &Value) -> bool {
    *reply == Value::Simple(b"QUEUED".to_vec())
}

/// What makes a collection or a string outgrow its header, and not fit a small memtable often.
fn growing(generator: &mut Generator) -> Vec<Vec<u8>> {
    let (count, from) = (100 + generator.below(120), generator.below(200));
    let key = format!("k{}", generator.below(8));
    let words: Vec<String> = match generator.below(5) {
        0 => vec!["append".into(), key, "text".repeat(1 + generator.below(3000) as usize)],
        1 => ["hset".into(), key]
            .into_iter()
            .chain((from..from + count).flat_map(|at| [format!("field{at}"), "value".into()]))
            .collect(),
        2 => ["sadd".into(), key].into_iter().chain((from..from + count).map(|at| at.to_string())).collect(),
        3 => ["rpush".into(), key].into_iter().chain((0..count).map(|at| format!("e{}", at % 12))).collect(),
        _ => ["zadd".into(), key]
            .into_iter()
            .chain((from..from + count).flat_map(|at| [(at % 30).to_string(), format!("m{at}")]))
            .collect(),
    };
    words.into_iter().map(String::into_bytes).collect()
}

/// What empties a key that may have grown.
fn emptying(generator: &mut Generator) -> Vec<Vec<u8>> {
    let key = format!("k{}", generator.below(8));
    let words = match generator.below(8) {
        0 => vec!["ltrim", &key, "50", "60"],
        1 => vec!["spop", &key, "90"],
        2 => vec!["lpop", &key, "90"],
        3 => vec!["zremrangebyrank", &key, "5", "-6"],
        4 => vec!["pexpire", &key, "50000"],
        5 => vec!["rename", &key, "k1"],
        6 => vec!["copy", &key, "k2", "replace"],
        _ => vec!["unlink", &key],
    };
    words.into_iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// A history of so many steps. Transactions are ended soon: what is queued changes nothing. Without `chance`
/// nothing in it is chosen by chance: two stores of which one has failed would choose otherwise.
#[must_use]
pub fn history(seed: u64, count: usize, chance: bool) -> Vec<Step> {
    let mut generator = Generator::new(seed);
    let (mut steps, mut queued) = (Vec::new(), None);
    while steps.len() < count {
        let args = match generator.below(24) {
            0 | 1 => {
                steps.push(Step::Wait);
                continue;
            }
            2 => {
                steps.push(Step::Sweep);
                continue;
            }
            3 => {
                steps.push(Step::Advance(1 + generator.below(60_000)));
                continue;
            }
            4..7 => growing(&mut generator),
            7 => emptying(&mut generator),
            8 if queued.is_none() => vec![b"multi".to_vec()],
            _ => generator.command(),
        };
        let name = named(&args).map_or("", |command| command.name);
        let by_chance = name == "spop" && (!chance || queued.is_some());
        if by_chance || (only_reads(&args) && name != "multi" && generator.below(6) != 0) {
            continue;
        }
        // One that is refused would leave the transaction open, or closed.
        let ends_or_begins = matches!(name, "multi" | "exec" | "discard");
        let args = if ends_or_begins { vec![name.as_bytes().to_vec()] } else { args };
        match (name, queued) {
            ("multi", None) => queued = Some(2 + generator.below(4)),
            ("exec" | "discard", _) => queued = None,
            (_, Some(left)) => queued = Some(left - 1),
            _ => {}
        }
        steps.push(Step::Command(args));
        if queued == Some(0) {
            steps.push(Step::Command(vec![b"exec".to_vec()]));
            queued = None;
        }
    }
    if queued.is_some() {
        steps.push(Step::Command(vec![b"exec".to_vec()]));
    }
    steps
}
