//! What iterators and cursors have in common: a state that is held, and how it is walked.

use super::family::ColumnFamily;
use super::read;
use super::snapshot::Snapshot;
use crate::base::bounds::{narrower, prefix_end};
use crate::base::error::Result;
use crate::base::key::SeqNum;
use crate::base::observe::{ReadContext, Watch};
use crate::base::sync::Arc;
use crate::filter::WholePrefix;
use crate::metrics::Timed;
use crate::table::Access;
use crate::tree::{Bounds, Held, Pin, PinKind, TreeCursor, View, scan};
use std::ops::{Bound, RangeBounds};

/// No system reads further ahead than this, in bytes.
const MOST_READ_AHEAD_BYTES: usize = 64 << 20;

/// How a range is walked.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = esker::Db::open(dir.path().join("data"))?;
/// # for key in ["user:1", "user:2", "visit:1"] { db.put(key, "v")?; }
/// // A scan of much that will not be read again soon.
/// let options = esker::ScanOptions::prefix("user:").keys_only().without_cache().read_ahead(256 << 10);
/// assert_eq!(db.scan(options)?.count(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanOptions {
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    keys_only: bool,
    fill_cache: bool,
    read_ahead_bytes: usize,
    with_context: bool,
}

impl Default for ScanOptions {
    /// Everything, through the cache, without reading ahead.
    fn default() -> Self {
        ScanOptions {
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
            keys_only: false,
            fill_cache: true,
            read_ahead_bytes: 0,
            with_context: false,
        }
    }
}

impl ScanOptions {
    /// The keys of a range.
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(range: R) -> ScanOptions {
        let own = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        ScanOptions {
            lower: own(range.start_bound()),
            upper: own(range.end_bound()),
            ..ScanOptions::default()
        }
    }

    /// The keys that start with `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> ScanOptions {
        let prefix = prefix.as_ref();
        let (lower, upper) = (Bound::Included(prefix.to_vec()), after_prefix(prefix));
        ScanOptions { lower, upper, ..ScanOptions::default() }
    }

    /// Leaves out the keys that do not start with `prefix`: to go on within a prefix where a page ended, say.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// # for key in ["user:1", "user:2", "user:3", "visit:1"] { db.put(key, "v")?; }
    /// let next_page = esker::ScanOptions::range("user:2"..).within_prefix("user:");
    /// assert_eq!(db.scan(next_page)?.count(), 2);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn within_prefix(mut self, prefix: impl AsRef<[u8]>) -> ScanOptions {
        let ScanOptions { lower: from, upper: to, .. } = ScanOptions::prefix(prefix);
        let ScanOptions { lower, upper, .. } = self;
        self.lower = narrower(lower, from, |a, b| a > b);
        self.upper = narrower(upper, to, |a, b| a < b);
        self
    }

    /// Yields empty values.
    #[must_use]
    pub fn keys_only(mut self) -> ScanOptions {
        self.keys_only = true;
        self
    }

    /// Blocks and separated values that are not cached are read without being put into the cache, so that a
    /// long scan does not drive out what others read often.
    #[must_use]
    pub fn without_cache(mut self) -> ScanOptions {
        self.fill_cache = false;
        self
    }

    /// Walking forward, asks the system to have so many bytes ready behind each block that is read, and
    /// behind each separated value, in the order of which a file is read. It pays where the files are not
    /// in the system's cache. 0, the default, leaves it to the system.
    #[must_use]
    pub fn read_ahead(mut self, bytes: usize) -> ScanOptions {
        self.read_ahead_bytes = bytes.min(MOST_READ_AHEAD_BYTES);
        self
    }

    /// Counts what the walk costs: [`Iter::context`](crate::Iter::context) and
    /// [`Cursor::context`](crate::Cursor::context) say it.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put("a", "1")?;
    /// db.put("b", "2")?;
    /// db.delete("a")?;
    /// let mut entries = db.scan(esker::ScanOptions::default().with_context())?;
    /// assert_eq!(entries.by_ref().count(), 1);
    /// let context = entries.context().unwrap();
    /// assert_eq!((context.memtables, context.entries_hidden), (1, 2));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_context(mut self) -> ScanOptions {
        self.with_context = true;
        self
    }

    /// Where the range starts and ends.
    pub(crate) fn bounds(&self) -> (&Bound<Vec<u8>>, &Bound<Vec<u8>>) {
        (&self.lower, &self.upper)
    }

    /// Whether values are left out.
    pub(crate) fn leaves_values_out(&self) -> bool {
        self.keys_only
    }

    /// How tables are read, and what it costs written to `watch`.
    pub(crate) fn access(&self, watch: Watch) -> Access {
        let ScanOptions { fill_cache, read_ahead_bytes, .. } = *self;
        Access { fill_cache, read_ahead_bytes, watch }
    }

    /// Where to write what the walk costs, if anybody wants to know.
    pub(crate) fn watch(&self) -> Watch {
        self.with_context.then(Arc::default)
    }

    pub(crate) fn set_keys_only(&mut self) {
        self.keys_only = true;
    }
}

