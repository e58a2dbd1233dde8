//! A backup each night, while the store is written to, and proof that it can be restored.
//!
//! A backup that nobody ever restored is a hope. So each night ends with a drill: the backup is restored
//! beside the others, opened, read to its last entry, and removed again; what it held is compared with what
//! the program knows. One day a file of the backups is damaged, as a disk may do it: the check says which
//! backups it touches.
//!
//! ```text
//! cargo run --release --example nightly_backup
//! ```

use esker::{BackupOptions, Backups, Db, Keep, Result};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a job that runs at night does. An error, and a report that is not sound, should wake somebody up.
/// Nights are short here; where they are not, `Keep::last(7).within(month)` keeps more.
fn night(db: &Db, backups: &Backups) -> Result<bool> {
    // Others use the disk, too: 200 MB a second at most.
    let gently = BackupOptions::default().bytes_per_second(NonZeroU64::new(200 << 20).expect("not zero"));
    let made = backups.create_with(db, gently)?;
    println!("  backup {}: {} bytes, {} of them new", made.number, made.bytes, made.new_bytes);
    // All that is kept is what was written, to the last byte.
    let verified = backups.verify()?;
    for damaged in &verified.damaged {
        println!("  damaged: {}; backups {:?} need it", damaged.error, damaged.backups);
    }
    // And a store comes of the newest.
    let drill = backups.drill(made.number)?;
    println!("  drill: {} entries, {} bytes", drill.entries, drill.bytes);
    let pruned = backups.prune(Keep::last(3))?;
    println!("  removed: backups {:?}, {} objects, {} bytes", pruned.backups, pruned.objects, pruned.bytes);
    Ok(verified.is_sound())
}

/// A disk that fails: one byte of the largest file of the backups is another one.
fn damage(dir: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(dir.join("objects"))? {
        let file = file?;
        files.push((file.metadata()?.len(), file.path()));
    }
    let (_, largest) = files.into_iter().max().expect("a backup has files");
    let mut bytes = std::fs::read(&largest)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes)
}

/// Whatever happens, nobody goes on writing for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn main() -> Result<()> {
    let path = std::env::temp_dir().join(format!("esker-nightly-backup-{}", std::process::id()));
    let db = Db::builder(path.join("data")).memory_budget(64 << 20).open()?;
    let backups = Backups::at(path.join("backups"));
    let (written, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| -> Result<()> {
        // Nobody waits for a backup: orders come in all the time.
        let orders = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                let number = written.load(Ordering::Relaxed) + 1;
                db.put(format!("order:{number:09}"), format!("{number} boxes of tea"))?;
                written.store(number, Ordering::Relaxed);
            }
            Ok(())
        });
        let week = || -> Result<()> {
            let _ends = Ends(&over);
            for day in 1..=7 {
                println!("night {day}");
                let before = written.load(Ordering::Relaxed);
                let sound = night(&db, &backups)?;
                assert_eq!(sound, day <= 4, "damage is found each night, as long as a backup needs it");
                // What was written before the call is in the backup, whatever came in meanwhile.
                let newest = backups.list()?.backups.last().map_or(0, |backup| backup.number);
                assert!(backups.drill(newest)?.entries >= before);
                if day == 4 {
                    damage(&path.join("backups")).expect("its own files");
                }
            }
            Ok(())
        };
        let passed = week();
        orders.join().expect("it does not panic").and(passed)
    })?;
    let kept: Vec<u64> = backups.list()?.backups.iter().map(|backup| backup.number).collect();
    println!("kept: {kept:?}");
    assert_eq!(kept, [5, 6, 7]);
    // The day on which it is needed: into a new directory, beside what is left of the old one.
    backups.restore(7, path.join("restored"))?;
    let restored = Db::open(path.join("restored"))?;
    let (last, _) = restored.iter()?.next_back().transpose()?.expect("there are orders");
    println!("restored, up to {}", String::from_utf8_lossy(&last));
    restored.close()?;
    db.close()?;
    std::fs::remove_dir_all(&path).expect("its own folder");
    Ok(())
}
