//! CONFIG: the names that clients ask for, and the limits that can be changed.

use super::table::{Call, error, help, is, wrong_number};
use crate::server::descriptors;
use crate::shared::Shared;
use esker::Durability;
use esker_structures::Error;
use esker_structures::base::glob::matches;
use esker_structures::base::number::parse_i64;
use esker_structures::command::Reply;
use esker_structures::encoding::limits::{
    COMPACT_ELEMENT_BYTES, COMPACT_FIELDS, COMPACT_INTEGERS, COMPACT_SCORED,
};
use std::sync::atomic::Ordering;

pub(super) const SUBCOMMANDS: &[(&str, i32)] =
    &[("get", -3), ("set", -4), ("resetstat", 2), ("rewrite", 2), ("help", 2)];

/// A name, its value, and how it is changed if it can be.
struct Entry {
    name: &'static str,
    value: fn(&Shared) -> String,
    set: Option<Set>,
}

/// Takes a new value if it is a good one.
type Set = fn(&Shared, &str) -> Result<(), &'static str>;

macro_rules! fixed {
    ($name:literal, $value:expr) => {
        Entry { name: $name, value: |_| $value.to_string(), set: None }
    };
}

macro_rules! bytes {
    ($name:literal, $field:ident, $least:expr) => {
        Entry {
            name: $name,
            value: |shared| shared.settings.$field.get().to_string(),
            set: Some(|shared, text| {
                let bytes = memory(text).ok_or(NO_MEMORY)?;
                if !($least..).contains(&bytes) {
                    return Err(TOO_LITTLE);
                }
                shared.settings.$field.set(bytes);
                Ok(())
            }),
        }
    };
}

/// Less would lock out whoever wants to take it back.
const LEAST_BYTES: u64 = 1 << 20;
const TOO_LITTLE: &str = "argument must be between 1048576 and 9223372036854775807 inclusive";
const NO_MEMORY: &str = "argument must be a memory value";
const NO_INTEGER: &str = "argument couldn't be parsed into an integer";

/// What may be asked for. A fixed one may be set to what it is.
const ENTRIES: &[Entry] = &[
    fixed!("save", ""),
    fixed!("appendonly", "yes"),
    Entry {
        name: "appendfsync",
        value: |shared| {
            let every_reply = shared.store.durability() == Durability::Sync;
            if every_reply { "always" } else { "everysec" }.into()
        },
        set: None,
    },
    Entry { name: "databases", value: |shared| shared.store.databases().to_string(), set: None },
    Entry { name: "port", value: |shared| shared.address.port().to_string(), set: None },
    Entry { name: "bind", value: |shared| shared.address.ip().to_string(), set: None },
    Entry { name: "dir", value: |shared| shared.store.engine().path().display().to_string(), set: None },
    fixed!("maxmemory", 0),
    fixed!("maxmemory-policy", "noeviction"),
    fixed!("timeout", 0),
    Entry {
        name: "tcp-keepalive",
        value: |shared| shared.settings.keepalive_seconds.get().to_string(),
        set: Some(|shared, text| {
            let seconds: i64 = text.parse().map_err(|_| NO_INTEGER)?;
            let seconds = i32::try_from(seconds).ok().and_then(|seconds| u64::try_from(seconds).ok());
            let seconds = seconds.ok_or("argument must be between 0 and 2147483647 inclusive")?;
            shared.settings.keepalive_seconds.set(seconds);
            Ok(())
        }),
    },
    fixed!("requirepass", ""),
    fixed!("daemonize", "no"),
    fixed!("cluster-enabled", "no"),
    fixed!("notify-keyspace-events", ""),
    fixed!("slowlog-log-slower-than", -1),
    fixed!("hash-max-listpack-entries", COMPACT_FIELDS),
    fixed!("hash-max-ziplist-entries", COMPACT_FIELDS),
    fixed!("hash-max-listpack-value", COMPACT_ELEMENT_BYTES),
    fixed!("hash-max-ziplist-value", COMPACT_ELEMENT_BYTES),
    fixed!("set-max-intset-entries", COMPACT_INTEGERS),
    fixed!("zset-max-listpack-entries", COMPACT_SCORED),
    fixed!("zset-max-ziplist-entries", COMPACT_SCORED),
    fixed!("zset-max-listpack-value", COMPACT_ELEMENT_BYTES),
    fixed!("zset-max-ziplist-value", COMPACT_ELEMENT_BYTES),
    // A list of any length is shown as `quicklist`, as Redis 7.0 does.
    fixed!("list-max-listpack-size", -2),
    fixed!("list-max-ziplist-size", -2),
    fixed!("list-compress-depth", 0),
    bytes!("proto-max-bulk-len", bulk_bytes, LEAST_BYTES),
    bytes!("client-query-buffer-limit", query_bytes, LEAST_BYTES),
    bytes!("maxmemory-clients", all_clients_bytes, 0),
    // Esker's own: Redis takes what it can get.
    Entry {
        name: "command-memory-limit",
        value: |shared| match shared.store.command_memory() {
            usize::MAX => "0".into(),
            bytes => bytes.to_string(),
        },
        set: Some(|shared, text| {
            let bytes = memory(text).ok_or(NO_MEMORY)?;
            let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
            shared.store.set_command_memory(bytes.unwrap_or(usize::MAX));
            Ok(())
        }),
    },
    Entry {
        name: "maxclients",
        value: |shared| shared.settings.max_clients.get().to_string(),
        set: Some(|shared, text| {
            let most: u64 = text.parse().map_err(|_| NO_INTEGER)?;
            if !(1..=1_000_000).contains(&most) {
                return Err("argument must be between 1 and 1000000 inclusive");
            }
            descriptors::raise(most);
            if descriptors::affordable(most) < most {
                return Err("The operating system is not able to handle the specified number of clients");
            }
            shared.settings.max_clients.set(most);
            Ok(())
        }),
    },
    Entry {
        name: "client-output-buffer-limit",
        value: |shared| {
            let settings = &shared.settings;
            let of = |class: &str| settings.output_limit(class).map(|setting| setting.get());
            let shown = ["normal", "slave", "pubsub"].map(|class| {
                let [hard, soft, seconds] = of(class);
                format!("{class} {hard} {soft} {seconds}")
            });
            shown.join(" ")
        },
        set: Some(|shared, text| {
            let words: Vec<&str> = text.split_whitespace().collect();
            let (limits, odd) = words.as_chunks::<4>();
            if !odd.is_empty() {
                return Err("Wrong number of arguments in buffer limit configuration.");
            }
            let mut found = Vec::new();
            for [class, hard, soft, seconds] in limits {
                let class = class.to_ascii_lowercase();
                if !["normal", "slave", "replica", "pubsub"].contains(&class.as_str()) {
                    return Err("Invalid client class specified in buffer limit configuration.");
                }
                let (Some(hard), Some(soft), Ok(seconds)) = (memory(hard), memory(soft), seconds.parse())
                else {
                    return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
                };
                found.push((class, [hard, soft, seconds]));
            }
            for (class, numbers) in found {
                let settings = shared.settings.output_limit(&class);
                settings.into_iter().zip(numbers).for_each(|(setting, number)| setting.set(number));
            }
            Ok(())
        }),
    },
];

