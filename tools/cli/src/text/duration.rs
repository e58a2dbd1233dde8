//! Durations such as `30s`, `500ms` and `1h30m`.

use std::time::Duration;

/// Reads a duration: numbers with units `ms`, `s`, `m`, `h`, `d`, the larger ones first.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is numbers with units, for example 500ms, 30s, 1h30m or 7d".to_owned();
    let mut rest = text;
    let mut total: u64 = 0;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        if unit_ms >= smallest {
            return Err(wrong());
        }
        smallest = unit_ms;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(unit_ms).ok_or_else(|| "the duration is too long".to_owned())?;
        total = total.checked_add(part).ok_or_else(|| "the duration is too long".to_owned())?;
        rest = after;
    }
    if total == 0 {
        Err("the duration must be longer than nothing".to_owned())
    } else {
        Ok(Duration::from_millis(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, ms) in
            [("30s", 30_000), ("500ms", 500), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1m5ms", 60_005)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "0s", "-1s", "1m1h", "1s1s", "1.5s", "1w", "999999999999999999d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
