//! The text form: one operation per line, words between blanks; `#` begins a comment.
//!
//! ```text
//! put default user000000000001 120 sync
//! put-ttl f1 \x00\xff 40 500 os
//! merge-ttl f1 counter 12 500 os
//! delete default "" none
//! delete-range default [a )c os
//! batch sync : put default a 10 : delete f1 b
//! transaction pessimistic sync : put default a 10 ! put default a 20
//! prepare 0 optimistic sync : put default a 10
//! commit-prepared 0 os
//! if absent default a os : put default a 10
//! ingest move : put default a 10 : delete f1 b
//! expire default a 500
//! persist default a
//! scan default forward [a )b
//! scan f1 @2 mixed:77 prefix:user
//! cursor 0 default [a )b
//! move 0 seek-for-prev aa
//! power-loss later-kept 9
//! ```
//!
//! A word that is a key shows letters, digits and a few signs as they are and other bytes as `\x00`; the
//! empty key is `""`, and `{61*5000}` stands for 5,000 times the byte 0x61. `@2` reads the snapshot with
//! that number.

use super::operation::{
    Asked, Change, Condition, LEAST_TTL_BYTES, Movement, Operation, Span, Step, TransactionKind, What,
};
use esker::Durability;
use esker::fs::sim::Image;
use std::fmt::Write as _;
use std::ops::Bound;

/// A history as text.
#[must_use]
pub fn print(history: &[Operation]) -> String {
    history.iter().map(|operation| line(operation) + "\n").collect()
}

/// Reads the text form; an error names the line.
pub fn parse(text: &str) -> Result<Vec<Operation>, String> {
    let mut history = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let operation = operation(&words).map_err(|why| format!("line {}: {why}: {line}", number + 1))?;
            history.push(operation);
        }
    }
    Ok(history)
}

fn line(operation: &Operation) -> String {
    match operation {
        Operation::Write { changes, durability } => match changes.as_slice() {
            [only] => format!("{} {}", change_text(only), durability_text(*durability)),
            all => {
                format!("batch {}{}", durability_text(*durability), changes_text(all, ':'))
            }
        },
        Operation::Transaction { kind, changes, meddle, durability } => format!(
            "transaction {} {}{}{}",
            kind_text(*kind),
            durability_text(*durability),
            changes_text(changes, ':'),
            changes_text(meddle, '!')
        ),
        Operation::Prepare { slot, kind, changes, durability } => format!(
            "prepare {slot} {} {}{}",
            kind_text(*kind),
            durability_text(*durability),
            changes_text(changes, ':')
        ),
        Operation::CommitPrepared { slot, durability } => {
            format!("commit-prepared {slot} {}", durability_text(*durability))
        }
        Operation::RollbackPrepared(slot) => format!("rollback-prepared {slot}"),
        Operation::If { condition: Condition { family, key, asked }, changes, durability } => format!(
            "if {} {family} {} {}{}",
            asked_text(*asked),
            key_text(key),
            durability_text(*durability),
            changes_text(changes, ':')
        ),
        Operation::Expire { family, key, ttl_ms: Some(ttl_ms) } => {
            format!("expire {family} {} {ttl_ms}", key_text(key))
        }
        Operation::Expire { family, key, ttl_ms: None } => format!("persist {family} {}", key_text(key)),
        Operation::Ingest { changes, move_files } => {
            format!("ingest {}{}", if *move_files { "move" } else { "copy" }, changes_text(changes, ':'))
        }
        Operation::Sync => "sync".into(),
        Operation::Flush => "flush".into(),
        Operation::Compact => "compact".into(),
        Operation::CompactRange { family, span } => format!("compact-range {family} {}", span_text(span)),
        Operation::Tick(steps) => format!("tick {steps}"),
        Operation::Advance(ms) => format!("advance {ms}"),
        Operation::Clock(by_ms) => format!("clock {by_ms:+}"),
        Operation::Options(number) => format!("options {number}"),
        Operation::Adjust(number) => format!("adjust {number}"),
        Operation::OnDurable => "on-durable".into(),
        Operation::Create(name) => format!("create {name}"),
        Operation::Drop(name) => format!("drop {name}"),
        Operation::Snapshot(slot) => format!("snapshot {slot}"),
        Operation::Release(slot) => format!("release {slot}"),
        Operation::Get { at, family, key } => format!("get {family}{} {}", at_text(*at), key_text(key)),
        Operation::MultiGet { at, family, keys } => {
            let keys: String = keys.iter().map(|key| format!(" {}", key_text(key))).collect();
            format!("multi-get {family}{}{keys}", at_text(*at))
        }
        Operation::Scan { at, family, span, step } => {
            let step = match step {
                Step::Forward => "forward".into(),
                Step::Reverse => "reverse".into(),
                Step::Mixed(seed) => format!("mixed:{seed}"),
            };
            format!("scan {family}{} {step} {}", at_text(*at), span_text(span))
        }
        Operation::Cursor { slot, at, family, span } => {
            format!("cursor {slot} {family}{} {}", at_text(*at), span_text(span))
        }
        Operation::Move { slot, to } => format!("move {slot} {}", movement_text(to)),
        Operation::LetGo(slot) => format!("let-go {slot}"),
        Operation::Families => "families".into(),
        Operation::Verify => "verify".into(),
        Operation::Checkpoint => "checkpoint".into(),
        Operation::Look => "look".into(),
        Operation::Backup => "backup".into(),
        Operation::Reopen => "reopen".into(),
        Operation::Kill => "kill".into(),
        Operation::PowerLoss { image, seed } => format!("power-loss {image} {seed}"),
    }
}

