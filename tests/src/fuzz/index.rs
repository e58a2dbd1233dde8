//! Index partitions.

use super::allocation;
use super::source::Source;
use esker::base::key::{Trailer, compare, head};
use esker::table::{Handle, Index, IndexBuilder};

/// Where the blocks that an index names must end.
const END: u64 = 1 << 20;

/// A separator with its block.
type Slot = (Vec<u8>, Trailer, Handle);

/// The raw payload of an index; then separators made from the same bytes.
pub(super) fn index(data: &[u8]) {
    any(data);
    let mut source = Source::new(data);
    let prefix = source.string(10).to_vec();
    let mut slots: Vec<Slot> = Vec::new();
    while !source.is_empty() && slots.len() < 200 {
        let key = [&prefix[..], source.string(12)].concat();
        let trailer = if source.below(3) == 0 { Trailer(source.long()) } else { Trailer::LAST };
        let handle = Handle { offset: u64::from(source.short()), size: 1 + u32::from(source.byte()) };
        slots.push((key, trailer, handle));
    }
    slots.sort_by(|a, b| compare((&a.0, a.1), (&b.0, b.1)));
    let payload = built(&slots);
    assert_eq!(decode(&payload).as_deref(), Some(&slots[..]), "the grammar is what the builder writes");
    agrees(&Index::new(payload.into(), END, None).expect("a sound index"), &slots);
}

fn built(slots: &[Slot]) -> Vec<u8> {
    let mut builder = IndexBuilder::default();
    slots.iter().for_each(|(key, trailer, handle)| builder.add(key, *trailer, *handle));
    let (mut payload, bound) = (Vec::new(), builder.size_bytes());
    builder.finish(&mut payload);
    assert!(payload.len() <= bound, "no index is larger than was foretold");
    payload
}

/// Whatever the bytes are, an index that is taken names blocks within the file.
fn any(data: &[u8]) {
    let loaded = allocation::within(allocation::plain(data.len()), || Index::new(data.into(), END, None));
    let Ok(index) = loaded else {
        assert_eq!(decode(data), None, "an index that is all that the format asks is refused");
        return;
    };
    for i in 0..index.len() {
        let handle = index.handle(i).expect("a handle for each slot");
        assert!(handle.offset + handle.stored_bytes() <= END);
        let (key, trailer) = index.key(i);
        let _ = index.find(&key, trailer);
    }
    assert_eq!(index.handle(index.len()), None);
    let _ = index.find(data, Trailer(7));
    if let Some(slots) = decode(data) {
        agrees(&index, &slots);
        assert_eq!(decode(&built(&slots)), Some(slots), "written once more");
    }
}

fn agrees(index: &Index, slots: &[Slot]) {
    assert_eq!(index.len(), slots.len());
    for (i, (key, trailer, handle)) in slots.iter().enumerate() {
        assert_eq!((index.key(i), index.handle(i)), ((key.clone(), *trailer), Some(*handle)));
        let longer = [&key[..], b"\0"].concat();
        for target in [(&key[..], *trailer), (&longer, Trailer::FIRST), (&key[..key.len() / 2], Trailer(9))] {
            let wanted = slots.partition_point(|(key, trailer, _)| compare((key, *trailer), target).is_lt());
            assert_eq!(index.find(target.0, target.1), (wanted < slots.len()).then_some(wanted));
        }
    }
}

/// The slots of a payload, by the grammar of `docs/format/sst.md` and by nothing else; `None` if it is not
/// all that the grammar and its words ask for.
fn decode(payload: &[u8]) -> Option<Vec<Slot>> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*payload.get(at..)?.first_chunk()?) as usize);
    let u64_at = |at: usize| Some(u64::from_le_bytes(*payload.get(at..)?.first_chunk()?));
    let (count, flags, prefix_len) = (u32_at(0)?, u32_at(4)?, u32_at(8)?);
    let heads = 12 + prefix_len;
    let (prefix, ends) = (payload.get(12..heads)?, heads + count * 8);
    let (handles, trailers) = (ends + count * 4, ends + count * 16);
    let keys = payload.get(trailers + if flags == 1 { count * 8 } else { 0 }..)?;
    let (mut slots, mut start) = (Vec::<Slot>::new(), 0);
    for i in 0..count {
        let end = u32_at(ends + i * 4)?;
        let suffix = keys.get(start..end)?;
        let trailer = if flags == 1 { Trailer(u64_at(trailers + i * 8)?) } else { Trailer::LAST };
        let (offset, size) = (u64_at(handles + i * 12)?, u32_at(handles + i * 12 + 8)?);
        let handle = Handle { offset, size: size as u32 };
        let within = size > 0 && offset.checked_add(handle.stored_bytes())? <= END;
        if !within || u64_at(heads + i * 8)? != head(suffix, 0) {
            return None;
        }
        slots.push(([prefix, suffix].concat(), trailer, handle));
        start = end;
    }
    let ascends = slots.windows(2).all(|p| compare((&p[0].0, p[0].1), (&p[1].0, p[1].1)).is_le());
    (flags <= 1 && ascends && start == keys.len()).then_some(slots)
}
