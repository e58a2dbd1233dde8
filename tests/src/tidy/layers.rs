//! The layers of the engine and of structures: which folder may import from which.

use super::finding::Finding;
use super::lexer::Rust;
use super::paths::paths;
use crate::workspace::TextFile;
use std::fmt::Write;

/// Where the engine's sources stand.
const ENGINE: &str = "engine/lsm/src/";
/// Where those of structures stand.
const STRUCTURES: &str = "engine/structures/src/";

/// A folder with its layer, and what lives there.
type Folder = (&'static str, u32, &'static str);

/// The folders of the engine, lowest layer first. A folder imports only from folders of lower layers.
pub const LAYERS: &[Folder] = &[
    ("base", 0, "errors, coding, checksums, keys, slices, clocks, locks and atomics, limits, file names"),
    ("fs", 1, "the file-system contract; the operating system's; the simulated one"),
    ("batch", 1, "the write batch: the very bytes that the log stores"),
    ("compress", 1, "codecs of blocks"),
    ("filter", 1, "filters that spare a look into a table"),
    ("ranges", 1, "deleted and dropped ranges of keys, and which of them cover a key"),
    ("metrics", 1, "how long things take; figures as text"),
    ("hooks", 1, "what a user's code does inside: merge operators, compaction filters"),
    ("block", 2, "sorted entries in prefix-compressed blocks, checksummed"),
    ("record", 2, "the framing shared by log and manifest; where a torn tail begins"),
    ("iter", 2, "merging sorted runs; what of them is visible"),
    ("cache", 2, "blocks in memory, within a budget"),
    ("memtable", 3, "entries in memory: arena and skiplist"),
    ("wal", 3, "segments of the write-ahead log: append, sync, replay"),
    ("blob", 3, "values that stand apart from their keys, in blob files"),
    ("table", 3, "sorted tables on disk: writer, index, reader, cursor"),
    ("locks", 4, "locks on keys that transactions hold; what was written of late"),
    ("version", 4, "which files make up the store: levels, edits, the manifest"),
    ("compaction", 5, "what to merge next, and the merge itself; flush"),
    ("tree", 5, "one column family's live state: lookup and scan"),
    ("inspect", 5, "read-only decoding of every kind of file, damaged ones too"),
    ("commit", 6, "the write path: order, log, memtable, publish"),
    ("background", 7, "jobs in the background and their scheduler; seeded and single-threaded in tests"),
    ("db", 8, "what the user holds: database, families, snapshots, iterators, options"),
    ("backup", 9, "copies of a store: checkpoints; backups, which are made, checked, pruned and restored"),
    ("feed", 9, "the change feed: what was committed and is durable, in order; named consumers"),
    ("txn", 9, "transactions: own writes over a snapshot, validated or locked; retries"),
    ("follower", 9, "reading a store that somebody else writes to, without its lock"),
    ("repair", 9, "a new store from what is left of a damaged one, and the report of what was lost"),
];

/// The same of structures.
pub const STRUCTURES_LAYERS: &[Folder] = &[
    ("base", 0, "errors with Redis' texts, numbers as text, hashes, patterns"),
    ("encoding", 1, "the bytes of keys and values"),
    ("ranks", 1, "counts of sorted sets as a process remembers them"),
    ("store", 2, "an open store; units of work: overlay, locks, watchers, counts, the sweeper"),
    ("string", 3, "operations of strings and bits"),
    ("hash", 3, "operations of hashes"),
    ("list", 3, "operations of lists"),
    ("set", 3, "operations of sets"),
    ("zset", 4, "operations of sorted sets, and their order statistics"),
    ("keys", 3, "operations of keys of any type"),
    ("sort", 5, "the elements of a key in an order"),
    ("verify", 5, "the check that headers, elements, index and counts agree"),
    ("api", 6, "typed calls"),
    ("command", 6, "the table of commands, arguments, replies, connections"),
];

/// The layered crates: where their sources stand, and their folders.
const CRATES: &[(&str, &[Folder])] = &[(ENGINE, LAYERS), (STRUCTURES, STRUCTURES_LAYERS)];

fn layer(folders: &[Folder], folder: &str) -> Option<u32> {
    folders.iter().find(|(name, ..)| *name == folder).map(|(_, layer, _)| *layer)
}

/// The layered crate in which a file stands.
fn crate_of(path: &str) -> Option<(&'static str, &'static [Folder])> {
    CRATES.iter().copied().find(|(root, _)| path.starts_with(root))
}

/// The folder of a layered crate in which a file stands; `None` if it is not in one.
#[must_use]
pub fn folder_of(path: &str) -> Option<&str> {
    let (root, _) = crate_of(path)?;
    path.strip_prefix(root)?.split_once('/').map(|(folder, _)| folder)
}

/// The table as Markdown, as docs/architecture.md shows it.
#[must_use]
pub fn layer_table() -> String {
    let mut table = String::from("| layer | folder | what lives there |\n|---|---|---|\n");
    for (folder, layer, what) in LAYERS {
        writeln!(table, "| {layer} | `{folder}/` | {what} |").expect("a String takes all");
    }
    table
}

