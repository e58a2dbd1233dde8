//! `esker blob dump`

use super::sst::codec;
use crate::commands::dump::args::{BlobArgs, BlobCommand};
use crate::commands::dump::printing::{finish, hex, open, time};
use crate::failure::Outcome;
use crate::output::{Cell, Item};
use esker::blob::BlobRecord;
use esker::inspect::BlobFile;

/// Looks into a blob file.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn run_blob(args: &BlobArgs) -> Outcome {
    let BlobCommand::Dump(args) = &args.command;
    let (file, mut printer) = open(&args.file)?;
    let blob = BlobFile::open(file)?;
    printer.item(Item::Section("file"))?;
    printer.item(Item::Fact("size", Cell::Number(blob.size_bytes())))?;
    if let Some(head) = blob.head() {
        printer.item(Item::Fact("family", Cell::Number(head.family.into())))?;
        printer.item(Item::Fact("created", time(head.created_ms)))?;
        printer.item(Item::Fact("identity", hex(head.identity)))?;
        printer.item(Item::Fact("store", hex(head.store)))?;
    }
    if let Some(totals) = blob.totals() {
        printer.item(Item::Fact("values", Cell::Number(totals.entries)))?;
        printer.item(Item::Fact("stored bytes", Cell::Number(totals.record_bytes)))?;
        printer.item(Item::Fact("raw bytes", Cell::Number(totals.raw_bytes)))?;
    }
    for error in blob.damage() {
        printer.item(Item::Damage(error.to_string()))?;
    }
    if args.keys || args.values {
        printer.item(Item::Section("values"))?;
        for record in blob.records() {
            printer.item(record.map_or_else(|e| Item::Damage(e.to_string()), |r| row(r, args.values)))?;
        }
    }
    finish(printer)
}

fn row(record: BlobRecord, values: bool) -> Item {
    let mut cells = vec![
        ("offset", Cell::Number(record.offset)),
        ("stored", Cell::Number(record.stored)),
        ("bytes", Cell::Number(record.value.len() as u64)),
        ("codec", codec(record.codec as u8)),
        ("key", Cell::Bytes(record.key)),
    ];
    if values {
        cells.push(("value", Cell::Bytes(record.value.to_vec())));
    }
    Item::Row(cells)
}