/// The bound behind all keys that start with `prefix`.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

/// A held state of a family.
#[derive(Debug)]
pub(super) struct Scan {
    /// Keeps the store open.
    family: ColumnFamily,
    view: Arc<View>,
    seq: SeqNum,
    now_ms: u64,
    pub(super) options: ScanOptions,
    /// Of a snapshot, which does not move on.
    frozen: bool,
    /// Whether the active memtable was empty, and is no run of cursors over this.
    without_active: bool,
    /// What the walk costs, if anybody wants to know.
    watch: Watch,
    pin: Pin,
}

impl Scan {
    pub(super) fn new(
        family: &ColumnFamily,
        snapshot: Option<&Snapshot>,
        options: ScanOptions,
    ) -> Result<Scan> {
        read::check(family, snapshot)?;
        family.inner().scheduler.step();
        let store = &family.inner().store;
        // The view is pinned before the sequence number is loaded: see `tree::View`.
        let view = match snapshot {
            Some(snapshot) => snapshot.view(family.family()),
            None => family.family().view(),
        };
        let (seq, now_ms, since) = match snapshot {
            Some(snapshot) => (snapshot.read_seq(), snapshot.now_ms(), store.clock.source().monotonic()),
            None => {
                let seq = family.read_seq();
                let (now_ms, since) = store.clock.look();
                (seq, now_ms, since)
            }
        };
        let pin = store.pins.hold(Held {
            kind: PinKind::Iterator,
            seq,
            since,
            view: Some((family.family().clone(), Arc::downgrade(&view))),
            pinned: Vec::new(),
        });
        let (family, frozen) = (family.clone(), snapshot.is_some());
        let without_active = view.active.is_empty();
        let watch = options.watch();
        Ok(Scan { family, view, seq, now_ms, options, frozen, without_active, watch, pin })
    }

    /// A cursor over it that stands nowhere yet.
    pub(super) fn cursor(&self) -> TreeCursor {
        let bounds = Bounds { lower: self.options.lower.clone(), upper: self.options.upper.clone() };
        let access = self.options.access(self.watch.clone());
        let family = self.family.family();
        let prefix = family.prefix().and_then(|extractor| {
            WholePrefix::of(extractor, &bounds.lower, &bounds.upper, family.prefix_counts())
        });
        scan(&self.view, self.seq, self.now_ms, bounds, access, prefix, !self.options.keys_only)
    }

    /// Before each movement: after a failed sync goes on with what is durable. Returns whether cursors
    /// over it have to be made anew: what was published and never reached the disk is not served any more.
    ///
    /// # Errors
    /// [`crate::Error::CalledFromHook`].
    pub(super) fn keeps_to_durable(&mut self) -> Result<bool> {
        let store = &self.family.inner().store;
        store.check_caller()?;
        let readable = store.readable(self.seq);
        let changes = readable < self.seq;
        self.seq = self.seq.min(readable);
        Ok(changes)
    }

