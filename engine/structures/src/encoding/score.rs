//! Scores in eight bytes whose order is that of the numbers.

/// The bytes of a score. -0.0 is stored as 0.0; NaN has no place in the order and is refused before.
#[must_use]
pub fn encode(score: f64) -> [u8; 8] {
    let bits = (score + 0.0).to_bits();
    // Negative numbers descend with their bits: all are turned round; of the others the sign alone.
    let turned = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    turned.to_be_bytes()
}

/// The score back from its bytes.
#[must_use]
pub fn decode(bytes: [u8; 8]) -> f64 {
    let turned = u64::from_be_bytes(bytes);
    f64::from_bits(if turned >> 63 == 1 { turned & !(1 << 63) } else { !turned })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_and_the_middle_are_in_order() {
        let scores =
            [f64::NEG_INFINITY, f64::MIN, -1.0, -f64::MIN_POSITIVE, -5e-324, 0.0, 5e-324, 1.0, f64::INFINITY];
        assert!(scores.windows(2).all(|pair| encode(pair[0]) < encode(pair[1])));
        assert_eq!(encode(-0.0), encode(0.0));
        assert!(decode(encode(-0.0)).is_sign_positive());
    }

    proptest! {
        #[test]
        fn bytes_order_as_numbers(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(encode(a).cmp(&encode(b)), a.partial_cmp(&b).unwrap());
            prop_assert_eq!(decode(encode(a)), a);
        }
    }
}
