//! The options of a store one by one: their names and values as text.

use super::options::Options;
use crate::commit::{Durability, FeedOptions};
use std::time::Duration;

/// An option as text.
pub(super) struct Field {
    /// That of the field of [`Options`].
    pub(super) name: &'static str,
    /// What its value may be, in words.
    pub(super) takes: &'static str,
    pub(super) show: fn(&Options) -> String,
    /// Sets it; `None` if the value is none of its.
    pub(super) set: fn(&mut Options, &str) -> Option<()>,
}

const BYTES: &str = "a number of bytes";
const BYTES_OR_AUTO: &str = "a number of bytes, or `auto`";
const NUMBER: &str = "a number";
const FEED: &str = "`off`, or bytes, a time, bytes and `yield` or `hold`, such as `1024 60000ms 4096 yield`";
const TIME: &str = "a time such as `1500ms`";

/// A value that is a number.
macro_rules! number {
    ($name:ident, $takes:expr) => {
        Field {
            name: stringify!($name),
            takes: $takes,
            show: |options| options.$name.to_string(),
            set: |options, text| {
                options.$name = text.parse().ok()?;
                Some(())
            },
        }
    };
}

/// A number that is derived from others unless it is given.
macro_rules! derived {
    ($name:ident, $takes:expr) => {
        Field {
            name: stringify!($name),
            takes: $takes,
            show: |options| options.$name.map_or_else(|| "auto".into(), |value| value.to_string()),
            set: |options, text| {
                options.$name = if text == "auto" { None } else { Some(text.parse().ok()?) };
                Some(())
            },
        }
    };
}

/// A time, in whole milliseconds.
macro_rules! time {
    ($name:ident) => {
        Field {
            name: stringify!($name),
            takes: TIME,
            show: |options| format!("{}ms", options.$name.as_millis()),
            set: |options, text| {
                options.$name = Duration::from_millis(text.strip_suffix("ms")?.parse().ok()?);
                Some(())
            },
        }
    };
}

/// Every option that is stored, in the order of the file.
pub(super) const FIELDS: &[Field] = &[
    number!(memory_budget, BYTES),
    Field {
        name: "default_durability",
        takes: "`sync`, `os` or `none`",
        show: |options| durability(options.default_durability).into(),
        set: |options, text| {
            let all = [Durability::Sync, Durability::Os, Durability::None];
            options.default_durability = all.into_iter().find(|mode| durability(*mode) == text)?;
            Some(())
        },
    },
    time!(sync_interval),
    number!(max_open_files, NUMBER),
    number!(wal_segment_bytes, BYTES),
    number!(map_log, "`true` or `false`"),
    time!(wal_age),
    derived!(memtable_bytes, BYTES_OR_AUTO),
    derived!(target_file_bytes, BYTES_OR_AUTO),
    derived!(level_base_bytes, BYTES_OR_AUTO),
    number!(manifest_bytes, BYTES),
    derived!(reserve_bytes, BYTES_OR_AUTO),
    time!(lock_timeout),
    derived!(recent_writes_bytes, BYTES_OR_AUTO),
    number!(max_prepared, NUMBER),
    number!(max_prepared_bytes, BYTES),
    derived!(max_ranges, "a number, or `auto`"),
    Field {
        name: "feed",
        takes: FEED,
        show: |options| options.feed.map_or_else(|| "off".into(), feed),
        set: |options, text| {
            options.feed = if text == "off" { None } else { Some(feed_of(text)?) };
            Some(())
        },
    },
    number!(time_one_in, NUMBER),
];

fn durability(mode: Durability) -> &'static str {
    match mode {
        Durability::Sync => "sync",
        Durability::Os => "os",
        Durability::None => "none",
    }
}

fn feed(options: FeedOptions) -> String {
    let FeedOptions { keep_bytes, keep_age, consumer_bytes, yield_on_full_disk } = options;
    let full = if yield_on_full_disk { "yield" } else { "hold" };
    format!("{keep_bytes} {}ms {consumer_bytes} {full}", keep_age.as_millis())
}

fn feed_of(text: &str) -> Option<FeedOptions> {
    let mut words = text.split(' ');
    let options = FeedOptions {
        keep_bytes: words.next()?.parse().ok()?,
        keep_age: Duration::from_millis(words.next()?.strip_suffix("ms")?.parse().ok()?),
        consumer_bytes: words.next()?.parse().ok()?,
        yield_on_full_disk: match words.next()? {
            "yield" => true,
            "hold" => false,
            _ => return None,
        },
    };
    words.next().is_none().then_some(options)
}