fn change_text(change: &Change) -> String {
    let (family, key) = (&change.family, key_text(&change.key));
    match &change.what {
        What::Put { bytes } => format!("put {family} {key} {bytes}"),
        What::PutTtl { bytes, ttl_ms } => format!("put-ttl {family} {key} {bytes} {ttl_ms}"),
        What::Merge { bytes, ttl_ms: 0 } => format!("merge {family} {key} {bytes}"),
        What::Merge { bytes, ttl_ms } => format!("merge-ttl {family} {key} {bytes} {ttl_ms}"),
        What::Delete => format!("delete {family} {key}"),
        What::DeleteRange(span) => format!("delete-range {family} {}", span_text(span)),
        What::DropRange(span) => format!("drop-range {family} {}", span_text(span)),
    }
}

fn changes_text(changes: &[Change], sign: char) -> String {
    changes.iter().map(|change| format!(" {sign} {}", change_text(change))).collect()
}

fn kind_text(kind: TransactionKind) -> &'static str {
    match kind {
        TransactionKind::Optimistic => "optimistic",
        TransactionKind::Pessimistic => "pessimistic",
        TransactionKind::Serialisable => "serialisable",
    }
}

fn asked_text(asked: Asked) -> &'static str {
    match asked {
        Asked::Absent => "absent",
        Asked::Value => "value",
        Asked::OtherValue => "other-value",
        Asked::Version => "version",
    }
}

fn durability_text(durability: Durability) -> &'static str {
    match durability {
        Durability::Sync => "sync",
        Durability::Os => "os",
        Durability::None => "none",
    }
}

fn movement_text(to: &Movement) -> String {
    match to {
        Movement::First => "first".into(),
        Movement::Last => "last".into(),
        Movement::Next => "next".into(),
        Movement::Prev => "prev".into(),
        Movement::Refresh => "refresh".into(),
        Movement::Seek(key) => format!("seek {}", key_text(key)),
        Movement::SeekForPrev(key) => format!("seek-for-prev {}", key_text(key)),
    }
}

fn at_text(at: Option<u32>) -> String {
    at.map_or(String::new(), |slot| format!(" @{slot}"))
}

/// A key as one word.
fn key_text(key: &[u8]) -> String {
    if key.is_empty() {
        return "\"\"".into();
    }
    let mut text = String::new();
    for run in key.chunk_by(|a, b| a == b) {
        let byte = run[0];
        if run.len() >= LEAST_RUN {
            write!(text, "{{{byte:02x}*{}}}", run.len()).expect("a String takes all");
            continue;
        }
        run.iter().for_each(|byte| byte_text(*byte, &mut text));
    }
    text
}

/// So many equal bytes of a key are written as a run.
const LEAST_RUN: usize = 16;

fn byte_text(byte: u8, text: &mut String) {
    if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
        text.push(byte as char);
    } else {
        write!(text, "\\x{byte:02x}").expect("a String takes all");
    }
}

