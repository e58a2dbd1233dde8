//! What the readers of each kind of file say of one, and whether that is right for a damaged one.

use super::allocation::largest_during;
use esker::base::error::{Corruption, Error};
use esker::base::filename::FileKind;
use esker::base::hash::key_hash;
use esker::blob::{BlobReader, BlobRecord, BlobSource, FOOTER_BYTES, HEADER_BYTES};
use esker::fs::{Fs, OpenFile, SimFs};
use esker::inspect::{
    BlobFile, Intact as Record, ManifestItem, SegmentItem, TableFile, walk_manifest, walk_segment,
};
use esker::table::{Expected, TableReader, TableSource};
use esker::version::read_current;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What readers may ask for at once however small a file is: logs are read through a window of 256 KiB.
const LEAST_LIMIT_BYTES: usize = 300 << 10;

/// What became of a damaged file. Anything else is an error, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The damage is reported, with the file and its place.
    Detected,
    /// A log ends where the damage begins, and says so.
    Cut,
    /// Only bytes that say nothing have changed: padding between records, and space that was reserved.
    Harmless,
}

/// What is read at a place, as hashes.
type Said = Vec<u64>;

fn said(fields: &[&[u8]]) -> u64 {
    fields
        .iter()
        .fold(0, |sum, field| (sum ^ key_hash(field)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))
}

/// A part of a file that stands under a checksum of its own, or under none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Entries or a record, which read thus.
    Content(Said),
    /// What the rest is found with: a header, a footer, an index, a filter.
    Frame,
    /// Nothing.
    Padding,
}

/// What readers say of a file.
#[derive(Debug, Default)]
struct Seen {
    /// What is read at each place.
    content: BTreeMap<u64, Said>,
    errors: Vec<Error>,
    /// Where a log breaks off, its end among them.
    breaks: Vec<u64>,
}

/// A file as it was before the damage.
#[derive(Debug)]
pub struct Intact {
    path: PathBuf,
    kind: FileKind,
    bytes: Vec<u8>,
    parts: Vec<(Range<u64>, Part)>,
    expected: Expected,
}

