//! Everything that a client can see of a store.

use super::disks::DATABASES;
use crate::redis::{KEYS, Value, answer};
use esker_structures::Store;
use esker_structures::command::Connection;
use std::collections::BTreeMap;

/// Keys that the generator of commands names besides. A string as long as `far` is never read.
const OTHERS: &[&str] = &["w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "far", "new"];

/// What shows a key of each type, and how many elements it says that it has.
const SHOWS: &[(&str, &[&str])] = &[
    ("string", &["strlen", "get"]),
    ("hash", &["hlen", "hgetall"]),
    ("list", &["llen", "lrange"]),
    ("set", &["scard", "smembers"]),
    ("zset", &["zcard", "zrange"]),
];

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: Value,
    /// In ms since the epoch; -1 for never.
    expires: i64,
    shown: Vec<Value>,
}

/// Everything that a client can see of a store: of each database how many keys it counts, and its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Vec<(Value, BTreeMap<&'static str, Entry>)>);

impl Seen {
    /// Reads it.
    ///
    /// # Errors
    /// The text of the error with which a command was answered.
    pub fn read(store: &Store) -> Result<Seen, String> {
        let mut connection = Connection::new(store);
        let databases: Vec<u32> = (0..DATABASES).collect();
        Seen::read_by(&databases, |args| {
            let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
            Ok(answer(&mut connection, &args))
        })
    }

    /// Reads some databases by somebody who has commands answered in RESP2.
    ///
    /// # Errors
    /// What `execute` gives; the text of the error with which a command was answered.
    pub fn read_by(
        databases: &[u32],
        mut execute: impl FnMut(&[&str]) -> Result<Value, String>,
    ) -> Result<Seen, String> {
        let mut ask = |args: &[&str]| refused(execute(args)?);
        let mut seen = Vec::new();
        for database in databases {
            ask(&["select", &database.to_string()])?;
            let count = ask(&["dbsize"])?;
            let mut entries = BTreeMap::new();
            for key in KEYS.iter().chain(OTHERS) {
                if let Some(entry) = entry(&mut ask, key)? {
                    entries.insert(*key, entry);
                }
            }
            seen.push((count, entries));
        }
        Ok(Seen(seen))
    }

    /// The same some time later: what has expired by then is not seen any more, and counted as before.
    #[must_use]
    pub fn at(mut self, now_ms: u64) -> Seen {
        for (_, entries) in &mut self.0 {
            entries.retain(|_, entry| u64::try_from(entry.expires).map_or(true, |at| at > now_ms));
        }
        self
    }

    /// The members of a set in the first of the databases; none if there is no such set.
    #[must_use]
    pub fn members(&self, key: &str) -> Vec<Value> {
        let entry = self.0.first().and_then(|(_, entries)| entries.get(key));
        match entry.and_then(|entry| entry.shown.last()) {
            Some(Value::Array(Some(members))) => members.clone(),
            _ => Vec::new(),
        }
    }

    /// In a few words where this differs from another.
    #[must_use]
    pub fn differs_from(&self, other: &Seen) -> String {
        let mut found = Vec::new();
        for (number, ((count, ours), (expected, theirs))) in self.0.iter().zip(&other.0).enumerate() {
            if count != expected {
                found.push(format!("{number}: dbsize {count:?}, not {expected:?}"));
            }
            for key in ours.keys().chain(theirs.keys()).filter(|key| ours.get(*key) != theirs.get(*key)) {
                found.push(format!("{number}: {key}: {:?}, not {:?}", ours.get(key), theirs.get(key)));
            }
        }
        let text: String = found.join("; ");
        text.chars().take(2000).collect()
    }
}

pub(super) fn ask(connection: &mut Connection, args: &[&str]) -> Result<Value, String> {
    let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    refused(answer(connection, &args))
}

fn refused(reply: Value) -> Result<Value, String> {
    match reply {
        Value::Error(text) => Err(String::from_utf8_lossy(&text).into_owned()),
        value => Ok(value),
    }
}

fn entry(ask: &mut impl FnMut(&[&str]) -> Result<Value, String>, key: &str) -> Result<Option<Entry>, String> {
    let kind = ask(&["type", key])?;
    let name = match &kind {
        Value::Simple(name) if name != b"none" => String::from_utf8_lossy(name).into_owned(),
        _ => return Ok(None),
    };
    let Value::Integer(expires) = ask(&["pexpiretime", key])? else {
        return Err(format!("pexpiretime {key} is no number"));
    };
    let (_, commands) = SHOWS.iter().find(|(kind, _)| *kind == name).ok_or(format!("{key} is a {name}"))?;
    let mut shown = Vec::new();
    for command in *commands {
        if key == "far" && *command == "get" {
            continue;
        }
        let more: &[&str] = match *command {
            "lrange" => &["0", "-1"],
            "zrange" => &["0", "-1", "withscores"],
            _ => &[],
        };
        let value = ask(&[&[*command, key], more].concat())?;
        shown.push(match *command {
            "hgetall" => in_order(value, 2),
            "smembers" => in_order(value, 1),
            _ => value,
        });
    }
    Ok(Some(Entry { kind, expires, shown }))
}

/// The order is that of a keyed hash, and each store has a key of its own.
fn in_order(value: Value, width: usize) -> Value {
    let Value::Array(Some(items)) = value else { return value };
    let mut groups: Vec<&[Value]> = items.chunks(width).collect();
    groups.sort_unstable();
    Value::Array(Some(groups.concat()))
}