/// An amount of memory as Redis writes it: `1gb` has powers of 1024, `1g` of 1000.
fn memory(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = parse_i64(number.as_bytes()).and_then(|number| u64::try_from(number).ok())?;
    number.checked_mul(factor)
}

pub(super) fn config(call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    match args {
        [_, what, patterns @ ..] if is(what, "get") => Some(get(call.shared, patterns)),
        [_, what, pairs @ ..] if is(what, "set") => {
            if pairs.len() % 2 == 1 {
                wrong_number("config|set")
            } else {
                Some(set(call.shared, pairs))
            }
        }
        [_, what] if is(what, "resetstat") => {
            let counters = &call.shared.counters;
            for counter in [&counters.connections, &counters.rejected, &counters.commands] {
                counter.store(0, Ordering::Relaxed);
            }
            Some(Reply::OK)
        }
        [_, what] if is(what, "rewrite") => error("ERR The server is running without a config file"),
        [_, what] if is(what, "help") => {
            help("config", &["GET <pattern>", "SET <directive> <value>", "RESETSTAT", "HELP"])
        }
        _ => wrong_number("config"),
    }
}

fn get(shared: &Shared, patterns: &[&[u8]]) -> Reply {
    let patterns: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
    let asked = |entry: &&Entry| patterns.iter().any(|pattern| matches(pattern, entry.name.as_bytes()));
    let found = ENTRIES.iter().filter(asked);
    let pair = |entry: &Entry| (entry.name.into(), Reply::Bulk((entry.value)(shared).into_bytes()));
    Reply::Map(found.map(pair).collect())
}

fn set(shared: &Shared, pairs: &[&[u8]]) -> Reply {
    let failed = |name: &str, why: &str| {
        let text = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
        Reply::Error(text)
    };
    let mut found: Vec<(&Entry, String)> = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let Some(entry) = ENTRIES.iter().find(|entry| is(pair[0], entry.name)) else {
            let text = "ERR Unknown option or number of arguments for CONFIG SET - '";
            return Error::quoting(text, pair[0], "'").into();
        };
        let value = String::from_utf8_lossy(pair[1]).into_owned();
        if entry.set.is_none() && (entry.value)(shared) != value {
            return failed(entry.name, "can't set immutable config");
        }
        if found.iter().any(|(other, _)| other.name == entry.name) {
            return failed(&String::from_utf8_lossy(pair[0]), "duplicate parameter");
        }
        found.push((entry, value));
    }
    for (entry, value) in found {
        if let Some(set) = entry.set
            && let Err(why) = set(shared, &value)
        {
            return failed(entry.name, why);
        }
    }
    Reply::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_have_units() {
        for (text, bytes) in [("0", 0), ("5", 5), ("1kb", 1024), ("1k", 1000), ("2MB", 2 << 20)] {
            assert_eq!(memory(text), Some(bytes), "{text}");
        }
        for text in ["", "x", "-1", "1tb", "99999999999gb"] {
            assert_eq!(memory(text), None, "{text}");
        }
    }
}
