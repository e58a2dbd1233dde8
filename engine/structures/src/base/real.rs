//! Numbers with 64 bits of mantissa: the `long double` of x86, in which Redis increments by fractions. Sums
//! and their texts come out the same to the last digit, on every machine.

use super::number::{Binary, exponent, halved, hexadecimal, read_f64, split_sign};

/// The longest text that is read as a number, in bytes.
pub const MAX_TEXT_BYTES: usize = 5 * 1024 - 1;
/// The greatest exponent of the last bit of a mantissa: beyond it stands infinity.
const MAX_EXPONENT: i32 = 16383 - 63;
/// That of the least number but zero. (Those up to 2 ^ -16382 have fewer bits, which no sum shows.)
const MIN_EXPONENT: i32 = -16445 - 63;
/// Decimal places of a sum.
const PLACES: u32 = 17;

/// A number: `mantissa * 2 ^ exponent`, the mantissa's top bit set unless it is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Real {
    negative: bool,
    mantissa: u64,
    exponent: i32,
    infinite: bool,
}

impl Real {
    /// The number that is written as a double is: 0.1 is a tenth, as closely as that can be told here. `None`
    /// for what is no number.
    #[must_use]
    pub fn of(value: f64) -> Option<Real> {
        // The shortest text that is this double and no other.
        Real::parse(format!("{value:e}").as_bytes()).filter(|_| !value.is_nan())
    }

    /// 0.
    pub const ZERO: Real = Real { negative: false, mantissa: 0, exponent: 0, infinite: false };

    /// Reads a number as `strtold` does, the whole of `text`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Real> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let (negative, rest) = split_sign(text);
        let real = match rest {
            [b'i' | b'I', ..] => read_f64(rest).map(|_| Real { infinite: true, ..Real::ZERO })?,
            [b'0', b'x' | b'X', digits @ ..] => binary(&hexadecimal(digits)?)?,
            _ => decimal(rest)?,
        };
        Some(Real { negative, ..real })
    }

    /// Whether it has no end.
    #[must_use]
    pub fn is_infinite(self) -> bool {
        self.infinite
    }

    /// The nearest number to an exact sum; `None` if it has no end.
    #[must_use]
    pub fn plus(self, other: Real) -> Option<Real> {
        if self.infinite || other.infinite {
            return None;
        }
        if self.mantissa == 0 {
            return Some(other);
        }
        if other.mantissa == 0 {
            return Some(self);
        }
        let (big, small) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let distance = (big.exponent - small.exponent) as u32;
        let high = u128::from(big.mantissa) << 62;
        let wide = u128::from(small.mantissa) << 62;
        let low = if distance > 126 { 1 } else { shifted(wide, distance) };
        let (negative, sum) = if big.negative == small.negative {
            (big.negative, high + low)
        } else if high >= low {
            (big.negative, high - low)
        } else {
            (small.negative, low - high)
        };
        let sum = round(sum, big.exponent - 62, false);
        (!sum.infinite).then_some(Real { negative: negative && sum.mantissa != 0, ..sum })
    }

    /// With 17 decimal places, without the zeros at its end.
    #[must_use]
    pub fn to_text(self) -> String {
        if self.infinite {
            return if self.negative { "-inf".into() } else { "inf".into() };
        }
        let text = if self.exponent >= 0 {
            whole(self.mantissa, self.exponent as u32)
        } else {
            let scaled = u128::from(self.mantissa) * 10u128.pow(PLACES);
            let rounded = half_even(scaled, self.exponent.unsigned_abs());
            let (whole, part) = (rounded / 10u128.pow(PLACES), rounded % 10u128.pow(PLACES));
            let text = format!("{whole}.{part:0width$}", width = PLACES as usize);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        if self.negative && text != "0" { format!("-{text}") } else { text }
    }
}

/// `bits >> by`, with the last bit set if any that was shifted out was.
fn shifted(bits: u128, by: u32) -> u128 {
    if by >= 128 {
        return u128::from(bits != 0);
    }
    let kept = bits >> by;
    kept | u128::from(kept << by != bits)
}

