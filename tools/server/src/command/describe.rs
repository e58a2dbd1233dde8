//! COMMAND: what commands there are.

use super::table::{Call, OWN, Own, error, fits, help, is, wrong_number};
use esker_structures::base::glob::matches;
use esker_structures::base::number::parse_i64;
use esker_structures::command::{Command, Group, Keys, Reply, commands, find, flags};

pub(super) const SUBCOMMANDS: &[(&str, i32)] =
    &[("count", 2), ("docs", -2), ("info", -2), ("list", -2), ("getkeys", -4), ("help", 2)];

/// A command of either table.
#[derive(Clone, Copy)]
enum Either {
    Data(&'static Command),
    Server(&'static Own),
}

fn all() -> impl Iterator<Item = Either> {
    commands().map(Either::Data).chain(OWN.iter().map(Either::Server))
}

fn named(name: &[u8]) -> Option<Either> {
    find(name).map(Either::Data).or_else(|| super::table::find(name).map(Either::Server))
}

impl Either {
    fn name(self) -> &'static str {
        match self {
            Either::Data(command) => command.name,
            Either::Server(own) => own.name,
        }
    }

    fn flags(self) -> Vec<&'static str> {
        match self {
            Either::Data(command) => {
                let reads = command.has(flags::READ) && command.group != Group::Transactions;
                let movable = match command.keys {
                    Keys::Counted { .. } => true,
                    // One of their keys stands in another database, but always at the same place.
                    Keys::Placed(_) => !["copy", "move"].contains(&command.name),
                    _ => false,
                };
                let named = [
                    (command.has(flags::WRITE | flags::ALONE), "write"),
                    (reads, "readonly"),
                    (command.has(flags::FAST), "fast"),
                    (movable, "movablekeys"),
                ];
                named.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
            }
            Either::Server(own) if own.group == "connection" => vec!["noscript", "fast"],
            Either::Server(_) => vec!["admin", "noscript"],
        }
    }

    /// First and last key, and the step between them.
    fn keys(self) -> (i64, i64, i64) {
        let Either::Data(command) = self else { return (0, 0, 0) };
        match command.keys {
            Keys::Range { first, last, step } => (first as i64, last as i64, step as i64),
            Keys::Counted { target: true, .. } => (1, 1, 1),
            // As many as are certain: where they stand when there is nothing else.
            Keys::Placed(place) => {
                let args = vec![&b"0"[..]; command.arity.unsigned_abs() as usize];
                let places = place(&args, 0).into_iter().map(|(_, at)| at as i64);
                let (first, last) = (places.clone().min().unwrap_or(0), places.max().unwrap_or(0));
                (first, last, i64::from(last > 0))
            }
            _ => (0, 0, 0),
        }
    }

    fn about(self) -> Reply {
        let (arity, subcommands) = match self {
            Either::Data(command) => (command.arity, command.subcommands),
            Either::Server(own) => (own.arity, own.subcommands),
        };
        let word = |name: &&'static str| Reply::Simple(name);
        let flags = || self.flags().iter().map(word).collect();
        let none = (0, 0, 0);
        if subcommands.is_empty() {
            return describe(self.name(), arity, flags(), self.keys(), Vec::new());
        }
        // The keys and the flags are those of each subcommand.
        let sub = |(name, arity): &(&str, i32)| {
            let name = format!("{}|{name}", self.name());
            let keys = if arity.unsigned_abs() > 2 { self.keys() } else { none };
            describe(&name, *arity, flags(), keys, Vec::new())
        };
        describe(self.name(), arity, Vec::new(), none, subcommands.iter().map(sub).collect())
    }

    fn docs(self) -> Reply {
        let (summary, since, group, cost) = match self {
            Either::Data(command) => {
                (command.summary, command.since, command.group.name(), command.complexity)
            }
            Either::Server(own) => (own.summary, own.since, own.group, "O(1)"),
        };
        Reply::Map(vec![
            ("summary".into(), summary.into()),
            ("since".into(), since.into()),
            ("group".into(), group.into()),
            ("complexity".into(), cost.into()),
        ])
    }
}

fn describe(
    name: &str,
    arity: i32,
    flags: Vec<Reply>,
    (first, last, step): (i64, i64, i64),
    subcommands: Vec<Reply>,
) -> Reply {
    Reply::Array(vec![
        name.into(),
        Reply::Integer(arity.into()),
        Reply::Set(flags),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        Reply::Set(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(subcommands),
    ])
}

pub(super) fn command(_: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    match args {
        [_] => Some(Reply::Array(all().map(Either::about).collect())),
        [_, what] if is(what, "count") => Some(Reply::count(all().count() as u64)),
        [_, what, names @ ..] if is(what, "info") => Some(Reply::Array(match names {
            [] => all().map(Either::about).collect(),
            names => names.iter().map(|name| named(name).map_or(Reply::Null, Either::about)).collect(),
        })),
        [_, what, names @ ..] if is(what, "docs") => {
            let pair = |either: Either| (Reply::from(either.name()), either.docs());
            Some(Reply::Map(match names {
                [] => all().map(pair).collect(),
                names => names.iter().filter_map(|name| named(name)).map(pair).collect(),
            }))
        }
        [_, what, filter @ ..] if is(what, "list") => list(filter),
        [_, what, args @ ..] if is(what, "getkeys") => Some(keys(args)),
        [_, what] if is(what, "help") => help(
            "command",
            &[
                "(no subcommand)",
                "COUNT",
                "DOCS [<command-name> ...]",
                "GETKEYS <full-command>",
                "INFO [<command-name> ...]",
                "LIST [FILTERBY PATTERN <pattern>]",
                "HELP",
            ],
        ),
        _ => wrong_number("command"),
    }
}

fn list(filter: &[&[u8]]) -> Option<Reply> {
    let pattern: &[u8] = match filter {
        [] => b"*",
        [by, kind, pattern] if is(by, "filterby") && is(kind, "pattern") => pattern,
        // Neither modules nor categories of access are there.
        [by, kind, _] if is(by, "filterby") && (is(kind, "module") || is(kind, "aclcat")) => b"",
        _ => return error("ERR syntax error"),
    };
    let names = all().map(Either::name).filter(|name| matches(pattern, name.as_bytes()));
    Some(Reply::bulks(names))
}

fn keys(args: &[&[u8]]) -> Reply {
    let wrong = |text: &str| Reply::Error(format!("ERR {text}"));
    let Some(either) = args.first().and_then(|name| named(name)) else {
        return wrong("Invalid command specified");
    };
    let none = "The command has no key arguments";
    let command = match either {
        Either::Data(command) if !matches!(command.keys, Keys::None) => command,
        _ => return wrong(none),
    };
    if !fits(command.arity, args.len()) {
        return wrong("Invalid number of arguments specified for command");
    }
    let wrong_arguments = "Invalid arguments specified for command";
    if let Keys::Counted { at, .. } = command.keys {
        let count = args.get(at).and_then(|text| parse_i64(text)).and_then(|n| usize::try_from(n).ok());
        if count.is_none_or(|count| count == 0 || count >= args.len() - at) {
            return wrong(wrong_arguments);
        }
    }
    let mut found: Vec<&[u8]> = Vec::new();
    command.keys.each(args, 0, |_, at| found.extend(args.get(at)));
    if found.is_empty() { wrong(wrong_arguments) } else { Reply::bulks(found) }
}
