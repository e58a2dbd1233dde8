//! The workloads, as data.

use super::keys::Pick;
use std::time::Duration;

/// What a phase begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new store of its own.
    Empty,
    /// A new store that the phases behind it go on with.
    Fresh,
    /// All entries, as they were left: the background may still be at work on them.
    Loaded,
    /// All entries, nothing left to be done in the background, everything read once.
    Settled,
}

/// Which engines a phase is for. (A suite says so, too: [`Subject`](super::suites::Subject).)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// All of them.
    All,
    /// Esker and RocksDB.
    RocksDb,
}

/// What each thread does, in parts of a hundred. The rest to a hundred are reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    /// Puts of a key that is there.
    pub updates: u32,
    /// Puts of a new key.
    pub inserts: u32,
    /// Reads of up to a hundred entries from a key on.
    pub scans: u32,
    /// Gets of a key that is there, and a put of it.
    pub changes: u32,
}

/// What a phase does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Puts of all entries, so many at once.
    Fill {
        /// In the order of keys, or at random.
        in_order: bool,
        /// Entries of a batch.
        batch: usize,
    },
    /// Puts of all keys again, in another order.
    Overwrite,
    /// Removes all keys, at random.
    Delete,
    /// Gets and more.
    Mixed(Mix, Pick),
    /// Gets of keys that are not there.
    Missing,
    /// Gets of so many keys at once.
    MultiGet(usize),
    /// A seek to a key and so many entries from there.
    Seek(usize),
    /// All entries.
    Scan {
        /// From the last to the first.
        reverse: bool,
    },
    /// Gets, while another thread puts keys that are there, at most so many per second if given.
    GetWhileWriting(Option<u32>),
    /// The whole forward, while another thread puts keys that are there.
    ScanWhileWriting,
    /// Puts of so many entries at once, each synced.
    Synced(usize),
    /// Moves an amount between two of 100,000 accounts, in a transaction.
    Transfer,
    /// Sets one of 100,000 keys if it is as it was read.
    CompareAndSet,
    /// Adds to one of 100,000 counters: by a merge, or by a get and a put.
    Count {
        /// By a merge.
        merge: bool,
    },
    /// Puts of entries that expire after a second, and gets of what has just been put.
    Churn,
    /// Puts at the end and deletes at the front of a queue of 10,000 entries.
    Queue,
    /// Deletes ranges of 1,000 keys from all entries, half of them in all, then reads the rest. Counted
    /// by range.
    DeleteRange,
    /// Seeks to prefixes of groups, of which half are not there, and reads all of each.
    PrefixScan,
    /// Writes entries in order into files outside of the store, and has it take them in: ten for each three
    /// of the others.
    Ingest,
    /// Fills a store that keeps what it is given for readers of changes, and reads all of it.
    Feed,
    /// Waits until the background has nothing left to do. Counted by entry.
    Settle,
}

/// A workload.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// What it does, in words.
    pub what: &'static str,
    /// What it begins with.
    pub start: Start,
    /// What it does.
    pub work: Work,
    /// Threads that do it.
    pub threads: usize,
    /// After how many seconds it ends at the latest.
    pub cap_s: u64,
    /// Which engines it is for.
    pub whom: For,
}

impl Phase {
    /// After what time it ends at the latest, if none lasts longer than `longest`.
    #[must_use]
    pub fn cap(&self, longest: Duration) -> Duration {
        Duration::from_secs(self.cap_s).min(longest)
    }
}

pub(super) const fn phase(
    name: &'static str,
    start: Start,
    work: Work,
    cap_s: u64,
    what: &'static str,
) -> Phase {
    Phase { name, what, start, work, threads: 1, cap_s, whom: For::RocksDb }
}

pub(super) const fn all(phase: Phase) -> Phase {
    Phase { whom: For::All, ..phase }
}

const fn threads(threads: usize, phase: Phase) -> Phase {
    Phase { threads, ..phase }
}

const fn mix(updates: u32, inserts: u32, scans: u32, changes: u32, pick: Pick) -> Work {
    Work::Mixed(Mix { updates, inserts, scans, changes }, pick)
}

/// Gets of keys that are there.
pub(super) const fn get(pick: Pick) -> Work {
    mix(0, 0, 0, 0, pick)
}

use Start::{Empty, Fresh, Loaded, Settled};

