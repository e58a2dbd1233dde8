//! A manifest.

use super::records::{Break, Intact, LogHeader, Met, walk};
use crate::base::error::{Error, Result};
use crate::fs::OpenFile;
use crate::record::LogKind;
use crate::version::{EditOp, edit_ops};

/// What stands in a manifest, in the order of the file.
#[derive(Clone, Debug)]
pub enum ManifestItem {
    /// The beginning, always first.
    Header(LogHeader),
    /// An edit: changes that take effect together.
    Edit(Intact),
    /// A change of the edit before.
    Op(EditOp),
    /// An edit with intact checksums that makes no sense from some place on.
    Damage(Error),
    /// Where records break off; the last item is one with `last`.
    Break(Break),
}

/// Walks a manifest. An error of `visit` ends the walk and is returned.
///
/// # Errors
/// [`Error::UnsupportedVersion`] if a newer version wrote the file; what reading it gives. Damage is
/// visited, not returned.
pub fn walk_manifest<E: From<Error>>(
    file: &OpenFile,
    mut visit: impl FnMut(ManifestItem) -> Result<(), E>,
) -> Result<(), E> {
    walk(file, LogKind::Manifest, |met| match met {
        Met::Header(header) => visit(ManifestItem::Header(header)),
        Met::Break(place) => visit(ManifestItem::Break(place)),
        Met::Record(record, payload) => {
            visit(ManifestItem::Edit(record))?;
            for op in edit_ops(payload) {
                visit(match op {
                    Ok(op) => ManifestItem::Op(op),
                    Err(e) => ManifestItem::Damage(e.in_file(file.path(), record.payload_offset())),
                })?;
            }
            Ok(())
        }
    })
}
