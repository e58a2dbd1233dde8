//! Numbers as text, exactly as Redis reads and writes them.

/// A decimal integer in its only form: no sign but a minus, no leading zeros, no blanks.
#[must_use]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// A number as `strtod` reads it, the whole of `text`: decimal or hexadecimal, `inf`, `infinity` in any
/// case. `None` for what is not a number, for NaN, and for what a double is too small or too large for, as
/// `strtod` says by ERANGE.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let digits = split_sign(text).1;
    let is_named = digits.first().is_some_and(|first| first.eq_ignore_ascii_case(&b'i'));
    let value = read_f64(text)?;
    let fits = if value == 0.0 { !has_digit_but_zero(digits) } else { value.is_finite() };
    (is_named || fits).then_some(value)
}

/// The same, but what is too large has no end, and what is too small is 0.
#[must_use]
pub fn read_f64(text: &[u8]) -> Option<f64> {
    let (negative, digits) = split_sign(text);
    let value = match digits {
        [b'0', b'x' | b'X', rest @ ..] => nearest_double(&hexadecimal(rest)?),
        [b'0'..=b'9' | b'.' | b'i' | b'I', ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

/// Whether there is a minus, and what stands behind the sign.
pub(crate) fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

fn has_digit_but_zero(digits: &[u8]) -> bool {
    let (digits, end) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (rest, b'p'),
        digits => (digits, b'e'),
    };
    let mut mantissa = digits.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&end));
    mantissa.any(|byte| byte.is_ascii_hexdigit() && *byte != b'0')
}

/// The number `bits * 2 ^ power`, of which a little more is there if `more`.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) bits: u128,
    pub(super) power: i64,
    pub(super) more: bool,
}

/// What stands behind the `0x` of a hexadecimal number, the whole of it.
pub(super) fn hexadecimal(text: &[u8]) -> Option<Binary> {
    let (mut bits, mut power, mut more) = (0u128, 0i64, false);
    let (mut seen, mut point, mut at) = (false, false, 0);
    while let Some(&byte) = text.get(at) {
        if byte == b'.' && !point {
            point = true;
        } else {
            let Some(digit) = char::from(byte).to_digit(16) else { break };
            let has_room = bits >> 124 == 0;
            if has_room {
                bits = (bits << 4) | u128::from(digit);
            } else {
                more |= digit != 0;
            }
            // A digit behind the point makes those before it smaller, one without room makes them greater.
            power += i64::from(!has_room) * 4 - i64::from(point) * 4;
            seen = true;
        }
        at += 1;
    }
    match text.get(at..).unwrap_or_default() {
        [] => {}
        [b'p' | b'P', rest @ ..] => power += exponent(rest)?,
        _ => return None,
    }
    seen.then_some(Binary { bits, power, more })
}

/// An exponent with its sign. One that is too large for anything is cut.
pub(super) fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1 << 32));
    Some(if negative { -value } else { value })
}

/// `bits / 2 ^ by` to the nearest, ties to even; a little more than `bits` is there if `more`.
pub(super) fn halved(bits: u128, by: u32, more: bool) -> u128 {
    if by == 0 || by > 128 {
        return if by == 0 { bits } else { 0 };
    }
    let kept = bits.checked_shr(by).unwrap_or(0);
    let half = 1u128 << (by - 1);
    let below = bits & (half | (half - 1));
    kept + u128::from(below > half || (below == half && (more || kept & 1 == 1)))
}

fn nearest_double(number: &Binary) -> f64 {
    let Binary { bits, power, more } = *number;
    if bits == 0 {
        return 0.0;
    }
    // The exponent of the first bit, or of where it would be; the last bit of a double stands 52 below it.
    let first = (power + 127 - i64::from(bits.leading_zeros())).max(-1022);
    if first > 1023 {
        return f64::INFINITY;
    }
    let cut = first - 52 - power;
    let kept = match u32::try_from(cut) {
        Ok(cut) => halved(bits, cut, more),
        Err(_) if cut > 0 => 0,
        Err(_) => bits << -cut,
    };
    // What is carried beyond the bits of the fraction raises the exponent, also to the one of infinity.
    f64::from_bits((((first + 1022) as u64) << 52) + kept as u64)
}

/// Appends an integer, as its decimal text. Replies have one for each of their elements: this takes a fifth
/// of the time that formatting takes.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// A double as a score is shown: an integer where it is one, otherwise with up to 17 significant digits, like
/// `%.17g` of C.
#[must_use]
pub fn format_f64(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let decimals = (16 - exponent).max(0) as usize;
        return trimmed(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// Without the zeros at the end of its fraction.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_form() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", None),
            ("", None),
            ("-", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), expected, "{text}");
            let mut shown = b"<".to_vec();
            put_i64(&mut shown, expected.unwrap_or(-10));
            assert_eq!(shown, format!("<{}", expected.unwrap_or(-10)).as_bytes());
        }
    }

    #[test]
    fn doubles_are_shown_like_printf() {
        for (value, expected) in [
            (3.0, "3"),
            (0.1, "0.10000000000000001"),
            (-1.5, "-1.5"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (1.25e-5, "1.2500000000000001e-05"),
            (f64::INFINITY, "inf"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(format_f64(value), expected);
            assert_eq!(parse_f64(expected.as_bytes()), Some(value));
        }
    }

    #[test]
    fn doubles_are_read_like_strtod() {
        assert_eq!(parse_f64(b"0x10"), Some(16.0));
        assert_eq!(parse_f64(b"-0x1.8p1"), Some(-3.0));
        assert_eq!(parse_f64(b"+Inf"), Some(f64::INFINITY));
        assert_eq!(parse_f64(b"-infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_f64(b".5"), Some(0.5));
        for wrong in ["", "nan", " 1", "1 ", "1e", "1e400", "1e-400", "abc", "--1", "0x", "+-1"] {
            assert_eq!(parse_f64(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!((read_f64(b"-1e400"), read_f64(b"1e-400")), (Some(f64::NEG_INFINITY), Some(0.0)));
    }

    #[test]
    fn hexadecimal_doubles_are_rounded_once() {
        let least = f64::from_bits(1);
        let long = format!("0x{}p-4000", "1".repeat(1000));
        for (text, expected) in [
            ("0x1p-1074", Some(least)),
            ("0x1.8p-1075", Some(least)),
            ("0x0.8p-1022", Some(f64::from_bits(1 << 51))),
            ("0x10000000p-1090", Some(f64::from_bits(1 << 12))),
            ("0x1.fffffffffffffp-1023", Some(f64::MIN_POSITIVE)),
            ("0x1fffffffffffff8p0", Some(144_115_188_075_855_870.0)),
            ("0x1fffffffffffffp971", Some(f64::MAX)),
            ("0x20000000000001p0", Some(9_007_199_254_740_992.0)),
            ("0x20000000000001.000000000000000000000000000000001p0", Some(9_007_199_254_740_994.0)),
            ("0x20000000000003p0", Some(9_007_199_254_740_996.0)),
            (&long, Some(f64::from_bits(0x3fb1_1111_1111_1111))),
            ("0x0p99999999999999999999", Some(0.0)),
            ("0x.8P1", Some(1.0)),
            ("0x1.", Some(1.0)),
            ("0x1fffffffffffff8p971", None),
            ("0x1p1024", None),
            ("0x1p-1075", None),
            ("0x1p-2000", None),
            ("0x1p99999999999999999999", None),
            ("0x1p-99999999999999999999", None),
            ("0x.p1", None),
            ("0x1p", None),
            ("0x1p+", None),
            ("0x1.1.1", None),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), expected, "{text}");
        }
    }
}
