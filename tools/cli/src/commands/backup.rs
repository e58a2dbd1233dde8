//! `esker backup` and `esker restore`

use crate::failure::{DAMAGED, Failure, Outcome};
use crate::output::{Out, notes, progress};
use crate::store::StoreArgs;
use crate::text::number::counted;
use crate::text::{duration, size};
use clap::{Args, Subcommand};
use esker::backup::{BackupList, VerifiedBackups};
use esker::{Backup, BackupOptions, Backups, Error, Keep};
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

const AFTER_HELP: &str = "\
Examples:
  esker backup create --to backups --dir data
  esker backup list backups
  esker backup verify backups
  esker backup drill backups
  esker backup prune backups --keep-last 7 --keep-within 30d
  esker restore backups --into data2";

const AFTER_RESTORE: &str = "\
Examples:
  esker restore backups --into data2                    the newest backup
  esker restore backups --into data2 --backup 12
  esker restore backups --into tokens --family tokens   of one column family alone";

/// Arguments of `esker backup`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct BackupArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BackupCommand,
}

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Add a backup of a store; what an earlier one has is not copied again
    #[command(after_help = "Example:\n  esker backup create --to backups --dir data --rate 50MB")]
    Create(CreateArgs),
    /// Print what backups there are
    #[command(after_help = "Example:\n  esker backup list backups --json")]
    List(ListArgs),
    /// Read every byte of all backups, and compare it with what was written
    #[command(after_help = "Example:\n  esker backup verify backups && echo sound")]
    Verify(ListArgs),
    /// Restore a backup beside the others, read every entry of it, and remove it again
    #[command(after_help = "Example:\n  esker backup drill backups --backup 12")]
    Drill(DrillArgs),
    /// Remove old backups, and what no other needs
    #[command(after_help = "Example:\n  esker backup prune backups --keep-last 7 --keep-within 30d")]
    Prune(PruneArgs),
}

/// Arguments of `esker backup create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// The directory of the backups; it is created where there is none
    #[arg(long, value_name = "BACKUPS")]
    pub to: PathBuf,
    /// How much is read from the store in a second at most, such as 50MB
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    pub rate: Option<NonZeroU64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `esker backup list` and `verify`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// The directory of the backups
    pub backups: PathBuf,
    /// Print JSON, an object in each line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `esker backup drill`.
#[derive(Args, Debug)]
pub struct DrillArgs {
    /// The directory of the backups
    pub backups: PathBuf,
    /// The number of the backup [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    pub backup: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `esker backup prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// The directory of the backups
    pub backups: PathBuf,
    /// So many of the newest stay; the newest always does
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub keep_last: usize,
    /// Those that are no older than this stay as well, such as 30d
    #[arg(long, value_name = "AGE", value_parser = duration::parse)]
    pub keep_within: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `esker restore`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_RESTORE)]
pub struct RestoreArgs {
    /// The directory of the backups
    pub backups: PathBuf,
    /// Where the store is made: a directory that does not exist or is empty
    #[arg(long, value_name = "NEW")]
    pub into: PathBuf,
    /// The number of the backup [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    pub backup: Option<u64>,
    /// Only this column family; may be given several times
    #[arg(short, long, value_name = "NAME")]
    pub family: Vec<String>,
}

/// How many bytes a second.
pub fn rate(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(size::parse(text)?).ok_or_else(|| "the rate must be more than nothing".to_owned())
}

/// Options of a backup that is paced, or not.
pub fn paced(rate: Option<NonZeroU64>) -> BackupOptions {
    rate.map_or_else(BackupOptions::default, |rate| BackupOptions::default().bytes_per_second(rate))
}

/// Makes, lists, checks and removes backups.
///
/// # Errors
/// There is no store or no backup, somebody else is at work, something cannot be read or written; or damage
/// was found.
pub fn run(args: &BackupArgs) -> Outcome {
    match &args.command {
        BackupCommand::Create(args) => create(args),
        BackupCommand::List(args) => list(args),
        BackupCommand::Verify(args) => verify(args),
        BackupCommand::Drill(args) => drill(args),
        BackupCommand::Prune(args) => prune(args),
    }
}

/// Makes a store of a backup.
///
/// # Errors
/// There is no such backup, it is damaged, or the directory is not empty.
pub fn restore(args: &RestoreArgs) -> Outcome {
    let backups = Backups::at(&args.backups);
    let number = chosen(&backups, args.backup)?;
    let progress = progress::spinner("restoring");
    let families: Vec<&str> = args.family.iter().map(String::as_str).collect();
    match families.is_empty() {
        true => backups.restore(number, &args.into)?,
        false => backups.restore_families(number, &args.into, &families)?,
    }
    progress.finish_and_clear();
    let mut out = Out::stdout();
    out.line(&format!("backup {number} restored into {}", args.into.display()))?;
    out.finish()
}

fn create(args: &CreateArgs) -> Outcome {
    let db = args.store.open()?;
    let options = paced(args.rate);
    let progress = progress::spinner("copying");
    let made = Backups::at(&args.to).create_with(&db, options)?;
    progress.finish_and_clear();
    db.close()?;
    print_one(args.json, &object(&made), &told(&made))
}

