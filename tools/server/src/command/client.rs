//! CLIENT.

use super::table::{Call, ReplyMode, error, help, is, wrong_number};
use crate::shared::ClientInfo;
use esker_structures::Error;
use esker_structures::base::number::parse_i64;
use esker_structures::command::Reply;

pub(super) const SUBCOMMANDS: &[(&str, i32)] = &[
    ("id", 2),
    ("getname", 2),
    ("setname", 3),
    ("setinfo", 4),
    ("info", 2),
    ("list", -2),
    ("reply", 3),
    ("no-evict", 3),
    ("no-touch", 3),
    ("help", 2),
];

pub(super) fn client(call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    match args {
        [_, what] if is(what, "id") => Some(Reply::count(call.info.id)),
        [_, what] if is(what, "getname") => {
            let name = call.info.names.lock().name.clone();
            Some(Reply::bulk_or_null(Some(name).filter(|name| !name.is_empty())))
        }
        [_, what, name] if is(what, "setname") => set_name(call.info, name).or(Some(Reply::OK)),
        [_, what, attribute, value] if is(what, "setinfo") => set_info(call.info, attribute, value),
        [_, what] if is(what, "info") => Some(Reply::Verbatim(call.info.line() + "\n")),
        [_, what, filter @ ..] if is(what, "list") => list(call, filter),
        [_, what, mode] if is(what, "reply") => reply(call, mode),
        [_, what, on] if is(what, "no-evict") || is(what, "no-touch") => {
            if is(on, "on") || is(on, "off") {
                Some(Reply::OK)
            } else {
                error("ERR syntax error")
            }
        }
        [_, what] if is(what, "help") => help(
            "client",
            &[
                "GETNAME",
                "ID",
                "INFO",
                "LIST [TYPE type | ID id ...]",
                "NO-EVICT (ON|OFF)",
                "NO-TOUCH (ON|OFF)",
                "REPLY (ON|OFF|SKIP)",
                "SETINFO <option> <value>",
                "SETNAME <name>",
                "HELP",
            ],
        ),
        _ => wrong_number("client"),
    }
}

/// Text without spaces and controls, which would break the lines of CLIENT LIST; and not too much of it.
fn is_plain(text: &[u8]) -> bool {
    text.len() <= 4096 && text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// Gives a connection a name; the reply if that is refused.
pub(super) fn set_name(info: &ClientInfo, name: &[u8]) -> Option<Reply> {
    if !is_plain(name) {
        return error("ERR Client names cannot contain spaces, newlines or special characters.");
    }
    info.names.lock().name = name.to_vec();
    None
}

fn set_info(info: &ClientInfo, attribute: &[u8], value: &[u8]) -> Option<Reply> {
    let shown = String::from_utf8_lossy(attribute).into_owned();
    let mut names = info.names.lock();
    let place = match attribute {
        _ if is(attribute, "lib-name") => &mut names.library,
        _ if is(attribute, "lib-ver") => &mut names.version,
        _ => return Some(Error::quoting("ERR Unrecognized option '", attribute, "'").into()),
    };
    if !is_plain(value) {
        return error(format!("ERR {shown} cannot contain spaces, newlines or special characters."));
    }
    *place = value.to_vec();
    Some(Reply::OK)
}

fn list(call: &Call<'_>, filter: &[&[u8]]) -> Option<Reply> {
    let wanted: Option<Vec<u64>> = match filter {
        [] => None,
        [what, kind] if is(what, "type") => match kind {
            _ if is(kind, "normal") => None,
            _ if ["master", "replica", "slave", "pubsub"].iter().any(|known| is(kind, known)) => {
                Some(Vec::new())
            }
            _ => return Some(Error::quoting("ERR Unknown client type '", kind, "'").into()),
        },
        [what, ids @ ..] if is(what, "id") && !ids.is_empty() => {
            // No client has the number 0, nor one below it.
            let ids = ids.iter().map(|id| parse_i64(id).map(|id| u64::try_from(id).unwrap_or(0)));
            match ids.collect::<Option<Vec<u64>>>() {
                None => return error("ERR Invalid client ID"),
                ids => ids,
            }
        }
        _ => return error("ERR syntax error"),
    };
    let clients: Vec<_> = call.shared.clients.lock().values().cloned().collect();
    let shown = clients.iter().filter(|info| wanted.as_ref().is_none_or(|ids| ids.contains(&info.id)));
    Some(Reply::Verbatim(shown.map(|info| info.line() + "\n").collect()))
}

fn reply(call: &mut Call<'_>, mode: &[u8]) -> Option<Reply> {
    if is(mode, "on") {
        *call.mode = ReplyMode::On;
        return Some(Reply::OK);
    }
    if is(mode, "off") {
        *call.mode = ReplyMode::Off;
        return None;
    }
    if is(mode, "skip") {
        if *call.mode == ReplyMode::On {
            *call.mode = ReplyMode::Skip;
        }
        return None;
    }
    error("ERR syntax error")
}
