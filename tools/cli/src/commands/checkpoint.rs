//! `esker checkpoint`

use crate::failure::Outcome;
use crate::output::Out;
use crate::store::StoreArgs;
use crate::text::number::counted;
use crate::text::size;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  esker checkpoint before-the-migration --dir data

The new directory is a store of its own. On the same file system it shares its tables with the first one, and
takes hardly any space until either is rewritten.";

/// Arguments of `esker checkpoint`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CheckpointArgs {
    /// Where the copy is made: a directory that does not exist or is empty
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Makes a second store that holds what the first does, in a moment.
///
/// # Errors
/// There is no store, it is in use, or the new directory cannot be written or is not empty.
pub fn run(args: &CheckpointArgs) -> Outcome {
    let db = args.store.open()?;
    let made = db.checkpoint(&args.new)?;
    db.close()?;
    let mut out = Out::stdout();
    if args.json {
        let object = json!({
            "path": made.path.display().to_string(),
            "seq": made.seq,
            "files": made.files,
            "linked_bytes": made.linked_bytes,
            "copied_bytes": made.copied_bytes,
        });
        out.line(&object.to_string())?;
    } else {
        let (files, linked) = (counted(made.files as u64, "file"), size::text(made.linked_bytes));
        let (path, copied) = (made.path.display(), size::text(made.copied_bytes));
        out.line(&format!("{path}: {files}, {linked} shared, {copied} copied"))?;
    }
    out.finish()
}
