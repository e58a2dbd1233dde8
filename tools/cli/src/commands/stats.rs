//! `esker stats`

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::store::StoreArgs;
use crate::text::number::{counted, grouped};
use crate::text::size;
use clap::Args;
use esker::{FamilyStats, Stats};
use serde_json::json;

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
    let stats = db.stats();
    let mut out = Out::stdout();
    if args.json {
        let text = serde_json::to_string(&object(&stats)).map_err(|e| Failure::error(e.to_string()))?;
        out.line(&text)?;
    } else {
        print(&mut out, &stats)?;
    }
    out.finish()
}

fn object(stats: &Stats) -> serde_json::Value {
    let levels = |family: &FamilyStats| -> Vec<serde_json::Value> {
        family.levels.iter().map(|level| json!({ "files": level.files, "bytes": level.bytes })).collect()
    };
    let family = |family: &FamilyStats| {
        let (memtable_bytes, levels) = (family.memtable_bytes, levels(family));
        json!({ "name": family.name, "memtable_bytes": memtable_bytes, "levels": levels })
    };
    json!({
        "visible_seq": stats.visible_seq,
        "durable_seq": stats.durable_seq,
        "wal_bytes": stats.wal_bytes,
        "memory_bytes": stats.memory_bytes,
        "families": stats.families.iter().map(family).collect::<Vec<_>>(),
    })
}

fn print(out: &mut Out, stats: &Stats) -> Outcome {
    out.line(&format!(
        "sequence   visible {}, durable {}",
        grouped(stats.visible_seq),
        grouped(stats.durable_seq)
    ))?;
    out.line(&format!("log        {}", size::text(stats.wal_bytes)))?;
    out.line(&format!("memory     {}", size::text(stats.memory_bytes)))?;
    for family in &stats.families {
        out.bytes(b"\n")?;
        out.label(&format!("family {:?}", family.name))?;
        out.bytes(b"\n")?;
        out.line(&format!("  memtables  {}", size::text(family.memtable_bytes)))?;
        for (number, level) in family.levels.iter().enumerate().filter(|(_, level)| level.files > 0) {
            let files = counted(level.files, "file");
            out.line(&format!("  level {number}    {files}, {}", size::text(level.bytes)))?;
        }
    }
    Ok(())
}
