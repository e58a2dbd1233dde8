//! Looking up many keys in a view, in step with each other; see [`Probe`].

use super::lookup::{Found, Verdict, hand_over, in_memtables, judge, merged};
use super::view::View;
use crate::base::error::Result;
use crate::base::hash::key_hash;
use crate::base::key::SeqNum;
use crate::base::limits::LEVELS;
use crate::table::Probe;
use crate::version::TableFile;

/// So many look-ups go in step: a processor waits for about a dozen cache lines at once, and the steps of
/// more than these would drive each other's lines out of the nearest cache.
const AT_ONCE: usize = 24;

/// A key that no run had so far.
struct Wanted<'a> {
    /// Its place among the keys.
    at: usize,
    key: &'a [u8],
    hash: u64,
    decided: bool,
}

/// Hands the value of each of `keys` as seen at `seq` and `now_ms` to `read`, with its place among them; not
/// of those that are absent or have expired. In no particular order.
///
/// # Errors
/// As [`super::lookup()`]; the first one met.
pub fn lookup_many<'a>(
    view: &'a View,
    keys: impl Iterator<Item = &'a [u8]>,
    seq: SeqNum,
    now_ms: u64,
    mut read: impl FnMut(usize, Found<'_>),
) -> Result<()> {
    let mut keys = keys.enumerate();
    let mut wanted = Vec::with_capacity(AT_ONCE);
    let mut probes = Vec::with_capacity(AT_ONCE);
    let version = &*view.version;
    loop {
        wanted.clear();
        for (at, key) in keys.by_ref().take(AT_ONCE) {
            let hash = key_hash(key);
            view.memtables().for_each(|memtable| memtable.prefetch(hash));
            wanted.push(Wanted { at, key, hash, decided: false });
        }
        if wanted.is_empty() {
            return Ok(());
        }
        for Wanted { at, key, hash, decided } in &mut wanted {
            if let Some(found) = in_memtables(view, key, *hash, seq, &mut ()) {
                show(view, key, seq, now_ms, found, |found| read(*at, found))?;
                *decided = true;
            }
        }
        wanted.retain(|wanted| !wanted.decided);
        for table in version.level(0) {
            let table_of = |key: &[u8]| table.meta.overlaps(Some(key), Some(key)).then_some(&**table);
            ask(view, &mut wanted, &mut probes, table_of, seq, now_ms, &mut read)?;
        }
        for level in (1..LEVELS).filter(|level| !version.level(*level).is_empty()) {
            let table_of = |key: &[u8]| version.find(level, key).map(|table| &**table);
            ask(view, &mut wanted, &mut probes, table_of, seq, now_ms, &mut read)?;
        }
    }
}

/// Looks for what is wanted in one sorted run, and leaves what is not there.
fn ask<'a>(
    view: &'a View,
    wanted: &mut Vec<Wanted<'a>>,
    probes: &mut Vec<(usize, Probe<'a>)>,
    table_of: impl Fn(&[u8]) -> Option<&'a TableFile>,
    seq: SeqNum,
    now_ms: u64,
    read: &mut impl FnMut(usize, Found<'_>),
) -> Result<()> {
    for (i, wanted) in wanted.iter().enumerate() {
        if let Some(table) = table_of(wanted.key)
            && let Some(probe) = Probe::new(&table.reader, wanted.key, wanted.hash, seq)?
        {
            probes.push((i, probe));
        }
    }
    let mut error = None;
    probes.retain_mut(|(_, probe)| probe.find().unwrap_or_else(|met| error.replace(met).is_some()));
    if let Some(error) = error {
        return Err(error);
    }
    probes.iter().for_each(|(_, probe)| probe.see());
    probes.iter_mut().try_for_each(|(_, probe)| probe.take())?;
    probes.iter_mut().for_each(|(_, probe)| probe.aim());
    for (i, probe) in &*probes {
        let Some((entry, block)) = probe.get()? else { continue };
        let Some(wanted) = wanted.get_mut(*i) else { continue };
        let found = (entry, super::lookup::Place::Block(block));
        show(view, wanted.key, seq, now_ms, found, |found| read(wanted.at, found))?;
        wanted.decided = true;
    }
    probes.clear();
    wanted.retain(|wanted| !wanted.decided);
    Ok(())
}

/// Hands what the newest entry of a key comes to to `read`, if it is anything.
#[inline]
fn show(
    view: &View,
    key: &[u8],
    seq: SeqNum,
    now_ms: u64,
    (entry, place): (crate::base::key::EntryRef<'_>, super::lookup::Place<'_>),
    read: impl FnOnce(Found<'_>),
) -> Result<()> {
    match judge(view, key, &entry, seq, || now_ms) {
        Verdict::Live => drop(hand_over(view, (&entry, place), read)?),
        Verdict::Operand => drop(merged(view, key, seq, || now_ms, &mut (), read)?),
        Verdict::Absent => {}
    }
    Ok(())
}
