//! `esker verify`

use crate::failure::{DAMAGED, Failure, Outcome};
use crate::output::{Out, notes, progress};
use crate::store::{self, StoreArgs};
use crate::text::number::counted;
use crate::text::size;
use clap::Args;
use esker::{Db, Error, VerifyReport};
use esker_structures::verify::Report;
use esker_structures::{self as structures, Store};
use serde_json::{Value, json};

const AFTER_HELP: &str = "\
Examples:
  esker verify --dir data
  esker verify --json && echo sound
  esker verify --structures --dir data      what `esker serve` keeps: keys, elements, counts

Exit code 4: damage was found. Each damaged place is told in a line, with the file and the offset.";

/// Arguments of `esker verify`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct VerifyArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Check Redis' structures as well: headers, elements, index and counts must agree
    #[arg(long)]
    pub structures: bool,
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
    let tell = |db: &Db| progress.suspend(|| store::tell_recovery(db.recovery()));
    let (result, found) = if args.structures {
        match structures(args, &tell) {
            Ok((report, found)) => (Ok(report), Some(found)),
            Err(structures::Error::Engine(error)) => (Err(error), None),
            Err(other) => return Err(Failure::error(other.to_string())),
        }
    } else {
        let result = args.store.builder(false).any_layer().open().and_then(|db| {
            tell(&db);
            let report = db.verify()?;
            db.close().map(|()| report)
        });
        (result, None)
    };
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
        object["sound"] = json!(problems.is_empty() && found.as_ref().is_none_or(Report::is_clean));
        if let Some(found) = &found {
            object["keys"] = json!(found.keys);
            object["elements"] = json!(found.elements);
            object["disagreements"] = json!(found.wrong);
            object["findings"] = json!(found.findings);
        }
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
        if let Some(found) = &found {
            found.findings.iter().for_each(|finding| notes::error(finding));
            out.line(&told(found))?;
        }
    }
    out.finish()?;
    let agree = found.is_none_or(|found| found.is_clean());
    if problems.is_empty() && agree { Ok(()) } else { Err(Failure::Quiet { code: DAMAGED }) }
}

/// Opens the store as one of structures, and checks its files and what they say.
fn structures(args: &VerifyArgs, tell: &dyn Fn(&Db)) -> structures::Result<(VerifyReport, Report)> {
    let builder = args.store.builder(false);
    let store = Store::builder(&args.store.dir).engine(|_| builder).open()?;
    tell(store.engine());
    let report = store.engine().verify()?;
    let found = store.verify()?;
    store.close()?;
    Ok((report, found))
}

fn told(found: &Report) -> String {
    let verdict = match found.wrong {
        0 => "structures agree".to_owned(),
        wrong => format!("structures DISAGREE, {}", counted(wrong, "time")),
    };
    format!("{verdict}: {} with {}", counted(found.keys, "key"), counted(found.elements, "element record"))
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
