//! Reading ahead in blob files, while a scan walks forward over their values.
//!
//! The keys of a scan refer to values that ascend in each blob file, but collected values stand in other
//! files than fresh ones: a scan walks in several files at once.

use crate::base::blob_ref::BlobRef;
use crate::base::filename::FileNumber;

/// In how many files a scan is followed. Of more, those in which it was last.
const FILES: usize = 16;

/// Where a scan is in the blob files that it walks through.
#[derive(Debug)]
pub struct ReadAhead {
    bytes: u64,
    /// The file that was read last is the first.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    file: FileNumber,
    /// Behind the value that was read last.
    end: u64,
    /// What was asked for ends here.
    asked_to: u64,
}

impl ReadAhead {
    /// Asks for so many bytes at a time.
    #[must_use]
    pub fn new(bytes: u64) -> ReadAhead {
        ReadAhead { bytes, places: Vec::new() }
    }

    /// A value is about to be read: from where on how many bytes of its file are to be asked for, if any. A
    /// file in which the scan has jumped, or begins, is asked for nothing.
    pub fn reads(&mut self, at: &BlobRef) -> Option<(u64, u64)> {
        let end = at.offset.saturating_add(at.stored);
        match self.places.iter().position(|place| place.file == at.file) {
            Some(known) => self.places[..=known].rotate_right(1),
            None => {
                self.places.truncate(FILES - 1);
                self.places.insert(0, Place { file: at.file, end, asked_to: 0 });
                return None;
            }
        }
        let place = &mut self.places[0];
        let goes_on = at.offset >= place.end && at.offset - place.end <= self.bytes;
        place.end = end;
        if !goes_on {
            place.asked_to = 0;
            return None;
        }
        // Half of what was asked for is still ahead.
        if end.saturating_add(self.bytes / 2) < place.asked_to {
            return None;
        }
        let from = end.max(place.asked_to);
        place.asked_to = from.saturating_add(self.bytes);
        Some((from, self.bytes))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn at(file: FileNumber, offset: u64) -> BlobRef {
        BlobRef { file, offset, stored: 10, raw: 10 }
    }

    #[test]
    fn each_byte_behind_the_second_value_is_asked_for_once_and_before_it_is_needed() {
        let mut ahead = ReadAhead::new(100);
        let mut asked = 0;
        for offset in (0..1000).step_by(10) {
            if let Some((from, bytes)) = ahead.reads(&at(1, offset)) {
                assert!(asked == 0 || from == asked, "{offset}: from {from} after {asked}");
                asked = from + bytes;
            }
            assert!(offset == 0 || asked >= offset + 10 + 50, "{offset}: {asked}");
        }
        assert!(asked <= 1000 + 150, "{asked}");
    }

    #[test]
    fn a_scan_walks_in_several_files_at_once_and_a_jump_asks_for_nothing() {
        let mut ahead = ReadAhead::new(100);
        assert_eq!([ahead.reads(&at(1, 500)), ahead.reads(&at(2, 0))], [None, None]);
        assert_eq!([ahead.reads(&at(1, 520)), ahead.reads(&at(2, 10))], [Some((530, 100)), Some((20, 100))]);
        assert_eq!(ahead.reads(&at(1, 400)), None, "backwards");
        assert_eq!(ahead.reads(&at(2, 200)), None, "further than what is asked for at a time");
        assert_eq!(ahead.reads(&at(2, 210)), Some((220, 100)), "from there on");
        for file in 10..10 + FILES as u64 {
            ahead.reads(&at(file, 0));
        }
        assert_eq!(ahead.reads(&at(2, 220)), None, "forgotten over many others");
        assert_eq!(ahead.places.len(), FILES);
        assert_eq!(ReadAhead::new(100).reads(&at(1, u64::MAX)), None);
    }
}
