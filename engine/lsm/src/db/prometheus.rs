//! Metrics as text. docs/observing.md has every name; a test holds it against this.

use super::health::Health;
use super::memory::MemoryReport;
use super::metrics::Metrics;
use super::stats::{FamilyStats, LevelStats, Stats};
use crate::metrics::Exposition;
use crate::metrics::MetricKind::{Counter, Gauge};

impl Metrics {
    /// The metrics in the text format of Prometheus (version 0.0.4), for an endpoint of your own. Names begin
    /// with
    /// `esker_`; docs/observing.md lists them.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut text = Exposition::default();
        of_health(&mut text, &self.health);
        of_memory(&mut text, &self.memory);
        of_store(&mut text, &self.stats);
        of_work(&mut text, &self.stats);
        of_transactions(&mut text, &self.stats);
        of_feed(&mut text, &self.stats);
        of_families(&mut text, &self.stats.families);
        self.of_times(&mut text);
        text.into_text()
    }

    fn of_times(&self, text: &mut Exposition) {
        let help = "One in how many writes, gets, looks for many keys and seeks is timed; 0 for none.";
        text.one(Gauge, "esker_time_one_in", help, self.time_one_in);
        for (name, help, times) in [
            ("esker_write_seconds", "Writes that were timed, from the call to the return.", &self.write),
            ("esker_get_seconds", "Look-ups of one key that were timed.", &self.get),
            ("esker_multi_get_seconds", "Look-ups of many keys that were timed.", &self.multi_get),
            ("esker_seek_seconds", "Movements to a key or an end that were timed.", &self.seek),
            ("esker_sync_seconds", "Syncs of the log.", &self.sync),
            ("esker_flush_seconds", "Flushes.", &self.flush),
            ("esker_compaction_seconds", "Compactions that rewrote tables.", &self.compaction),
            ("esker_stall_seconds", "Waits of writers that were slowed or stopped.", &self.stall),
        ] {
            text.times(name, help, times);
        }
        text.numbers("esker_group_size", "Batches that were written together.", &self.group_size);
    }
}

fn of_health(text: &mut Exposition, health: &Health) {
    text.one(Gauge, "esker_well", "1 while nothing needs attention.", u8::from(health.is_well()));
    let read_only = u8::from(health.poisoned.is_some());
    text.one(Gauge, "esker_read_only", "1 once a failure has made the store read-only.", read_only);
    text.one(Gauge, "esker_disk_full", "1 while the disk is full.", u8::from(health.full.is_some()));
    text.one(Gauge, "esker_failing_jobs", "Kinds of background work that fail.", health.background.len());
    text.one(Counter, "esker_failed_jobs_total", "Background jobs that have failed.", health.failed_jobs);
    let damaged = health.damaged.len();
    text.one(Gauge, "esker_damaged_tables", "Tables that compactions could not read.", damaged);
    let help = "Families whose compaction rests because a hook has failed.";
    text.one(Gauge, "esker_resting_families", help, health.resting.len());
    text.many(
        Counter,
        "esker_panics_total",
        "Panics in a user's code.",
        [
            (vec![("in", "callback")], health.panicked_callbacks),
            (vec![("in", "listener")], health.panicked_listeners),
        ],
    );
    let help = "Events that listeners were not told of.";
    text.one(Counter, "esker_dropped_events_total", help, health.dropped_events);
    let limit = health.slowed_to.map_or(f64::INFINITY, |rate| rate as f64);
    // The format's word for it.
    let limit = if limit.is_finite() { limit.to_string() } else { "+Inf".into() };
    let help = "Bytes a second that writers are held to; 0 while they are stopped.";
    text.one(Gauge, "esker_write_limit_bytes", help, limit);
    let help = "How far the expiry clock is ahead of the wall clock.";
    text.one(Gauge, "esker_clock_skew_seconds", help, health.clock_skew_ms as f64 / 1e3);
}

fn of_memory(text: &mut Exposition, memory: &MemoryReport) {
    let parts = memory.parts();
    let part = |part: &crate::db::MemoryPart| (vec![("part", part.name)], part.bytes);
    text.many(Gauge, "esker_memory_bytes", "Memory that the store holds.", parts.iter().map(part));
    let bounded = parts.iter().filter_map(|part| Some((vec![("part", part.name)], part.budget_bytes?)));
    text.many(Gauge, "esker_memory_part_budget_bytes", "What a part may take.", bounded);
    text.one(Gauge, "esker_memory_budget_bytes", "The memory budget.", memory.budget_bytes);
    text.one(Gauge, "esker_open_files", "Table files that are open.", memory.open_files);
    text.one(Gauge, "esker_open_files_budget", "Table files that may be open.", memory.open_files_budget);
    text.one(Gauge, "esker_readers", "Iterators, cursors and snapshots.", memory.readers);
}

