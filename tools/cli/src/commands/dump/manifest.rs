//! `esker manifest dump`

use crate::commands::dump::args::{ManifestArgs, ManifestCommand};
use crate::commands::dump::printing::{finish, open, print_break, print_header};
use crate::failure::Outcome;
use crate::output::{Cell, Item};
use crate::text::bytes_text;
use esker::base::blob_ref::BlobShare;
use esker::inspect::{ManifestItem, walk_manifest};
use esker::ranges::RangeKind;
use esker::version::EditOp;

/// Looks into a manifest.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn run_manifest(args: &ManifestArgs) -> Outcome {
    let ManifestCommand::Dump(args) = &args.command;
    let (file, mut printer) = open(args)?;
    let (mut at, mut reached) = (0, true);
    walk_manifest(&file, |item| match item {
        ManifestItem::Header(header) => {
            print_header(&mut printer, &header)?;
            printer.item(Item::Section("edits"))
        }
        ManifestItem::Edit(record) => {
            (at, reached) = (record.offset, !record.beyond);
            Ok(())
        }
        ManifestItem::Op(op) => {
            let (change, about) = words(&op);
            printer.item(Item::Row(vec![
                ("edit", Cell::Number(at)),
                ("reached", Cell::Text(if reached { "yes" } else { "no" }.to_owned())),
                ("change", Cell::Text(change.to_owned())),
                ("about", Cell::Text(about)),
            ]))
        }
        ManifestItem::Damage(error) => printer.item(Item::Damage(error.to_string())),
        ManifestItem::Break(place) => print_break(&mut printer, &place),
    })?;
    finish(printer)
}

/// What a change is, and what it is about.
fn words(op: &EditOp) -> (&'static str, String) {
    match op {
        EditOp::Store { id, layer } => ("store", format!("{id:016x}, layer {layer:?}")),
        EditOp::NextFile(number) => ("next file", number.to_string()),
        EditOp::SeqCeiling(seq) => ("seq ceiling", seq.to_string()),
        EditOp::History { id, first_seq } => ("history", format!("{id:016x} from seq {first_seq}")),
        EditOp::Clock(ms) => ("clock", format!("{ms} ms")),
        EditOp::OldestWal(number) => ("oldest wal", format!("{number:06}.log")),
        EditOp::SyncedLog(lsn) => ("synced log", format!("up to position {lsn}")),
        EditOp::CreateFamily { id, name, options } => {
            ("create family", format!("{id} {name:?}, {} bytes of options", options.len()))
        }
        EditOp::FamilyOptions { family, options } => {
            ("family options", format!("family {family}: {} bytes", options.len()))
        }
        EditOp::DropFamily(id) => ("drop family", id.to_string()),
        EditOp::PreparedFamily(id) => ("prepared family", id.to_string()),
        EditOp::FeedFrom(seq) => ("feed from", format!("changes behind seq {seq} can be read")),
        EditOp::HistoryEnded(ended) => {
            ("history ended", format!("{:016x} at seq {}", ended.id, ended.last_seq))
        }
        EditOp::KeepLog(kept) => {
            let (number, end, last) = (kept.number, kept.end, kept.last_seq);
            ("keep log", format!("{number:06}.log up to offset {end}, seq {last}, since {} ms", kept.kept_ms))
        }
        EditOp::NoteIngest(mark) => {
            let (from, to) = (bytes_text::escape(&mark.smallest), bytes_text::escape(&mark.largest));
            let (seq, family, entries) = (mark.seq, mark.family, mark.entries);
            ("note ingest", format!("seq {seq} to family {family}: {entries} entries, keys {from} to {to}"))
        }
        EditOp::Consumer { name, position } => ("consumer", format!("{name:?} at {position}")),
        EditOp::RemoveConsumer(name) => ("remove consumer", format!("{name:?}")),
        EditOp::NextFamily(id) => ("next family", id.to_string()),
        EditOp::Ingested(seq) => ("ingested", format!("up to seq {seq}")),
        EditOp::Flushed { family, seq } => ("flushed", format!("family {family} through seq {seq}")),
        EditOp::AddTable { family, level, meta } => {
            let key = |key: &[u8]| bytes_text::escape(key);
            let about = format!(
                "{:06}.sst to level {level} of family {family}: {} bytes, {} entries, {} deletions, \
                 seq {} to {}, keys {} to {}, clean of ranges through seq {}",
                meta.number,
                meta.size,
                meta.entries,
                meta.deletions,
                meta.min_seq,
                meta.max_seq,
                key(&meta.smallest.0),
                key(&meta.largest.0),
                meta.cleaned_seq,
            );
            let share = |share: &BlobShare| {
                format!(
                    "; refers to {} values, {} bytes, of {:06}.blob",
                    share.entries, share.bytes, share.file
                )
            };
            let about = about + &meta.blobs.iter().map(share).collect::<String>();
            (if meta.ingested_seq == 0 { "add table" } else { "ingest table" }, about)
        }
        EditOp::AddBlob { family, meta } => {
            let about = format!(
                "{:06}.blob to family {family}: {} bytes, {} values of {} bytes, {} uncompressed",
                meta.number, meta.size, meta.entries, meta.bytes, meta.raw_bytes
            );
            ("add blob", about)
        }
        EditOp::RemoveBlob { family, number } => {
            ("remove blob", format!("{number:06}.blob from family {family}"))
        }
        EditOp::DeadBlob { family, number, since_ms } => {
            ("dead blob", format!("{number:06}.blob of family {family}, since {since_ms} ms"))
        }
        EditOp::RemoveTable { family, level, number } => {
            ("remove table", format!("{number:06}.sst from level {level} of family {family}"))
        }
        EditOp::AddRange { family, range } => {
            let what = match range.kind {
                RangeKind::Deleted => "deleted",
                RangeKind::Dropped => "dropped",
            };
            let to = range.to.as_deref().map_or("no end".to_owned(), bytes_text::escape);
            let (from, seq, ms) = (bytes_text::escape(&range.from), range.seq, range.written_ms);
            ("add range", format!("{what} at seq {seq}, {ms} ms, in family {family}: {from} up to {to}"))
        }
        EditOp::RemoveRange { family, seq } => {
            ("remove range", format!("the one at seq {seq} of family {family}"))
        }
    }
}
