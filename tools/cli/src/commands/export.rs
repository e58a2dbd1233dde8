//! `esker export`

use crate::args::RangeArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{EntryFormat, EntryWriter, Out, progress};
use crate::store::{FamilyArgs, StoreArgs};
use crate::text::bytes_text::Encoding;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  esker export -o backup.jsonl --dir data
  esker import backup.jsonl --into copy                 the same entries again
  esker export --all-families | gzip > all.jsonl.gz
  esker export --format csv --prefix user: -o users.csv
  esker import users.csv --key key --value value --encoding escape --into copy

Formats:
  esker  JSON lines behind a declaration; `import` restores the same bytes without further options
  jsonl  the same without the declaration: {\"key\":\"..\",\"value\":\"..\"}
  csv    columns key and value, with quotes
  tsv    columns key and value, without quotes
  raw    the key, a tab, the value and a line end, byte by byte: not to be told apart again if keys
         or values hold tabs or line ends themselves

The export is of one moment, whatever is written meanwhile. Times of expiry are not exported. A
file has its name only when it is whole; until then it ends in .partial.";

/// Arguments of `esker export`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ExportArgs {
    /// Write to this file; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// How entries are written
    #[arg(long, value_name = "FORMAT", default_value = "esker", hide_possible_values = true)]
    pub format: ExportFormat,
    /// How keys and values are written: escape, hex, base64, or raw (as they are, where the format can)
    #[arg(short, long, value_name = "ENCODING", default_value = "escape", hide_possible_values = true)]
    pub encoding: Encoding,
    /// Export every column family (formats esker and jsonl)
    #[arg(long, conflicts_with = "family")]
    pub all_families: bool,
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

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// JSON lines behind a declaration.
    Esker,
    /// JSON lines.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// The bytes as they are.
    Raw,
}

impl ExportArgs {
    fn writer(&self) -> Outcome<EntryWriter> {
        let (format, encoding) = match self.format {
            ExportFormat::Esker => (EntryFormat::Esker, self.encoding),
            ExportFormat::Jsonl => (EntryFormat::Jsonl, self.encoding),
            ExportFormat::Csv => (EntryFormat::Csv, self.encoding),
            ExportFormat::Tsv => (EntryFormat::Tsv, self.encoding),
            ExportFormat::Raw => (EntryFormat::Text, Encoding::Raw),
        };
        if self.all_families && !matches!(format, EntryFormat::Esker | EntryFormat::Jsonl) {
            return Err(Failure::usage("--all-families goes with the formats esker and jsonl only"));
        }
        EntryWriter::new(format, encoding)
    }
}

/// Writes the entries of a range of one family, or of all.
///
/// # Errors
/// There is no store or family, or entries cannot be read or written.
pub fn run(args: &ExportArgs) -> Outcome {
    let writer = args.writer()?;
    let bounds = args.range.bounds()?;
    let db = args.store.open()?;
    let mut families = Vec::new();
    if args.all_families {
        let default = db.default_family();
        for name in db.column_families() {
            let family = db.open_column_family(&name)?;
            let name = (family.name() != default.name()).then_some(name);
            families.push((name, family));
        }
    } else {
        families.push((None, args.family.open(&db)?));
    }
    let to_stdout = args.output.as_os_str() == "-";
    let mut out = if to_stdout { Out::stdout() } else { Out::file(&args.output)? };
    let progress = progress::count("exporting");
    let snapshot = db.snapshot();
    writer.begin(&mut out)?;
    for (name, family) in &families {
        let Some(bounds) = bounds.clone() else { break };
        for entry in snapshot.range::<Vec<u8>, _>(family, bounds)? {
            let (key, value) = entry?;
            writer.entry(&mut out, &key, Some(&value), name.as_deref())?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    out.finish()
}
