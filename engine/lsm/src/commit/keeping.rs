//! How long changes are kept for readers, as pure functions of what is kept.

use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::position::Position;
use crate::version::{FeedState, History, MOST_HISTORIES, MOST_INGESTS};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long changes are kept for those who read them. See [`Db::changes`](crate::Db::changes).
///
/// What is kept are whole segments of the log, beside what the store itself needs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    /// When the files of segments that are kept have more bytes than this, the oldest go. Default: 1 GiB; at
    /// most 2^50.
    pub keep_bytes: u64,
    /// A segment goes when it has been kept for so long. Default: 24 h; between 1 ms and ten years. The bound
    /// on the age of what was deleted ([`FamilyOptions::erase_within`](crate::FamilyOptions::erase_within))
    /// goes before this: whatever else says, no segment is kept for more than half of the shortest.
    pub keep_age: Duration,
    /// What named consumers still have to read is kept beyond both, up to so many bytes; then they are cut
    /// loose. Default: 4 GiB; at least `keep_bytes`, at most 2^50.
    pub consumer_bytes: u64,
    /// Whether even what named consumers still have to read goes when the disk is full. What they need not
    /// goes then in any case. Default: true: a store that takes writes is worth more than a complete feed.
    pub yield_on_full_disk: bool,
}

impl Default for FeedOptions {
    fn default() -> Self {
        FeedOptions {
            keep_bytes: 1 << 30,
            keep_age: Duration::from_secs(24 * 3600),
            consumer_bytes: 4 << 30,
            yield_on_full_disk: true,
        }
    }
}

/// The most bytes that may be kept.
const MOST_BYTES: u64 = 1 << 50;

impl FeedOptions {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field and its limits.
    pub fn validate(&self) -> Result<()> {
        let ages = Duration::from_millis(1)..=Duration::from_secs(10 * 365 * 24 * 3600);
        if !ages.contains(&self.keep_age) {
            return Err(Error::invalid("feed.keep_age", "it must be between 1 ms and ten years"));
        }
        if self.keep_bytes > MOST_BYTES {
            return Err(Error::invalid("feed.keep_bytes", "it must be at most 2^50"));
        }
        if !(self.keep_bytes..=MOST_BYTES).contains(&self.consumer_bytes) {
            return Err(Error::invalid("feed.consumer_bytes", "it must be between keep_bytes and 2^50"));
        }
        Ok(())
    }
}

/// By what it is judged what is let go.
#[derive(Clone, Copy, Debug)]
pub struct FeedMoment {
    /// The options.
    pub options: FeedOptions,
    /// The time, in milliseconds since the epoch.
    pub now_ms: u64,
    /// Nothing may be kept for longer, in ms.
    pub most_age_ms: u64,
    /// Whether the disk is full.
    pub is_full: bool,
}

impl FeedMoment {
    /// From where on changes are still kept, if that is to move.
    #[must_use]
    pub fn due(
        &self,
        feed: &FeedState,
        history: History,
        consumers: &BTreeMap<String, Position>,
    ) -> Option<SeqNum> {
        let age_ms = u64::try_from(self.options.keep_age.as_millis()).unwrap_or(u64::MAX);
        let holding = |position: &&Position| feed.can_follow(**position, history, SeqNum::MAX);
        let slowest = consumers.values().filter(holding).map(|position| position.seq).min();
        let (mut from, mut bytes) = (None, feed.bytes());
        for (seq, size, since_ms) in oldest_first(feed) {
            let old_ms = self.now_ms.saturating_sub(since_ms);
            let is_held = slowest.is_some_and(|slowest| slowest < seq);
            let may_go = self.is_full || bytes > self.options.keep_bytes || old_ms >= age_ms;
            let must_go = old_ms >= self.most_age_ms
                || bytes > self.options.consumer_bytes
                || (self.is_full && self.options.yield_on_full_disk);
            if !(must_go || may_go && !is_held) {
                break;
            }
            bytes = bytes.saturating_sub(size);
            from = Some(seq);
        }
        let too_many = feed.ingests.len().checked_sub(MOST_INGESTS + 1).map(|last| feed.ingests[last].seq);
        let histories = feed.ended.len().checked_sub(MOST_HISTORIES + 1);
        from.max(too_many).max(histories.map(|last| feed.ended[last].last_seq + 1))
    }
}

