//! How elements are sorted, and which of them come.

/// What is asked for; by default all elements, as numbers in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortOptions<'a> {
    /// From the greatest to the least.
    pub descending: bool,
    /// As bytes, not as numbers.
    pub alphabetic: bool,
    /// So many are left out in front, and so many come at most; a negative number of them is all.
    pub limit: Option<(i64, i64)>,
    /// A pattern: elements are ordered by what it stands for. `*` in it is the element; it names a string, or
    /// with `->field` at its end the field of a hash.
    pub by: Option<&'a [u8]>,
    /// The elements stay in the order in which they are, whatever `by` says; those of a set that are stored
    /// are sorted as bytes.
    pub keeps_order: bool,
    /// Patterns: in place of an element comes what each of them stands for; `#` is the element.
    pub get: Vec<&'a [u8]>,
}

impl SortOptions<'_> {
    /// Which of `count` elements are wanted: from, and up to.
    pub(super) fn span(&self, count: usize) -> (usize, usize) {
        let Some((offset, limit)) = self.limit else { return (0, count) };
        let from = usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(count);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        (from, from.saturating_add(limit).min(count))
    }
}