fn of_store(text: &mut Exposition, stats: &Stats) {
    text.one(Gauge, "esker_visible_seq", "The last write that reads see.", stats.visible_seq);
    let help = "The last write that survives a loss of power.";
    text.one(Gauge, "esker_durable_seq", help, stats.durable_seq);
    text.one(Gauge, "esker_log_bytes", "Records in the log that are still needed.", stats.wal_bytes);
    text.one(Counter, "esker_logged_bytes_total", "Bytes written to the log.", stats.logged_bytes);
    text.one(Gauge, "esker_manifest_bytes", "The manifest.", stats.manifest_bytes);
    text.one(Gauge, "esker_snapshots", "Snapshots that are held.", stats.snapshots);
    let help = "Look-ups in the block cache that found their block.";
    text.one(Counter, "esker_cache_hits_total", help, stats.cache_hits);
    let help = "Look-ups in the block cache that did not.";
    text.one(Counter, "esker_cache_misses_total", help, stats.cache_misses);
}

fn of_work(text: &mut Exposition, stats: &Stats) {
    text.one(Counter, "esker_flushes_total", "Flushes.", stats.flushes);
    text.one(Counter, "esker_flushed_bytes_total", "Bytes that flushes wrote.", stats.flushed_bytes);
    let help = "Compactions that rewrote tables.";
    text.one(Counter, "esker_compactions_total", help, stats.compactions);
    let running = stats.running_compactions;
    text.one(Gauge, "esker_running_compactions", "Compactions that run now.", running);
    let help = "Tables that changed their level, or went, without being rewritten.";
    text.one(Counter, "esker_table_moves_total", help, stats.table_moves);
    let help = "Bytes that compactions read.";
    text.one(Counter, "esker_compaction_read_bytes_total", help, stats.compacted_bytes_in);
    let help = "Bytes that compactions wrote.";
    text.one(Counter, "esker_compaction_written_bytes_total", help, stats.compacted_bytes_out);
    let help = "Bytes of blob files that flushes and compactions wrote; part of what they wrote in all.";
    text.one(Counter, "esker_blob_written_bytes_total", help, stats.separated_bytes);
    text.one(Counter, "esker_blob_reads_total", "Separated values that were read.", stats.blob_reads);
    text.one(Counter, "esker_blob_read_bytes_total", "Their stored bytes.", stats.blob_read_bytes);
    let slowed = stats.slowed.as_secs_f64();
    text.one(Counter, "esker_slowed_seconds_total", "How long writers were slowed.", slowed);
    text.one(Counter, "esker_stops_total", "How often a writer was stopped.", stats.stops);
    let copies = &stats.copies;
    text.one(Counter, "esker_checkpoints_total", "Checkpoints.", copies.checkpoints);
    text.one(Counter, "esker_backups_total", "Backups.", copies.backups);
    let help = "Bytes that backups added to their directories.";
    text.one(Counter, "esker_backup_bytes_total", help, copies.backup_bytes);
    let help = "Checkpoints and backups that failed.";
    text.one(Counter, "esker_failed_copies_total", help, copies.failed);
    text.one(Counter, "esker_ingests_total", "Calls that took tables in.", copies.ingests);
    let help = "Calls that could not take tables in.";
    text.one(Counter, "esker_failed_ingests_total", help, copies.failed_ingests);
    text.one(Counter, "esker_ingested_files_total", "Tables that were taken in.", stats.ingested_files);
    text.one(Counter, "esker_ingested_bytes_total", "Their bytes.", stats.ingested_bytes);
    let help = "Tables that went because they were the oldest of a family that keeps only the newest.";
    text.one(Counter, "esker_outlived_tables_total", help, stats.outlived_tables);
    text.one(Counter, "esker_outlived_bytes_total", "Their bytes.", stats.outlived_bytes);
    let hooks = &stats.hooks;
    let samples = [
        ("folded", hooks.folded),
        ("failed", hooks.failed),
        ("removed", hooks.removed),
        ("replaced", hooks.replaced),
        ("panicked", hooks.panics),
    ];
    let help = "What merge operators and compaction filters did in the background.";
    text.many(Counter, "esker_hooks_total", help, samples.map(|(did, count)| (vec![("did", did)], count)));
}

