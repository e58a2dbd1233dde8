//! `esker delete`

use crate::args::KeyArgs;
use crate::failure::Outcome;
use crate::store::{FamilyArgs, StoreArgs};
use clap::Args;
use esker::{Durability, WriteBatch};
use std::ffi::OsString;

const AFTER_HELP: &str = "\
Examples:
  esker delete user:1 user:2
  esker delete hex:00ff --family tokens

All keys are removed at once, and for good when the command returns. A key that is not there is no
error.";

/// Arguments of `esker delete`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct DeleteArgs {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    pub list: Vec<OsString>,
    /// How keys are read.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

/// Removes keys in one batch.
///
/// # Errors
/// There is no store or family, or the batch cannot be written.
pub fn run(args: &DeleteArgs) -> Outcome {
    let keys = args.list.iter().map(|key| args.keys.parse(key)).collect::<Outcome<Vec<_>>>()?;
    let db = args.store.open_to_write()?;
    let family = args.family.open(&db)?;
    let mut batch = WriteBatch::new();
    for key in &keys {
        batch.delete(&family, key);
    }
    db.write(batch, Durability::Sync)?;
    Ok(db.close()?)
}
