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
/// case. `None` for what is not a number, and for NaN.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1.0, rest),
        [b'+', rest @ ..] => (1.0, rest),
        rest => (1.0, rest),
    };
    if let [b'0', b'x' | b'X', rest @ ..] = digits {
        return parse_hexadecimal(rest).map(|value| sign * value);
    }
    if !matches!(digits.first()?, b'0'..=b'9' | b'.' | b'i' | b'I') {
        return None;
    }
    let value: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // A number that is too large for a double is not one, as `strtod` says by ERANGE; nor is one that
    // vanishes.
    let named = digits[0].eq_ignore_ascii_case(&b'i');
    let vanished = value == 0.0 && has_digit_but_zero(digits);
    (!value.is_nan() && (named || !value.is_infinite()) && !vanished).then_some(sign * value)
}

fn has_digit_but_zero(digits: &[u8]) -> bool {
    let mantissa = digits.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'));
    mantissa.into_iter().any(|byte| matches!(byte, b'1'..=b'9'))
}

fn parse_hexadecimal(text: &[u8]) -> Option<f64> {
    let (mut value, mut exponent, mut seen, mut point) = (0.0f64, 0i32, false, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'.' if !point => point = true,
            _ => {
                let Some(digit) = char::from(byte).to_digit(16) else { break };
                value = value * 16.0 + f64::from(digit);
                exponent -= if point { 4 } else { 0 };
                seen = true;
            }
        }
        at += 1;
    }
    if let Some(b'p' | b'P') = text.get(at) {
        let power = std::str::from_utf8(&text[at + 1..]).ok()?;
        exponent = exponent.saturating_add(power.parse::<i32>().ok()?);
        at = text.len();
    }
    let value = value * f64::from(exponent).exp2();
    (seen && at == text.len() && value.is_finite()).then_some(value)
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
    }
}
