//! The table of the server's own commands.

use super::{client, config, describe, hello, info, save};
use crate::shared::{ClientInfo, Shared};
use esker_structures::command::{Connection, Reply, unknown_subcommand};
use std::sync::Arc;

/// What a command works with.
pub(crate) struct Call<'c> {
    pub(crate) shared: &'c Shared,
    pub(crate) connection: &'c mut Connection,
    pub(crate) info: &'c Arc<ClientInfo>,
    pub(crate) mode: &'c mut ReplyMode,
    /// The connection is to be closed when the replies are sent.
    pub(crate) close: bool,
    /// What the reply depends on: it is sent when that is as durable as the store promises.
    pub(crate) depends_on: u64,
}

/// Which replies are sent (CLIENT REPLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    On,
    Off,
    /// The next one is not.
    Skip,
}

impl ReplyMode {
    /// Whether the next reply is sent.
    pub(crate) fn lets_through(&mut self) -> bool {
        match self {
            ReplyMode::On => true,
            ReplyMode::Off => false,
            ReplyMode::Skip => {
                *self = ReplyMode::On;
                false
            }
        }
    }
}

/// What becomes of a command between MULTI and EXEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InMulti {
    Queued,
    AtOnce,
    Refused,
}

/// What carries a command out; without a reply nothing is sent.
type Handler = fn(&mut Call<'_>, &[&[u8]]) -> Option<Reply>;

/// A command of the server.
pub(crate) struct Own {
    /// Its name, in small letters.
    pub(crate) name: &'static str,
    /// As in the table of structures.
    pub(crate) arity: i32,
    pub(crate) group: &'static str,
    pub(crate) since: &'static str,
    pub(crate) summary: &'static str,
    /// What becomes of it between MULTI and EXEC.
    pub(crate) in_multi: InMulti,
    /// Each with its arity.
    pub(crate) subcommands: &'static [(&'static str, i32)],
    handler: Handler,
}

const fn own(
    name: &'static str,
    arity: i32,
    group: &'static str,
    since: &'static str,
    summary: &'static str,
    handler: Handler,
) -> Own {
    Own { name, arity, group, since, summary, in_multi: InMulti::Queued, subcommands: &[], handler }
}

/// All of them.
pub(crate) const OWN: &[Own] = &[
    own("hello", -1, "connection", "6.0.0", "Handshakes with the server.", hello::hello),
    own("auth", -2, "connection", "1.0.0", "Authenticates the connection.", hello::auth),
    Own {
        in_multi: InMulti::AtOnce,
        ..own("quit", -1, "connection", "1.0.0", "Closes the connection.", hello::quit)
    },
    Own {
        in_multi: InMulti::AtOnce,
        ..own("reset", 1, "connection", "6.2.0", "Resets the connection.", hello::reset)
    },
    Own {
        subcommands: client::SUBCOMMANDS,
        ..own("client", -2, "connection", "2.4.0", "About connections.", client::client)
    },
    Own {
        subcommands: describe::SUBCOMMANDS,
        ..own("command", -1, "server", "2.8.13", "About the commands that there are.", describe::command)
    },
    Own {
        subcommands: config::SUBCOMMANDS,
        ..own("config", -2, "server", "2.0.0", "Reads and changes settings.", config::config)
    },
    own("info", -1, "server", "1.0.0", "Tells how the server does.", info::info),
    own("bgsave", -1, "server", "1.0.0", "Backs up the store in the background.", save::bgsave),
    own("lastsave", 1, "server", "1.0.0", "Tells when the last good backup ended.", save::lastsave),
    Own {
        in_multi: InMulti::Refused,
        ..own("shutdown", -1, "server", "1.0.0", "Stops the server.", hello::shutdown)
    },
];

/// The command of a name, in letters of either size.
pub(crate) fn find(name: &[u8]) -> Option<&'static Own> {
    // Asked for each command of data as well: the first letter says no to most.
    let first = name.first()?.to_ascii_lowercase();
    if !matches!(first, b'a' | b'b' | b'c' | b'h' | b'i' | b'l' | b'q' | b'r' | b's') {
        return None;
    }
    OWN.iter().find(|own| own.name.len() == name.len() && name.eq_ignore_ascii_case(own.name.as_bytes()))
}

pub(super) fn error(text: impl Into<String>) -> Option<Reply> {
    Some(Reply::Error(text.into()))
}

pub(super) fn is(text: &[u8], word: &str) -> bool {
    text.eq_ignore_ascii_case(word.as_bytes())
}

pub(super) fn fits(arity: i32, count: usize) -> bool {
    let least = arity.unsigned_abs() as usize;
    if arity < 0 { count >= least } else { count == least }
}

pub(super) fn wrong_number(name: &str) -> Option<Reply> {
    error(format!("ERR wrong number of arguments for '{name}' command"))
}

/// Carries a command out, or queues it.
pub(crate) fn execute(own: &'static Own, call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    let is_queueing = call.connection.session().is_queueing() && own.in_multi != InMulti::AtOnce;
    let refused = refusal(own, args).or_else(|| {
        let refuses = is_queueing && own.in_multi == InMulti::Refused;
        if refuses { error("ERR Command not allowed inside a transaction") } else { None }
    });
    if let Some(refused) = refused {
        call.connection.session_mut().spoil();
        return Some(refused).filter(|_| call.mode.lets_through());
    }
    if is_queueing {
        return call.connection.session_mut().queue_outside(args).filter(|_| call.mode.lets_through());
    }
    run(own, call, args).filter(|_| is_mode(own, args) || call.mode.lets_through())
}

/// Carries a command out that EXEC has come to. Nothing is checked again.
pub(crate) fn run(own: &'static Own, call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    (own.handler)(call, args)
}

/// CLIENT REPLY has its own rules, and answers nothing where nothing is to be sent.
fn is_mode(own: &Own, args: &[&[u8]]) -> bool {
    own.name == "client" && args.get(1).is_some_and(|name| is(name, "reply"))
}

fn refusal(own: &Own, args: &[&[u8]]) -> Option<Reply> {
    if !fits(own.arity, args.len()) {
        return wrong_number(own.name);
    }
    let (Some(name), false) = (args.get(1), own.subcommands.is_empty()) else { return None };
    match own.subcommands.iter().find(|(known, _)| is(name, known)) {
        Some((known, arity)) if !fits(*arity, args.len()) => wrong_number(&format!("{}|{known}", own.name)),
        Some(_) => None,
        None => Some(unknown_subcommand(own.name, name).into()),
    }
}

/// The help of a command with subcommands.
pub(super) fn help(own: &str, lines: &[&'static str]) -> Option<Reply> {
    let first = Reply::Simple(match own {
        "client" => "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "config" => "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        _ => "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    });
    let rest = lines.iter().map(|line| Reply::Simple(line));
    Some(Reply::Array(std::iter::once(first).chain(rest).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name() {
        for own in OWN {
            assert!(find(own.name.to_uppercase().as_bytes()).is_some_and(|found| found.name == own.name));
            assert!(esker_structures::command::find(own.name.as_bytes()).is_none(), "{}", own.name);
        }
        assert!(find(b"get").is_none() && find(b"").is_none() && find(b"hell").is_none());
    }
}
