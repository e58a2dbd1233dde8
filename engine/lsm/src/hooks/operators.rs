//! Merge operators that many need.

use super::merge_operator::{MergeError, MergeOperator};

/// Adds signed 64-bit integers, stored as eight bytes, little-endian. An absent key counts as zero.
/// A sum that leaves the range is an error; on the way to it that does not matter.
///
/// ```
/// use esker::hooks::{Counter, MergeOperator};
/// let sum = Counter.full(b"k", Some(&40i64.to_le_bytes()), &[&3i64.to_le_bytes(), &(-1i64).to_le_bytes()]);
/// assert_eq!(sum.unwrap(), 42i64.to_le_bytes());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

fn integer(bytes: &[u8]) -> Result<i64, MergeError> {
    let eight = bytes.try_into().map_err(|_| {
        MergeError::new(format!("an integer has 8 bytes, little-endian; these are {}", bytes.len()))
    })?;
    Ok(i64::from_le_bytes(eight))
}

impl MergeOperator for Counter {
    fn name(&self) -> &str {
        "esker.counter"
    }

    fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        // Wide enough for every sum on the way: what was put together before must not decide.
        let mut sum = i128::from(base.map_or(Ok(0), integer)?);
        for operand in operands {
            sum += i128::from(integer(operand)?);
        }
        let beyond = |_| MergeError::new(format!("the sum {sum} leaves the range of 64 bits"));
        Ok(i64::try_from(sum).map_err(beyond)?.to_le_bytes().to_vec())
    }

    fn partial(&self, _: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        let sum = integer(older).ok()?.checked_add(integer(newer).ok()?)?;
        Some(sum.to_le_bytes().to_vec())
    }
}

/// Appends operands to the value, with a separator between two parts.
///
/// ```
/// use esker::hooks::{Append, MergeOperator};
/// let line = Append::with_separator(",");
/// assert_eq!(line.full(b"k", Some(b"a"), &[b"b", b"c"]).unwrap(), b"a,b,c");
/// assert_eq!(line.full(b"k", None, &[b"b"]).unwrap(), b"b");
/// ```
#[derive(Clone, Debug)]
pub struct Append {
    separator: Vec<u8>,
    name: String,
}

impl Default for Append {
    fn default() -> Append {
        Append { separator: Vec::new(), name: "esker.append".into() }
    }
}

impl Append {
    /// Parts follow each other without anything between them.
    #[must_use]
    pub fn new() -> Append {
        Append::default()
    }

    /// Parts with `separator` between them. It is part of the operator's name: `esker.append:` and the
    /// separator, escaped as in a byte string.
    pub fn with_separator(separator: impl Into<Vec<u8>>) -> Append {
        let separator = separator.into();
        if separator.is_empty() {
            return Append::default();
        }
        Append { name: format!("esker.append:{}", separator.escape_ascii()), separator }
    }

    fn join(&self, first: &[u8], rest: &[&[u8]]) -> Vec<u8> {
        let bytes = first.len() + rest.iter().map(|part| self.separator.len() + part.len()).sum::<usize>();
        let mut joined = Vec::with_capacity(bytes);
        joined.extend_from_slice(first);
        for part in rest {
            joined.extend_from_slice(&self.separator);
            joined.extend_from_slice(part);
        }
        joined
    }
}

impl MergeOperator for Append {
    fn name(&self) -> &str {
        &self.name
    }

    fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        Ok(match (base, operands) {
            (Some(base), operands) => self.join(base, operands),
            (None, [first, rest @ ..]) => self.join(first, rest),
            (None, []) => Vec::new(),
        })
    }

    fn partial(&self, _: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        Some(self.join(older, &[newer]))
    }
}

/// Keeps the greatest value in byte order.
///
/// ```
/// use esker::hooks::{Maximum, MergeOperator};
/// assert_eq!(Maximum.full(b"k", Some(b"m"), &[b"a", b"z"]).unwrap(), b"z");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Maximum;

impl MergeOperator for Maximum {
    fn name(&self) -> &str {
        "esker.maximum"
    }

    fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        Ok(base.into_iter().chain(operands.iter().copied()).max().unwrap_or_default().to_vec())
    }

    fn partial(&self, _: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        Some(older.max(newer).to_vec())
    }
}

/// Keeps the least value in byte order.
///
/// ```
/// use esker::hooks::{MergeOperator, Minimum};
/// assert_eq!(Minimum.full(b"k", Some(b"m"), &[b"a", b"z"]).unwrap(), b"a");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Minimum;

impl MergeOperator for Minimum {
    fn name(&self) -> &str {
        "esker.minimum"
    }

    fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        Ok(base.into_iter().chain(operands.iter().copied()).min().unwrap_or_default().to_vec())
    }

    fn partial(&self, _: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        Some(older.min(newer).to_vec())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn operators() -> [Box<dyn MergeOperator>; 4] {
        [Box::new(Counter), Box::new(Append::with_separator("--")), Box::new(Maximum), Box::new(Minimum)]
    }

    proptest! {
        /// However operands are combined on their way, the result is the same, or there is none.
        #[test]
        fn partial_merges_change_nothing(
            base in prop::option::of(any::<i64>()),
            operands in prop::collection::vec(any::<i64>(), 2..8),
            small in any::<bool>(),
            at in any::<prop::sample::Index>(),
        ) {
            // Sums of small ones always fit.
            let bytes = |n: &i64| (if small { n >> 8 } else { *n }).to_le_bytes().to_vec();
            let base = base.as_ref().map(bytes);
            let operands: Vec<_> = operands.iter().map(bytes).collect();
            for operator in operators() {
                let all: Vec<&[u8]> = operands.iter().map(Vec::as_slice).collect();
                let full = |base: Option<&[u8]>, operands: &[&[u8]]| operator.full(b"k", base, operands).ok();
                let whole = full(base.as_deref(), &all);
                prop_assert!(whole.is_some() || !small);
                let at = at.index(operands.len() - 1);
                let both = operator.partial(b"k", &operands[at], &operands[at + 1]);
                prop_assert!(both.is_some() || !small);
                if let Some(both) = both {
                    let mut fewer = all.clone();
                    fewer.splice(at..at + 2, [&both[..]]);
                    prop_assert_eq!(full(base.as_deref(), &fewer), whole.clone());
                }
                if let Some(step) = full(base.as_deref(), &all[..1]) {
                    prop_assert_eq!(full(Some(&step), &all[1..]), whole);
                }
            }
        }
    }

    #[test]
    fn a_counter_says_what_is_wrong() {
        let one = 1i64.to_le_bytes();
        let long = Counter.full(b"k", Some(b"not eight"), &[&one]).unwrap_err();
        assert!(long.to_string().contains("these are 9"), "{long}");
        let over = Counter.full(b"k", Some(&i64::MAX.to_le_bytes()), &[&one]).unwrap_err();
        assert!(over.to_string().contains("range"), "{over}");
        assert_eq!(Counter.partial(b"k", &i64::MAX.to_le_bytes(), &one), None, "left for the full merge");
    }
}
