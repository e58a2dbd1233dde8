//! What the files of a directory are: by what they hold, or else by their names.

use crate::base::filename::FileKind;
use crate::fs::Fs;
use crate::record::LogKind;
use crate::table::Footer;
use std::path::Path;

/// The names of the files that hold data, by kind.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) tables: Vec<String>,
    pub(super) logs: Vec<String>,
    pub(super) manifests: Vec<String>,
}

impl Contents {
    /// Looks at the beginning and the end of every file that has a name of the store's. A copy or a
    /// file system that was mended may have exchanged names: what a file says of itself counts more.
    pub(super) fn of(fs: &Fs, dir: &Path, names: &[String]) -> Contents {
        let mut contents = Contents::default();
        for name in names {
            let by_name = match FileKind::parse(name) {
                None => continue,
                Some(FileKind::Lock | FileKind::Temp(_) | FileKind::Blob(_) | FileKind::Reserve) => continue,
                Some(FileKind::Table(_)) => Some(&mut contents.tables),
                Some(FileKind::Wal(_)) => Some(&mut contents.logs),
                Some(FileKind::Manifest(_)) => Some(&mut contents.manifests),
                Some(FileKind::Current) => None,
            };
            let list = match by_content(fs, &dir.join(name)) {
                None => by_name,
                Some(Held::Table) => Some(&mut contents.tables),
                Some(Held::Log(LogKind::Wal)) => Some(&mut contents.logs),
                Some(Held::Log(LogKind::Manifest)) => Some(&mut contents.manifests),
            };
            if let Some(list) = list {
                list.push(name.clone());
            }
        }
        contents
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.logs.is_empty() && self.manifests.is_empty()
    }
}

enum Held {
    Table,
    Log(LogKind),
}

fn by_content(fs: &Fs, path: &Path) -> Option<Held> {
    let file = fs.open(path).ok()?;
    let mut beginning = [0; 8];
    let read = file.read_at(&mut beginning, 0).ok()?;
    if let Some(kind) = LogKind::of(&beginning[..read]) {
        return Some(Held::Log(kind));
    }
    Footer::read(&file, file.size().ok()?).ok().map(|_| Held::Table)
}
