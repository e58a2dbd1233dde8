//! Opening the store that the command line names.

use crate::failure::Outcome;
use crate::output::notes;
use crate::text::number::counted;
use crate::text::size;
use clap::Args;
use esker::{ColumnFamily, Db, ReadOnlyDb, ReadOnlyFamily, Recovery};
use std::path::PathBuf;

/// Which store, and how much memory it may use.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// The directory of the store
    #[arg(
        short,
        long,
        visible_alias = "into",
        value_name = "DIR",
        default_value = "data",
        env = "ESKER_DIR"
    )]
    pub dir: PathBuf,
    /// Memory for write buffers and caches together, such as 256MB or 1GiB [default: the engine's]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub memory: Option<u64>,
    /// Open a store whose log is damaged, and give up all that was written behind the damage
    #[arg(long)]
    pub recover_to_damage: bool,
}

/// Which column family.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Store")]
pub struct FamilyArgs {
    /// The column family [default: the default one]
    #[arg(short, long, value_name = "NAME")]
    pub family: Option<String>,
}

impl StoreArgs {
    /// Opens a store that must exist, whatever layer wrote it, to read it or to keep house.
    ///
    /// # Errors
    /// There is no store, it is in use, or it cannot be opened.
    pub fn open(&self) -> Outcome<Db> {
        opened(self.builder(false).any_layer())
    }

    /// Opens a store that must exist, whatever layer wrote it, to read what it holds at this moment: it may
    /// be in use, and is left as it is. Only what is to be given up of a damaged one is given up first.
    ///
    /// # Errors
    /// There is no store, or it cannot be read.
    pub fn open_to_read(&self) -> Outcome<ReadOnlyDb> {
        if self.recover_to_damage {
            self.open()?.close()?;
        }
        Ok(self.builder(false).any_layer().open_read_only()?)
    }

    /// Opens a store of plain keys that must exist.
    ///
    /// # Errors
    /// There is none, it is in use, its keys belong to a layer, or it cannot be opened.
    pub fn open_to_write(&self) -> Outcome<Db> {
        opened(self.builder(false))
    }

    /// Opens a store of plain keys, and creates it where there is none.
    ///
    /// # Errors
    /// It is in use, its keys belong to a layer, or it cannot be opened or created.
    pub fn open_or_create(&self) -> Outcome<Db> {
        opened(self.builder(true))
    }

    /// The engine's builder with what the command line says.
    #[must_use]
    pub fn builder(&self, create: bool) -> esker::Builder {
        // A look into a store changes nothing of how its program uses it.
        let builder = Db::builder(&self.dir).stored_options();
        let builder = builder.create_if_missing(create).recover_to_damage(self.recover_to_damage);
        match self.memory {
            Some(bytes) => builder.memory_budget(bytes),
            None => builder,
        }
    }
}

fn opened(builder: esker::Builder) -> Outcome<Db> {
    let db = builder.open()?;
    tell_recovery(db.recovery());
    Ok(db)
}

/// Says what opening a store has cut off: nothing is given up in silence.
pub fn tell_recovery(recovery: &Recovery) {
    if let Some(cut) = &recovery.cut {
        let what = if cut.damaged { "damage" } else { "an unfinished write" };
        let (file, bytes) = (cut.file.display(), counted(cut.bytes, "byte"));
        let line = format!("{bytes} cut off {file} at offset {}, {what}: {}", cut.offset, cut.why);
        if cut.damaged { notes::warning(&line) } else { notes::note(&line) }
    }
    for why in &recovery.damaged_options {
        notes::warning(&format!("stored options cannot be read: {why}"));
    }
    if !recovery.unknown_options.is_empty() {
        let names = recovery.unknown_options.join(", ");
        notes::note(&format!(
            "options that another version stored, and this one does not know, are kept: {names}"
        ));
    }
    if recovery.torn_manifest_bytes > 0 {
        let bytes = counted(recovery.torn_manifest_bytes, "byte");
        notes::note(&format!("{bytes} of an unfinished edit cut off the manifest"));
    }
}

impl FamilyArgs {
    /// A family that must exist.
    ///
    /// # Errors
    /// There is no family of this name.
    pub fn open(&self, db: &Db) -> Outcome<ColumnFamily> {
        match &self.family {
            None => Ok(db.default_family()),
            Some(name) => Ok(db.open_column_family(name)?),
        }
    }

    /// A family of a store that is only read, which must exist.
    ///
    /// # Errors
    /// There is no family of this name.
    pub fn read(&self, db: &ReadOnlyDb) -> Outcome<ReadOnlyFamily> {
        match &self.family {
            None => Ok(db.default_family()),
            Some(name) => Ok(db.column_family(name)?),
        }
    }

    /// A family, created where there is none.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn open_or_create(&self, db: &Db) -> Outcome<ColumnFamily> {
        match &self.family {
            None => Ok(db.default_family()),
            Some(name) => Ok(db.column_family(name)?),
        }
    }
}
