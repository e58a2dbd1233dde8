//! `esker sst dump`, `esker wal dump`, `esker manifest dump`: looking into single files. They read only,
//! and need no store around the file.

pub mod args;
pub mod source;

pub use args::{ManifestArgs, SstArgs, WalArgs};

use crate::commands::dump::args::{ManifestCommand, PlainDumpArgs, SstCommand, WalCommand};
use crate::commands::dump::source::{FileKind, Parts};
use crate::failure::{DAMAGED, Failure, Outcome};
use crate::output::{Items, Out, items};

/// Looks into a table file.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn run_sst(args: &SstArgs) -> Outcome {
    let SstCommand::Dump(args) = &args.command;
    let asked = Parts {
        properties: args.properties,
        blocks: args.blocks,
        keys: args.keys || args.values,
        values: args.values,
    };
    let nothing_asked = !(asked.properties || asked.blocks || asked.keys);
    let parts = Parts { properties: asked.properties || nothing_asked, ..asked };
    show(&args.file, source::open(FileKind::Table, &args.file.file, parts)?)
}

/// Looks into a segment of the write-ahead log.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn run_wal(args: &WalArgs) -> Outcome {
    let WalCommand::Dump(PlainDumpArgs { values, file }) = &args.command;
    let parts = Parts { properties: true, blocks: true, keys: true, values: *values };
    show(file, source::open(FileKind::Wal, &file.file, parts)?)
}

/// Looks into a manifest.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn run_manifest(args: &ManifestArgs) -> Outcome {
    let ManifestCommand::Dump(file) = &args.command;
    let parts = Parts { properties: true, blocks: true, keys: true, values: false };
    show(file, source::open(FileKind::Manifest, &file.file, parts)?)
}

fn show(file: &args::FileArgs, found: Items) -> Outcome {
    let mut out = Out::stdout();
    let damaged = items::print(&mut out, found, file.print.json, file.print.encoding)?;
    out.finish()?;
    if damaged { Err(Failure::Quiet { code: DAMAGED }) } else { Ok(()) }
}