fn of_transactions(text: &mut Exposition, stats: &Stats) {
    let of = &stats.transactions;
    let samples = [
        ("committed", of.committed),
        ("conflict", of.conflicts),
        ("lock_timeout", of.lock_timeouts),
        ("deadlock", of.deadlocks),
        ("condition_failed", of.failed_conditions),
    ];
    let help = "What became of transactions and conditional writes.";
    let samples = samples.map(|(outcome, count)| (vec![("outcome", outcome)], count));
    text.many(Counter, "esker_transactions_total", help, samples);
    let help = "How often the table of recent writes did not reach back far enough.";
    text.one(Counter, "esker_validation_reads_total", help, of.looked_into_tree);
    text.one(Gauge, "esker_open_transactions", "Transactions that are open.", stats.open_transactions);
    text.one(Gauge, "esker_locked_keys", "Keys that are locked.", stats.locked_keys);
    let of = &stats.prepared;
    text.one(Gauge, "esker_prepared_transactions", "Transactions that are prepared.", of.count);
    text.one(Gauge, "esker_prepared_bytes", "What they are stored in.", of.bytes);
    let oldest = of.oldest.map_or(0, |age| age.as_secs());
    text.one(Gauge, "esker_prepared_oldest_seconds", "The age of the oldest of them.", oldest);
    let samples = [("committed", of.committed), ("rolled_back", of.rolled_back)];
    let help = "What became of prepared transactions.";
    let samples = samples.map(|(outcome, count)| (vec![("outcome", outcome)], count));
    text.many(Counter, "esker_resolved_transactions_total", help, samples);
}

fn of_feed(text: &mut Exposition, stats: &Stats) {
    let feed = &stats.feed;
    text.one(
        Gauge,
        "esker_feed_segments",
        "Log segments that are kept for readers of changes.",
        feed.segments,
    );
    text.one(Gauge, "esker_feed_bytes", "Their bytes.", feed.bytes);
    let oldest = feed.oldest.map_or(0, |age| age.as_secs());
    text.one(Gauge, "esker_feed_oldest_seconds", "For how long the oldest of them is kept.", oldest);
    let lag = feed.consumers.iter().map(|one| (vec![("consumer", one.name.as_str())], one.lag));
    let help = "Sequence numbers that a feed consumer has yet to read.";
    text.many(Gauge, "esker_feed_consumer_lag", help, lag);
    let cut = feed.consumers.iter();
    let cut = cut.map(|one| (vec![("consumer", one.name.as_str())], u8::from(one.is_cut_loose)));
    let help = "1 for a feed consumer that has fallen behind what is kept.";
    text.many(Gauge, "esker_feed_consumer_cut_loose", help, cut);
}

fn of_families(text: &mut Exposition, families: &[FamilyStats]) {
    let mut each = |name, help, of: fn(&FamilyStats) -> u64| {
        let samples = families.iter().map(|family| (vec![("family", family.name.as_str())], of(family)));
        text.many(Gauge, name, help, samples);
    };
    each("esker_memtable_bytes", "Memtables, sealed ones included.", |f| f.memtable_bytes);
    each("esker_sealed_memtables", "Memtables that wait to be flushed.", |f| f.sealed_memtables as u64);
    each("esker_deleted_ranges", "Deleted ranges on record.", |f| f.ranges.deleted as u64);
    each("esker_dropped_ranges", "Dropped ranges on record.", |f| f.ranges.dropped as u64);
    let help = "Tables whose blocks are compressed with a dictionary.";
    each("esker_dictionary_tables", help, |f| f.dictionaries.tables);
    each("esker_dictionary_bytes", "Bytes of these dictionaries.", |f| f.dictionaries.bytes);
    each("esker_blob_files", "Blob files.", |f| f.blobs.files);
    each("esker_blob_bytes", "Bytes of blob files.", |f| f.blobs.bytes);
    each("esker_blob_dead_bytes", "Of these, values that no table refers to.", |f| f.blobs.dead_bytes);
    each(
        "esker_erase_due_bytes",
        "Tables and blob files that are to be compacted or collected to erase.",
        |f| f.erase_due_bytes,
    );
    each("esker_erase_held_bytes", "Of these, what snapshots hold.", |f| f.erase_held_bytes);
    let asked = families.iter().flat_map(|family| {
        let (of, name) = (family.prefix_filters, family.name.as_str());
        let passed = of.asked.saturating_sub(of.denied + of.in_vain);
        let answers = [("denied", of.denied), ("in_vain", of.in_vain), ("passed", passed)];
        answers.map(|(answer, count)| (vec![("family", name), ("answer", answer)], count))
    });
    let help =
        "Questions to prefix filters of tables; in_vain: passed, and nothing found where the scan looked.";
    text.many(Counter, "esker_prefix_filters_total", help, asked);
    let mut each_level = |name, help, of: fn(&LevelStats) -> u64| {
        const LEVEL: [&str; 7] = ["0", "1", "2", "3", "4", "5", "6"];
        let samples = families.iter().flat_map(|family| {
            let levels = LEVEL.into_iter().zip(&family.levels);
            let name = family.name.as_str();
            levels.map(move |(number, level)| (vec![("family", name), ("level", number)], of(level)))
        });
        text.many(Gauge, name, help, samples);
    };
    each_level("esker_table_files", "Tables.", |level| level.files);
    each_level("esker_table_bytes", "Bytes of tables.", |level| level.bytes);
    each_level("esker_table_entries", "Entries in tables, all versions counted.", |level| level.entries);
    each_level("esker_table_deletions", "Entries that are deletions.", |level| level.deletions);
}
