//! What is wrong with the payload or the records of a sorted set, for `verify`.

use super::records::behind;
use crate::base::error::Result;
use crate::base::hash::HashKey;
use crate::encoding::header::Meta;
use crate::encoding::key::{kind, split_position};
use crate::encoding::limits::{MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS};
use crate::encoding::score;
use crate::encoding::scored::{Members, SCORE_BYTES, Scored, State, level, place};
use std::collections::BTreeMap;

/// What is wrong, if anything. `records` are kind, rest of the key and value, in the order of their keys.
pub(crate) fn check_members(
    meta: &Meta,
    payload: &[u8],
    records: &[(u8, &[u8], &[u8])],
    hash: HashKey,
) -> Option<String> {
    if !meta.records {
        return check_inline(meta, payload);
    }
    let Ok(state) = State::decode(payload) else { return Some("a state that cannot be read".into()) };
    let of = |wanted: u8| records.iter().filter(move |(kind, ..)| *kind == wanted);
    let (mut places, mut last) = (Vec::new(), None);
    for (_, place, value) in of(kind::SCORE) {
        let ordered = last.is_none_or(|last: &[u8]| last < *place);
        if !value.is_empty() || place.len() < SCORE_BYTES || !ordered {
            return Some("a score that cannot be read".into());
        }
        last = Some(*place);
        places.push(*place);
    }
    let mut scored = Vec::new();
    for (_, rest, value) in of(kind::SCORED) {
        let found = split_position(rest).ok().filter(|(at, member)| *at == hash.hash53(member));
        let (Some((_, member)), Ok(bytes)) = (found, (*value).try_into()) else {
            return Some("a member that cannot be read".into());
        };
        scored.push(place(score::decode(bytes), member));
    }
    scored.sort_unstable();
    if scored != places || places.len() as u64 != meta.length || places.is_empty() {
        return Some(format!(
            "{} members and {} scores, {} counted",
            scored.len(),
            places.len(),
            meta.length
        ));
    }
    let (first, last) = (places[0], places[places.len() - 1]);
    if first < state.low.as_slice() || last >= behind(&state.high).as_slice() {
        return Some("a member outside of the bounds in the header".into());
    }
    let counts = of(kind::SCORE_COUNT).map(|(_, rest, value)| (*rest, *value));
    check_counts(&state, &places, counts, hash)
}

/// Recomputes the counts. In front of the first boundary a count of 0 need not stand.
fn check_counts<'r>(
    state: &State,
    places: &[&[u8]],
    counts: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    hash: HashKey,
) -> Option<String> {
    let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for at in 1..=state.levels {
        let mut bucket = vec![at];
        for place in places {
            if level(hash.hash(place.get(SCORE_BYTES..).unwrap_or_default())) >= at {
                bucket = [&[at], *place].concat();
            }
            *expected.entry(bucket.clone()).or_default() += 1;
        }
    }
    let mut found = BTreeMap::new();
    for (rest, value) in counts {
        let Ok(count) = value.try_into().map(u64::from_le_bytes) else {
            return Some("a count that cannot be read".into());
        };
        if count > 0 || rest.len() > 1 {
            found.insert(rest.to_vec(), count);
        }
    }
    (found != expected)
        .then(|| format!("{} counts are not the {} of the scores", found.len(), expected.len()))
}

fn check_inline(meta: &Meta, payload: &[u8]) -> Option<String> {
    let members: Result<Vec<Scored<'_>>> = Members::new(payload).collect();
    let Ok(members) = members else { return Some("members that cannot be read".into()) };
    let ordered = members.windows(2).all(|pair| pair[0].is_before(pair[1].score, pair[1].member));
    let mut names: Vec<&[u8]> = members.iter().map(|member| member.member).collect();
    names.sort_unstable();
    let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
    let fits = payload.len() <= MAX_INLINE_BYTES && members.len() <= MAX_INLINE_ELEMENTS;
    let right = members.len() as u64 == meta.length && ordered && !twice && fits && meta.length > 0;
    (!right)
        .then(|| format!("{} members in the header, {} counted, or in disorder", members.len(), meta.length))
}
