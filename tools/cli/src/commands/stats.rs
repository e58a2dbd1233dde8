//! `esker stats`

use crate::failure::Outcome;
use crate::output::Out;
use crate::store::StoreArgs;
use crate::text::number::{counted, grouped};
use crate::text::size;
use clap::Args;
use esker::base::clock::Clock;
use esker::{FamilyStats, FeedConsumerInfo, Health, LevelStats, MemoryReport, Recovery, Stats};
use serde_json::{Value, json};

const AFTER_HELP: &str = "\
Examples:
  esker stats --dir data
  esker stats --json | jq .families";

/// Arguments of `esker stats`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct StatsArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Prints the sizes and counters of a store.
///
/// # Errors
/// There is no store, or it cannot be opened.
pub fn run(args: &StatsArgs) -> Outcome {
    let db = args.store.open()?;
    let (stats, memory, health) = (db.stats(), db.memory_report(), db.health());
    let mut out = Out::stdout();
    if args.json {
        let mut object = object(&stats, &health, db.recovery());
        object["memory"] = memory_object(&memory);
        out.line(&object.to_string())?;
    } else {
        print(&mut out, &stats)?;
        out.line(&format!("{memory}\n"))?;
        print_state(&mut out, &health, db.recovery())?;
    }
    out.finish()?;
    Ok(db.close()?)
}

fn object(stats: &Stats, health: &Health, recovery: &Recovery) -> Value {
    let level = |level: &LevelStats| {
        json!({
            "files": level.files,
            "bytes": level.bytes,
            "entries": level.entries,
            "deletions": level.deletions,
        })
    };
    let family = |family: &FamilyStats| {
        json!({
            "name": family.name,
            "memtable_bytes": family.memtable_bytes,
            "sealed_memtables": family.sealed_memtables,
            "table_bytes": family.table_bytes(),
            "levels": family.levels.iter().map(level).collect::<Vec<_>>(),
            "dictionaries": { "tables": family.dictionaries.tables, "bytes": family.dictionaries.bytes },
            "blobs": {
                "files": family.blobs.files,
                "bytes": family.blobs.bytes,
                "dead_bytes": family.blobs.dead_bytes,
            },
            "hidden_since_ms": family.hidden_since_ms,
            "erase_due_bytes": family.erase_due_bytes,
            "erase_held_bytes": family.erase_held_bytes,
            "ranges": {
                "unflushed": family.ranges.unflushed,
                "deleted": family.ranges.deleted,
                "dropped": family.ranges.dropped,
                "bytes": family.ranges.bytes,
                "oldest_ms": family.ranges.oldest.map(|age| age.as_millis() as u64),
            },
        })
    };
    let cut = recovery.cut.as_ref().map(|cut| {
        json!({
            "file": cut.file.display().to_string(),
            "offset": cut.offset,
            "bytes": cut.bytes,
            "why": cut.why,
            "damaged": cut.damaged,
        })
    });
    let feed = &stats.feed;
    let consumer = |consumer: &FeedConsumerInfo| {
        json!({
            "name": consumer.name,
            "position": consumer.position.to_string(),
            "lag": consumer.lag,
            "cut_loose": consumer.is_cut_loose,
        })
    };
    json!({
        "visible_seq": stats.visible_seq,
        "durable_seq": stats.durable_seq,
        "wal_bytes": stats.wal_bytes,
        "manifest_bytes": stats.manifest_bytes,
        "memory_bytes": stats.memory_bytes,
        "open_files": stats.open_files,
        "feed": {
            "segments": feed.segments,
            "bytes": feed.bytes,
            "oldest_ms": feed.oldest.map(|age| age.as_millis() as u64),
            "consumers": feed.consumers.iter().map(consumer).collect::<Vec<_>>(),
        },
        "families": stats.families.iter().map(family).collect::<Vec<_>>(),
        "health": {
            "well": health.is_well(),
            "poisoned": health.poisoned,
            "full": health.full.as_ref().map(ToString::to_string),
            "background": health.background.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "clock_skew_ms": health.clock_skew_ms,
        },
        "recovery": {
            "clean": recovery.clean,
            "replayed_groups": recovery.replayed_groups,
            "cut": cut,
            "torn_manifest_bytes": recovery.torn_manifest_bytes,
            "removed_files": recovery.removed_files,
        },
    })
}