fn span_text(span: &Span) -> String {
    match span {
        Span::All => "all".into(),
        Span::Prefix(prefix) => format!("prefix:{}", key_text(prefix)),
        Span::Range(from, to) => {
            let bound = |bound: &Bound<Vec<u8>>, signs: [char; 2]| match bound {
                Bound::Included(key) => format!("{}{}", signs[0], key_text(key)),
                Bound::Excluded(key) => format!("{}{}", signs[1], key_text(key)),
                Bound::Unbounded => "*".into(),
            };
            format!("{} {}", bound(from, ['[', '(']), bound(to, [']', ')']))
        }
    }
}

fn operation(words: &[&str]) -> Result<Operation, String> {
    let (name, rest) = words.split_first().ok_or("no words")?;
    Ok(match (*name, rest) {
        ("batch", [durability, rest @ ..]) => {
            Operation::Write { changes: changes(rest, ":")?, durability: parse_durability(durability)? }
        }
        ("transaction", [kind, durability, rest @ ..]) => {
            let (own, meddle) = rest.split_at(rest.iter().position(|w| *w == "!").unwrap_or(rest.len()));
            Operation::Transaction {
                kind: parse_kind(kind)?,
                changes: changes(own, ":")?,
                meddle: changes(meddle, "!")?,
                durability: parse_durability(durability)?,
            }
        }
        ("prepare", [slot, kind, durability, rest @ ..]) => Operation::Prepare {
            slot: number(slot)? as u32,
            kind: parse_kind(kind)?,
            changes: changes(rest, ":")?,
            durability: parse_durability(durability)?,
        },
        ("commit-prepared", [slot, durability]) => Operation::CommitPrepared {
            slot: number(slot)? as u32,
            durability: parse_durability(durability)?,
        },
        ("rollback-prepared", [slot]) => Operation::RollbackPrepared(number(slot)? as u32),
        ("if", [asked, family, key, durability, rest @ ..]) => {
            let all = [Asked::Absent, Asked::Value, Asked::OtherValue, Asked::Version];
            let asked = all.into_iter().find(|known| asked_text(*known) == *asked);
            let asked = asked.ok_or("no such condition")?;
            Operation::If {
                condition: Condition { family: (*family).into(), key: parse_key(key)?, asked },
                changes: changes(rest, ":")?,
                durability: parse_durability(durability)?,
            }
        }
        ("expire", [family, key, ttl_ms]) => Operation::Expire {
            family: (*family).into(),
            key: parse_key(key)?,
            ttl_ms: Some(number(ttl_ms)?),
        },
        ("persist", [family, key]) => {
            Operation::Expire { family: (*family).into(), key: parse_key(key)?, ttl_ms: None }
        }
        (
            "put" | "put-ttl" | "merge" | "merge-ttl" | "delete" | "delete-range" | "drop-range",
            [.., durability],
        ) => {
            let changes = vec![change(&words[..words.len() - 1])?];
            Operation::Write { changes, durability: parse_durability(durability)? }
        }
        ("ingest", [how @ ("move" | "copy"), rest @ ..]) => {
            let changes = changes(rest, ":")?;
            let is_entry =
                |c: &Change| matches!(c.what, What::Put { .. } | What::PutTtl { .. } | What::Delete);
            if !changes.iter().all(is_entry) {
                return Err("a file has no operands and no ranges".into());
            }
            Operation::Ingest { changes, move_files: *how == "move" }
        }
        ("sync", []) => Operation::Sync,
        ("flush", []) => Operation::Flush,
        ("compact", []) => Operation::Compact,
        ("compact-range", [family, rest @ ..]) => {
            Operation::CompactRange { family: (*family).into(), span: span(rest)? }
        }
        ("tick", [steps]) => Operation::Tick(number(steps)? as u32),
        ("advance", [ms]) => Operation::Advance(number(ms)?),
        ("clock", [by_ms]) => {
            let by_ms = by_ms.strip_prefix('+').unwrap_or(by_ms).parse();
            Operation::Clock(by_ms.map_err(|_| "no such time".to_string())?)
        }
        ("options", [set]) => Operation::Options(number(set)? as u32),
        ("adjust", [set]) => Operation::Adjust(number(set)? as u32),
        ("on-durable", []) => Operation::OnDurable,
        ("create", [name]) => Operation::Create((*name).into()),
        ("drop", [name]) => Operation::Drop((*name).into()),
        ("snapshot", [slot]) => Operation::Snapshot(number(slot)? as u32),
        ("release", [slot]) => Operation::Release(number(slot)? as u32),
        ("get" | "multi-get" | "scan", [family, rest @ ..]) => read(name, (*family).into(), rest)?,
        ("cursor", [slot, family, rest @ ..]) => {
            let (at, rest) = snapshot_of(rest)?;
            Operation::Cursor { slot: number(slot)? as u32, at, family: (*family).into(), span: span(rest)? }
        }
        ("move", [slot, to @ ..]) => Operation::Move { slot: number(slot)? as u32, to: movement(to)? },
        ("let-go", [slot]) => Operation::LetGo(number(slot)? as u32),
        ("families", []) => Operation::Families,
        ("verify", []) => Operation::Verify,
        ("checkpoint", []) => Operation::Checkpoint,
        ("look", []) => Operation::Look,
        ("backup", []) => Operation::Backup,
        ("reopen", []) => Operation::Reopen,
        ("kill", []) => Operation::Kill,
        ("power-loss", [image, seed]) => {
            let named = Image::ALL.into_iter().find(|kind| kind.to_string() == *image);
            Operation::PowerLoss { image: named.ok_or("no such image")?, seed: number(seed)? }
        }
        _ => return Err("no such operation".into()),
    })
}

