//! Members of a sorted set with their scores: places in the order of scores, inline entries, and what the
//! header of a large one knows. The grammar stands in docs/format/structures.md.

use super::score;
use crate::base::error::{Error, Result};
use esker::base::coding::{Decoder, put_bytes};

/// Bytes of a score in front of its member.
pub const SCORE_BYTES: usize = 8;
/// How much of a place a header keeps of the first and the last member.
const BOUND_BYTES: usize = SCORE_BYTES + 16;
/// A member of one level in so many is of the next: 32, by five bits of its hash.
const LEVEL_BITS: u32 = 5;
/// There are no higher levels.
pub const MAX_LEVEL: u8 = 8;

/// Where a member stands: bytes whose order is that of the scores, and of the members of one score.
#[must_use]
pub fn place(score: f64, member: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(SCORE_BYTES + member.len());
    place.extend_from_slice(&score::encode(score));
    place.extend_from_slice(member);
    place
}

/// Score and member of a place.
///
/// # Errors
/// If it is too short for a score.
pub fn split_place(place: &[u8]) -> Result<(f64, &[u8])> {
    let (bytes, member) = place.split_first_chunk().ok_or_else(|| Error::malformed("a score"))?;
    Ok((score::decode(*bytes), member))
}

/// The first place of a score, or behind all of it. (No score's bytes are all ones.)
#[must_use]
pub fn score_edge(score: f64, behind: bool) -> Vec<u8> {
    let bytes = u64::from_be_bytes(score::encode(score));
    bytes.saturating_add(u64::from(behind)).to_be_bytes().to_vec()
}

/// Up to which level a member begins a bucket of the counts, by its keyed hash.
#[must_use]
pub fn level(hash: u64) -> u8 {
    (hash.trailing_zeros() / LEVEL_BITS).min(u32::from(MAX_LEVEL)) as u8
}

/// How many levels of counts so many members have: at the highest, there are about 32 buckets or fewer.
#[must_use]
pub fn levels(length: u64) -> u8 {
    (1..MAX_LEVEL).find(|level| length <= 1 << (LEVEL_BITS * (u32::from(*level) + 1))).unwrap_or(MAX_LEVEL)
}

/// The front of a place, as a header keeps it.
#[must_use]
pub fn front(place: &[u8]) -> &[u8] {
    &place[..place.len().min(BOUND_BYTES)]
}

/// What the header of a sorted set with records knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// How many levels of counts there are.
    pub levels: u8,
    /// At or before the first place.
    pub low: Vec<u8>,
    /// The last place stands before this, or starts with it.
    pub high: Vec<u8>,
}

impl State {
    /// As the payload of a header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.levels];
        put_bytes(&mut out, &self.low);
        put_bytes(&mut out, &self.high);
        out
    }

    /// Back from the payload.
    ///
    /// # Errors
    /// For bytes that [`State::encode`] does not write.
    pub fn decode(payload: &[u8]) -> Result<State> {
        let mut decoder = Decoder::new(payload);
        let levels = decoder.byte("levels")?;
        let low = decoder.bytes("the first score")?.to_vec();
        let high = decoder.bytes("the last score")?.to_vec();
        let right = (1..=MAX_LEVEL).contains(&levels) && decoder.position() == payload.len();
        if right {
            Ok(State { levels, low, high })
        } else {
            Err(Error::malformed("the state of a sorted set"))
        }
    }
}

/// A member with its score, where it stands in a header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored<'a> {
    /// The score.
    pub score: f64,
    /// The member.
    pub member: &'a [u8],
}

impl Scored<'_> {
    /// Appends it as an inline entry.
    pub fn put_inline(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&score::encode(self.score));
        put_bytes(out, self.member);
    }

    /// Whether it stands before a member of a score.
    #[must_use]
    pub fn is_before(&self, score: f64, member: &[u8]) -> bool {
        (score::encode(self.score), self.member) < (score::encode(score), member)
    }
}