/// `bits / 2 ^ by`, to the nearest, ties to even.
fn half_even(bits: u128, by: u32) -> u128 {
    // Two bits more than are kept: the half, and whatever stands below it.
    if by > 126 {
        return 0;
    }
    let fine = if by >= 2 { shifted(bits, by - 2) } else { bits << (2 - by) };
    let up = (fine & 3 == 3) || (fine & 7 == 6);
    (fine >> 2) + u128::from(up)
}

/// The nearest number to `bits * 2 ^ exponent`, of which a little more is there if `more`.
fn round(bits: u128, exponent: i32, more: bool) -> Real {
    if bits == 0 {
        return Real::ZERO;
    }
    let excess = 64 - bits.leading_zeros() as i32;
    if excess <= 0 {
        let mantissa = (bits << -excess) as u64;
        return bounded(mantissa, exponent + excess);
    }
    let rounded = halved(bits, excess.unsigned_abs(), more);
    if rounded >> 64 == 1 {
        return bounded((rounded >> 1) as u64, exponent + excess + 1);
    }
    bounded(rounded as u64, exponent + excess)
}

fn bounded(mantissa: u64, exponent: i32) -> Real {
    let real = Real { negative: false, mantissa, exponent, infinite: false };
    match exponent {
        exponent if exponent > MAX_EXPONENT => Real { infinite: true, ..Real::ZERO },
        // More than a half of the least number is nearer to it than to zero.
        exponent if exponent == MIN_EXPONENT - 1 && mantissa > 1 << 63 => {
            Real { mantissa: 1 << 63, exponent: MIN_EXPONENT, ..real }
        }
        exponent if exponent < MIN_EXPONENT => Real::ZERO,
        _ => real,
    }
}

/// A number as its bits say. One that is too large or too small is none, as `strtold` says.
fn binary(number: &Binary) -> Option<Real> {
    // Beyond it nothing is a number, whatever its bits are.
    let power = number.power.clamp(-(1 << 20), 1 << 20) as i32;
    let real = round(number.bits, power, number.more);
    (!real.infinite && (real.mantissa != 0 || number.bits == 0)).then_some(real)
}

/// A decimal number without a sign. One that is too large or too small is none, as `strtold` says.
fn decimal(text: &[u8]) -> Option<Real> {
    let (mut digits, mut power, mut seen, mut point) = (Vec::new(), 0i64, false, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                if byte != b'0' || !digits.is_empty() {
                    digits.push(byte - b'0');
                }
                power -= i64::from(point);
            }
            b'.' if !point => point = true,
            _ => break,
        }
        at += 1;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        power += exponent(text.get(at + 1..)?)?;
        at = text.len();
    }
    if !seen || at != text.len() {
        return None;
    }
    if digits.is_empty() {
        return Some(Real::ZERO);
    }
    let magnitude = digits.len() as i64 + power;
    if !(-4950..=4940).contains(&magnitude) {
        return None;
    }
    let mut number = Natural::default();
    digits.iter().for_each(|digit| number.multiply_add(10, u32::from(*digit)));
    let real = if power >= 0 {
        (0..power).for_each(|_| number.multiply_add(10, 0));
        let (bits, exponent, more) = number.top();
        round(bits, exponent, more)
    } else {
        // So many bits in front of the division that 126 and more are behind it.
        let shift = (-power) as u32 * 10 / 3 + 160;
        number.shift_left(shift);
        let mut more = false;
        let mut left = -power;
        while left > 0 {
            let step = left.min(9);
            more |= number.divide(10u32.pow(step as u32)) != 0;
            left -= step;
        }
        let (bits, exponent, cut) = number.top();
        round(bits, exponent - shift as i32, more || cut)
    };
    (!real.infinite && real.mantissa != 0).then_some(real)
}

