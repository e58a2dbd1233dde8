//! Ways to damage a file.

use std::fmt;

/// What a disk reads and writes at once, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// A way to damage a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The byte at an offset, by exclusive or.
    Flip {
        /// Where.
        at: usize,
        /// With what.
        mask: u8,
    },
    /// Only so many bytes are left.
    Cut(usize),
    /// The sector with this number is zero.
    Zero(usize),
    /// The sectors with these numbers have changed places.
    Swap(usize, usize),
    /// The first sector stands in the place of the second, too.
    Misplace(usize, usize),
    /// Another file of the same kind stands in its place.
    Sibling(Vec<u8>),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Flip { at, mask } => write!(f, "byte {at} changed by {mask:#04x}"),
            Damage::Cut(len) => write!(f, "cut to {len} bytes"),
            Damage::Zero(sector) => write!(f, "sector {sector} zeroed"),
            Damage::Swap(a, b) => write!(f, "sectors {a} and {b} swapped"),
            Damage::Misplace(from, to) => write!(f, "sector {from} in the place of {to}"),
            Damage::Sibling(bytes) => write!(f, "another file of {} bytes in its place", bytes.len()),
        }
    }
}

impl Damage {
    /// Every kind of damage to a file of which `used` bytes are not a tail of zeros, with siblings: one bit
    /// and all bits of each `stride`-th byte, every `stride`-th length, every sector.
    pub fn each(bytes: &[u8], siblings: &[Vec<u8>], stride: usize) -> Vec<Damage> {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // What is preallocated is all the same; a little of it stands for all.
        let end = bytes.len().min(used + 64);
        let mut all = Vec::new();
        for at in (0..end).step_by(stride) {
            all.push(Damage::Flip { at, mask: 1 << (at * 5 % 8) });
            all.push(Damage::Flip { at, mask: 0xff });
            all.push(Damage::Cut(at));
        }
        let sectors = used.div_ceil(SECTOR_BYTES);
        for sector in 0..sectors {
            all.push(Damage::Zero(sector));
            for other in sector + 1..sectors {
                all.push(Damage::Swap(sector, other));
                all.push(Damage::Misplace(sector, other));
                all.push(Damage::Misplace(other, sector));
            }
        }
        all.extend(siblings.iter().filter(|sibling| *sibling != bytes).cloned().map(Damage::Sibling));
        all
    }

    /// The damaged bytes.
    #[must_use]
    pub fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        let sector = |number: usize| {
            let from = number * SECTOR_BYTES;
            from..bytes.len().min(from + SECTOR_BYTES)
        };
        match self {
            Damage::Flip { at, mask } => damaged[*at] ^= mask,
            Damage::Cut(len) => damaged.truncate(*len),
            Damage::Zero(number) => damaged[sector(*number)].fill(0),
            Damage::Swap(a, b) => {
                Damage::Misplace(*b, *a).put(bytes, &mut damaged, sector);
                Damage::Misplace(*a, *b).put(bytes, &mut damaged, sector);
            }
            Damage::Misplace(..) => self.put(bytes, &mut damaged, sector),
            Damage::Sibling(other) => damaged.clone_from(other),
        }
        damaged
    }

    fn put(&self, bytes: &[u8], damaged: &mut [u8], sector: impl Fn(usize) -> std::ops::Range<usize>) {
        let Damage::Misplace(from, to) = self else { return };
        let (from, to) = (sector(*from), sector(*to));
        let len = from.len().min(to.len());
        damaged[to.start..to.start + len].copy_from_slice(&bytes[from.start..from.start + len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_what_it_says() {
        let bytes: Vec<u8> = (0..1300).map(|i| (i / 256 + 1) as u8).collect();
        assert_eq!(Damage::Flip { at: 3, mask: 0xff }.of(&bytes)[..5], [1, 1, 1, 0xfe, 1]);
        assert_eq!(Damage::Cut(5).of(&bytes), [1; 5]);
        assert_eq!(Damage::Zero(2).of(&bytes)[1020..1028], [4, 4, 4, 4, 0, 0, 0, 0]);
        let swapped = Damage::Swap(0, 2).of(&bytes);
        assert_eq!((swapped[0], swapped[300], swapped[1024], swapped.len()), (5, 2, 1, 1300));
        assert_eq!(Damage::Misplace(0, 1).of(&bytes)[512..520], [1; 8]);
        let all = Damage::each(&bytes, &[bytes.clone(), vec![7]], 1);
        assert!(all.len() >= 3 * 1300 + 3 + 9 && all.contains(&Damage::Sibling(vec![7])));
        assert!(!all.contains(&Damage::Sibling(bytes)));
    }
}
