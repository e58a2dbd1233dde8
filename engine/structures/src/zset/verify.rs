//! What `verify` asks of a sorted set.
//!
//! That members and scores are the same, and that the counts are those of the scores, is seen by sums of
//! keyed hashes over each: no record need be kept for it. Two sums that agree by chance would be one in
//! 2^64.

use super::records::behind;
use crate::base::error::Result;
use crate::base::hash::HashKey;
use crate::encoding::check::Check;
use crate::encoding::header::Meta;
use crate::encoding::key::{kind, split_position};
use crate::encoding::limits::{MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS};
use crate::encoding::score;
use crate::encoding::scored::{Members, SCORE_BYTES, Scored, State, front, level, place};

/// A number of things, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    hash: u64,
}

impl Sum {
    fn add(&mut self, hash: u64) {
        (self.count, self.hash) = (self.count + 1, self.hash.wrapping_add(hash));
    }
}

/// What is asked of the records of a large one: members, then scores, then counts.
pub(crate) struct Records {
    length: u64,
    state: State,
    hash: HashKey,
    scored: Sum,
    scores: Sum,
    /// Fronts of the first and of the last place.
    ends: Option<(Vec<u8>, Vec<u8>)>,
    /// The bucket of each level in which the last place stands, as its record's key has it, and its count.
    open: Vec<(Vec<u8>, u64)>,
    expected: Sum,
    counts: Sum,
}

impl Records {
    /// Of a header.
    pub(crate) fn new(meta: &Meta, payload: &[u8], hash: HashKey) -> Result<Records, String> {
        let state = State::decode(payload).map_err(|_| "a state that cannot be read".to_owned())?;
        let open = (1..=state.levels).map(|level| (vec![level], 0)).collect();
        let (scored, scores, expected, counts) = Default::default();
        Ok(Records { length: meta.length, state, hash, scored, scores, ends: None, open, expected, counts })
    }

    fn score(&mut self, at: &[u8]) {
        self.scores.add(self.hash.hash(at));
        match &mut self.ends {
            None => self.ends = Some((front(at).to_vec(), at.to_vec())),
            Some((_, last)) => {
                last.clear();
                last.extend_from_slice(at);
            }
        }
        let own = level(self.hash.hash(at.get(SCORE_BYTES..).unwrap_or_default()));
        for (level, bucket) in (1u8..).zip(&mut self.open) {
            if level <= own {
                if bucket.1 > 0 {
                    self.expected.add(hash_count(self.hash, &bucket.0, bucket.1));
                }
                *bucket = ([&[level], at].concat(), 0);
            }
            bucket.1 += 1;
        }
    }
}

fn hash_count(hash: HashKey, bucket: &[u8], count: u64) -> u64 {
    hash.hash(&[bucket, &count.to_le_bytes()].concat())
}

impl Check for Records {
    fn record(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Result<(), String> {
        match kind {
            kind::SCORED => {
                let found = split_position(rest).ok().filter(|(at, member)| *at == self.hash.hash53(member));
                let (Some((_, member)), Ok(bytes)) = (found, value.try_into()) else {
                    return Err("a member that cannot be read".into());
                };
                self.scored.add(self.hash.hash(&place(score::decode(bytes), member)));
            }
            kind::SCORE if value.is_empty() && rest.len() >= SCORE_BYTES => self.score(rest),
            kind::SCORE => return Err("a score that cannot be read".into()),
            kind::SCORE_COUNT => {
                let Ok(count) = value.try_into().map(u64::from_le_bytes) else {
                    return Err("a count that cannot be read".into());
                };
                // In front of the first boundary a count of 0 need not stand.
                if count > 0 || rest.len() > 1 {
                    self.counts.add(hash_count(self.hash, rest, count));
                }
            }
            _ => return Err(format!("a record of kind {kind} among the members of a sorted set")),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let (members, scores) = (self.scored.count, self.scores.count);
        let Some((first, last)) =
            self.ends.take().filter(|_| self.scored == self.scores && scores == self.length)
        else {
            return Err(format!("{members} members and {scores} scores, {} counted", self.length));
        };
        if first.as_slice() < front(&self.state.low) || last >= behind(&self.state.high) {
            return Err("a member outside of the bounds in the header".into());
        }
        for (bucket, count) in self.open.drain(..).filter(|(_, count)| *count > 0) {
            self.expected.add(hash_count(self.hash, &bucket, count));
        }
        let (found, expected) = (self.counts, self.expected);
        if found == expected {
            return Ok(());
        }
        Err(format!("{} counts are not the {} of the scores", found.count, expected.count))
    }
}

/// What is wrong with the payload of a small sorted set.
pub(crate) fn check_inline(meta: &Meta, payload: &[u8]) -> Option<String> {
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
