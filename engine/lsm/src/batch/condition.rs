//! What a batch may ask for before it is written.

use super::builder::{FamilyRef, WriteBatch};
use crate::base::key::SeqNum;
use crate::base::slice::Slice;

/// A value with the number of the write that made it; see `ColumnFamily::get_versioned`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Slice,
    /// The sequence number of the write. In a family without `keep_versions` it becomes zero some time
    /// after the last snapshot that could tell has gone, so that it says nothing there.
    pub version: SeqNum,
}

/// Something that must hold when a batch is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The column family's number.
    pub family: u32,
    /// The user key.
    pub key: Vec<u8>,
    /// What must be there.
    pub requirement: Requirement,
}

/// The conditions of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions(Vec<Condition>);

/// What must be at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// No value, or one that has expired.
    Absent,
    /// This value.
    Value(Vec<u8>),
    /// A value that the operation with this sequence number wrote.
    Version(SeqNum),
}

/// Conditions. They are judged together with the write: when it is ordered, every condition of the
/// batch holds, expiry by the clock of that moment included, or nothing of the batch is written and the
/// error is [`crate::base::error::Error::ConditionFailed`], which says which condition failed.
/// Conditions are not part of the log. See `docs/transactions.md`.
impl WriteBatch {
    /// The batch is written only if `key` has no value.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let name_it = || {
    ///     let mut batch = esker::WriteBatch::new();
    ///     batch.require_absent(&db, b"name:ada").put(&db, b"name:ada", b"7").put(&db, b"user:7", b"ada");
    ///     db.write(batch, esker::Durability::Sync)
    /// };
    /// name_it()?;
    /// assert!(matches!(name_it(), Err(esker::Error::ConditionFailed { index: 0, .. })));
    /// # Ok(()) }
    /// ```
    pub fn require_absent(&mut self, family: &impl FamilyRef, key: impl AsRef<[u8]>) -> &mut Self {
        self.require(family, key.as_ref(), Requirement::Absent)
    }

    /// The batch is written only if `key` has exactly this value.
    pub fn require_value(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        expected: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.require(family, key.as_ref(), Requirement::Value(expected.as_ref().to_vec()))
    }

    /// The batch is written only if the value of `key` is the one that was written with this sequence
    /// number (see [`Versioned::version`]). The write is refused with
    /// [`crate::base::error::Error::InvalidArgument`] if the family does not keep versions.
    pub fn require_version(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        version: SeqNum,
    ) -> &mut Self {
        self.require(family, key.as_ref(), Requirement::Version(version))
    }

    /// The batch is written only if `key` is as a read found it: of the same version, or absent still. As
    /// [`WriteBatch::require_version`], it needs a family that keeps versions, unless `read` is `None`.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let options = esker::FamilyOptions { keep_versions: true, ..Default::default() };
    /// let pages = db.create_column_family("pages", options)?;
    /// pages.put(b"home", b"draft")?;
    /// let read = pages.get_versioned(b"home")?;
    /// pages.put(b"home", b"draft")?; // the same value, and yet another write
    /// let mut batch = esker::WriteBatch::new();
    /// batch.require_unchanged(&pages, b"home", read.as_ref()).put(&pages, b"home", b"final");
    /// let refused = db.write(batch, esker::Durability::Sync);
    /// assert!(matches!(refused, Err(esker::Error::ConditionFailed { .. })));
    /// # Ok(()) }
    /// ```
    pub fn require_unchanged(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        read: Option<&Versioned>,
    ) -> &mut Self {
        let requirement = read.map_or(Requirement::Absent, |read| Requirement::Version(read.version));
        self.require(family, key.as_ref(), requirement)
    }

    fn require(&mut self, family: &impl FamilyRef, key: &[u8], requirement: Requirement) -> &mut Self {
        let value = if let Requirement::Value(value) = &requirement { value.as_slice() } else { b"" };
        if let Err(error) = self.check(family.store_id(), key, value) {
            self.refused.get_or_insert_with(|| Box::new(error));
            return self;
        }
        let condition = Condition { family: family.family_id(), key: key.to_vec(), requirement };
        self.conditions.get_or_insert_default().0.push(condition);
        self
    }

    /// What must hold.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        self.conditions.as_ref().map_or(&[], |conditions| conditions.0.as_slice())
    }

    /// Takes the conditions out.
    pub(crate) fn take_conditions(&mut self) -> Vec<Condition> {
        self.conditions.take().map_or_else(Vec::new, |conditions| conditions.0)
    }

    /// Whether anything must hold.
    #[inline]
    pub(crate) fn has_conditions(&self) -> bool {
        self.conditions.is_some()
    }
}