/// Folders that the table does not know, folders that only the table knows, and loose files.
#[must_use]
pub fn unlisted_folders(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (root, folders) in CRATES {
        let sources = || files.iter().filter(|file| file.path.starts_with(root));
        for file in sources() {
            let mut find = |what: String| findings.push(Finding::new(&file.path, 0, what));
            match folder_of(&file.path) {
                None if file.path != format!("{root}lib.rs") => {
                    find("a file outside the layers: move it into a folder".into());
                }
                Some(folder) if layer(folders, folder).is_none() && file.path.ends_with("/mod.rs") => {
                    find(format!("{folder} has no layer: add it to the table"));
                }
                _ => {}
            }
        }
        for (folder, ..) in folders.iter().filter(|_| sources().next().is_some()) {
            if !sources().any(|file| folder_of(&file.path) == Some(folder)) {
                let what = format!("the table of layers names {folder}, which does not exist");
                findings.push(Finding::new(root, 0, what));
            }
        }
    }
    findings
}

/// Imports from the same layer or a higher one, and names taken from the root of the crate.
#[must_use]
pub fn layering(rust: &Rust<'_>) -> Vec<Finding> {
    let path = &rust.file.path;
    let Some(own) = folder_of(path) else { return Vec::new() };
    let Some((root, folders)) = crate_of(path) else { return Vec::new() };
    let Some(own_layer) = layer(folders, own) else { return Vec::new() };
    let depth = path[root.len()..].split('/').filter(|part| *part != "mod.rs").count();
    let mut findings = Vec::new();
    for used in paths(&rust.code) {
        let mut say = |what: String| findings.push(Finding::at(path, &rust.code, used.offset, what));
        let supers = used.segments.iter().take_while(|segment| *segment == "super").count();
        if supers >= depth + usize::from(rust.in_tests(used.offset)) {
            say("climbs out of its folder by super::; write crate::folder::..".into());
        }
        if used.segments[0] != "crate" {
            continue;
        }
        let target = used.segments[1].as_str();
        match layer(folders, target) {
            _ if target == own => {}
            None => say(format!("crate::{target} is not a folder: write the full path of the item")),
            Some(layer) if layer == own_layer => {
                say(format!("{own} imports {target} of its own layer {layer}: let a higher one join them"));
            }
            Some(layer) if layer > own_layer => {
                say(format!("{own} of layer {own_layer} imports {target} of the higher layer {layer}"));
            }
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = TextFile::new(path, text);
        layering(&Rust::new(&file)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn lower_layers_and_the_own_folder_may_be_imported() {
        let text = "use crate::base::{error::Result, slice::Slice};\nuse crate::wal::format;\n\
                    fn f(x: crate::fs::Fs) {} // use crate::db\nconst S: &str = \"crate::db::Db\";\n\
                    use super::reader::Reader;";
        assert!(findings("engine/lsm/src/wal/writer.rs", text).is_empty());
        assert!(findings("tools/cli/src/main.rs", "use crate::anything::at_all;").is_empty());
    }

    #[test]
    fn higher_layers_fire() {
        let found = findings("engine/lsm/src/wal/writer.rs", "use crate::{base::key, db::Db};");
        assert_eq!(found, ["wal of layer 3 imports db of the higher layer 8"]);
        let found = findings("engine/lsm/src/wal/writer.rs", "fn f() { crate::commit::queue::go() }");
        assert_eq!(found, ["wal of layer 3 imports commit of the higher layer 6"]);
    }

    #[test]
    fn the_same_layer_fires() {
        let found = findings("engine/lsm/src/wal/writer.rs", "use crate::table::Table;");
        assert_eq!(found, ["wal imports table of its own layer 3: let a higher one join them"]);
    }

    #[test]
    fn names_from_the_root_and_climbing_out_fire() {
        let found = findings("engine/lsm/src/wal/writer.rs", "use crate::Error;");
        assert_eq!(found, ["crate::Error is not a folder: write the full path of the item"]);
        let found = findings("engine/lsm/src/wal/writer.rs", "use super::super::db::Db;");
        assert_eq!(found, ["climbs out of its folder by super::; write crate::folder::.."]);
        let found = findings("engine/lsm/src/wal/mod.rs", "use super::db::Db;");
        assert_eq!(found.len(), 1);
        let inner = "#[cfg(test)]\nmod tests { use super::super::reader::Reader; }";
        assert!(findings("engine/lsm/src/wal/writer.rs", inner).is_empty());
    }

    #[test]
    fn folders_and_table_must_agree() {
        let mut files: Vec<TextFile> =
            LAYERS.iter().map(|(name, ..)| TextFile::new(&format!("{ENGINE}{name}/mod.rs"), "")).collect();
        files.push(TextFile::new("engine/lsm/src/lib.rs", ""));
        assert!(unlisted_folders(&files).is_empty());
        files.push(TextFile::new("engine/lsm/src/utils/mod.rs", ""));
        files.push(TextFile::new("engine/lsm/src/loose.rs", ""));
        files.remove(0);
        let found = unlisted_folders(&files);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
