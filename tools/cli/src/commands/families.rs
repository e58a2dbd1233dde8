//! `esker families`

use crate::failure::Outcome;
use crate::output::Out;
use crate::store::StoreArgs;
use crate::text::bytes_text;
use clap::{Args, Subcommand};
use esker::FamilyOptions;
use serde_json::json;

const AFTER_HELP: &str = "\
Examples:
  esker families list --dir data
  esker families create tokens
  esker families create pictures --blob-values-from 4096
  esker families drop tokens";

/// Arguments of `esker families`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct FamiliesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FamiliesCommand,
}

/// What to do with column families.
#[derive(Debug, Subcommand)]
pub enum FamiliesCommand {
    /// Print the names of the column families
    #[command(after_help = "Example:\n  esker families list --dir data")]
    List(ListArgs),
    /// Create an empty column family (and the store, where there is none)
    #[command(after_help = "Example:\n  esker families create pictures --blob-values-from 4096")]
    Create(CreateArgs),
    /// Remove a column family with everything in it
    #[command(after_help = "Example:\n  esker families drop tokens")]
    Drop(NameArgs),
}

/// Arguments of `esker families list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Print JSON, an object in each line
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `esker families create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// The column family
    pub name: String,
    /// Keep values of so many bytes or more in files of their own; 0 for none [default: 4096]
    #[arg(long, value_name = "BYTES")]
    pub blob_values_from: Option<usize>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `esker families drop`.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// The column family
    pub name: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Lists, creates or drops column families.
///
/// # Errors
/// There is no store, or the family exists already, or is not there.
pub fn run(args: &FamiliesArgs) -> Outcome {
    match &args.command {
        FamiliesCommand::List(args) => list(args),
        FamiliesCommand::Create(args) => {
            let db = args.store.open_or_create()?;
            let mut options = FamilyOptions::default();
            if let Some(from) = args.blob_values_from {
                options.blob_values_from = Some(from).filter(|from| *from > 0);
            }
            db.create_column_family(&args.name, options)?;
            Ok(db.close()?)
        }
        FamiliesCommand::Drop(args) => {
            let db = args.store.open_to_write()?;
            db.drop_column_family(&args.name)?;
            Ok(db.close()?)
        }
    }
}

fn list(args: &ListArgs) -> Outcome {
    let db = args.store.open_to_read()?;
    let mut out = Out::stdout();
    for name in db.column_families() {
        if args.json {
            out.line(&json!({ "name": name }).to_string())?;
        } else {
            out.line(&bytes_text::escape(name.as_bytes()))?;
        }
    }
    out.finish()
}
