//! What the dump commands share: opening and ending, and the parts that both kinds of log have.

use crate::commands::dump::args::FileArgs;
use crate::failure::{DAMAGED, Failure, Outcome};
use crate::output::{Cell, Item, ItemPrinter, Out};
use esker::base::key::{Kind, NEVER};
use esker::base::operand::Operand;
use esker::fs::{Fs, OpenFile};
use esker::inspect::{Break, LogHeader};

/// Opens the file for reading, and its printer.
pub(super) fn open(args: &FileArgs) -> Outcome<(OpenFile, ItemPrinter)> {
    let file = Fs::default().open(&args.file)?;
    Ok((file, ItemPrinter::new(Out::stdout(), args.print.json, args.print.encoding)))
}

/// Ends the output; damage that was told is an exit code.
pub(super) fn finish(printer: ItemPrinter) -> Outcome {
    if printer.finish()? { Err(Failure::Quiet { code: DAMAGED }) } else { Ok(()) }
}

/// What stands at the beginning of a log file.
pub(super) fn print_header(printer: &mut ItemPrinter, found: &LogHeader) -> Outcome {
    let header = &found.header;
    printer.item(Item::Section("header"))?;
    if let Some(error) = &found.damage {
        printer.item(Item::Damage(error.to_string()))?;
        // Numbers that no checksum vouches for would be believed all the same.
        return printer.item(Item::Fact("size", Cell::Number(found.size_bytes)));
    }
    for (name, cell) in [
        ("number", Cell::Number(header.number)),
        ("size", Cell::Number(found.size_bytes)),
        ("store", hex(header.store)),
        ("identity", hex(header.identity)),
        ("previous", if header.previous == 0 { Cell::Empty } else { hex(header.previous) }),
        ("start lsn", Cell::Number(header.start_lsn)),
    ] {
        printer.item(Item::Fact(name, cell))?;
    }
    Ok(())
}

/// Where records break off.
pub(super) fn print_break(printer: &mut ItemPrinter, place: &Break) -> Outcome {
    if let Some(error) = &place.damage {
        printer.item(Item::Damage(error.to_string()))?;
    }
    let mut what = if place.last { "ends".to_owned() } else { "breaks".to_owned() };
    what.push_str(&format!(" at offset {}", place.offset));
    match (&place.why, &place.damage) {
        (Some((expected, found)), None) => {
            what.push_str(&format!(" in an unfinished write: expected {expected}, found {found}"));
        }
        (None, None) if !place.last => what.push_str(" with zeros before further records"),
        (_, Some(_)) if !place.last => what.push_str("; what was found behind it follows"),
        _ => {}
    }
    printer.item(Item::Fact("log", Cell::Text(what)))
}

/// A random number, as file names and errors have it.
pub(super) fn hex(number: u64) -> Cell {
    Cell::Text(format!("{number:016x}"))
}

/// A time in milliseconds, or nothing.
pub(super) fn time(ms: u64) -> Cell {
    if ms == NEVER { Cell::Empty } else { Cell::Number(ms) }
}

/// The time to live in a stored operand, in milliseconds, or nothing.
pub(super) fn ttl(value: &[u8]) -> Cell {
    match Operand::decode_value(value) {
        Some((0, _)) | None => Cell::Empty,
        Some((ms, _)) => Cell::Number(ms),
    }
}

/// A value as users know it: of an operand, what the operator gets.
pub(super) fn value(kind: Kind, stored: &[u8]) -> Cell {
    match kind {
        Kind::Delete => Cell::Empty,
        Kind::Merge => Cell::Bytes(Operand::decode_value(stored).map_or(stored, |(_, bytes)| bytes).to_vec()),
        _ => Cell::Bytes(stored.to_vec()),
    }
}
