//! BGSAVE and LASTSAVE.

use super::table::{Call, error, is};
use esker_structures::Error;
use esker_structures::command::Reply;

pub(super) fn bgsave(call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    // SCHEDULE is about what else Redis may be doing; here nothing stands in its way.
    match args.get(1..).unwrap_or_default() {
        [] => {}
        [word] if is(word, "schedule") => {}
        _ => return Some(Error::SYNTAX.into()),
    }
    match call.shared.saving.begin(&call.shared.store) {
        Ok(()) => Some(Reply::Simple("Background saving started")),
        Err(why) => error(why.to_string()),
    }
}

pub(super) fn lastsave(call: &mut Call<'_>, _: &[&[u8]]) -> Option<Reply> {
    Some(Reply::Integer(i64::try_from(call.shared.saving.saved().last_s).unwrap_or(i64::MAX)))
}
