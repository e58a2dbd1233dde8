//! Dictionaries: what blocks of one kind have in common, kept once beside them and not in each.

use crate::base::coding::Malformed;
use crate::base::memory::{Account, Charge};
use crate::base::sync::Arc;
use zstd::zstd_safe::DDict;

/// The largest dictionary, in bytes.
pub const MAX_DICTIONARY_BYTES: usize = 1 << 20;

/// The smallest that can be trained, in bytes.
pub const MIN_DICTIONARY_BYTES: usize = 256;

/// What a dictionary begins with (RFC 8878, 5). No block of entries does.
const MAGIC: [u8; 4] = 0xec30_a437_u32.to_le_bytes();

/// A dictionary that is ready to decompress with. Threads share it, and nothing of it is copied for a block.
pub struct Dictionary {
    prepared: DDict<'static>,
    size_bytes: usize,
    _charge: Charge,
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dictionary").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

impl Dictionary {
    /// Whether these are the first bytes of a dictionary.
    #[must_use]
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Prepares what [`train`] has made, and counts what that takes in `account`: the bytes, and about 27 KiB
    /// of tables.
    ///
    /// # Errors
    /// [`Malformed`] if these are not the bytes of a dictionary.
    pub fn new(bytes: &[u8], account: Option<&Arc<Account>>) -> Result<Dictionary, Malformed> {
        let malformed = Malformed { at: 0, expected: "a zstd dictionary" };
        // zstd would take any other bytes for one without tables of its own.
        if !Dictionary::begins(bytes) || bytes.len() > MAX_DICTIONARY_BYTES {
            return Err(malformed);
        }
        let prepared = DDict::try_create(bytes).ok_or(malformed)?;
        let size_bytes = prepared.sizeof();
        let charge = account.map_or_else(Charge::none, |account| account.charge(size_bytes));
        Ok(Dictionary { prepared, size_bytes, _charge: charge })
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(super) fn prepared(&self) -> &DDict<'static> {
        &self.prepared
    }
}

/// Trains a dictionary of at most `most_bytes` on samples that stand one behind the other in `samples`, each
/// as long as `sizes` says. The same samples give the same bytes. `None` if there are too few of them, or
/// they have too little in common. Takes about 12 MiB while it runs, and time in proportion to the samples.
#[must_use]
pub fn train(samples: &[u8], sizes: &[usize], most_bytes: usize) -> Option<Vec<u8>> {
    let most_bytes = most_bytes.min(MAX_DICTIONARY_BYTES);
    let trained = zstd::dict::from_continuous(samples, sizes, most_bytes).ok()?;
    Dictionary::begins(&trained).then_some(trained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Codec, Compressor, decompress, decompress_with};
    use proptest::prelude::*;

    /// Records of one kind, `count` blocks of about 400 bytes.
    fn records(count: usize) -> (Vec<u8>, Vec<usize>) {
        let (mut samples, mut sizes) = (Vec::new(), Vec::new());
        for i in 0..count {
            let start = samples.len();
            for j in 0..5 {
                let n = (i * 5 + j) * 7919 % 10_007;
                let record = format!(r#"{{"layer":{n},"grain":"sand of the {n}th ridge","depth_mm":{j}}},"#);
                samples.extend_from_slice(record.as_bytes());
            }
            sizes.push(samples.len() - start);
        }
        (samples, sizes)
    }

    #[test]
    fn a_dictionary_is_worth_its_bytes_and_needed_to_read() {
        let (samples, sizes) = records(200);
        let trained = train(&samples, &sizes, 2048).unwrap();
        assert!(trained.len() <= 2048 && train(&samples, &sizes, 2048).as_ref() == Some(&trained));
        let account = Account::new();
        let dictionary = Dictionary::new(&trained, Some(&account)).unwrap();
        assert_eq!(account.bytes(), dictionary.size_bytes() as u64);
        assert!(dictionary.size_bytes() > trained.len());
        let mut with = Compressor::with_dictionary(&trained, 1).unwrap();
        let mut plain = Compressor::new(Codec::Zstd, 1).unwrap();
        let block = &samples[..sizes[0]];
        let (mut short, mut long) = (Vec::new(), Vec::new());
        assert_eq!(with.compress(block, &mut short), Codec::ZstdDictionary);
        assert_eq!(plain.compress(block, &mut long), Codec::Zstd);
        assert!(short.len() * 2 < long.len(), "{} and {}", short.len(), long.len());

        let read = |codec, bytes, dictionary| decompress_with(codec, bytes, block.len(), dictionary);
        assert_eq!(read(Codec::ZstdDictionary, &short, Some(&dictionary)).unwrap(), block);
        assert_eq!(read(Codec::Zstd, &long, Some(&dictionary)).unwrap(), block);
        assert!(read(Codec::ZstdDictionary, &short, None).is_err());
        assert!(decompress(Codec::ZstdDictionary, &short, block.len()).is_err());
        assert!(decompress_with(Codec::ZstdDictionary, &short, block.len() - 1, Some(&dictionary)).is_err());
        // Which dictionary it was stands in the frame.
        let (others, sizes) = (samples.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>(), sizes);
        let other = Dictionary::new(&train(&others, &sizes, 2048).unwrap(), None).unwrap();
        assert!(read(Codec::ZstdDictionary, &short, Some(&other)).is_err());
        drop(dictionary);
        assert_eq!(account.bytes(), 0);
    }

    #[test]
    fn too_little_trains_nothing() {
        assert_eq!(train(b"", &[], 1024), None);
        assert_eq!(train(b"one sample", &[10], 1024), None);
        assert_eq!(train(b"sizes that do not fit", &[7], 1024), None);
        assert!(Dictionary::new(b"not a dictionary", None).is_err());
        assert!(Dictionary::new(&[&MAGIC[..], b"and nothing of one"].concat(), None).is_err());
    }

    proptest! {
        #[test]
        fn damaged_dictionaries_and_frames_are_harmless(
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
            cut in any::<bool>(),
            in_frame in any::<bool>(),
        ) {
            let (samples, sizes) = records(60);
            let mut trained = train(&samples, &sizes, 1024).unwrap();
            let mut frame = Vec::new();
            Compressor::with_dictionary(&trained, 1).unwrap().compress(&samples[..sizes[0]], &mut frame);
            let damaged = if in_frame { &mut frame } else { &mut trained };
            let at = at.index(damaged.len());
            if cut { damaged.truncate(at) } else { damaged[at] ^= flip }
            // The checksum of the block is what finds it; here nothing may go wrong.
            if let Ok(dictionary) = Dictionary::new(&trained, None)
                && let Ok(raw) = decompress_with(Codec::ZstdDictionary, &frame, 1 << 16, Some(&dictionary))
            {
                prop_assert!(raw.len() <= 1 << 16);
            }
        }
    }
}
