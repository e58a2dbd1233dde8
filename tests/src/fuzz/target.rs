//! The list of targets.

use super::table;
use super::{batch, block, commands, compressed, filter, index, log, manifest, operations};
use super::{pipelines, records, requests, store};

/// Something that takes any bytes, and panics if the engine does with them what it must not.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "records", run: records::records },
    Target { name: "log", run: log::log },
    Target { name: "batch", run: batch::batch },
    Target { name: "current", run: manifest::current },
    Target { name: "manifest", run: manifest::manifest },
    Target { name: "edit", run: manifest::edit },
    Target { name: "block", run: block::block },
    Target { name: "index", run: index::index },
    Target { name: "filter", run: filter::filter },
    Target { name: "compressed", run: compressed::compressed },
    Target { name: "table", run: table::table },
    Target { name: "store", run: store::store },
    Target { name: "operations", run: operations::operations },
    Target { name: "commands", run: commands::commands },
    Target { name: "pipelines", run: pipelines::pipelines },
    Target { name: "requests", run: requests::requests },
];

/// The target of that name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn target(name: &str) -> &'static Target {
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("there is no target {name:?}; there are {}", names()))
}
