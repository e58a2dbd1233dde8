//! `esker scan`

use crate::args::{PrintArgs, RangeArgs};
use crate::failure::Outcome;
use crate::output::{EntryFormat, EntryWriter, Out};
use crate::store::{FamilyArgs, StoreArgs};
use clap::Args;
use esker::Slice;

const AFTER_HELP: &str = "\
Examples:
  esker scan --limit 10
  esker scan --prefix user: --keys-only
  esker scan --from a --to b --reverse --json
  esker scan --prefix user: --count

An entry is printed as its key, a tab and its value, each escaped: \\xNN, \\n, \\t, \\\\.";

/// Arguments of `esker scan`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ScanArgs {
    /// Which keys.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Print at most this many entries
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<u64>,
    /// Begin at the end of the range and go backwards
    #[arg(short, long)]
    pub reverse: bool,
    /// Leave the values out
    #[arg(long)]
    pub keys_only: bool,
    /// Print only how many entries there are
    #[arg(long, conflicts_with = "keys_only")]
    pub count: bool,
    /// How entries are printed.
    #[command(flatten)]
    pub print: PrintArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

/// Prints the entries of a range.
///
/// # Errors
/// There is no store or family, or entries cannot be read or printed.
pub fn run(args: &ScanArgs) -> Outcome {
    let bounds = args.range.bounds()?;
    let format = if args.print.json { EntryFormat::Jsonl } else { EntryFormat::Text };
    let writer = EntryWriter::new(format, args.print.encoding)?;
    let family = args.family.read(&args.store.open_to_read()?)?;
    let mut out = Out::stdout();
    let mut entries: Box<dyn Iterator<Item = esker::Result<(Slice, Slice)>>> = match bounds {
        None => Box::new(std::iter::empty()),
        Some(bounds) if args.reverse => Box::new(family.range::<Vec<u8>, _>(bounds).rev()),
        Some(bounds) => Box::new(family.range::<Vec<u8>, _>(bounds)),
    };
    if let Some(limit) = args.limit {
        entries = Box::new(entries.take(usize::try_from(limit).unwrap_or(usize::MAX)));
    }
    let mut count: u64 = 0;
    for entry in entries {
        let (key, value) = entry?;
        count += 1;
        if !args.count {
            writer.entry(&mut out, &key, (!args.keys_only).then_some(&*value), None)?;
        }
    }
    if args.count && args.print.json {
        out.line(&format!("{{\"count\":{count}}}"))?;
    } else if args.count {
        out.line(&count.to_string())?;
    }
    out.finish()
}