fn memory_object(memory: &MemoryReport) -> Value {
    let part = |part: &esker::MemoryPart| {
        (part.name.to_owned(), json!({ "bytes": part.bytes, "budget_bytes": part.budget_bytes }))
    };
    let parts: serde_json::Map<String, Value> = memory.parts().iter().map(part).collect();
    json!({ "bytes": memory.total_bytes(), "budget_bytes": memory.budget_bytes, "parts": parts })
}

fn print(out: &mut Out, stats: &Stats) -> Outcome {
    let (visible, durable) = (grouped(stats.visible_seq), grouped(stats.durable_seq));
    out.line(&format!("sequence   visible {visible}, durable {durable}"))?;
    out.line(&format!("log        {}", size::text(stats.wal_bytes)))?;
    out.line(&format!("manifest   {}", size::text(stats.manifest_bytes)))?;
    if stats.feed.segments > 0 || !stats.feed.consumers.is_empty() {
        let (segments, consumers) = (stats.feed.segments as u64, stats.feed.consumers.len() as u64);
        let (segments, bytes) = (counted(segments, "segment"), size::text(stats.feed.bytes));
        out.line(&format!("changes    {segments} kept, {bytes}, for {}", counted(consumers, "consumer")))?;
    }
    for family in &stats.families {
        out.bytes(b"\n")?;
        out.label(&format!("family {:?}", family.name))?;
        out.bytes(b"\n")?;
        out.line(&format!("  memtables  {}", size::text(family.memtable_bytes)))?;
        for (number, level) in family.levels.iter().enumerate().filter(|(_, level)| level.files > 0) {
            let (files, bytes) = (counted(level.files, "file"), size::text(level.bytes));
            let (entries, deletions) = (grouped(level.entries), grouped(level.deletions));
            out.line(&format!(
                "  level {number}    {files}, {bytes}, {entries} entries, {deletions} of them deletions"
            ))?;
        }
        if family.dictionaries.tables > 0 {
            let (tables, bytes) = (family.dictionaries.tables, size::text(family.dictionaries.bytes));
            out.line(&format!("  dictionaries in {}, {bytes}", counted(tables, "file")))?;
        }
        let blobs = &family.blobs;
        if blobs.files > 0 {
            let (files, bytes) = (counted(blobs.files, "file"), size::text(blobs.bytes));
            out.line(&format!("  blobs      {files}, {bytes}, {} of it dead", size::text(blobs.dead_bytes)))?;
        }
        if let Some(since_ms) = family.hidden_since_ms {
            let age_s = Clock::System.wall_ms().saturating_sub(since_ms) / 1000;
            out.line(&format!(
                "  hidden     since {since_ms} (ms since 1970), {} s ago, and not yet erased",
                grouped(age_s)
            ))?;
        }
        if family.erase_due_bytes > 0 {
            let (due, held) = (size::text(family.erase_due_bytes), size::text(family.erase_held_bytes));
            out.line(&format!("  erasure    {due} due, {held} of it held by snapshots"))?;
        }
        let ranges = &family.ranges;
        if let Some(oldest) = ranges.oldest {
            let (deleted, dropped) = (grouped(ranges.deleted as u64), grouped(ranges.dropped as u64));
            let (unflushed, bytes) = (grouped(ranges.unflushed as u64), size::text(ranges.bytes));
            out.line(&format!(
                "  ranges     {deleted} deleted, {dropped} dropped, {bytes}; {unflushed} unflushed; \
                 the oldest {} s old",
                grouped(oldest.as_secs())
            ))?;
        }
    }
    out.bytes(b"\n")
}

fn print_state(out: &mut Out, health: &Health, recovery: &Recovery) -> Outcome {
    let opened = match (recovery.clean, recovery.replayed_groups) {
        (true, _) => "after it was closed in good order".to_owned(),
        (false, groups) => format!("after an interruption; {} replayed", counted(groups, "group")),
    };
    out.line(&format!("opened     {opened}"))?;
    out.line(&format!("health     {}", if health.is_well() { "well" } else { "not well" }))?;
    let errors = health.background.iter().chain(&health.full);
    let troubles = health.poisoned.iter().cloned().chain(errors.map(ToString::to_string));
    for trouble in troubles {
        out.line(&format!("  {trouble}"))?;
    }
    if health.clock_skew_ms > 0 {
        let skew = grouped(health.clock_skew_ms);
        out.line(&format!("  the wall clock was set back: entries expire by a clock {skew} ms ahead of it"))?;
    }
    Ok(())
}
