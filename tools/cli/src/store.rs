//! Opening the store that the command line names.

use crate::failure::Outcome;
use crate::text::size;
use clap::Args;
use esker::{ColumnFamily, Db};
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
    /// Opens a store that must exist.
    ///
    /// # Errors
    /// There is no store, it is in use, or it cannot be opened.
    pub fn open(&self) -> Outcome<Db> {
        self.open_with(false)
    }

    /// Opens a store, and creates it where there is none.
    ///
    /// # Errors
    /// It is in use, or it cannot be opened or created.
    pub fn open_or_create(&self) -> Outcome<Db> {
        self.open_with(true)
    }

    fn open_with(&self, create: bool) -> Outcome<Db> {
        Ok(self.builder(create).open()?)
    }

    /// The engine's builder with what the command line says.
    #[must_use]
    pub fn builder(&self, create: bool) -> esker::Builder {
        let builder = Db::builder(&self.dir).create_if_missing(create);
        match self.memory {
            Some(bytes) => builder.memory_budget(bytes),
            None => builder,
        }
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
