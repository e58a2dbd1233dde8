//! Generated records, each known by its number.

use std::fmt::Write;

/// JSON lines that can be made again from their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Lines(
    /// How many there are.
    pub u64,
);

impl Lines {
    /// The key of a line. Keys come in no order, and none comes twice.
    #[must_use]
    pub fn key(number: u64) -> String {
        // An odd factor is a permutation of 64 bits (Knuth's multiplicative hashing, 1973).
        format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A line, without its end.
    #[must_use]
    pub fn line(number: u64) -> String {
        let mut line = format!("{{\"id\":\"{}\",\"number\":{number},\"text\":\"", Self::key(number));
        for word in 0..number % 9 {
            write!(line, "{:x} ", number.wrapping_mul(word + 0x5851_f42d_4c95_7f2d))
                .expect("a String takes all");
        }
        line.push_str("\"}");
        line
    }

    /// The lines from number `from` on, as the content of a file.
    #[must_use]
    pub fn text(self, from: u64) -> String {
        (from..self.0).flat_map(|number| [Self::line(number), "\n".to_owned()]).collect()
    }

    /// The number that a line was made from, if it was.
    #[must_use]
    pub fn number(line: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(line).ok()?;
        let number = text.split("\"number\":").nth(1)?.split(',').next()?.parse().ok()?;
        (Self::line(number) == text).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_knows_its_number() {
        for number in [0, 1, 8, 99_999] {
            assert_eq!(Lines::number(Lines::line(number).as_bytes()), Some(number));
        }
        let altered = Lines::line(8).replace("number\":8", "number\":17");
        assert_eq!(Lines::number(altered.as_bytes()), None);
    }
}
