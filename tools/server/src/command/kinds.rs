//! Of what kind a command is to a client: the flags and the categories of access that COMMAND tells, by the
//! names that Redis has for them.

use super::table::Own;
use esker_structures::command::{Command, Group, Keys, flags};

/// What COMMAND tells of a command.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) flags: Vec<&'static str>,
    pub(super) categories: Vec<&'static str>,
}

/// Commands that add nothing but write.
const ADD_NOTHING: &[&str] = &[
    "rename",
    "renamenx",
    "move",
    "expire",
    "pexpire",
    "expireat",
    "pexpireat",
    "persist",
    "getex",
    "smove",
];

/// Commands that touch everything, or more than they name.
const DANGEROUS: &[&str] = &["keys", "sort", "sort_ro", "flushdb", "flushall", "swapdb", "info", "lastsave"];

impl Kind {
    /// `about` are the categories of what it is about.
    fn new(name: &str, flags: &[(bool, &'static str)], about: &[&'static str]) -> Kind {
        let flags: Vec<&'static str> = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| *flag).collect();
        let has = |flag: &str| flags.contains(&flag);
        let named = [
            (has("write"), "@write"),
            (has("readonly"), "@read"),
            (has("admin"), "@admin"),
            (has("admin") || DANGEROUS.contains(&name), "@dangerous"),
            (has("fast"), "@fast"),
            (!has("fast"), "@slow"),
        ];
        let of_flags = named.into_iter().filter(|(is, _)| *is).map(|(_, category)| category);
        let categories = about.iter().copied().chain(of_flags).collect();
        Kind { flags, categories }
    }

    /// Of a command on data, or of one of its subcommands.
    pub(super) fn of_data(command: &Command, subcommand: Option<&str>) -> Kind {
        if !command.subcommands.is_empty() {
            return match subcommand {
                None => Kind::new(command.name, &[], &[]),
                Some("help") => Kind::new("help", &[(true, "loading"), (true, "stale")], about(command)),
                Some(name) => Kind::new(name, &[(command.has(flags::READ), "readonly")], about(command)),
            };
        }
        let of_transactions = command.group == Group::Transactions;
        let is_exec = command.name == "exec";
        // It says so even while there is nothing to be asked for.
        let at_any_time = of_transactions || ["echo", "select"].contains(&command.name);
        let adds = command.has(flags::WRITE) && !command.has(flags::FREES);
        let movable = match command.keys {
            Keys::Counted { .. } => true,
            // One of their keys stands in another database, but always at the same place.
            Keys::Placed(_) => !["copy", "move"].contains(&command.name),
            _ => false,
        };
        let named = [
            (command.has(flags::WRITE | flags::ALONE), "write"),
            (command.has(flags::READ) && !of_transactions, "readonly"),
            (adds && !ADD_NOTHING.contains(&command.name), "denyoom"),
            (of_transactions, "noscript"),
            (at_any_time, "loading"),
            (at_any_time, "stale"),
            (is_exec, "skip_slowlog"),
            (command.has(flags::FAST), "fast"),
            (of_transactions && !is_exec, "allow_busy"),
            (movable, "movablekeys"),
        ];
        Kind::new(command.name, &named, about(command))
    }

    /// Of a command of the server, or of one of its subcommands.
    pub(super) fn of_server(own: &Own, subcommand: Option<&str>) -> Kind {
        let about: &[&str] = if ["client", "command"].contains(&own.name) || own.group == "connection" {
            &["@connection"]
        } else if own.name == "lastsave" {
            &["@admin"]
        } else {
            &[]
        };
        let is = |names: &[&str]| names.contains(&own.name);
        match subcommand {
            None if is(&["client", "config"]) => return Kind::new(own.name, &[], &[]),
            Some("help") => return Kind::new("help", &[(true, "loading"), (true, "stale")], about),
            _ => {}
        }
        let begins_or_ends = is(&["hello", "auth", "quit", "reset"]);
        let is_shutdown = own.name == "shutdown";
        // Of CLIENT those that are about others, too.
        let is_admin =
            is_shutdown || is(&["config", "bgsave"]) || matches!(subcommand, Some("list" | "no-evict"));
        let named = [
            (is_admin && !is(&["command"]), "admin"),
            (begins_or_ends || is_shutdown || is(&["client", "config", "bgsave"]), "noscript"),
            (!is(&["bgsave"]), "loading"),
            (!is(&["bgsave"]), "stale"),
            (begins_or_ends || is(&["lastsave"]), "fast"),
            (is(&["bgsave"]), "no_async_loading"),
            (begins_or_ends, "no_auth"),
            (is_shutdown, "no_multi"),
            (begins_or_ends || is_shutdown, "allow_busy"),
        ];
        Kind::new(own.name, &named, about)
    }
}

/// The categories of what a command is about.
fn about(command: &Command) -> &'static [&'static str] {
    match command.group {
        Group::Generic if command.name.starts_with("sort") => &["@set", "@sortedset", "@list"],
        Group::Generic | Group::Server => &["@keyspace"],
        Group::String => &["@string"],
        Group::Bitmap => &["@bitmap"],
        Group::Hash => &["@hash"],
        Group::List => &["@list"],
        Group::Set => &["@set"],
        Group::SortedSet => &["@sortedset"],
        Group::Transactions => &["@transaction"],
        Group::Connection => &["@connection"],
    }
}
