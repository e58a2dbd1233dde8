//! `esker repair`

use crate::failure::{DAMAGED, Failure, Outcome};
use crate::output::{Out, progress};
use clap::Args;
use esker::repair::{Comeback, FileReport, LogGap, LostRange, ManifestUse};
use esker::{Repair, RepairReport};
use serde_json::{Value, json};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  esker repair data --into repaired --dry-run       what could be saved? writes nothing
  esker repair data --into repaired                 save it
  esker repair data --into repaired --json | jq .lost

The damaged store is not changed. With --json, keys are JSON strings in which bytes that are no UTF-8 are
written \\xNN.

Exit code 4: the new store is sound, but it is not certain that nothing was lost; the report says what.";

/// Arguments of `esker repair`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct RepairArgs {
    /// The directory of the damaged store
    pub dir: PathBuf,
    /// Where the new store is made: a directory that does not exist or is empty
    #[arg(long, value_name = "NEW")]
    pub into: PathBuf,
    /// Only report what could be saved
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Makes a new store from what is left of a damaged one, and prints the loss report.
///
/// # Errors
/// There is nothing of a store, the new directory is not empty, it cannot be written; or something was
/// lost.
pub fn run(args: &RepairArgs) -> Outcome {
    let progress = progress::spinner(if args.dry_run { "looking" } else { "repairing" });
    let report = Repair::new(&args.dir, &args.into).dry_run(args.dry_run).run();
    progress.finish_and_clear();
    let report = report?;
    let mut out = Out::stdout();
    if args.json {
        out.line(&object(&report).to_string())?;
    } else {
        for line in report.to_string().lines() {
            out.line(line)?;
        }
    }
    out.finish()?;
    if report.is_lossless() { Ok(()) } else { Err(Failure::Quiet { code: DAMAGED }) }
}

fn object(report: &RepairReport) -> Value {
    let (manifest, why) = match &report.manifest {
        ManifestUse::Whole { .. } => ("whole", None),
        ManifestUse::NamesOnly { why } => ("names only", Some(why)),
        _ => ("none", None),
    };
    json!({
        "dry_run": report.dry_run,
        "lossless": report.is_lossless(),
        "manifest": manifest,
        "manifest_why": why,
        "saved": report.saved(),
        "lost_entries": report.lost_entries(),
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
        "families": report.families.iter().map(|family| json!({
            "id": family.id,
            "name": family.name,
            "name_known": family.name_known,
            "entries": family.entries,
        })).collect::<Vec<_>>(),
        "lost": report.lost.iter().map(lost).collect::<Vec<_>>(),
        "log_gaps": report.gaps.iter().map(gap).collect::<Vec<_>>(),
        "may_have_come_back": report.comebacks.iter().map(comeback).collect::<Vec<_>>(),
    })
}

fn key(key: Option<&Vec<u8>>) -> Value {
    key.map_or(Value::Null, |key| json!(crate::text::bytes_text::escape(key)))
}

fn seqs(seqs: Option<(u64, u64)>) -> Value {
    seqs.map_or(Value::Null, |(first, last)| json!([first, last]))
}

fn file(file: &FileReport) -> Value {
    json!({
        "name": file.name,
        "state": file.state.to_string(),
        "bytes": file.bytes,
        "saved": file.saved,
        "lost": file.lost,
        "sequence_numbers": seqs(file.seqs),
        "why": file.why,
    })
}

fn lost(range: &LostRange) -> Value {
    json!({
        "family": range.family,
        "file": range.file,
        "from": key(range.from.as_ref()),
        "to": key(range.to.as_ref()),
        "sequence_numbers": seqs(range.seqs),
        "entries": range.entries,
    })
}

fn gap(gap: &LogGap) -> Value {
    json!({
        "file": gap.file,
        "after": gap.after,
        "before": gap.before,
        "certain": gap.certain,
        "why": gap.why,
    })
}

fn comeback(range: &Comeback) -> Value {
    json!({
        "family": range.family,
        "from": key(range.from.as_ref()),
        "to": key(range.to.as_ref()),
        "why": range.why,
    })
}
