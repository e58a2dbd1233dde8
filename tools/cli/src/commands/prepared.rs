//! `esker prepared`

use crate::failure::Outcome;
use crate::output::Out;
use crate::store::StoreArgs;
use crate::text::bytes_text;
use crate::text::number::counted;
use clap::{Args, Subcommand};
use esker::{Durability, ReadOnlyPrepared};
use serde_json::json;

const AFTER_HELP: &str = "\
Examples:
  esker prepared list --dir data
  esker prepared commit \"transfer 17\"
  esker prepared rollback \"transfer 17\"

To end one by hand is for when whoever prepared it is gone for good: what others have decided of the same
name is not asked.";

/// Arguments of `esker prepared`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct PreparedArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PreparedCommand,
}

/// What to do with prepared transactions.
#[derive(Debug, Subcommand)]
pub enum PreparedCommand {
    /// Print the transactions that are prepared
    #[command(after_help = "Example:\n  esker prepared list --dir data --json")]
    List(ListArgs),
    /// Commit a prepared transaction; it is on disk when the command returns
    #[command(after_help = "Example:\n  esker prepared commit \"transfer 17\"")]
    Commit(NameArgs),
    /// Give a prepared transaction up
    #[command(after_help = "Example:\n  esker prepared rollback \"transfer 17\"")]
    Rollback(NameArgs),
}

/// Arguments of `esker prepared list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Print JSON, an object in each line
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `esker prepared commit` and `rollback`.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// The name under which it was prepared
    pub name: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Lists prepared transactions, or ends one.
///
/// # Errors
/// There is no store, or no transaction of this name is prepared.
pub fn run(args: &PreparedArgs) -> Outcome {
    match &args.command {
        PreparedCommand::List(args) => list(args),
        PreparedCommand::Commit(args) => {
            let db = args.store.open()?;
            db.commit_prepared(&args.name, Durability::Sync)?;
            Ok(db.close()?)
        }
        PreparedCommand::Rollback(args) => {
            let db = args.store.open()?;
            db.rollback_prepared(&args.name)?;
            db.sync()?;
            Ok(db.close()?)
        }
    }
}

fn list(args: &ListArgs) -> Outcome {
    let db = args.store.open_to_read()?;
    let now_ms = db.default_family().now_ms();
    let mut out = Out::stdout();
    for prepared in db.prepared()? {
        let age_s = now_ms.saturating_sub(prepared.prepared_ms) / 1000;
        out.line(&if args.json { object(&prepared, age_s) } else { line(&prepared, age_s) })?;
    }
    out.finish()
}

fn object(prepared: &ReadOnlyPrepared, age_s: u64) -> String {
    let ReadOnlyPrepared { name, writes, keys, bytes, .. } = prepared;
    json!({ "name": name, "age_s": age_s, "writes": writes, "locks": keys.len(), "bytes": bytes }).to_string()
}

fn line(prepared: &ReadOnlyPrepared, age_s: u64) -> String {
    let ReadOnlyPrepared { name, writes, keys, bytes, .. } = prepared;
    let name = bytes_text::escape(name.as_bytes());
    let (writes, locks) = (counted(*writes as u64, "write"), counted(keys.len() as u64, "key"));
    let bytes = counted(*bytes, "byte");
    format!("{name}: {writes}, {locks} locked, {bytes}, prepared {age_s} s ago")
}