/// `mantissa * 2 ^ exponent` in decimal.
fn whole(mantissa: u64, exponent: u32) -> String {
    if mantissa == 0 {
        return "0".into();
    }
    let mut number = Natural(vec![mantissa as u32, (mantissa >> 32) as u32]);
    number.shift_left(exponent);
    let mut parts = Vec::new();
    while !number.is_zero() {
        parts.push(number.divide(1_000_000_000));
    }
    let mut text = parts.pop().map_or_else(String::new, |first| first.to_string());
    parts.iter().rev().for_each(|part| text.push_str(&format!("{part:09}")));
    text
}

/// A natural number of any size: digits of 32 bits, the least first.
#[derive(Debug, Default)]
struct Natural(Vec<u32>);

impl Natural {
    fn is_zero(&self) -> bool {
        self.0.iter().all(|digit| *digit == 0)
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn shift_left(&mut self, bits: u32) {
        self.multiply_add(1 << (bits % 32), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, (bits / 32) as usize));
    }

    /// Divides, and returns the remainder.
    fn divide(&mut self, by: u32) -> u32 {
        let mut rest = 0u64;
        for digit in self.0.iter_mut().rev() {
            rest = (rest << 32) | u64::from(*digit);
            *digit = (rest / u64::from(by)) as u32;
            rest %= u64::from(by);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        rest as u32
    }

    /// The upper 97 to 128 bits, their exponent, and whether there are others below.
    fn top(&self) -> (u128, i32, bool) {
        let skipped = self.0.len().saturating_sub(4);
        let bits = self.0[skipped..].iter().rev().fold(0u128, |sum, digit| (sum << 32) | u128::from(*digit));
        (bits, skipped as i32 * 32, self.0[..skipped].iter().any(|digit| *digit != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let (a, b) = (Real::parse(a.as_bytes()).unwrap(), Real::parse(b.as_bytes()).unwrap());
        a.plus(b).unwrap().to_text()
    }

    #[test]
    fn sums_are_those_of_redis() {
        // As `redis-server` 7.0.15 on x86-64 gives them.
        assert_eq!(sum("10.50", "0.1"), "10.6");
        assert_eq!(sum("5.0e3", "2.0e2"), "5200");
        assert_eq!(sum("0.1", "0.2"), "0.3");
        assert_eq!(sum("3", "-3"), "0");
        assert_eq!(sum("1e18", "1"), "1000000000000000001");
        assert_eq!(sum("1e20", "1"), "100000000000000000000");
        assert_eq!(sum("-1.5", "1"), "-0.5");
        assert_eq!(sum("0", "1e-18"), "0");
        assert_eq!(sum("0", "0xffffffffffffffff8p0"), "295147905179352825856");
        assert_eq!(sum("0", "0x1.8p-1"), "0.75");
        assert_eq!(sum("0x1p-10", "-0x1p-10"), "0");
        for least in ["0x1p-2000", "0x1p-16445", "0x1.8p-16446", "0x0p-99999", "1e-4940", "4e-4951"] {
            assert_eq!(sum("1", least), "1", "{least}");
        }
        assert_eq!(sum("1", "0x1p2000").len(), 603);
        assert_eq!(sum("0", &format!("{}1", "0".repeat(5118))), "1");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let long = format!("{}1", "0".repeat(5119));
        for text in [
            "",
            "abc",
            "1 ",
            " 1",
            "1e",
            "e1",
            ".",
            "1.2.3",
            "nan",
            "infin",
            "1e5000",
            "1e-5000",
            "0xp1",
            "0x1p-16446",
            "0x1p16384",
            &long,
        ] {
            assert_eq!(Real::parse(text.as_bytes()), None, "{text}");
        }
        assert!(Real::parse(b"inf").unwrap().plus(Real::ZERO).is_none());
        assert_eq!(Real::parse(b"0x10").unwrap().to_text(), "16");
        assert_eq!(Real::parse(b"-.5").unwrap().to_text(), "-0.5");
    }
}
