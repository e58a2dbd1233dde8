//! Runs the real binary in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder that is removed at the end; every command runs in it, on the store `data`.
pub struct Folder(tempfile::TempDir);

/// What a command did.
pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and returns its name.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path().join(name), bytes).unwrap();
        PathBuf::from(name)
    }

    /// The command with a plain environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
        command.args(args).current_dir(self.path()).env_remove("ESKER_DIR").stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Runs a command that must succeed and say nothing on stderr; returns its output.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
        String::from_utf8(ran.stdout).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let code = output.status.code().expect("no signal ended it");
        Ran { code, stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
    }
}

impl Ran {
    /// The outcome is this exit code and one line on stderr, which holds `said`.
    pub fn assert_refused(&self, code: i32, said: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(self.stderr.matches('\n').count(), 1, "one line: {}", self.stderr);
        assert!(self.stderr.starts_with("esker: error: "), "{}", self.stderr);
        assert!(self.stderr.contains(said), "{said:?} is not in: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}
