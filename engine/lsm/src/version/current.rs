//! `CURRENT`: one line that names the manifest in force.
//!
//! The line is `esker 1 MANIFEST-000005 <store id> <crc32>`, the numbers in hexadecimal. It is
//! replaced by writing a temporary file, syncing it, renaming it over `CURRENT` and syncing the
//! directory; the manifest it names is complete and synced before.

use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::fs::{Fs, OpenDir};
use std::path::Path;

/// What `CURRENT` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The number of the manifest in force.
    pub manifest: FileNumber,
    /// The store's random number.
    pub store: u64,
}

const VERSION: u64 = 1;

impl Current {
    fn encode(self) -> String {
        let text =
            format!("esker {VERSION} {} {:016x}", FileKind::Manifest(self.manifest).name(), self.store);
        format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes()))
    }

    fn decode(path: &Path, bytes: &[u8]) -> Result<Current> {
        let damaged = |expected: &str| {
            let found = bytes[..bytes.len().min(80)].escape_ascii().to_string();
            Error::from(Corruption::new(path, 0, expected, format!("\"{found}\"")))
        };
        let line = "a line `esker 1 MANIFEST-... <store> <checksum>`";
        let text = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n'));
        let text = text.ok_or_else(|| damaged(line))?;
        // A later version may say the rest in another way.
        let version =
            text.strip_prefix("esker ").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        let version = version.ok_or_else(|| damaged(line))?;
        if version != VERSION {
            return Err(Error::UnsupportedVersion { file: path.into(), found: version, supported: VERSION });
        }
        let text = checked(text).ok_or_else(|| damaged("a line with its checksum"))?;
        let fields: Vec<&str> = text.split(' ').collect();
        let ["esker", _, manifest, store] = fields[..] else { return Err(damaged(line)) };
        let Some(FileKind::Manifest(manifest)) = FileKind::parse(manifest) else { return Err(damaged(line)) };
        let store = u64::from_str_radix(store, 16).map_err(|_| damaged(line))?;
        Ok(Current { manifest, store })
    }

    /// Writes the line to a temporary file, durably. A failure has changed nothing.
    pub(super) fn prepare(self, fs: &Fs, dir: &Path, temp: FileNumber) -> Result<()> {
        let temp_path = FileKind::Temp(temp).path(dir);
        let written = fs.create_new(&temp_path).and_then(|file| {
            file.write_all_at(self.encode().as_bytes(), 0)?;
            file.sync()
        });
        if written.is_err() {
            let _ = fs.remove(&temp_path);
        }
        written
    }

    /// Puts the temporary file in the place of `CURRENT`, durably. After a failure either of the
    /// two may be in force.
    pub(super) fn switch(fs: &Fs, opened: &OpenDir<'_>, dir: &Path, temp: FileNumber) -> Result<()> {
        fs.rename(&FileKind::Temp(temp).path(dir), &FileKind::Current.path(dir))?;
        opened.sync()
    }

    /// Whether the manifest `number` is certainly not in force although `error` was what switching
    /// to it gave. Only a full disk is trusted that far: it says that nothing was done, reading
    /// `CURRENT` again shows it, and with the directory synced no crash can change it any more.
    pub(super) fn certainly_not(
        number: FileNumber,
        fs: &Fs,
        opened: &OpenDir<'_>,
        dir: &Path,
        error: &Error,
    ) -> bool {
        matches!(error, Error::DiskFull(_))
            && !error.is_failed_sync()
            && read_current(fs, dir).is_ok_and(|current| current.is_none_or(|c| c.manifest != number))
            && opened.sync().is_ok()
    }
}

/// The text in front of its checksum, if that holds.
fn checked(text: &str) -> Option<&str> {
    let (text, checksum) = text.rsplit_once(' ')?;
    (checksum == format!("{:08x}", crc32fast::hash(text.as_bytes()))).then_some(text)
}

/// Whether the line in `CURRENT` is as it was written, by whichever version: its checksum holds.
#[must_use]
pub fn current_is_sound(fs: &Fs, dir: &Path) -> bool {
    let bytes = fs.read_all(&FileKind::Current.path(dir), 4096).unwrap_or_default();
    std::str::from_utf8(&bytes).ok().and_then(|text| checked(text.strip_suffix('\n')?)).is_some()
}

/// Reads `CURRENT`; `None` if there is no such file.
pub fn read_current(fs: &Fs, dir: &Path) -> Result<Option<Current>> {
    let path = FileKind::Current.path(dir);
    match fs.read_all(&path, 4096) {
        Ok(bytes) => Current::decode(&path, &bytes).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(Error::InvalidArgument { why, .. }) => {
            Err(Corruption::new(&path, 0, "a line of less than 4096 bytes", why).into())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::SimFs;
    use crate::fs::sim::{Fault, OperationKind};

    /// A file that cannot be read is not a file that is not there: a store is not created anew over it.
    #[test]
    fn only_a_file_that_is_not_there_counts_as_none() {
        let sim = SimFs::new();
        let (fs, dir) = (Fs::Sim(sim.clone()), Path::new("/db"));
        fs.create_dir_all(dir).unwrap();
        assert_eq!(read_current(&fs, dir).unwrap(), None);
        let current = Current { manifest: 5, store: 0xabc };
        current.prepare(&fs, dir, 6).unwrap();
        Current::switch(&fs, &fs.dir(dir).unwrap(), dir, 6).unwrap();
        assert_eq!(read_current(&fs, dir).unwrap(), Some(current));
        for kind in [OperationKind::Open, OperationKind::Read] {
            sim.set_fault(Box::new(move |op| (op.kind == kind).then_some(Fault::EIO)));
            assert!(matches!(read_current(&fs, dir), Err(Error::Io(_))), "{kind}");
        }
    }

    #[test]
    fn the_line_round_trips_and_no_flipped_bit_passes() {
        let current = Current { manifest: 5, store: 0xabc };
        let line = current.encode();
        let path = Path::new("CURRENT");
        assert_eq!(Current::decode(path, line.as_bytes()).unwrap(), current);
        for bit in 0..line.len() * 8 {
            let mut bad = line.clone().into_bytes();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Current::decode(path, &bad).is_err(), "bit {bit}");
        }
        for len in 0..line.len() {
            assert!(Current::decode(path, &line.as_bytes()[..len]).is_err());
        }
    }
}