    /// Moves on to the present; a snapshot's only back to what is durable. Returns whether a cursor over it
    /// may go on with the runs that it has.
    pub(super) fn refresh(&mut self) -> Result<bool> {
        self.family.check()?;
        if self.frozen {
            return self.keeps_to_durable().map(|changes| !changes);
        }
        // The view is pinned before the sequence number is loaded: see `tree::View`.
        let view = self.family.family().view();
        let same = Arc::ptr_eq(&view, &self.view) && !self.without_active;
        self.view = view;
        self.without_active = self.view.active.is_empty();
        self.seq = self.family.read_seq();
        self.now_ms = self.family.inner().store.clock.now_ms();
        self.pin.moved(self.seq, Some((self.family.family().clone(), Arc::downgrade(&self.view))));
        Ok(same)
    }

    /// Has a cursor over the same runs show this state.
    pub(super) fn show(&self, at: &mut TreeCursor) {
        at.see(self.seq, self.now_ms, self.view.hidden(self.seq));
    }

    /// What the walk has cost so far, with what its cursors have met of that.
    pub(super) fn context(&self, hidden: u64, operands: u64) -> Option<ReadContext> {
        let mut context = *self.watch.as_ref()?.lock();
        context.entries_hidden += hidden;
        context.operands += operands;
        Some(context)
    }

    /// Keeps what a cursor has met that goes.
    pub(super) fn keep_context(&self, gone: &TreeCursor) {
        if let Some(watch) = &self.watch {
            let mut context = watch.lock();
            context.entries_hidden += gone.skipped();
            context.operands += gone.operands();
        }
    }

    /// Times a movement to a key or an end, if its turn has come.
    #[inline]
    pub(super) fn begin_seek(&self) -> Timed {
        let store = &self.family.inner().store;
        store.timings.begin(store.clock.source())
    }

    #[inline]
    pub(super) fn end_seek(&self, timed: Timed) {
        let store = &self.family.inner().store;
        store.timings.seek.end(timed, store.clock.source());
    }

    pub(super) fn step(&self) {
        self.family.inner().scheduler.step();
    }

    pub(super) fn seq(&self) -> SeqNum {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_exact() {
        assert_eq!(after_prefix(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff"), Bound::Unbounded);
        assert_eq!(after_prefix(b""), Bound::Unbounded);
    }

    #[test]
    fn a_prefix_narrows_a_range_and_never_widens_it() {
        use Bound::{Excluded, Included, Unbounded};
        let keys: Vec<Vec<u8>> = (0..3u8)
            .flat_map(|a| [vec![a], vec![a, 0], vec![a, 1], vec![a, 0xff], vec![a, 0xff, 0xff]])
            .chain([vec![], vec![0xff], vec![0xff, 1]])
            .collect();
        let ends = |key: &Vec<u8>| [Included(key.clone()), Excluded(key.clone()), Unbounded];
        let bounds: Vec<Bound<Vec<u8>>> = keys.iter().flat_map(ends).collect();
        let holds = |options: &ScanOptions, key: &Vec<u8>| {
            (options.lower.clone(), options.upper.clone()).contains(key)
        };
        for (n, from) in bounds.iter().enumerate() {
            for to in bounds.iter().skip(n % 5).step_by(5) {
                let range = ScanOptions { lower: from.clone(), upper: to.clone(), ..ScanOptions::default() };
                for prefix in &keys {
                    let narrowed = range.clone().within_prefix(prefix);
                    let mut all = keys.iter();
                    let wrong = all
                        .find(|key| holds(&narrowed, key) != (holds(&range, key) && key.starts_with(prefix)));
                    assert_eq!(wrong, None, "{from:?} {to:?} {prefix:?}");
                }
            }
        }
    }
}
