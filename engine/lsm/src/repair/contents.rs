//! What the files of a directory are: by what they hold, or else by their names.

use crate::base::error::{Error, Result};
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
    ///
    /// # Errors
    /// [`Error::Io`] if this process may not read a file, or cannot for want of means of its own: that
    /// says nothing of the file. What cannot be read for another reason is damaged.
    pub(super) fn of(fs: &Fs, dir: &Path, names: &[String]) -> Result<Contents> {
        let mut contents = Contents::default();
        for name in names {
            let by_name = match FileKind::parse(name) {
                None => continue,
                Some(FileKind::Lock | FileKind::Temp(_) | FileKind::Blob(_)) => continue,
                Some(FileKind::Reserve | FileKind::Options(_) | FileKind::Unfinished) => continue,
                Some(FileKind::Table(_)) => Some(&mut contents.tables),
                Some(FileKind::Wal(_)) => Some(&mut contents.logs),
                Some(FileKind::Manifest(_)) => Some(&mut contents.manifests),
                Some(FileKind::Current) => None,
            };
            let held = match by_content(fs, &dir.join(name)) {
                Err(error) if is_refusal(&error) => return Err(error),
                held => held.unwrap_or_default(),
            };
            let list = match held {
                None => by_name,
                Some(Held::Table) => Some(&mut contents.tables),
                Some(Held::Log(LogKind::Wal)) => Some(&mut contents.logs),
                Some(Held::Log(LogKind::Manifest)) => Some(&mut contents.manifests),
            };
            if let Some(list) = list {
                list.push(name.clone());
            }
        }
        Ok(contents)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.logs.is_empty() && self.manifests.is_empty()
    }
}

enum Held {
    Table,
    Log(LogKind),
}

fn by_content(fs: &Fs, path: &Path) -> Result<Option<Held>> {
    let file = fs.open(path)?;
    let mut beginning = [0; 8];
    let read = file.read_at(&mut beginning, 0)?;
    if let Some(kind) = LogKind::of(&beginning[..read]) {
        return Ok(Some(Held::Log(kind)));
    }
    Ok(Footer::read(&file, file.size()?).ok().map(|_| Held::Table))
}

/// Whether an error is about this process and not about the file.
fn is_refusal(error: &Error) -> bool {
    let Error::Io(failure) = error else { return false };
    failure.source.kind() == std::io::ErrorKind::PermissionDenied
        || matches!(failure.source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}