/// What is kept, each with its last sequence number, its bytes and since when it is.
fn oldest_first(feed: &FeedState) -> Vec<(SeqNum, u64, u64)> {
    let segments = feed.segments.iter().map(|kept| (kept.last_seq, kept.file_bytes, kept.kept_ms));
    let mut all: Vec<_> = segments.chain(feed.ingests.iter().map(|mark| (mark.seq, 0, mark.at_ms))).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::KeptSegment;

    const CURRENT: History = History { id: 1, first_seq: 1 };

    /// Segments of 100 bytes up to 10, 20, .. 50, kept since 1, 2, .. 5 s.
    fn kept() -> FeedState {
        let segment = |n: u64| KeptSegment {
            number: n,
            identity: n,
            end: 90,
            file_bytes: 100,
            last_seq: n * 10,
            kept_ms: n * 1000,
        };
        FeedState { segments: (1..=5).map(segment).collect(), ..FeedState::default() }
    }

    fn moment(keep_bytes: u64, keep_age_ms: u64) -> FeedMoment {
        let keep_age = Duration::from_millis(keep_age_ms);
        let options = FeedOptions {
            keep_bytes,
            keep_age,
            consumer_bytes: keep_bytes.max(400),
            yield_on_full_disk: false,
        };
        FeedMoment { options, now_ms: 6000, most_age_ms: u64::MAX, is_full: false }
    }

    fn due(moment: FeedMoment, consumers: &[SeqNum]) -> Option<SeqNum> {
        let position = |seq: &SeqNum| (seq.to_string(), Position { history: 1, seq: *seq });
        moment.due(&kept(), CURRENT, &consumers.iter().map(position).collect())
    }

    #[test]
    fn the_oldest_go_by_bytes_and_by_age() {
        assert_eq!(due(moment(500, 60_000), &[]), None);
        assert_eq!(due(moment(300, 60_000), &[]), Some(20));
        assert_eq!(due(moment(0, 60_000), &[]), Some(50));
        assert_eq!(due(moment(500, 4000), &[]), Some(20));
        assert_eq!(due(moment(350, 4000), &[]), Some(20));
    }

    #[test]
    fn consumers_hold_back_what_they_have_not_read_up_to_their_bound() {
        assert_eq!(due(moment(0, 1), &[30, 45]), Some(30));
        assert_eq!(due(moment(0, 1), &[29]), Some(20));
        assert_eq!(due(moment(0, 1), &[5]), Some(10), "500 bytes are more than they may hold");
        assert_eq!(due(moment(0, 1), &[500]), Some(50));
    }

    #[test]
    fn those_who_were_cut_loose_hold_nothing() {
        let mut feed = kept();
        feed.release(20);
        let of = |history, seq| BTreeMap::from([(String::new(), Position { history, seq })]);
        let moment = moment(0, 1);
        assert_eq!(moment.due(&feed, CURRENT, &of(1, 19)), Some(50), "too far behind");
        assert_eq!(moment.due(&feed, CURRENT, &of(2, 25)), Some(50), "of a history that is not known");
        assert_eq!(moment.due(&feed, CURRENT, &of(1, 20)), None);
    }

    #[test]
    fn a_promise_to_erase_goes_before_everything() {
        let moment = FeedMoment { most_age_ms: 3000, ..moment(500, 60_000) };
        assert_eq!(due(moment, &[0]), Some(30));
    }

    #[test]
    fn a_full_disk_takes_what_nobody_holds_and_more_if_it_may() {
        let full = FeedMoment { is_full: true, ..moment(500, 60_000) };
        assert_eq!(due(full, &[]), Some(50));
        assert_eq!(due(full, &[25]), Some(20));
        let options = FeedOptions { yield_on_full_disk: true, ..full.options };
        assert_eq!(due(FeedMoment { options, ..full }, &[25]), Some(50));
    }

    #[test]
    fn options_out_of_their_range_are_refused_by_name() {
        let sound = FeedOptions::default();
        sound.validate().unwrap();
        for (options, field) in [
            (FeedOptions { keep_age: Duration::ZERO, ..sound }, "feed.keep_age"),
            (FeedOptions { keep_bytes: u64::MAX, ..sound }, "feed.keep_bytes"),
            (FeedOptions { consumer_bytes: 1, ..sound }, "feed.consumer_bytes"),
        ] {
            assert!(options.validate().unwrap_err().to_string().contains(field), "{field}");
        }
    }
}
