//! Ranges of user keys as users give them, and the one form in which they are kept: from a first key
//! on, up to and without a last one.

use super::error::{Error, Result};
use super::limits::MAX_KEY_BYTES;
use std::ops::Bound;

/// Keys from the first on, up to and without the second; without a second there is no end.
pub type HalfOpen = (Vec<u8>, Option<Vec<u8>>);

/// The range between two bounds; `None` if no key lies in it.
///
/// # Errors
/// [`Error::InvalidArgument`] if it starts behind its end; [`Error::KeyTooLarge`] for a bound that is no
/// key.
pub fn half_open(start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Option<HalfOpen>> {
    for bound in [start, end] {
        if let Bound::Included(key) | Bound::Excluded(key) = bound
            && key.len() > MAX_KEY_BYTES
        {
            return Err(Error::KeyTooLarge { bytes: key.len() });
        }
    }
    if let (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) =
        (start, end)
        && from > to
    {
        return Err(Error::invalid("range", "it starts behind its end"));
    }
    let from = match start {
        Bound::Unbounded => Vec::new(),
        Bound::Included(from) => from.to_vec(),
        Bound::Excluded(from) => match next_key(from) {
            Some(next) => next,
            None => return Ok(None),
        },
    };
    let to = match end {
        Bound::Unbounded => None,
        Bound::Excluded(to) => Some(to.to_vec()),
        Bound::Included(to) => next_key(to),
    };
    Ok(if to.as_ref().is_some_and(|to| *to <= from) { None } else { Some((from, to)) })
}

/// The key that follows `key` among all that are short enough; `None` behind the last.
fn next_key(key: &[u8]) -> Option<Vec<u8>> {
    if key.len() >= MAX_KEY_BYTES {
        // It has no room for another byte: what starts with it is itself alone.
        return prefix_end(key);
    }
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    Some(next)
}

/// The first key from `from` on that a lower bound leaves.
#[must_use]
pub fn first_from(lower: Bound<&[u8]>, from: &[u8]) -> Vec<u8> {
    match lower {
        Bound::Included(lower) => lower.max(from).to_vec(),
        Bound::Excluded(lower) if lower >= from => next_key(lower).unwrap_or_else(|| lower.to_vec()),
        _ => from.to_vec(),
    }
}

/// Of two bounds on the same side the one that leaves fewer keys; `further_in` says whether a key lies
/// further in than another: greater for lower bounds, less for upper ones.
#[must_use]
pub fn narrower(
    a: Bound<Vec<u8>>,
    b: Bound<Vec<u8>>,
    further_in: impl Fn(&[u8], &[u8]) -> bool,
) -> Bound<Vec<u8>> {
    match (&a, &b) {
        (Bound::Unbounded, _) => b,
        (_, Bound::Unbounded) => a,
        (Bound::Included(x) | Bound::Excluded(x), Bound::Included(y) | Bound::Excluded(y)) => {
            if further_in(x, y) || x == y && matches!(a, Bound::Excluded(_)) { a } else { b }
        }
    }
}

/// The first key behind all that start with `prefix`; `None` if there is none.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_bound_has_its_half_open_form() {
        use Bound::{Excluded, Included, Unbounded};
        let range = |a, b| half_open(a, b).unwrap();
        let some = |from: &[u8], to: Option<&[u8]>| Some((from.to_vec(), to.map(<[u8]>::to_vec)));
        assert_eq!(range(Included(b"a"), Excluded(b"c")), some(b"a", Some(b"c")));
        assert_eq!(range(Excluded(b"a"), Included(b"c")), some(b"a\0", Some(b"c\0")));
        assert_eq!(range(Unbounded, Unbounded), some(b"", None));
        assert_eq!(range(Included(b"a"), Included(b"a")), some(b"a", Some(b"a\0")));
        for (a, b) in [(Included(&b"a"[..]), Excluded(&b"a"[..])), (Excluded(b"a"), Excluded(b"a"))] {
            assert_eq!(range(a, b), None);
        }
        assert_eq!(range(Unbounded, Excluded(b"")), None);
        let inverted = half_open(Included(b"b"), Included(b"a"));
        assert!(matches!(inverted, Err(Error::InvalidArgument { what: "range", .. })));
    }

    #[test]
    fn the_longest_keys_have_neighbours_that_are_no_longer() {
        let longest = vec![7; MAX_KEY_BYTES];
        let (from, _) = half_open(Bound::Excluded(&longest), Bound::Unbounded).unwrap().unwrap();
        assert!(from > longest && from.len() <= MAX_KEY_BYTES);
        let last = vec![0xff; MAX_KEY_BYTES];
        assert_eq!(half_open(Bound::Excluded(&last), Bound::Unbounded).unwrap(), None);
        assert_eq!(
            half_open(Bound::Included(&last), Bound::Included(&last)).unwrap(),
            Some((last.clone(), None))
        );
        let long = vec![0; MAX_KEY_BYTES + 1];
        assert!(matches!(
            half_open(Bound::Included(&long), Bound::Unbounded),
            Err(Error::KeyTooLarge { .. })
        ));
    }
}
