//! What can happen to the files of a store.

use crate::session::file_kind;
use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use esker::inspect::{ManifestItem, SegmentItem, walk_manifest, walk_segment};
use esker::{Db, Error};
use std::path::{Path, PathBuf};

/// One thing that happens to a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A file is gone.
    Remove(String),
    /// A bit is another one.
    Flip(String, u64, u8),
    /// Bytes are zero, from an offset on so many.
    Zero(String, u64, u64),
    /// Two sectors have changed places.
    SwapSectors(String, u64, u64),
    /// A file ends earlier.
    Cut(String, u64),
    /// Bytes are anything.
    Garbage(String, u64, u64),
    /// Anything stands behind the end.
    Longer(String, u64),
    /// Two files have changed their contents.
    SwapFiles(String, String),
    /// A file that was never there.
    Stray(String),
    /// A file stands there a second time, under another name.
    Copy(String, String),
    /// A file of another store, of the kind that its name says.
    Stranger(String),
}

const SECTOR: u64 = 512;

impl Damage {
    /// Does it to the files in `dir`. What is no longer there is passed over.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn inflict(&self, disk: &SimFs, dir: &Path) {
        let read = |name: &String| disk.read_raw(&dir.join(name)).ok();
        let write = |name: &String, bytes: &[u8]| disk.write_raw(&dir.join(name), bytes).expect("a write");
        let change = |name: &String, change: &dyn Fn(&mut Vec<u8>)| {
            if let Some(mut bytes) = read(name) {
                change(&mut bytes);
                write(name, &bytes);
            }
        };
        let noise = |at: u64, bytes: &mut [u8]| {
            let random = Random::seeded(at ^ 0x9a17);
            bytes.iter_mut().for_each(|byte| *byte = random.next_u64() as u8);
        };
        let span = |bytes: &[u8], at: u64, len: u64| {
            let size = bytes.len();
            (at as usize).min(size)..((at + len) as usize).min(size)
        };
        match self {
            Damage::Remove(name) => remove(disk, &dir.join(name)),
            Damage::Flip(name, at, mask) => change(name, &|bytes| {
                if let Some(byte) = bytes.get_mut(*at as usize) {
                    *byte ^= mask;
                }
            }),
            Damage::Zero(name, at, len) => change(name, &|bytes| {
                let span = span(bytes, *at, *len);
                bytes[span].fill(0);
            }),
            Damage::SwapSectors(name, a, b) => change(name, &|bytes| {
                let (a, b) = (span(bytes, a * SECTOR, SECTOR), span(bytes, b * SECTOR, SECTOR));
                if a.len() == b.len() && a != b {
                    let first = bytes[a.clone()].to_vec();
                    bytes.copy_within(b.clone(), a.start);
                    bytes[b].copy_from_slice(&first);
                }
            }),
            Damage::Cut(name, len) => change(name, &|bytes| bytes.truncate(*len as usize)),
            Damage::Garbage(name, at, len) => change(name, &|bytes| {
                let span = span(bytes, *at, *len);
                noise(*at, &mut bytes[span]);
            }),
            Damage::Longer(name, len) => change(name, &|bytes| {
                let from = bytes.len();
                bytes.resize(from + *len as usize, 0);
                noise(*len, &mut bytes[from..]);
            }),
            Damage::SwapFiles(a, b) => {
                if let (Some(first), Some(second)) = (read(a), read(b)) {
                    write(a, &second);
                    write(b, &first);
                }
            }
            Damage::Stranger(name) => {
                if let Some(bytes) = stranger(file_kind(Path::new(name))) {
                    write(name, &bytes);
                }
            }
            Damage::Stray(name) => write(name, b"this is no part of the store"),
            Damage::Copy(from, to) => drop(read(from).map(|bytes| write(to, &bytes))),
        }
    }
}

/// The largest file of a kind that another store left.
fn stranger(kind: &str) -> Option<Vec<u8>> {
    let disk = SimFs::new();
    let db = Db::builder("/other").fs(Fs::Sim(disk.clone())).deterministic(0x57).open().expect("a new store");
    for number in 0..400u32 {
        // Later numbers, so that they would win over any other entry of their key.
        db.put(format!("k{:03}", number % 100), "of another store").expect("a write");
        if number == 300 {
            db.flush().expect("a flush");
        }
    }
    db.sync().expect("a sync");
    let image = disk.kill_image();
    let files = image.paths().into_iter().filter(|path| file_kind(path) == kind);
    files.filter_map(|path| image.read_raw(&path).ok()).max_by_key(Vec::len)
}

