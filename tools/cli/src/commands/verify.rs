//! `esker verify`

use crate::failure::{DAMAGED, Failure, Outcome};
use crate::output::{Out, notes, progress};
use crate::store::{self, StoreArgs};
use crate::text::number::counted;
use crate::text::size;
use clap::Args;
use esker::{Error, VerifyReport};
use serde_json::{Value, json};

const AFTER_HELP: &str = "\
Examples:
  esker verify --dir data
  esker verify --json && echo sound

Exit code 4: damage was found. Each damaged place is told in a line, with the file and the offset.";

/// Arguments of `esker verify`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct VerifyArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Reads and checks every byte of a store.
///
/// # Errors
/// Damage was found, or there is no store, or it cannot be read.
pub fn run(args: &VerifyArgs) -> Outcome {
    let progress = progress::spinner("verifying");
    let result = args.store.builder(false).open().and_then(|db| {
        progress.suspend(|| store::tell_recovery(db.recovery()));
        let report = db.verify()?;
        db.close().map(|()| report)
    });
    progress.finish_and_clear();
    // Damage that stands in the way of opening the store was found all the same.
    let (report, problems) = match result {
        Ok(report) => (Some(summary(&report)), report.problems),
        Err(error @ Error::Corruption(_)) => (None, vec![error]),
        Err(error) => return Err(error.into()),
    };
    let mut out = Out::stdout();
    if args.json {
        let mut object = report.map_or_else(|| json!({}), |(object, _)| object);
        object["sound"] = json!(problems.is_empty());
        object["problems"] = problems.iter().map(problem).collect();
        out.line(&object.to_string())?;
    } else {
        for problem in &problems {
            notes::error(&problem.to_string());
        }
        if let Some((_, text)) = report {
            let verdict = match problems.len() {
                0 => "sound".to_owned(),
                count => format!("DAMAGED, {}", counted(count as u64, "problem")),
            };
            out.line(&format!("{verdict}: {text}"))?;
        }
    }
    out.finish()?;
    if problems.is_empty() { Ok(()) } else { Err(Failure::Quiet { code: DAMAGED }) }
}

fn summary(report: &VerifyReport) -> (Value, String) {
    let object = json!({
        "families": report.families,
        "tables": report.tables,
        "blocks": report.blocks,
        "entries": report.entries,
        "bytes": report.bytes,
    });
    let text = format!(
        "{} in {}, {} of {}",
        counted(report.entries, "entry").replace("entrys", "entries"),
        counted(report.blocks, "block"),
        counted(report.tables, "table"),
        size::text(report.bytes),
    );
    (object, text)
}

fn problem(error: &Error) -> Value {
    match error {
        Error::Corruption(c) => json!({
            "file": c.file.display().to_string(),
            "offset": c.offset,
            "expected": c.expected,
            "found": c.found,
        }),
        other => json!({ "error": other.to_string() }),
    }
}
