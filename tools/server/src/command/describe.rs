//! COMMAND: what commands there are.

use super::kinds::Kind;
use super::table::{Call, OWN, Own, error, fits, help, is, wrong_number};
use esker_structures::base::glob::matches;
use esker_structures::base::number::parse_i64;
use esker_structures::command::{Command, Keys, Reply, commands, find};

pub(super) const SUBCOMMANDS: &[(&str, i32)] =
    &[("count", 2), ("docs", -2), ("info", -2), ("list", -2), ("getkeys", -4), ("help", 2)];

/// A command of either table.
#[derive(Clone, Copy)]
enum Either {
    Data(&'static Command),
    Server(&'static Own),
}

/// A command, or a subcommand of one with its arity.
#[derive(Clone, Copy)]
struct Entry {
    of: Either,
    sub: Option<(&'static str, i32)>,
}

fn all() -> impl Iterator<Item = Entry> {
    let each = commands().map(Either::Data).chain(OWN.iter().map(Either::Server));
    each.map(|of| Entry { of, sub: None })
}

/// By its name; that of a subcommand stands behind a `|`.
fn named(name: &[u8]) -> Option<Entry> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let name = parts.next()?;
    let of = find(name).map(Either::Data).or_else(|| super::table::find(name).map(Either::Server))?;
    let entry = Entry { of, sub: None };
    match parts.next() {
        None => Some(entry),
        Some(sub) => entry.below().find(|entry| entry.sub.is_some_and(|(name, _)| is(sub, name))),
    }
}

impl Entry {
    fn name(self) -> String {
        match self.sub {
            None => self.of.name().to_owned(),
            Some((sub, _)) => format!("{}|{sub}", self.of.name()),
        }
    }

    /// Its subcommands.
    fn below(self) -> impl Iterator<Item = Entry> {
        let all = match self.of {
            _ if self.sub.is_some() => &[],
            Either::Data(command) => command.subcommands,
            Either::Server(own) => own.subcommands,
        };
        all.iter().map(move |sub| Entry { sub: Some(*sub), ..self })
    }

    fn kind(self) -> Kind {
        let sub = self.sub.map(|(name, _)| name);
        match self.of {
            Either::Data(command) => Kind::of_data(command, sub),
            Either::Server(own) => Kind::of_server(own, sub),
        }
    }

    fn about(self) -> Reply {
        let (arity, (first, last, step)) = match (self.sub, self.of) {
            // Of a command with subcommands they have the keys.
            (Some((_, arity)), of) => (arity, if arity.unsigned_abs() > 2 { of.keys() } else { (0, 0, 0) }),
            (None, Either::Data(command)) if !command.subcommands.is_empty() => (command.arity, (0, 0, 0)),
            (None, Either::Data(command)) => (command.arity, self.of.keys()),
            (None, Either::Server(own)) => (own.arity, (0, 0, 0)),
        };
        let kind = self.kind();
        let words = |words: Vec<&'static str>| Reply::Set(words.into_iter().map(Reply::Simple).collect());
        Reply::Array(vec![
            self.name().as_str().into(),
            Reply::Integer(arity.into()),
            words(kind.flags),
            Reply::Integer(first),
            Reply::Integer(last),
            Reply::Integer(step),
            words(kind.categories),
            Reply::Array(Vec::new()),
            Reply::Array(Vec::new()),
            Reply::Array(self.below().map(Entry::about).collect()),
        ])
    }
}

impl Either {
    fn name(self) -> &'static str {
        match self {
            Either::Data(command) => command.name,
            Either::Server(own) => own.name,
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

pub(super) fn command(_: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    match args {
        [_] => Some(Reply::Array(all().map(Entry::about).collect())),
        [_, what] if is(what, "count") => Some(Reply::count(all().count() as u64)),
        [_, what, names @ ..] if is(what, "info") => Some(Reply::Array(match names {
            [] => all().map(Entry::about).collect(),
            names => names.iter().map(|name| named(name).map_or(Reply::Null, Entry::about)).collect(),
        })),
        [_, what, names @ ..] if is(what, "docs") => {
            let pair = |entry: Entry| (Reply::from(entry.name().as_str()), entry.of.docs());
            Some(Reply::Map(match names {
                [] => all().map(pair).collect(),
                names => {
                    let entries = names.iter().filter_map(|name| named(name));
                    entries.filter(|entry| entry.sub.is_none()).map(pair).collect()
                }
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
    let every = || all().flat_map(|entry| std::iter::once(entry).chain(entry.below()));
    let (kind, wanted) = match filter {
        [] => (&b""[..], &b""[..]),
        [by, kind, wanted] if is(by, "filterby") => (*kind, *wanted),
        _ => return error("ERR syntax error"),
    };
    let has = |entry: Entry| match kind {
        b"" => true,
        _ if is(kind, "pattern") => matches(wanted, entry.name().as_bytes()),
        _ => entry.kind().categories.iter().any(|category| is(wanted, &category[1..])),
    };
    let known = filter.is_empty() || ["pattern", "module", "aclcat"].iter().any(|known| is(kind, known));
    if !known {
        return error("ERR syntax error");
    }
    // There are no modules.
    let names = every().filter(|entry| !is(kind, "module") && has(*entry)).map(Entry::name);
    Some(Reply::Array(names.map(|name| name.as_str().into()).collect()))
}

fn keys(args: &[&[u8]]) -> Reply {
    let wrong = |text: &str| Reply::Error(format!("ERR {text}"));
    let entry = args.first().and_then(|name| named(name)).filter(|entry| entry.sub.is_none());
    let Some(Entry { of: either, .. }) = entry else {
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
