//! What elements are ordered by, and what patterns stand for.

use crate::base::error::{Error, Result};
use crate::base::number::parse_f64;
use crate::store::{Budget, Key, Unit};
use crate::{hash, string};
use std::cmp::Ordering;

/// What an element is ordered by.
enum Weight {
    Number(f64),
    Text(Option<Vec<u8>>),
    Itself,
}

/// The elements in their order: of `by`, or of themselves.
pub(super) fn sorted(
    unit: &mut Unit<'_>,
    keyspace: u64,
    elements: Vec<Vec<u8>>,
    by: Option<&[u8]>,
    (alphabetic, descending): (bool, bool),
    memory: &mut Budget,
) -> Result<Vec<Vec<u8>>> {
    let mut weighed = Vec::with_capacity(elements.len());
    let mut all_numbers = true;
    for element in elements {
        let weight = match by {
            Some(by) => {
                let text = look_up(unit, keyspace, by, &element)?;
                if alphabetic {
                    memory.take(text.as_ref().map_or(0, Vec::len))?;
                    Weight::Text(text)
                } else {
                    number(text.as_deref(), &mut all_numbers)
                }
            }
            None if alphabetic => Weight::Itself,
            None => number(Some(&element), &mut all_numbers),
        };
        weighed.push((weight, element));
    }
    if !all_numbers {
        return Err(Error::fixed("ERR One or more scores can't be converted into double"));
    }
    weighed.sort_by(|(a, own), (b, other)| {
        let order = match (a, b) {
            (Weight::Number(a), Weight::Number(b)) => {
                a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| own.cmp(other))
            }
            (Weight::Text(a), Weight::Text(b)) => a.cmp(b),
            _ => own.cmp(other),
        };
        if descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

/// The number that a text is; none counts as 0, and so does an empty one. A zero byte ends it, as `strtod`
/// has it.
fn number(text: Option<&[u8]>, all_numbers: &mut bool) -> Weight {
    let text = text.and_then(|text| text.split(|byte| *byte == 0).next());
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Weight::Number(0.0) };
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
    let number = parse_f64(text.get(blanks..).unwrap_or_default());
    *all_numbers &= number.is_some();
    Weight::Number(number.unwrap_or(0.0))
}

/// What a pattern stands for: `#` for the element itself, otherwise the string of the key that has the
/// element for the first `*`, or the field behind `->` of the hash there.
pub(super) fn look_up(
    unit: &mut Unit<'_>,
    keyspace: u64,
    pattern: &[u8],
    element: &[u8],
) -> Result<Option<Vec<u8>>> {
    if pattern == b"#" {
        return Ok(Some(element.to_vec()));
    }
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else { return Ok(None) };
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let name = [before, element, after].concat();
    let key = Key { keyspace, name: &name };
    let found = match field {
        Some(field) => hash::get(unit, key, field),
        None => string::get(unit, key),
    };
    match found {
        Err(error) if error.is_wrong_type() => Ok(None),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_like_strtod() {
        for (text, expected) in [
            (&b""[..], Some(0.0)),
            (b"\0x", Some(0.0)),
            (b"2.5\0x", Some(2.5)),
            (b" -3", Some(-3.0)),
            (b" \0", None),
            (b"3 ", None),
        ] {
            let mut all = true;
            let Weight::Number(number) = number(Some(text), &mut all) else { panic!("a number") };
            assert_eq!(all.then_some(number), expected, "{text:?}");
        }
    }
}
