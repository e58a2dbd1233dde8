//! The parent's end of the child.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

/// A running actor. It is killed when this is dropped; if this process dies, its input ends and so does it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts the program on a store.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, dir: &Path, options: u32, wall_ms: u64) -> Result<Child, String> {
        let mut command = Command::new(program);
        command.arg(dir).args([options.to_string(), wall_ms.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|e| format!("cannot start {}: {e}", program.display()))?;
        let input = process.stdin.take().ok_or("no input")?;
        let output = process.stdout.take().ok_or("no output")?;
        let input = BufWriter::with_capacity(64 << 10, input);
        Ok(Child { process, input, output: BufReader::with_capacity(256 << 10, output) })
    }

    /// Puts a line on its way; see [`Child::flush`].
    ///
    /// # Errors
    /// If the child is gone.
    pub fn send(&mut self, line: &str) -> Result<(), String> {
        let sent =
            self.input.write_all(line.trim_end().as_bytes()).and_then(|()| self.input.write_all(b"\n"));
        sent.map_err(|e| self.gone(&e))
    }

    /// Sends what is on its way.
    ///
    /// # Errors
    /// If the child is gone.
    pub fn flush(&mut self) -> Result<(), String> {
        self.input.flush().map_err(|e| self.gone(&e))
    }

    fn gone(&mut self, why: &io::Error) -> String {
        format!("the child is gone ({why}): {:?}", self.process.wait())
    }

    /// Whether an answer has arrived that was not taken yet.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        self.output.buffer().contains(&b'\n')
    }

    /// Waits for the next line.
    ///
    /// # Errors
    /// If the child is gone.
    pub fn receive(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let length = self.output.read_line(&mut line).map_err(|e| self.gone(&e))?;
        if length == 0 {
            return Err(format!("the child has ended: {:?}", self.process.wait()));
        }
        Ok(line.trim_end().into())
    }

    /// Kills the child; returns the lines that it had written, the last of which may have been cut.
    ///
    /// # Errors
    /// If it cannot be killed, or had ended by itself.
    pub fn kill(&mut self) -> Result<Vec<String>, String> {
        self.process.kill().map_err(|e| format!("cannot kill the child: {e}"))?;
        let status = self.process.wait().map_err(|e| format!("cannot wait for the child: {e}"))?;
        if status.code().is_some() {
            return Err(format!("the child had ended before it was killed: {status}"));
        }
        let mut lines = Vec::new();
        let mut line = String::new();
        while self.output.read_line(&mut line).is_ok_and(|length| length > 0) {
            if let Some(whole) = line.strip_suffix('\n') {
                lines.push(whole.into());
            }
            line.clear();
        }
        Ok(lines)
    }

    /// The memory that the system counts for the child, in bytes; `None` where `/proc` does not say.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
    }

    /// The files that the child has open; `None` where `/proc` does not say.
    #[must_use]
    pub fn descriptors(&self) -> Option<u64> {
        Some(std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).ok()?.count() as u64)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left of it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
