//! `esker repair`

use crate::failure::{Failure, LOST, Outcome};
use crate::output::{Out, progress};
use crate::text::bytes_text;
use clap::Args;
use esker::Repair;
use esker::repair::{
    Basis, Doubt, DoubtKind, FileRole, FileState, KeyRange, LogEnd, Loss, Order, RepairReport, RepairedFile,
    SeqRange, Use,
};
use serde_json::{Value, json};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  esker repair data --dry-run                 say what can be saved, and write nothing
  esker repair data --into new                write it to a new store
  esker repair data --into new --json | jq    the report as one JSON object

The damaged store is only ever read. The new one must not exist, or be empty, or be what an earlier
repair left unfinished.

Exit code 5: something is lost, or may be; the report says what.";

/// Arguments of `esker repair`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct RepairArgs {
    /// The directory of the damaged store
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The directory of the new store
    #[arg(long, value_name = "NEW", required_unless_present = "dry_run")]
    pub into: Option<PathBuf>,
    /// Read everything and report, but write nothing
    #[arg(long, conflicts_with = "into")]
    pub dry_run: bool,
    /// Print the report as one JSON object; keys are escaped as in `scan`
    #[arg(long)]
    pub json: bool,
}

/// Repairs a store, or says what a repair would save.
///
/// # Errors
/// There is nothing of a store, it is in use, or the new one cannot be written; or something is lost.
pub fn run(args: &RepairArgs) -> Outcome {
    let repair = Repair::new(&args.dir);
    let progress = progress::spinner("repairing");
    let report = match &args.into {
        Some(into) => repair.write(into),
        None => repair.look(),
    };
    progress.finish_and_clear();
    let report = report?;
    let mut out = Out::stdout();
    if args.json {
        out.line(&object(&report).to_string())?;
    } else {
        out.bytes(report.to_string().as_bytes())?;
    }
    out.finish()?;
    if report.loss() == Loss::NoneFound { Ok(()) } else { Err(Failure::Quiet { code: LOST }) }
}

fn object(report: &RepairReport) -> Value {
    let families = report.families.iter().map(|family| {
        json!({
            "id": family.id,
            "name": family.name,
            "name_known": family.name_known,
            "options_known": family.options_known,
            "keys": family.keys,
        })
    });
    let (basis, manifest) = match report.basis {
        Basis::InForce(number) => ("in_force", Some(number)),
        Basis::Newest(number) => ("newest", Some(number)),
        Basis::Parts => ("parts", None),
        Basis::Nothing => ("nothing", None),
    };
    json!({
        "loss": match report.loss() {
            Loss::NoneFound => "none_found",
            Loss::Possible => "possible",
            Loss::Certain => "certain",
        },
        "written": report.written,
        "entries_saved": report.entries_saved(),
        "entries_lost": report.entries_lost(),
        "basis": basis,
        "manifest": manifest,
        "order": match report.order {
            Order::Holds => "holds",
            Order::MayBeBroken => "may_be_broken",
        },
        "families": families.collect::<Vec<_>>(),
        "log": {
            "segments": report.log.segments,
            "groups": report.log.groups,
            "last_seq": report.log.last_seq,
            "end": match report.log.end {
                LogEnd::Closed => "closed",
                LogEnd::Open => "open",
                LogEnd::Torn => "torn",
                LogEnd::Damaged => "damaged",
                LogEnd::None => "none",
            },
            "missing": report.log.missing.iter().map(seqs).collect::<Vec<_>>(),
        },
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
        "doubts": report.doubts.iter().map(doubt).collect::<Vec<_>>(),
    })
}

fn file(file: &RepairedFile) -> Value {
    json!({
        "name": file.name,
        "role": match file.role {
            FileRole::Table => "table",
            FileRole::Log => "log",
            FileRole::Manifest => "manifest",
            FileRole::Current => "current",
            FileRole::Lock => "lock",
            FileRole::Temporary => "temporary",
            FileRole::Foreign => "foreign",
        },
        "state": match file.state {
            FileState::Intact => "intact",
            FileState::PartlyRead => "partly_read",
            FileState::Unreadable => "unreadable",
            FileState::Missing => "missing",
            FileState::NotRead => "not_read",
        },
        "used": match file.used {
            Use::Taken => "taken",
            Use::Filled => "filled_in",
            Use::LeftOut => "left_out",
        },
        "bytes": file.bytes,
        "entries_saved": file.entries_saved,
        "entries_lost": file.entries_lost,
        "family": file.family,
        "lost_keys": file.lost_keys.iter().map(keys).collect::<Vec<_>>(),
        "lost_seqs": file.lost_seqs.as_ref().map(seqs),
        "why": file.why,
    })
}

fn doubt(doubt: &Doubt) -> Value {
    json!({
        "kind": match doubt.kind {
            DoubtKind::Lost => "lost",
            DoubtKind::MayBeLost => "may_be_lost",
            DoubtKind::OpenEnd => "open_end",
        },
        "family": doubt.family,
        "keys": keys(&doubt.keys),
        "seqs": seqs(&doubt.seqs),
        "families_may_be_back": doubt.families_may_be_back,
        "why": doubt.why,
    })
}

fn keys(range: &KeyRange) -> Value {
    let text = |key: &Option<Vec<u8>>| key.as_deref().map(bytes_text::escape);
    json!({ "from": text(&range.from), "to": text(&range.to) })
}

fn seqs(range: &SeqRange) -> Value {
    json!({ "first": range.first, "last": range.last })
}
