//! Where data goes: standard output, or a file that appears under its name only when it is whole.

use crate::failure::{Failure, Outcome};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// A buffered output. Bytes pass unchanged: data may hold anything.
pub struct Out {
    target: Target,
    /// Whether labels and titles may be coloured.
    pub styled: bool,
}

enum Target {
    Stdout(BufWriter<io::Stdout>),
    File { file: BufWriter<File>, partial: PathBuf, path: PathBuf },
    InPlace { file: BufWriter<File>, path: PathBuf },
}

impl Out {
    /// Standard output; styled on a terminal, unless `NO_COLOR` or its like forbids.
    #[must_use]
    pub fn stdout() -> Out {
        let stdout = io::stdout();
        let wanted = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let styled = wanted && stdout.is_terminal();
        Out { target: Target::Stdout(BufWriter::with_capacity(64 << 10, stdout)), styled }
    }

    /// A file, written beside its place under the name `<path>.partial` until [`Out::finish`]. What
    /// is there and is no file (a device, a pipe) is written to as it stands.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn file(path: &Path) -> Outcome<Out> {
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(path).map_err(|e| Failure::file("open", path, &e))?;
            let file = BufWriter::with_capacity(64 << 10, file);
            return Ok(Out { target: Target::InPlace { file, path: path.to_owned() }, styled: false });
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|e| Failure::file("create", &partial, &e))?;
        let file = BufWriter::with_capacity(64 << 10, file);
        Ok(Out { target: Target::File { file, partial, path: path.to_owned() }, styled: false })
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        let written = match &mut self.target {
            Target::Stdout(stdout) => stdout.write_all(bytes),
            Target::File { file, .. } | Target::InPlace { file, .. } => file.write_all(bytes),
        };
        written.map_err(|e| self.failure(&e))
    }

    /// Writes a line of text.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn line(&mut self, text: &str) -> Outcome {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes a title or a label, bold where that is seen.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn label(&mut self, text: &str) -> Outcome {
        if !self.styled {
            return self.bytes(text.as_bytes());
        }
        let bold = anstyle::Style::new().bold();
        self.bytes(format!("{bold}{text}{bold:#}").as_bytes())
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn flush(&mut self) -> Outcome {
        let flushed = match &mut self.target {
            Target::Stdout(stdout) => stdout.flush(),
            Target::File { file, .. } | Target::InPlace { file, .. } => file.flush(),
        };
        flushed.map_err(|e| self.failure(&e))
    }

    /// Writes what is buffered; a file is synced and gets its name.
    ///
    /// # Errors
    /// The output is closed or full, or the file cannot be renamed.
    pub fn finish(mut self) -> Outcome {
        self.flush()?;
        if let Target::File { file, partial, path } = &self.target {
            file.get_ref().sync_all().map_err(|e| Failure::file("sync", partial, &e))?;
            std::fs::rename(partial, path).map_err(|e| Failure::file("create", path, &e))?;
        }
        Ok(())
    }

    fn failure(&self, error: &io::Error) -> Failure {
        match &self.target {
            Target::Stdout(_) => Failure::output(error),
            Target::File { partial: path, .. } | Target::InPlace { path, .. } => {
                Failure::file("write", path, error)
            }
        }
    }
}
