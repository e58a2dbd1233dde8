//! A blob file.

use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::blob::{BlobHead, BlobRecord, BlobTotals, BlobWalk, FOOTER_BYTES};
use crate::fs::OpenFile;

/// A blob file, as far as it can be read.
#[derive(Debug)]
pub struct BlobFile {
    file: Arc<OpenFile>,
    size: u64,
    head: Option<BlobHead>,
    totals: Option<BlobTotals>,
    damage: Vec<Error>,
}

impl BlobFile {
    /// Reads header and footer.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`] if a newer version wrote the file; what reading it gives. What is
    /// damaged is in [`BlobFile::damage`].
    pub fn open(file: OpenFile) -> Result<BlobFile> {
        let size = file.size()?;
        let mut blob = BlobFile { file: Arc::new(file), size, head: None, totals: None, damage: Vec::new() };
        match BlobHead::read(&blob.file) {
            Ok(head) => blob.head = Some(head),
            Err(error @ Error::Corruption(_)) => blob.damage.push(error),
            Err(error) => return Err(error),
        }
        let Some(head) = blob.head else { return Ok(blob) };
        match BlobTotals::read(&blob.file, size, head.identity) {
            Ok(totals) => blob.totals = Some(totals),
            Err(error @ Error::Corruption(_)) => blob.damage.push(error),
            Err(error) => return Err(error),
        }
        Ok(blob)
    }

    /// The size of the file in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size
    }

    /// What it says of itself at its beginning, unless that is damaged; without it nothing can be checked.
    #[must_use]
    pub fn head(&self) -> Option<&BlobHead> {
        self.head.as_ref()
    }

    /// What it says of itself at its end, unless that is damaged.
    #[must_use]
    pub fn totals(&self) -> Option<&BlobTotals> {
        self.totals.as_ref()
    }

    /// What is wrong with all that is not a record.
    #[must_use]
    pub fn damage(&self) -> &[Error] {
        &self.damage
    }

    /// The records in order; an error for each that is damaged, and the walk goes on behind it where its
    /// length can be told.
    pub fn records(&self) -> impl Iterator<Item = Result<BlobRecord>> {
        let end = match self.totals {
            Some(_) => self.size.saturating_sub(FOOTER_BYTES as u64),
            None => self.size,
        };
        self.head.into_iter().flat_map(move |head| BlobWalk::new(self.file.clone(), head.identity, end))
    }
}