/// The members of an inline sorted set, in their order.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    /// Of a payload.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Members<'a> {
        Members { bytes: payload, at: 0 }
    }

    /// The score of a member, with where its entry starts and ends in the payload.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn find(mut self, member: &[u8]) -> Result<Option<(f64, std::ops::Range<usize>)>> {
        loop {
            let start = self.at;
            match self.next() {
                None => return Ok(None),
                Some(Err(error)) => return Err(error),
                Some(Ok(found)) if found.member == member => return Ok(Some((found.score, start..self.at))),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Where in the payload a member of a score belongs.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn place_of(mut self, score: f64, member: &[u8]) -> Result<usize> {
        loop {
            let start = self.at;
            match self.next() {
                None => return Ok(start),
                Some(found) => {
                    if !found?.is_before(score, member) {
                        return Ok(start);
                    }
                }
            }
        }
    }

    fn read(&mut self) -> Result<Scored<'a>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (bytes, rest) = rest.split_first_chunk().ok_or_else(|| Error::malformed("a score"))?;
        let mut decoder = Decoder::new(rest);
        let member = decoder.bytes("a member")?;
        self.at += SCORE_BYTES + decoder.position();
        Ok(Scored { score: score::decode(*bytes), member })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Scored<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let member = self.read();
        if member.is_err() {
            self.at = self.bytes.len();
        }
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score() -> impl Strategy<Value = f64> {
        let special = vec![-0.0, 0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE];
        prop_oneof![proptest::sample::select(special), any::<f64>().prop_filter("a number", |s| !s.is_nan())]
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0u8), Just(0xff), any::<u8>()];
        prop_oneof![proptest::collection::vec(byte, 0..30), Just(vec![0xff; 300])]
    }

    proptest! {
        /// The order of places is that of scores, then of members; -0.0 is 0.0.
        #[test]
        fn places_order_as_scores_and_members(a in (score(), member()), b in (score(), member())) {
            let expected = a.0.partial_cmp(&b.0).unwrap().then_with(|| a.1.cmp(&b.1));
            let (of_a, of_b) = (place(a.0, &a.1), place(b.0, &b.1));
            prop_assert_eq!(of_a.cmp(&of_b), expected);
            prop_assert_eq!(split_place(&of_a).unwrap(), (a.0, &a.1[..]));
            prop_assert!(front(&of_a) <= &of_a[..] && of_a.starts_with(front(&of_a)));
            prop_assert!(score_edge(a.0, false) <= of_a && of_a < score_edge(a.0, true));
            prop_assert_eq!(score_edge(a.0, true) <= of_b, a.0 < b.0);
        }

        #[test]
        fn members_round_trip(members in proptest::collection::vec((score(), member()), 0..6)) {
            let members: Vec<Scored<'_>> =
                members.iter().map(|(score, member)| Scored { score: *score, member }).collect();
            let mut payload = Vec::new();
            members.iter().for_each(|member| member.put_inline(&mut payload));
            let back: Result<Vec<_>> = Members::new(&payload).collect();
            prop_assert_eq!(back.unwrap(), members);
        }

        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Members::new(&bytes).collect::<Vec<_>>();
            let _ = (State::decode(&bytes), split_place(&bytes));
        }
    }

    #[test]
    fn state_and_levels() {
        let state =
            State { levels: 2, low: place(1.0, b"a"), high: front(&place(2.0, &[b'x'; 40])).to_vec() };
        assert_eq!(State::decode(&state.encode()).unwrap(), state);
        assert_eq!((level(1), level(32), level(1 << 10), level(0)), (0, 1, 2, MAX_LEVEL));
        assert_eq!((levels(129), levels(1024), levels(1025), levels(1_000_000)), (1, 1, 2, 3));
        assert_eq!(levels(u64::MAX), MAX_LEVEL);
    }
}