impl Intact {
    /// A file of a store, taken apart. `None` for one that holds nothing, such as `LOCK` and `RESERVE`.
    ///
    /// # Errors
    /// If its readers find something wrong with it.
    pub fn read(disk: &SimFs, path: &Path) -> Result<Option<Intact>, String> {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let kind = FileKind::parse(&name).ok_or_else(|| format!("{name} is no file of a store"))?;
        if matches!(kind, FileKind::Lock | FileKind::Reserve | FileKind::Options(_)) {
            return Ok(None);
        }
        let bytes = disk.read_raw(path).map_err(|e| e.to_string())?;
        let mut expected = Expected { size_bytes: Some(bytes.len() as u64), ..Expected::default() };
        let mut parts = Vec::new();
        if matches!(kind, FileKind::Table(_)) {
            let file = Fs::Sim(disk.clone()).open(path).map_err(|e| e.to_string())?;
            let table = TableFile::open(file).map_err(|e| e.to_string())?;
            expected.identity = table.footer().map(|footer| footer.identity);
            for block in table.blocks() {
                let handle = block.map_err(|e| e.to_string())?.handle;
                parts.push((handle.offset..handle.offset + handle.stored_bytes(), Part::Content(Vec::new())));
            }
        }
        let mut intact = Intact { path: path.into(), kind, bytes, parts, expected };
        let seen = intact.look(disk);
        if let Some(error) = seen.errors.first() {
            return Err(format!("{}: {error}", path.display()));
        }
        intact.take_apart(&seen);
        Ok(Some(intact))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn take_apart(&mut self, seen: &Seen) {
        let size = self.bytes.len() as u64;
        match self.kind {
            FileKind::Table(_) => {
                for (range, part) in &mut self.parts {
                    *part = Part::Content(seen.content.get(&range.start).cloned().unwrap_or_default());
                }
                // Between the blocks stand partitions of the index and filters, behind them the rest.
                let (mut end, mut gaps) = (0, Vec::new());
                for (range, _) in &self.parts {
                    gaps.extend((end < range.start).then_some((end..range.start, Part::Frame)));
                    end = range.end;
                }
                self.parts.extend(gaps);
                self.parts.push((end..size, Part::Frame));
            }
            FileKind::Blob(_) => {
                self.parts.push((0..HEADER_BYTES as u64, Part::Frame));
                let starts: Vec<u64> = seen.content.keys().copied().collect();
                let footer = size.saturating_sub(FOOTER_BYTES as u64);
                for (at, (start, said)) in seen.content.iter().enumerate() {
                    let end = starts.get(at + 1).copied().unwrap_or(footer);
                    self.parts.push((*start..end, Part::Content(said.clone())));
                }
                self.parts.push((footer..size, Part::Frame));
            }
            FileKind::Wal(_) | FileKind::Manifest(_) => {
                self.parts.push((0..64, Part::Frame));
                for (start, said) in &seen.content {
                    // The record's length stands in its header; the padding behind it says nothing.
                    let at = *start as usize + 8;
                    let payload = self.bytes.get(at..at + 8).and_then(|raw| raw.try_into().ok());
                    let end = start + 32 + payload.map_or(0, u64::from_le_bytes);
                    self.parts.push((*start..end, Part::Content(said.clone())));
                    self.parts.push((end..end.next_multiple_of(8), Part::Padding));
                }
                let end = self.parts.last().map_or(0, |(range, _)| range.end);
                self.parts.push((end..size, Part::Padding));
            }
            _ => {
                self.parts = vec![(0..size, Part::Content(seen.content.get(&0).cloned().unwrap_or_default()))]
            }
        }
    }

    /// Reads the file in every way there is.
    fn look(&self, disk: &SimFs) -> Seen {
        let mut seen = Seen::default();
        let fs = Fs::Sim(disk.clone());
        let file = match fs.open(&self.path) {
            Ok(file) => file,
            Err(error) => return Seen { errors: vec![error], ..seen },
        };
        let result = match self.kind {
            FileKind::Table(_) => self.look_at_table(&fs, file, &mut seen),
            FileKind::Blob(_) => look_at_blob(&fs, file, &mut seen),
            FileKind::Wal(_) => look_at_segment(&file, &mut seen),
            FileKind::Manifest(_) => look_at_manifest(&file, &mut seen),
            _ => read_current(&fs, self.path.parent().unwrap_or(Path::new("/"))).map(|current| {
                seen.content.insert(0, vec![said(&[format!("{current:?}").as_bytes()])]);
            }),
        };
        seen.errors.extend(result.err());
        seen
    }

    fn look_at_table(&self, fs: &Fs, file: OpenFile, seen: &mut Seen) -> Result<(), Error> {
        let table = TableFile::open(file)?;
        seen.errors.extend(table.damage().iter().cloned());
        // Which block an entry stands in follows from the order: each block is read as a whole or not at all.
        let mut handles = table.blocks().collect::<Vec<_>>().into_iter();
        let mut left = 0;
        let mut place = None;
        table.entries::<Error>(|entry| {
            match entry {
                Ok(entry) => {
                    while left == 0 {
                        match handles.next() {
                            Some(Ok(block)) => (left, place) = (block.entries, Some(block.handle.offset)),
                            Some(Err(_)) => {}
                            None => return Err(Error::invalid("table", "more entries than its blocks have")),
                        }
                    }
                    left -= 1;
                    let numbers = [entry.seq, entry.expires_at, entry.kind as u64].map(u64::to_le_bytes);
                    let said = said(&[entry.key, numbers.as_flattened(), entry.value]);
                    seen.content.entry(place.unwrap_or_default()).or_default().push(said);
                }
                Err(error) => seen.errors.push(error),
            }
            Ok(())
        })?;
        let source = TableSource::File(Arc::new(fs.open(&self.path)?));
        let strict = TableReader::open(source, self.expected, None);
        seen.errors.extend(strict.and_then(|reader| reader.verify()).err());
        Ok(())
    }

    /// Checks what readers say of the damaged file at the same path.
    ///
    /// # Errors
    /// In words, if something is served that was not there, if damage goes unnoticed, or is reported in the
    /// wrong place, or takes undamaged content along.
    pub fn judge(&self, disk: &SimFs, damaged: &[u8]) -> Result<Verdict, String> {
        let (seen, largest) = largest_during(|| self.look(disk));
        let most = LEAST_LIMIT_BYTES.max(2 * damaged.len());
        if largest > most {
            return Err(format!("its readers ask for {largest} bytes at once, more than {most}"));
        }
        let changed = self.changed(damaged);
        let parts: BTreeMap<u64, &Part> =
            self.parts.iter().map(|(range, part)| (range.start, part)).collect();
        for (at, said) in &seen.content {
            match parts.get(at) {
                Some(Part::Content(expected)) if expected == said => {}
                _ => return Err(format!("what is read at {at}, {} items, was never there", said.len())),
            }
        }
        self.is_served(&seen, &changed)?;
        let matters = |at: &usize| !matches!(self.parts[*at].1, Part::Padding);
        if !changed.iter().any(matters) && seen.errors.is_empty() {
            return Ok(Verdict::Harmless);
        }
        let in_place = |offset: u64| {
            changed.iter().any(|at| {
                let (range, part) = &self.parts[*at];
                // In a frame there are several parts that are checked by themselves.
                range.start == offset || !matches!(part, Part::Content(_)) && range.contains(&offset)
            })
        };
        let mut places = Vec::new();
        for error in &seen.errors {
            match error {
                Error::Corruption(found) if found.file == self.path => {
                    places.push(self.has_place(found, damaged, &in_place));
                }
                Error::UnsupportedVersion { file, .. } if *file == self.path => places.push(Ok(())),
                other => return Err(format!("an error of another kind: {other:?}")),
            }
        }
        // Where the frame is damaged nothing behind it can be told; what is said of the frame must be right.
        let frame = changed.iter().any(|at| self.parts[*at].1 == Part::Frame);
        // Lengths that are damaged lead anywhere, and what is found there is no record.
        let is_blob = matches!(self.kind, FileKind::Blob(_));
        if let Some(Err(why)) = places.iter().find(|place| place.is_err())
            && !((frame || is_blob) && places.iter().any(Result::is_ok))
        {
            return Err(why.clone());
        }
        if !places.is_empty() {
            return Ok(Verdict::Detected);
        }
        match seen.breaks.first() {
            Some(at) if in_place(*at) => Ok(Verdict::Cut),
            at => Err(format!("it goes unnoticed; the log ends at {at:?}")),
        }
    }

    fn has_place(
        &self,
        found: &Corruption,
        damaged: &[u8],
        in_place: &dyn Fn(u64) -> bool,
    ) -> Result<(), String> {
        let (size, was) = (damaged.len() as u64, self.bytes.len() as u64);
        // Of a file that is not as long as it was, or is another one, the end is what is wrong.
        let at_the_end =
            found.offset == was || found.offset == size || found.offset == size.saturating_sub(64);
        if in_place(found.offset) || at_the_end && (size != was || found.offset + 64 >= was) {
            return Ok(());
        }
        Err(format!("the damage is reported at {}: {}", found.offset, found.found))
    }

    /// The numbers of the parts in which something has changed.
    fn changed(&self, damaged: &[u8]) -> Vec<usize> {
        let same = |range: &Range<u64>| {
            let range = range.start as usize..range.end as usize;
            damaged.get(range.clone()) == self.bytes.get(range)
        };
        (0..self.parts.len()).filter(|at| !same(&self.parts[*at].0)).collect()
    }

    /// Content before all damage is served; of a table whose frame is whole, all that is not damaged.
    fn is_served(&self, seen: &Seen, changed: &[usize]) -> Result<(), String> {
        let is_table = matches!(self.kind, FileKind::Table(_));
        let frame = changed.iter().any(|at| self.parts[*at].1 == Part::Frame);
        if frame {
            return Ok(());
        }
        for (at, (range, part)) in self.parts.iter().enumerate() {
            let Part::Content(_) = part else { continue };
            let must = if is_table {
                !changed.contains(&at)
            } else {
                changed.first().is_none_or(|first| at < *first)
            };
            if must && !seen.content.contains_key(&range.start) {
                return Err(format!("what stands at {} is not served although it is whole", range.start));
            }
        }
        Ok(())
    }
}

fn look_at_blob(fs: &Fs, file: OpenFile, seen: &mut Seen) -> Result<(), Error> {
    let path = file.path().to_owned();
    let blob = BlobFile::open(file)?;
    seen.errors.extend(blob.damage().iter().cloned());
    for record in blob.records() {
        match record {
            Ok(BlobRecord { offset, key, value, .. }) => {
                seen.content.entry(offset).or_default().push(said(&[&key, &value]));
            }
            Err(error) => seen.errors.push(error),
        }
    }
    let source = BlobSource::File(Arc::new(fs.open(&path)?));
    let strict = BlobReader::open(source, None, Arc::default());
    seen.errors.extend(strict.and_then(|reader| reader.verify()).err());
    Ok(())
}

fn look_at_segment(file: &OpenFile, seen: &mut Seen) -> Result<(), Error> {
    let mut at = 0;
    walk_segment(file, |item| {
        match &item {
            SegmentItem::Header(header) => seen.errors.extend(header.damage.clone()),
            SegmentItem::Damage(error) => seen.errors.push(error.clone()),
            SegmentItem::Break(place) => {
                seen.errors.extend(place.damage.clone());
                seen.breaks.push(place.offset);
            }
            SegmentItem::Group { record, .. }
            | SegmentItem::Close { record, .. }
            | SegmentItem::Next { record, .. }
            | SegmentItem::Unknown(record) => at = record.offset,
            SegmentItem::Batch(_) | SegmentItem::Op { .. } => {}
        }
        let words = match &item {
            SegmentItem::Op { seq, op } => {
                let fields = format!("{seq} {} {:?} {}", op.family, op.kind, op.expires_at);
                Some(said(&[fields.as_bytes(), op.key, op.value]))
            }
            SegmentItem::Group { record, group } => {
                Some(said(&[format!("{:?} {group:?}", record.header).as_bytes()]))
            }
            SegmentItem::Close { record, .. }
            | SegmentItem::Next { record, .. }
            | SegmentItem::Unknown(record) => Some(said(&[format!("{:?}", record.header).as_bytes()])),
            _ => None,
        };
        if let Some(words) = words {
            seen.content.entry(at).or_default().push(words);
        }
        Ok(())
    })
}

fn look_at_manifest(file: &OpenFile, seen: &mut Seen) -> Result<(), Error> {
    let mut at = 0;
    walk_manifest(file, |item| {
        match &item {
            ManifestItem::Header(header) => seen.errors.extend(header.damage.clone()),
            ManifestItem::Damage(error) => seen.errors.push(error.clone()),
            ManifestItem::Break(place) => {
                seen.errors.extend(place.damage.clone());
                seen.breaks.push(place.offset);
            }
            ManifestItem::Edit(Record { offset, .. }) => at = *offset,
            ManifestItem::Op(_) => {}
        }
        let words = match &item {
            ManifestItem::Edit(record) => Some(format!("{:?}", record.header)),
            ManifestItem::Op(op) => Some(format!("{op:?}")),
            _ => None,
        };
        if let Some(words) = words {
            seen.content.entry(at).or_default().push(said(&[words.as_bytes()]));
        }
        Ok(())
    })
}
