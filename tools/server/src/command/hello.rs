//! How a connection begins and ends.

use super::client::set_name;
use super::info::REDIS_VERSION;
use super::table::{Call, error, is, wrong_number};
use esker_structures::Error;
use esker_structures::base::number::parse_i64;
use esker_structures::command::{Protocol, Reply};

pub(super) fn hello(call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    let mut protocol = call.connection.session().protocol;
    let mut rest = args.get(1..).unwrap_or_default();
    if let [version, behind @ ..] = rest {
        let Some(version) = parse_i64(version) else {
            return error("ERR Protocol version is not an integer or out of range");
        };
        protocol = match version {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return error("NOPROTO unsupported protocol version"),
        };
        rest = behind;
    }
    // Each option takes effect when it is come to, whatever is wrong behind it.
    while let [option, behind @ ..] = rest {
        rest = match behind {
            [user, _, behind @ ..] if is(option, "auth") => {
                if !is_default(user) {
                    return error(WRONG_PASSWORD);
                }
                behind
            }
            [name, behind @ ..] if is(option, "setname") => {
                if let Some(refused) = set_name(call.info, name) {
                    return Some(refused);
                }
                behind
            }
            _ => return Some(Error::quoting("ERR Syntax error in HELLO option '", option, "'").into()),
        };
    }
    call.connection.session_mut().protocol = protocol;
    let number = if protocol == Protocol::Resp3 { 3 } else { 2 };
    Some(Reply::Map(vec![
        ("server".into(), "redis".into()),
        ("version".into(), REDIS_VERSION.into()),
        ("proto".into(), Reply::Integer(number)),
        ("id".into(), Reply::count(call.info.id)),
        ("mode".into(), "standalone".into()),
        ("role".into(), "master".into()),
        ("modules".into(), Reply::Array(Vec::new())),
    ]))
}

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// The one user, who has no password, so that any is right.
fn is_default(user: &[u8]) -> bool {
    user == b"default"
}

pub(super) fn auth(_: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    match args {
        [_, _] => error(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        [_, user, _] if is_default(user) => Some(Reply::OK),
        [_, _, _] => error(WRONG_PASSWORD),
        _ => error("ERR syntax error"),
    }
}

pub(super) fn quit(call: &mut Call<'_>, _: &[&[u8]]) -> Option<Reply> {
    call.close = true;
    Some(Reply::OK)
}

pub(super) fn reset(call: &mut Call<'_>, _: &[&[u8]]) -> Option<Reply> {
    // The old one forgets its transaction and what it watches.
    *call.connection = call.shared.connect();
    *call.mode = super::table::ReplyMode::On;
    call.info.names.lock().name.clear();
    Some(Reply::Simple("RESET"))
}

pub(super) fn shutdown(call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    let words = args.get(1..).unwrap_or_default();
    if words.len() > 4 {
        return wrong_number("shutdown");
    }
    let abort = words.iter().any(|word| is(word, "abort"));
    if abort && words.len() == 1 {
        return error("ERR No shutdown in progress.");
    }
    let known = |word: &&[u8]| ["save", "nosave", "now", "force"].iter().any(|known| is(word, known));
    let both = words.iter().any(|word| is(word, "save")) && words.iter().any(|word| is(word, "nosave"));
    if both || !words.iter().all(known) {
        return error("ERR syntax error");
    }
    call.shared.stop();
    call.close = true;
    None
}
