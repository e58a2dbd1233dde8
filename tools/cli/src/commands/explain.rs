//! `esker explain`

use crate::args::KeyArgs;
use crate::failure::Outcome;
use crate::output::Out;
use crate::store::{FamilyArgs, StoreArgs};
use crate::text::bytes_text;
use clap::Args;
use esker::ReadContext;
use esker::explain::{Answer, EntryKind, Explanation, FoundEntry, HiddenBy, Place, PlaceKind};
use serde_json::{Value, json};
use std::ffi::OsString;

const AFTER_HELP: &str = "\
Examples:
  esker explain user:1
  esker explain user:1 --family tokens --json | jq .answer";

/// Arguments of `esker explain`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ExplainArgs {
    /// The key
    pub key: OsString,
    /// How the key is read.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

/// Says where a key stands, what a get of it answers, and why.
///
/// # Errors
/// There is no store or no such family, or it cannot be printed.
pub fn run(args: &ExplainArgs) -> Outcome {
    let key = args.keys.parse(&args.key)?;
    let explanation = args.family.read(&args.store.open_to_read()?)?.explain(&key);
    let mut out = Out::stdout();
    if args.json {
        out.line(&object(&explanation).to_string())?;
    } else {
        out.line(&explanation.to_string())?;
    }
    out.finish()
}

fn object(explanation: &Explanation) -> Value {
    json!({
        "family": explanation.family,
        "key": bytes_text::escape(&explanation.key),
        "seq": explanation.seq,
        "now_ms": explanation.now_ms,
        "answer": answer(&explanation.answer),
        "deleted_range": explanation.deleted_range,
        "places": explanation.places.iter().map(place).collect::<Vec<_>>(),
        "cost": cost(&explanation.cost),
    })
}

fn answer(answer: &Answer) -> Value {
    let nothing = |why: &str, seq: Option<u64>| json!({ "found": false, "why": why, "seq": seq });
    match answer {
        Answer::Value { bytes, seq, expires_at_ms, operands } => json!({
            "found": true,
            "bytes": bytes,
            "seq": seq,
            "expires_at_ms": expires_at_ms,
            "operands": operands,
        }),
        Answer::Deleted { seq } => nothing("deleted", Some(*seq)),
        Answer::RangeDeleted { range } => nothing("range deleted", Some(*range)),
        Answer::Expired { seq, at_ms } => {
            json!({ "found": false, "why": "expired", "seq": seq, "expired_at_ms": at_ms })
        }
        Answer::MergedToNothing => nothing("merged to nothing", None),
        Answer::Failed(error) => json!({ "found": null, "error": error.to_string() }),
        _ => nothing("nowhere", None),
    }
}

fn place(place: &Place) -> Value {
    let (kind, level, table) = match place.kind {
        PlaceKind::ActiveMemtable => ("active memtable", None, None),
        PlaceKind::SealedMemtable => ("sealed memtable", None, None),
        PlaceKind::Table { level, number } => ("table", Some(level), Some(number)),
        PlaceKind::Level { level } => ("level", Some(level), None),
        _ => ("other", None, None),
    };
    json!({
        "kind": kind,
        "level": level,
        "table": table,
        "covers": place.covers,
        "filter": place.filter,
        "block_cached": place.cached,
        "entry": place.entry.as_ref().map(entry),
        "error": place.error.as_ref().map(ToString::to_string),
    })
}

fn entry(entry: &FoundEntry) -> Value {
    let kind = match entry.kind {
        EntryKind::Value => "value",
        EntryKind::Deletion => "deletion",
        _ => "operand",
    };
    let hidden_by = entry.hidden_by.map(|hidden_by| match hidden_by {
        HiddenBy::Range(range) => json!({ "range": range }),
        HiddenBy::Expiry => json!("expiry"),
        _ => json!("newer"),
    });
    json!({
        "kind": kind,
        "seq": entry.seq,
        "value_bytes": entry.value_bytes,
        "apart": entry.apart.map(|at| json!({
            "blob_file": at.file,
            "offset": at.offset,
            "stored_bytes": at.stored_bytes,
        })),
        "expires_at_ms": entry.expires_at_ms,
        "hidden_by": hidden_by,
    })
}

fn cost(cost: &ReadContext) -> Value {
    json!({
        "memtables": cost.memtables,
        "tables": cost.tables,
        "filter_checks": cost.filter_checks,
        "filter_negatives": cost.filter_negatives,
        "filter_false_positives": cost.filter_false_positives,
        "prefix_checks": cost.prefix_checks,
        "prefix_negatives": cost.prefix_negatives,
        "prefix_false_positives": cost.prefix_false_positives,
        "blocks_cached": cost.blocks_cached,
        "blocks_read": cost.blocks_read,
        "pieces_read": cost.pieces_read,
        "values_cached": cost.values_cached,
        "values_read": cost.values_read,
        "value_bytes_read": cost.value_bytes_read,
        "bytes_read": cost.bytes_read,
        "bytes_uncompressed": cost.bytes_uncompressed,
        "entries_hidden": cost.entries_hidden,
        "operands": cost.operands,
    })
}