fn parse_kind(word: &str) -> Result<TransactionKind, String> {
    let kinds = [TransactionKind::Optimistic, TransactionKind::Pessimistic, TransactionKind::Serialisable];
    let named = kinds.into_iter().find(|known| kind_text(*known) == word);
    named.ok_or_else(|| "no such kind of transaction".into())
}

/// The snapshot that is read, if one is named, and the words behind it.
fn snapshot_of<'a, 'w>(words: &'a [&'w str]) -> Result<(Option<u32>, &'a [&'w str]), String> {
    match words.split_first() {
        Some((first, others)) if first.starts_with('@') => Ok((Some(number(&first[1..])? as u32), others)),
        _ => Ok((None, words)),
    }
}

fn movement(words: &[&str]) -> Result<Movement, String> {
    Ok(match words {
        ["first"] => Movement::First,
        ["last"] => Movement::Last,
        ["next"] => Movement::Next,
        ["prev"] => Movement::Prev,
        ["refresh"] => Movement::Refresh,
        ["seek", key] => Movement::Seek(parse_key(key)?),
        ["seek-for-prev", key] => Movement::SeekForPrev(parse_key(key)?),
        _ => return Err("no such movement".into()),
    })
}

fn read(name: &str, family: String, rest: &[&str]) -> Result<Operation, String> {
    let (at, rest) = snapshot_of(rest)?;
    Ok(match (name, rest) {
        ("get", [key]) => Operation::Get { at, family, key: parse_key(key)? },
        ("multi-get", keys) => {
            let keys = keys.iter().map(|key| parse_key(key)).collect::<Result<_, _>>()?;
            Operation::MultiGet { at, family, keys }
        }
        ("scan", [step, rest @ ..]) => {
            let step = match (*step, step.strip_prefix("mixed:")) {
                ("forward", _) => Step::Forward,
                ("reverse", _) => Step::Reverse,
                (_, Some(seed)) => Step::Mixed(number(seed)?),
                _ => return Err("no such way to walk".into()),
            };
            Operation::Scan { at, family, span: span(rest)?, step }
        }
        _ => return Err("wrong words behind a read".into()),
    })
}

/// Changes, each behind a sign.
fn changes(words: &[&str], sign: &str) -> Result<Vec<Change>, String> {
    words.split(|word| *word == sign).skip(1).map(change).collect()
}

fn change(words: &[&str]) -> Result<Change, String> {
    let size = |word: &str| number(word).map(|bytes| bytes as usize);
    let (family, key, what) = match words {
        ["put", family, key, bytes] => (family, key, What::Put { bytes: size(bytes)? }),
        ["put-ttl", family, key, bytes, ttl_ms] => {
            let what = What::PutTtl { bytes: telling(size(bytes)?)?, ttl_ms: number(ttl_ms)? };
            (family, key, what)
        }
        ["merge", family, key, bytes] => {
            (family, key, What::Merge { bytes: telling(size(bytes)?)?, ttl_ms: 0 })
        }
        ["merge-ttl", family, key, bytes, ttl_ms] => {
            let what = What::Merge { bytes: telling(size(bytes)?)?, ttl_ms: number(ttl_ms)?.max(1) };
            (family, key, what)
        }
        ["delete", family, key] => (family, key, What::Delete),
        ["delete-range", family, rest @ ..] => {
            return Ok(Change::of_range(family, What::DeleteRange(span(rest)?)));
        }
        ["drop-range", family, rest @ ..] => {
            return Ok(Change::of_range(family, What::DropRange(span(rest)?)));
        }
        _ => return Err("no such change".into()),
    };
    Ok(Change { family: (*family).into(), key: parse_key(key)?, what })
}

