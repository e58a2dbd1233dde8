//! The bytes of commands that have arrived and are not carried out.

/// A buffer of more bytes than this is not doubled when it is full: a connection is charged for what it could
/// hold, and one with a single large argument would be closed for twice of it.
const LARGE_BYTES: usize = 1 << 20;

/// Appends what has arrived.
pub(super) fn append(input: &mut Vec<u8>, bytes: &[u8]) {
    let wanted = input.len() + bytes.len();
    if wanted > input.capacity() && wanted > LARGE_BYTES {
        input.reserve_exact(bytes.len().max(input.len() / 8));
    }
    input.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_argument_takes_little_more_than_itself() {
        let mut input = Vec::new();
        for _ in 0..(40 << 20) / 65_536 {
            append(&mut input, &[7; 65_536]);
            let spare = input.capacity() - input.len();
            assert!(input.len() <= LARGE_BYTES || spare <= input.len() / 7, "{} and {spare}", input.len());
        }
        assert_eq!(input, vec![7; 40 << 20]);
    }
}
