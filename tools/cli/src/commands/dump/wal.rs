//! `esker wal dump`

use crate::commands::dump::args::{PlainDumpArgs, WalArgs, WalCommand};
use crate::commands::dump::printing::{finish, open, print_break, print_header, time, ttl, value};
use crate::failure::{Failure, Outcome};
use crate::output::{Cell, Item, ItemPrinter};
use esker::base::key::Kind;
use esker::batch::Op;
use esker::fs::OpenFile;
use esker::inspect::{Intact, SegmentItem, walk_segment};

/// Looks into a segment of the write-ahead log.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn run_wal(args: &WalArgs) -> Outcome {
    let WalCommand::Dump(PlainDumpArgs { values, file: args }) = &args.command;
    let (file, mut printer) = open(args)?;
    records(&file, &mut printer)?;
    operations(&file, &mut printer, *values)?;
    finish(printer)
}

/// The records, in a first pass: one line each, and all damage.
fn records(file: &OpenFile, printer: &mut ItemPrinter) -> Outcome {
    walk_segment(file, |item| match item {
        SegmentItem::Header(header) => {
            print_header(printer, &header)?;
            printer.item(Item::Section("records"))
        }
        SegmentItem::Group { record, group } => {
            let cells = [Cell::Number(group.first_seq), Cell::Number(group.clock_ms)];
            printer.item(record_row(&record, "group", cells))
        }
        SegmentItem::Close { record, mark } => {
            printer.item(record_row(&record, "close", [Cell::Number(mark.last_seq), Cell::Empty]))
        }
        SegmentItem::Next { record, number, .. } => {
            let kind = format!("next {number:06}");
            printer.item(record_row(&record, &kind, [Cell::Empty, Cell::Empty]))
        }
        SegmentItem::Unknown(record) => {
            let kind = format!("kind {}", record.header.kind);
            printer.item(record_row(&record, &kind, [Cell::Empty, Cell::Empty]))
        }
        SegmentItem::Damage(error) => printer.item(Item::Damage(error.to_string())),
        SegmentItem::Break(place) => print_break(printer, &place),
        SegmentItem::Batch(_) | SegmentItem::Op { .. } => Ok(()),
    })
}

fn record_row(record: &Intact, kind: &str, [seq, clock]: [Cell; 2]) -> Item {
    Item::Row(vec![
        ("kind", Cell::Text(kind.to_owned())),
        ("offset", Cell::Number(record.offset)),
        ("bytes", Cell::Number(record.header.len)),
        ("lsn", Cell::Number(record.lsn)),
        ("synced", Cell::Number(record.header.synced)),
        ("seq", seq),
        ("clock", clock),
        ("reached", Cell::Text(if record.beyond { "no" } else { "yes" }.to_owned())),
    ])
}

/// The operations, in a second pass: one line each.
fn operations(file: &OpenFile, printer: &mut ItemPrinter, values: bool) -> Outcome {
    let (mut at, mut batches) = (0, 0);
    printer.item(Item::Section("operations"))?;
    walk_segment(file, |item| {
        match item {
            SegmentItem::Group { record, .. } => (at, batches) = (record.offset, 0),
            SegmentItem::Batch(_) => batches += 1,
            SegmentItem::Op { seq, op } => printer.item(operation_row(at, batches, seq, &op, values))?,
            _ => {}
        }
        Ok::<_, Failure>(())
    })
}

fn operation_row(at: u64, batch: u64, seq: u64, op: &Op<'_>, values: bool) -> Item {
    let mut cells = vec![
        ("record", Cell::Number(at)),
        ("batch", Cell::Number(batch)),
        ("seq", Cell::Number(seq)),
        ("kind", Cell::Text(kind_text(op.kind))),
        ("family", Cell::Number(op.family.into())),
        ("expires", if op.kind == Kind::Merge { Cell::Empty } else { time(op.expires_at) }),
        ("written", if op.kind == Kind::Merge { time(op.expires_at) } else { Cell::Empty }),
        ("ttl ms", if op.kind == Kind::Merge { ttl(op.value) } else { Cell::Empty }),
        ("key", Cell::Bytes(op.key.to_vec())),
        ("up to", if op.kind.is_range() { end(op.value) } else { Cell::Empty }),
    ];
    if values {
        cells.push(("value", if op.kind.is_range() { Cell::Empty } else { value(op.kind, op.value) }));
    }
    Item::Row(cells)
}

fn kind_text(kind: Kind) -> String {
    match kind {
        Kind::RangeDelete => "delete range".to_owned(),
        Kind::DroppedRange => "drop range".to_owned(),
        kind => format!("{kind:?}").to_lowercase(),
    }
}

/// The end of a range.
fn end(to: &[u8]) -> Cell {
    if to.is_empty() { Cell::Text("no end".to_owned()) } else { Cell::Bytes(to.to_vec()) }
}