/// The workloads of the main suite, in the order in which they are run.
pub const PHASES: &[Phase] = &[
    phase("fillseq", Empty, Work::Fill { in_order: true, batch: 1 }, 10, "puts in the order of keys"),
    phase(
        "fillbatch",
        Empty,
        Work::Fill { in_order: false, batch: 100 },
        10,
        "batches of 100 puts at random",
    ),
    all(phase("fillrandom", Fresh, Work::Fill { in_order: false, batch: 1 }, 10, "puts at random")),
    phase("readrandom-loaded", Loaded, get(Pick::Uniform), 3, "gets at random, right after the load"),
    phase("readmissing-loaded", Loaded, Work::Missing, 2, "gets of absent keys, right after the load"),
    phase("readhot-loaded", Loaded, get(Pick::Hot), 2, "gets of the same twentieth, right after the load"),
    phase("seek10-loaded", Loaded, Work::Seek(10), 2, "seek and ten entries, right after the load"),
    phase("scan-loaded", Loaded, Work::Scan { reverse: false }, 2, "all entries, right after the load"),
    all(phase("settle", Loaded, Work::Settle, 60, "flush, and compactions until none is due")),
    all(phase("readrandom", Settled, get(Pick::Uniform), 5, "gets at random")),
    all(phase("readhot", Settled, get(Pick::Hot), 4, "gets of the same contiguous twentieth")),
    phase("readzipf", Settled, get(Pick::Zipf), 4, "gets by Zipf's law, scattered"),
    all(phase("readmissing", Settled, Work::Missing, 4, "gets of keys that are not there")),
    phase("multiget", Settled, Work::MultiGet(16), 4, "gets of 16 keys at once, counted by key"),
    all(threads(2, phase("readrandom2", Settled, get(Pick::Uniform), 4, "gets at random, two threads"))),
    all(phase("seek10", Settled, Work::Seek(10), 4, "seek and ten entries")),
    all(phase("seek100", Settled, Work::Seek(100), 4, "seek and a hundred entries")),
    all(phase("scan", Settled, Work::Scan { reverse: false }, 4, "all entries, counted by entry")),
    phase("scanreverse", Settled, Work::Scan { reverse: true }, 4, "all entries, last first"),
    phase("ycsb-c", Settled, get(Pick::Zipf), 4, "YCSB C: reads only"),
    phase("ycsb-b", Settled, mix(5, 0, 0, 0, Pick::Zipf), 5, "YCSB B: 95 % reads, 5 % updates"),
    phase("ycsb-a", Settled, mix(50, 0, 0, 0, Pick::Zipf), 5, "YCSB A: half reads, half updates"),
    phase("ycsb-f", Settled, mix(0, 0, 0, 50, Pick::Zipf), 5, "YCSB F: half reads, half read and write back"),
    phase(
        "ycsb-d",
        Settled,
        mix(0, 5, 0, 0, Pick::Latest),
        5,
        "YCSB D: 95 % reads of the latest, 5 % inserts",
    ),
    phase("ycsb-e", Settled, mix(0, 5, 95, 0, Pick::Zipf), 5, "YCSB E: 95 % short scans, 5 % inserts"),
    all(phase("mixed", Settled, mix(50, 0, 0, 0, Pick::Uniform), 5, "half gets, half puts, at random")),
    all(phase("overwrite", Settled, Work::Overwrite, 10, "puts of all keys again, compactions running")),
    phase("settle-again", Loaded, Work::Settle, 60, "as settle, behind the last writes"),
    all(phase(
        "readwhilewriting-paced",
        Loaded,
        Work::GetWhileWriting(Some(100_000)),
        5,
        "gets, while another thread puts 100,000 per second",
    )),
    all(phase(
        "readwhilewriting",
        Loaded,
        Work::GetWhileWriting(None),
        5,
        "gets, while another thread puts what it can",
    )),
    phase("scanwhilewriting", Loaded, Work::ScanWhileWriting, 5, "all entries, while another thread puts"),
    phase("deleterange", Settled, Work::DeleteRange, 10, "ranges of 1,000 keys deleted, then all read"),
    all(phase("delete", Settled, Work::Delete, 10, "deletes of all keys at random")),
    all(phase("sync1", Empty, Work::Synced(1), 4, "synced puts")),
    all(threads(8, phase("sync8", Empty, Work::Synced(1), 4, "synced puts from eight threads"))),
    phase("syncbatch", Empty, Work::Synced(100), 4, "synced batches of 100 puts, counted by put"),
    threads(
        2,
        phase("transfer", Empty, Work::Transfer, 4, "transactions of two reads and writes, two threads"),
    ),
    threads(2, phase("cas", Empty, Work::CompareAndSet, 4, "a get and a conditional write, two threads")),
    phase("merge", Empty, Work::Count { merge: true }, 4, "counters by merges"),
    phase("readwrite", Empty, Work::Count { merge: false }, 4, "counters by a get and a put"),
    phase("ttl", Empty, Work::Churn, 6, "puts that expire after a second, half as many gets"),
    phase("queue", Empty, Work::Queue, 4, "puts at the end, deletes at the front"),
    phase(
        "ingest",
        Empty,
        Work::Ingest,
        10,
        "sorted entries, ten for each three of the others, written into files of 64 MiB and taken in",
    ),
    phase("feed", Empty, Work::Feed, 10, "all changes read from the first on, each a put by itself"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn phases_have_names_of_their_own_and_short_caps() {
        let names: BTreeSet<_> = PHASES.iter().map(|phase| phase.name).collect();
        assert_eq!(names.len(), PHASES.len());
        for phase in PHASES {
            assert!((1..=10).contains(&phase.cap_s) || phase.work == Work::Settle, "{}", phase.name);
        }
    }
}
