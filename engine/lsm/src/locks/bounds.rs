//! Whether a key lies between two bounds.

use std::ops::Bound;

pub(super) fn within((lower, upper): (Bound<&[u8]>, Bound<&[u8]>), key: &[u8]) -> bool {
    let above = match lower {
        Bound::Unbounded => true,
        Bound::Included(lower) => key >= lower,
        Bound::Excluded(lower) => key > lower,
    };
    let below = match upper {
        Bound::Unbounded => true,
        Bound::Included(upper) => key <= upper,
        Bound::Excluded(upper) => key < upper,
    };
    above && below
}
