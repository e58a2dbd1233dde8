//! Which keys were removed with ranges of late, and when last.
//!
//! The ranges of a family are kept as pieces that do not overlap, each with its last removal: a new range
//! cuts off or replaces what it covers of older ones. So a key is looked up in logarithmic time, however many
//! ranges there are.

use super::bounds::holds_nothing;
use crate::base::key::SeqNum;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What a piece takes beside its bytes, roughly: its place in a tree of which a third is empty, what the
/// allocator adds, and the count of its removal.
const PIECE_OVERHEAD_BYTES: usize = 128;

/// The last removals of the keys of some families.
#[derive(Debug, Default)]
pub(super) struct RemovedRanges {
    families: BTreeMap<u32, Pieces>,
    /// How many pieces are left of each removal that has any.
    left: BTreeMap<SeqNum, usize>,
    bytes: usize,
}

/// By their first keys.
type Pieces = BTreeMap<Box<[u8]>, Piece>;

#[derive(Debug)]
struct Piece {
    /// The key behind the last, if there is an end.
    to: Option<Box<[u8]>>,
    seq: SeqNum,
}

impl Piece {
    fn reaches_beyond(&self, key: &[u8]) -> bool {
        self.to.as_deref().is_none_or(|to| key < to)
    }

    fn bytes(&self, from: &[u8]) -> usize {
        PIECE_OVERHEAD_BYTES + from.len() + self.to.as_deref().map_or(0, <[u8]>::len)
    }
}

impl RemovedRanges {
    /// The memory that this takes, in bytes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds nothing at all.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.families.is_empty() && self.left.is_empty() && self.bytes == 0
    }

    /// The keys from `from` up to, and without, `to`, which are some, are removed at `seq`, later than all
    /// that is known.
    pub(super) fn insert(&mut self, seq: SeqNum, family: u32, from: &[u8], to: Option<&[u8]>) {
        self.cut(family, from);
        if let Some(to) = to {
            self.cut(family, to);
        }
        self.take((family, from, to), usize::MAX, |_| true);
        self.put(family, from.into(), Piece { to: to.map(Into::into), seq });
    }

    /// Forgets the removal at `seq`, which was of these keys. Takes no time if newer ones cover it all.
    pub(super) fn forget(&mut self, seq: SeqNum, family: u32, from: &[u8], to: Option<&[u8]>) {
        if let Some(left) = self.left.get(&seq) {
            self.take((family, from, to), *left, |piece| piece.seq == seq);
        }
    }

    /// When `key` was removed last.
    pub(super) fn last(&self, family: u32, key: &[u8]) -> Option<SeqNum> {
        let (_, piece) = Self::at(self.families.get(&family)?, key)?;
        Some(piece.seq)
    }

    /// When the keys between the bounds were removed last, piece by piece, each with its first key. Some
    /// pieces may just touch the bounds.
    pub(super) fn within(
        &self,
        family: u32,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> impl Iterator<Item = (&[u8], SeqNum)> {
        let pieces = self.families.get(&family).filter(|_| !holds_nothing(bounds));
        pieces.into_iter().flat_map(move |pieces| {
            let first = match bounds.0 {
                Bound::Unbounded => None,
                Bound::Included(lower) | Bound::Excluded(lower) => {
                    Self::at(pieces, lower).map(|(from, _)| from)
                }
            };
            let lower = first.map_or(bounds.0, Bound::Included);
            pieces.range::<[u8], _>((lower, bounds.1)).map(|(from, piece)| (&from[..], piece.seq))
        })
    }

    /// The piece that holds `key`.
    fn at<'p>(pieces: &'p Pieces, key: &[u8]) -> Option<(&'p [u8], &'p Piece)> {
        let (from, piece) = pieces.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        piece.reaches_beyond(key).then_some((&from[..], piece))
    }

    /// Has a piece begin at `key`, if one holds it.
    fn cut(&mut self, family: u32, key: &[u8]) {
        let Some((from, piece)) = self.families.get(&family).and_then(|pieces| Self::at(pieces, key)) else {
            return;
        };
        if from == key {
            return;
        }
        let (from, to, seq): (Box<[u8]>, _, _) = (from.into(), piece.to.clone(), piece.seq);
        self.put(family, from, Piece { to: Some(key.into()), seq });
        self.put(family, key.into(), Piece { to, seq });
    }

    /// Puts a piece in the place of the one that begins there.
    fn put(&mut self, family: u32, from: Box<[u8]>, piece: Piece) {
        self.bytes += piece.bytes(&from);
        *self.left.entry(piece.seq).or_default() += 1;
        let place = from.clone();
        let before = self.families.entry(family).or_default().insert(from, piece);
        if let Some(before) = before {
            self.gone(&place, &before);
        }
    }

    /// A piece that began at `from` is there no more.
    fn gone(&mut self, from: &[u8], piece: &Piece) {
        self.bytes -= piece.bytes(from);
        if let Some(left) = self.left.get_mut(&piece.seq) {
            *left -= 1;
            if *left == 0 {
                self.left.remove(&piece.seq);
            }
        }
    }

    /// Takes those pieces out that begin within a range and are meant, which are no more than `most`.
    fn take(
        &mut self,
        (family, from, to): (u32, &[u8], Option<&[u8]>),
        most: usize,
        meant: impl Fn(&Piece) -> bool,
    ) {
        let Some(pieces) = self.families.get_mut(&family) else { return };
        let range = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        let taken = pieces.range::<[u8], _>(range).filter(|(_, piece)| meant(piece));
        let taken: Vec<Box<[u8]>> = taken.take(most).map(|(from, _)| from.clone()).collect();
        let removed = taken.into_iter().filter_map(|from| pieces.remove_entry(&from)).collect::<Vec<_>>();
        if pieces.is_empty() {
            self.families.remove(&family);
        }
        removed.iter().for_each(|(from, piece)| self.gone(from, piece));
    }
}