/// A length that tells which commit wrote the value.
fn telling(bytes: usize) -> Result<usize, String> {
    if bytes < LEAST_TTL_BYTES {
        return Err(format!("a value that expires and an operand have at least {LEAST_TTL_BYTES} bytes"));
    }
    Ok(bytes)
}

fn parse_durability(word: &str) -> Result<Durability, String> {
    match word {
        "sync" => Ok(Durability::Sync),
        "os" => Ok(Durability::Os),
        "none" => Ok(Durability::None),
        _ => Err(format!("{word} is no durability")),
    }
}

fn span(words: &[&str]) -> Result<Span, String> {
    match words {
        ["all"] => Ok(Span::All),
        [prefix] if prefix.starts_with("prefix:") => Ok(Span::Prefix(parse_key(&prefix[7..])?)),
        [from, to] => Ok(Span::Range(bound(from)?, bound(to)?)),
        _ => Err("no such range".into()),
    }
}

fn bound(word: &str) -> Result<Bound<Vec<u8>>, String> {
    match word.split_at_checked(1) {
        Some(("*", "")) => Ok(Bound::Unbounded),
        Some(("[" | "]", key)) => Ok(Bound::Included(parse_key(key)?)),
        Some(("(" | ")", key)) => Ok(Bound::Excluded(parse_key(key)?)),
        _ => Err(format!("{word} is no bound")),
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn parse_key(word: &str) -> Result<Vec<u8>, String> {
    if word == "\"\"" {
        return Ok(Vec::new());
    }
    let wrong = || format!("{word} is no key");
    let mut key = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        if let Some(run) = rest.strip_prefix('{') {
            let (run, behind) = run.split_once('}').ok_or_else(wrong)?;
            let (byte, count) = run.split_once('*').ok_or_else(wrong)?;
            let count = number(count)?;
            if count > LONGEST_RUN {
                return Err(wrong());
            }
            key.resize(key.len() + count as usize, hex(byte).ok_or_else(wrong)?);
            rest = behind;
        } else if let Some(code) = rest.strip_prefix("\\x") {
            let (digits, behind) = code.split_at_checked(2).ok_or_else(wrong)?;
            key.push(hex(digits).ok_or_else(wrong)?);
            rest = behind;
        } else if first.is_ascii() && first != '\\' {
            key.push(first as u8);
            rest = &rest[1..];
        } else {
            return Err(wrong());
        }
    }
    Ok(key)
}

/// A little more than the longest key: a text must not ask for all memory.
const LONGEST_RUN: u64 = 1 << 20;

fn hex(digits: &str) -> Option<u8> {
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Profile, generate};

    #[test]
    fn generated_histories_are_read_back_as_they_were_printed() {
        for seed in 0..200 {
            let history = generate(seed, Profile::ALL[seed as usize % Profile::ALL.len()].1);
            let text = print(&history);
            assert_eq!(parse(&text).unwrap(), history, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        assert_eq!(parse("# nothing\n\nsync # all\n").unwrap(), [Operation::Sync]);
        let wrong = [
            "merge a b 3 os",
            "dance",
            "put a b",
            "put a b x os",
            "put a \\x0 1 os",
            "put-ttl a b 3 9 os",
            "scan a up all",
            "move 0 up",
        ];
        let runs = ["get a {61*}", "get a {61*9999999999}", "get a {6*1}", "get a {61", "clock x", "clock +"];
        let others = [
            "transaction odd os : delete a b",
            "if maybe a b os : delete a b",
            "expire a b x",
            "prepare x optimistic os",
        ];
        for wrong in wrong.into_iter().chain(runs).chain(others) {
            let why = parse(&format!("sync\n{wrong}")).unwrap_err();
            assert!(why.starts_with("line 2: "), "{why}");
        }
    }
}
