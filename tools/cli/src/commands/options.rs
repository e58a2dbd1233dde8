//! `esker options`

use crate::failure::Outcome;
use crate::output::Out;
use clap::Args;
use esker::fs::Fs;
use esker::{FamilyOptions, PrefixExtractor, StoredOptions};
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  esker options data

The store is not opened, and may be in use.";

/// Arguments of `esker options`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct OptionsArgs {
    /// The directory of the store
    #[arg(value_name = "DIR", default_value = "data", env = "ESKER_DIR")]
    pub dir: PathBuf,
}

/// Prints what a store was last used with.
///
/// # Errors
/// There is no store, or what it stores of its options cannot be read.
pub fn run(args: &OptionsArgs) -> Outcome {
    let fs = Fs::default();
    let families = StoredOptions::families(&fs, &args.dir)?;
    let stored = StoredOptions::load(&fs, &args.dir)?;
    let mut out = Out::stdout();
    out.line(&format!("{}\n{stored}", stored.path.display()))?;
    for (name, options) in &families {
        out.line(&format!("family {name:?}"))?;
        for (option, value) in lines(options) {
            out.line(&format!("  {option} = {value}"))?;
        }
    }
    out.finish()
}

fn lines(options: &FamilyOptions) -> [(&'static str, String); 14] {
    let time =
        |time: Option<Duration>| time.map_or_else(|| "none".into(), |t| format!("{}ms", t.as_millis()));
    [
        ("zstd_level", options.zstd_level.map_or_else(|| "none".into(), |level| level.to_string())),
        ("uncompressed_levels", options.uncompressed_levels.to_string()),
        ("dictionary_bytes", options.dictionary_bytes.to_string()),
        ("block_bytes", options.block_bytes.to_string()),
        ("filter", format!("{:?}", options.filter).to_lowercase()),
        ("prefix", options.prefix.map_or_else(|| "none".into(), prefix)),
        ("filter_bits_per_key", options.filter_bits_per_key.to_string()),
        ("index_partition_bytes", options.index_partition_bytes.to_string()),
        ("keep_versions", options.keep_versions.to_string()),
        ("merge_operator", options.merge_operator.clone().unwrap_or_else(|| "none".into())),
        ("default_ttl", time(options.default_ttl)),
        ("erase_within", time(options.erase_within)),
        ("blob_values_from", options.blob_values_from.map_or_else(|| "none".into(), |from| from.to_string())),
        ("compaction", options.compaction.to_string()),
    ]
}

fn prefix(extractor: PrefixExtractor) -> String {
    match extractor {
        PrefixExtractor::Fixed { bytes } => format!("fixed, {bytes} bytes"),
        PrefixExtractor::Capped { bytes } => format!("capped, {bytes} bytes"),
        PrefixExtractor::Delimited { delimiter, nth } => {
            format!("delimited by \"{}\", the {nth}. time", [delimiter].escape_ascii())
        }
        other => format!("{other:?}"),
    }
}
