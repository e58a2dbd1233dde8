//! `esker repair`

use crate::failure::{DAMAGED, Failure, OPEN_END, Outcome};
use crate::output::{Out, progress};
use crate::text::bytes_text;
use clap::Args;
use esker::repair::{
    Basis, Doubt, DoubtKind, FileRole, FileState, KeyRange, LogEnd, Loss, Order, RepairedFile, SeqRange, Use,
};
use esker::{Repair, RepairReport};
use esker_structures::Store;
use serde_json::{Value, json};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  esker repair data --into repaired --dry-run       what could be saved? writes nothing
  esker repair data --into repaired                 save it
  esker repair data --into repaired --json | jq .doubts

The damaged store is not changed. With --json, bytes of keys that are no text are written \\xNN.

Exit code 4: something was lost, or may have been; the report says what.
Exit code 5: nothing is damaged, but the store was not closed, so that nobody knows where it ended.";

/// Arguments of `esker repair`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct RepairArgs {
    /// The directory of the damaged store
    pub dir: PathBuf,
    /// Where the new store is made: a directory that does not exist or is empty
    #[arg(long, value_name = "NEW")]
    pub into: PathBuf,
    /// The store is one of structures; needed where no manifest is left to say so
    #[arg(long)]
    pub structures: bool,
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
    let repair = if args.structures { Store::repair(&args.dir) } else { Repair::new(&args.dir) };
    let report = if args.dry_run { repair.look_into(&args.into) } else { repair.write(&args.into) };
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
    match report.loss() {
        Loss::NoneFound => Ok(()),
        Loss::OpenEnd => Err(Failure::Quiet { code: OPEN_END }),
        Loss::Possible | Loss::Certain => Err(Failure::Quiet { code: DAMAGED }),
    }
}

fn object(report: &RepairReport) -> Value {
    let (basis, manifest) = match report.basis {
        Basis::InForce(number) => ("manifest in force", Some(number)),
        Basis::Newest(number) => ("newest manifest", Some(number)),
        Basis::Parts => ("parts of manifests", None),
        Basis::Nothing => ("no manifest", None),
    };
    let loss = match report.loss() {
        Loss::NoneFound => "none found",
        Loss::OpenEnd => "open end",
        Loss::Possible => "possible",
        Loss::Certain => "certain",
    };
    let end = match report.log.end {
        LogEnd::Closed => "closed",
        LogEnd::Open => "open",
        LogEnd::Torn => "torn",
        LogEnd::Damaged => "damaged",
        LogEnd::None => "none",
    };
    json!({
        "written": report.written,
        "loss": loss,
        "basis": basis,
        "manifest": manifest,
        "layer": report.layer,
        "layer_known": report.layer_known,
        "order_holds": report.order == Order::Holds,
        "entries_saved": report.entries_saved(),
        "entries_lost": report.entries_lost(),
        "entries_gone": report.entries_gone(),
        "families": report.families.iter().map(|family| json!({
            "id": family.id,
            "name": family.name,
            "name_known": family.name_known,
            "options_known": family.options_known,
            "assumed": family.assumed,
            "keys": family.keys,
            "expired": family.expired,
        })).collect::<Vec<_>>(),
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
        "log": {
            "segments": report.log.segments,
            "groups": report.log.groups,
            "last_seq": report.log.last_seq,
            "end": end,
            "missing": report.log.missing.iter().map(seqs).collect::<Vec<_>>(),
        },
        "doubts": report.doubts.iter().map(doubt).collect::<Vec<_>>(),
    })
}

fn keys(range: &KeyRange) -> Value {
    let key = |key: &Option<Vec<u8>>| key.as_deref().map(bytes_text::escape);
    json!({ "from": key(&range.from), "to": key(&range.to) })
}

fn seqs(range: &SeqRange) -> Value {
    json!({ "first": range.first, "last": range.last })
}

fn file(file: &RepairedFile) -> Value {
    let role = match file.role {
        FileRole::Table => "table",
        FileRole::Blob => "blob",
        FileRole::Log => "log",
        FileRole::Manifest => "manifest",
        FileRole::Current => "current",
        FileRole::Lock => "lock",
        FileRole::Reserve => "reserve",
        FileRole::Options => "options",
        FileRole::Temporary => "temporary",
        FileRole::Foreign => "foreign",
    };
    let state = match file.state {
        FileState::Intact => "intact",
        FileState::OpenEnd => "open end",
        FileState::PartlyRead => "partly read",
        FileState::Unreadable => "unreadable",
        FileState::Missing => "missing",
        FileState::NotRead => "not read",
    };
    let used = match file.used {
        Use::Taken => "taken",
        Use::Filled => "filled in",
        Use::LeftOut => "left out",
    };
    json!({
        "name": file.name,
        "role": role,
        "state": state,
        "used": used,
        "bytes": file.bytes,
        "entries_saved": file.entries_saved,
        "entries_lost": file.entries_lost,
        "entries_gone": file.entries_gone,
        "family": file.family,
        "lost_keys": file.lost_keys.iter().map(keys).collect::<Vec<_>>(),
        "lost_seqs": file.lost_seqs.as_ref().map(seqs),
        "why": file.why,
    })
}

fn doubt(doubt: &Doubt) -> Value {
    let kind = match doubt.kind {
        DoubtKind::Lost => "lost",
        DoubtKind::MayBeLost => "may be lost",
        DoubtKind::OpenEnd => "open end",
    };
    json!({
        "kind": kind,
        "family": doubt.family,
        "keys": keys(&doubt.keys),
        "seqs": seqs(&doubt.seqs),
        "families_may_be_back": doubt.families_may_be_back,
        "why": doubt.why,
    })
}