fn list(args: &ListArgs) -> Outcome {
    let BackupList { backups, unreadable, .. } = Backups::at(&args.backups).list()?;
    let mut out = Out::stdout();
    for backup in &backups {
        out.line(&if args.json { object(backup).to_string() } else { told(backup) })?;
    }
    out.finish()?;
    tell_unreadable(&unreadable);
    if unreadable.is_empty() { Ok(()) } else { Err(Failure::Quiet { code: DAMAGED }) }
}

fn verify(args: &ListArgs) -> Outcome {
    let progress = progress::spinner("verifying");
    let report = Backups::at(&args.backups).verify()?;
    progress.finish_and_clear();
    let VerifiedBackups { backups, objects, bytes, damaged, unreadable, unneeded, .. } = &report;
    let named = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let found = json!({
        "sound": report.is_sound(),
        "backups": backups,
        "objects": objects,
        "bytes": bytes,
        "unneeded_objects": unneeded,
        "damaged": damaged.iter().map(|damaged| json!({
            "object": damaged.object.to_string(),
            "backups": damaged.backups,
            "error": damaged.error.to_string(),
        })).collect::<Vec<_>>(),
        "unreadable": unreadable.iter().map(|(number, _)| number).collect::<Vec<_>>(),
    });
    if !args.json {
        for damaged in damaged {
            let line = format!("{}; it is needed by {}", damaged.error, named(&damaged.backups));
            notes::error(&line);
        }
        tell_unreadable(unreadable);
    }
    let verdict = if report.is_sound() { "sound" } else { "DAMAGED" };
    let (count, objects) = (counted(*backups, "backup"), counted(*objects, "object"));
    print_one(args.json, &found, &format!("{verdict}: {count} in {objects}, {}", size::text(*bytes)))?;
    if report.is_sound() { Ok(()) } else { Err(Failure::Quiet { code: DAMAGED }) }
}

fn drill(args: &DrillArgs) -> Outcome {
    let backups = Backups::at(&args.backups);
    let number = chosen(&backups, args.backup)?;
    let progress = progress::spinner("restoring and reading");
    let drill = match backups.drill(number) {
        Err(error @ Error::Corruption(_)) => {
            progress.finish_and_clear();
            notes::error(&error.to_string());
            return Err(Failure::Quiet { code: DAMAGED });
        }
        drill => drill?,
    };
    progress.finish_and_clear();
    let found = json!({
        "backup": drill.backup,
        "entries": drill.entries,
        "bytes": drill.bytes,
        "families": drill.families.iter().map(|(name, entries)| json!({ "name": name, "entries": entries }))
            .collect::<Vec<_>>(),
    });
    let (families, bytes) = (counted(drill.families.len() as u64, "column family"), size::text(drill.bytes));
    let families = families.replace("familys", "families");
    let entries = counted(drill.entries, "entry").replace("entrys", "entries");
    print_one(
        args.json,
        &found,
        &format!("backup {number} can be restored: {entries} in {families}, {bytes}"),
    )
}

fn prune(args: &PruneArgs) -> Outcome {
    let mut keep = Keep::last(args.keep_last);
    if let Some(age) = args.keep_within {
        keep = keep.within(age);
    }
    let pruned = Backups::at(&args.backups).prune(keep)?;
    if pruned.objects_kept_in_doubt {
        notes::warning("a backup cannot be read, and what it needs is not known: all objects stay");
    }
    let found = json!({
        "backups": pruned.backups,
        "objects": pruned.objects,
        "bytes": pruned.bytes,
        "objects_kept_in_doubt": pruned.objects_kept_in_doubt,
    });
    let backups = counted(pruned.backups.len() as u64, "backup");
    print_one(args.json, &found, &format!("{backups} removed, {} given back", size::text(pruned.bytes)))
}

/// The backup that was asked for, or the newest.
fn chosen(backups: &Backups, number: Option<u64>) -> Outcome<u64> {
    if let Some(number) = number {
        return Ok(number);
    }
    let list = backups.list()?;
    tell_unreadable(&list.unreadable);
    let newest = list.backups.last().map(|backup| backup.number);
    newest.ok_or_else(|| Failure::error("there is no backup that can be read"))
}

fn tell_unreadable(unreadable: &[(u64, Error)]) {
    for (number, error) in unreadable {
        notes::error(&format!("backup {number} cannot be read: {error}"));
    }
}

fn print_one(json: bool, object: &Value, text: &str) -> Outcome {
    let mut out = Out::stdout();
    out.line(&if json { object.to_string() } else { text.to_owned() })?;
    out.finish()
}

fn object(backup: &Backup) -> Value {
    json!({
        "number": backup.number,
        "created": date(backup),
        "created_ms": backup.created_ms,
        "store": format!("{:016x}", backup.store),
        "history": format!("{:016x}", backup.history),
        "seq": backup.seq,
        "files": backup.files,
        "bytes": backup.bytes,
        "new_bytes": backup.new_bytes,
    })
}

fn told(backup: &Backup) -> String {
    let (all, new) = (size::text(backup.bytes), size::text(backup.new_bytes));
    let files = counted(backup.files as u64, "file");
    format!("backup {} of {}: {files}, {all}, {new} of it new", backup.number, date(backup))
}

fn date(backup: &Backup) -> String {
    // What no calendar has was made by a clock that was wrong.
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(backup.created_ms));
    let known = time.filter(|_| backup.created_ms < 253_402_300_800_000);
    known.map_or_else(|| "?".into(), |time| humantime::format_rfc3339_seconds(time).to_string())
}
