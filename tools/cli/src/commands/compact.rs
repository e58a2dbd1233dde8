//! `esker compact`

use crate::args::RangeArgs;
use crate::failure::Outcome;
use crate::output::progress;
use crate::store::{FamilyArgs, StoreArgs};
use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  esker compact --dir data
  esker compact --family tokens --prefix expired:

Without a family or a range everything is compacted. The store stays whole if this is interrupted.";

/// Arguments of `esker compact`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CompactArgs {
    /// Which keys.
    #[command(flatten)]
    pub range: RangeArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

impl CompactArgs {
    fn is_everything(&self) -> bool {
        let range = &self.range;
        self.family.family.is_none() && range.from.is_none() && range.to.is_none() && range.prefix.is_none()
    }
}

/// Compacts a range of one family, or everything.
///
/// # Errors
/// There is no store or family, or its files cannot be rewritten.
pub fn run(args: &CompactArgs) -> Outcome {
    let bounds = args.range.bounds()?;
    let db = args.store.open()?;
    let progress = progress::spinner("compacting");
    if args.is_everything() {
        db.compact()?;
    } else if let Some(bounds) = bounds {
        args.family.open(&db)?.compact_range::<Vec<u8>, _>(bounds)?;
    }
    progress.finish_and_clear();
    Ok(db.close()?)
}
