//! Copying files.

use crate::base::error::{Error, Result};
use crate::fs::{Fs, OpenFile};
use std::path::Path;

/// How many bytes are read and written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Reads a file up to `end`, in pieces. A file that is shorter is an error of kind `UnexpectedEof`.
pub(super) fn read_pieces(
    file: &OpenFile,
    end: u64,
    mut each: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; PIECE_BYTES.min(usize::try_from(end).unwrap_or(PIECE_BYTES))];
    let mut at = 0;
    while at < end {
        let piece = &mut buffer[..usize::try_from(end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)];
        file.read_exact_at(piece, at)?;
        each(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Copies the first `end` bytes of a file to a new one, which is as long as the first and synced. On an error
/// there is no new one.
pub(super) fn copy_file(fs: &Fs, from: &Path, to: &Path, end: u64) -> Result<()> {
    let source = fs.open(from)?;
    let file = fs.create_new(to)?;
    let copied = read_pieces(&source, end, |piece, at| file.write_all_at(piece, at)).and_then(|()| {
        let size = source.size()?;
        if size > end {
            file.truncate(size)?;
        }
        file.sync()
    });
    copied.inspect_err(|_: &Error| drop(fs.remove(to)))
}
