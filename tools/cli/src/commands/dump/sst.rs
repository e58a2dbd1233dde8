//! `esker sst dump`

use crate::commands::dump::args::{SstArgs, SstCommand};
use crate::commands::dump::printing::{finish, hex, open, time, ttl, value};
use crate::failure::Outcome;
use crate::output::{Cell, Item, ItemPrinter};
use esker::base::blob_ref::BlobShare;
use esker::base::key::{EntryRef, Kind};
use esker::compress::Codec;
use esker::inspect::{BlockSummary, TableFile};
use esker::table::{Footer, Handle, Properties};

/// Looks into a table file.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn run_sst(args: &SstArgs) -> Outcome {
    let SstCommand::Dump(args) = &args.command;
    let keys = args.keys || args.values;
    let (file, mut printer) = open(&args.file)?;
    let table = TableFile::open(file)?;
    if args.properties || !(args.blocks || keys) {
        footer(&table, &mut printer)?;
        if let Some(found) = table.properties() {
            properties(found, &mut printer)?;
        }
    }
    for error in table.damage() {
        printer.item(Item::Damage(error.to_string()))?;
    }
    if args.blocks {
        printer.item(Item::Section("blocks"))?;
        for block in table.blocks() {
            printer.item(block.map_or_else(|e| Item::Damage(e.to_string()), block_row))?;
        }
    }
    if keys {
        printer.item(Item::Section("entries"))?;
        table.entries(|entry| {
            let told = entry.map_or_else(|e| Item::Damage(e.to_string()), |e| entry_row(&e, args.values));
            printer.item(told)
        })?;
    }
    finish(printer)
}

fn footer(table: &TableFile, printer: &mut ItemPrinter) -> Outcome {
    printer.item(Item::Section("footer"))?;
    printer.item(Item::Fact("size", Cell::Number(table.size_bytes())))?;
    let Some(Footer { properties, index, filter, partitioned, identity }) = table.footer() else {
        return Ok(());
    };
    for (name, handle) in [("properties", properties), ("index", index), ("filter", filter)] {
        printer.item(Item::Fact(name, place(*handle)))?;
    }
    printer.item(Item::Fact("partitioned", Cell::Text(if *partitioned { "yes" } else { "no" }.into())))?;
    printer.item(Item::Fact("identity", hex(*identity)))
}

fn place(handle: Handle) -> Cell {
    if handle == Handle::NONE {
        return Cell::Empty;
    }
    Cell::Text(format!("{} bytes at {}", handle.size, handle.offset))
}

fn properties(found: &Properties, printer: &mut ItemPrinter) -> Outcome {
    let number = Cell::Number;
    printer.item(Item::Section("properties"))?;
    for (name, cell) in [
        ("family", number(found.family.into())),
        ("entries", number(found.entries)),
        ("deletions", number(found.deletions)),
        ("entries with expiry", number(found.entries_with_expiry)),
        ("smallest key", Cell::Bytes(found.smallest.user_key.clone())),
        ("largest key", Cell::Bytes(found.largest.user_key.clone())),
        ("least seq", number(found.min_seq)),
        ("greatest seq", number(found.max_seq)),
        ("raw key bytes", number(found.raw_key_bytes)),
        ("raw value bytes", number(found.raw_value_bytes)),
        ("data blocks", number(found.data_blocks)),
        ("data bytes", number(found.data_bytes)),
        ("index bytes", number(found.index_bytes)),
        ("filter bytes", number(found.filter_bytes)),
        ("codec", codec(found.codec)),
        ("dictionary", found.dictionary.map_or(Cell::Empty, place)),
        ("filter policy", number(found.filter_policy.into())),
        ("prefix", found.prefix.map_or(Cell::Empty, |prefix| Cell::Text(format!("{prefix:?}")))),
        ("earliest expiry", time(found.earliest_expiry)),
        ("latest expiry", time(found.latest_expiry)),
        ("oldest operand", time(found.oldest_operand_ms)),
        ("deletions in a row", number(found.longest_deletions)),
        ("oldest deletion", time(found.oldest_deletion_ms)),
        ("created", time(found.created_ms)),
        ("newest entry", time(found.written_ms())),
        ("history", hex(found.history)),
        ("made outside", Cell::Text(if found.outside { "yes" } else { "no" }.into())),
        ("blob files", blobs(&found.blobs)),
        ("store", if found.store == 0 { Cell::Empty } else { hex(found.store) }),
    ] {
        printer.item(Item::Fact(name, cell))?;
    }
    Ok(())
}

fn blobs(shares: &[BlobShare]) -> Cell {
    let told =
        |share: &BlobShare| format!("{:06}.blob: {} of {} bytes", share.file, share.entries, share.bytes);
    let all: Vec<String> = shares.iter().map(told).collect();
    if all.is_empty() { Cell::Empty } else { Cell::Text(all.join(", ")) }
}

pub(super) fn codec(byte: u8) -> Cell {
    Cell::Text(match Codec::from_byte(byte) {
        Some(Codec::ZstdDictionary) => "zstd with dictionary".into(),
        Some(codec) => format!("{codec:?}").to_lowercase(),
        None => byte.to_string(),
    })
}

fn block_row(block: BlockSummary) -> Item {
    Item::Row(vec![
        ("offset", Cell::Number(block.handle.offset)),
        ("bytes", Cell::Number(block.handle.size.into())),
        ("raw bytes", Cell::Number(block.raw_bytes)),
        ("entries", Cell::Number(block.entries)),
        ("codec", codec(block.codec as u8)),
        ("first key", Cell::Bytes(block.first_key)),
    ])
}

fn entry_row(entry: &EntryRef<'_>, values: bool) -> Item {
    let mut cells = vec![
        ("seq", Cell::Number(entry.seq)),
        ("kind", Cell::Text(format!("{:?}", entry.kind).to_lowercase())),
        ("expires", if entry.kind == Kind::Merge { Cell::Empty } else { time(entry.expires_at) }),
        ("written", if entry.kind == Kind::Merge { time(entry.expires_at) } else { Cell::Empty }),
        ("ttl ms", if entry.kind == Kind::Merge { ttl(entry.value) } else { Cell::Empty }),
        ("bytes", Cell::Number(entry.value.len() as u64)),
        ("key", Cell::Bytes(entry.key.to_vec())),
    ];
    if values {
        cells.push(("value", value(entry.kind, entry.value)));
    }
    Item::Row(cells)
}