/// Where the records of a log or the edits of a manifest begin, and where the last one ends.
fn boundaries(disk: &SimFs, path: &Path, kind: &str) -> Vec<u64> {
    let Ok(file) = Fs::Sim(disk.clone()).open(path) else { return Vec::new() };
    let mut found = Vec::new();
    let walked: Result<(), Error> = match kind {
        "log" => walk_segment(&file, |item| {
            match item {
                SegmentItem::Group { record, .. } | SegmentItem::Close { record, .. } => {
                    found.push(record.offset)
                }
                SegmentItem::Break(place) => found.push(place.offset),
                _ => {}
            }
            Ok(())
        }),
        "manifest" => walk_manifest(&file, |item| {
            match item {
                ManifestItem::Edit(record) => found.push(record.offset),
                ManifestItem::Break(place) => found.push(place.offset),
                _ => {}
            }
            Ok(())
        }),
        _ => Ok(()),
    };
    drop(walked);
    found
}

fn remove(disk: &SimFs, path: &Path) {
    use esker::fs::FileSystem;
    if disk.read_raw(path).is_ok() {
        disk.remove(path).expect("a file that is there");
        if let Some(dir) = path.parent() {
            disk.sync_dir(dir).expect("a directory that is there");
        }
    }
}

/// What happens to the store in `dir`: mostly one thing, sometimes several.
#[must_use]
pub fn damages(disk: &SimFs, dir: &Path, seed: u64) -> Vec<Damage> {
    let random = Random::seeded(seed);
    let files: Vec<PathBuf> = disk.paths().into_iter().filter(|path| path.parent() == Some(dir)).collect();
    let count = match random.below(6) {
        0..4 => 1,
        4 => 2,
        _ => 3 + random.below(4),
    };
    (0..count).filter_map(|_| one(disk, &files, &random)).flatten().collect()
}

fn one(disk: &SimFs, files: &[PathBuf], random: &Random) -> Option<Vec<Damage>> {
    // Each kind of file has its share, however many there are of it.
    let mut kinds = vec!["table", "table", "table", "log", "log", "manifest", "manifest", "CURRENT"];
    if files.iter().any(|path| file_kind(path) == "blob") {
        kinds.extend(["blob"; 4]);
    }
    let kind = match random.below(40) {
        0 => "LOCK",
        1 => "RESERVE",
        _ => kinds[random.below(kinds.len() as u64) as usize],
    };
    if random.below(12) == 0 {
        let name = ["000996.sst", "000996.log", "MANIFEST-000996"][random.below(3) as usize];
        let mut damages = vec![Damage::Stranger(name.into())];
        if random.below(2) == 0 {
            damages.push(Damage::Remove("CURRENT".into()));
        }
        return Some(damages);
    }
    let of_kind: Vec<&PathBuf> = files.iter().filter(|path| file_kind(path) == kind).collect();
    let choose = || of_kind.get(random.below(of_kind.len().max(1) as u64) as usize);
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let chosen = choose()?;
    let file = name(chosen)?;
    let bytes = disk.read_raw(chosen).ok()?;
    // A log is mostly space that was reserved: what is used of it is of interest.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last as u64 + 1);
    let at = random.below(used);
    let sectors = used.div_ceil(SECTOR);
    let size = bytes.len() as u64;
    let between = boundaries(disk, chosen, kind);
    let between = between.get(random.below(between.len().max(1) as u64) as usize).copied();
    Some(vec![match random.below(18) {
        14 | 15 => Damage::Zero(file, between.unwrap_or(at / SECTOR * SECTOR), size),
        16 => Damage::Zero(file, at / SECTOR * SECTOR, size),
        17 => Damage::Cut(file, between.unwrap_or(at)),
        0 | 1 => Damage::Remove(file),
        2..5 => Damage::Flip(file, at, 1 << random.below(8)),
        5 => Damage::Zero(file, at / SECTOR * SECTOR, SECTOR),
        6 => Damage::Zero(file, 0, 64 + random.below(500)),
        7 => Damage::SwapSectors(file, random.below(sectors), random.below(sectors)),
        8 => Damage::Cut(file, at),
        9 => Damage::Garbage(file, at, 1 + random.below(3_000)),
        10 => Damage::Longer(file, 1 + random.below(2_000)),
        11 if random.below(4) == 0 && !["LOCK", "RESERVE"].contains(&kind) => {
            // Of another kind.
            let data = |path: &&PathBuf| !["LOCK", "RESERVE"].contains(&file_kind(path));
            let files: Vec<&PathBuf> = files.iter().filter(data).collect();
            let other = files.get(random.below(files.len() as u64) as usize)?;
            Damage::SwapFiles(file, name(other)?)
        }
        11 => Damage::SwapFiles(file, name(choose()?)?),
        12 => Damage::Stray(["notes.txt", "999999.sst", "000999.log", "000998.tmp"][at as usize % 4].into()),
        _ => Damage::Copy(file, ["000997.sst", "000997.log", "MANIFEST-000997"][at as usize % 3].into()),
    }])
}
