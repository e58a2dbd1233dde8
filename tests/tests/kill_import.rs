//! `esker import`, killed with SIGKILL at random moments: what it reported as durable is there.
//!
//! `ESKER_KILLS` and `ESKER_KILL_LINES` say how often and of how many lines; `ESKER_KILL_SEED` repeats a
//! run as far as the moments can be repeated. A full run:
//! `ESKER_KILLS=20 ESKER_KILL_LINES=1000000 cargo test --release -p esker-tests --test kill_import`

use esker::Db;
use esker::base::random::Random;
use esker_tests::process::{Limit, Lines};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Far more than any step takes.
const LIMIT: Duration = Duration::from_secs(600);

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

struct Run {
    lines: Lines,
    random: Random,
    folder: tempfile::TempDir,
    /// How many lines must be there, from the first on.
    durable: u64,
    /// Records that were reported and are missing, and whatever else must not be.
    violations: u64,
    cut: u64,
}

impl Run {
    fn esker(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esker-under-test"));
        command.args(args).current_dir(self.folder.path()).env_remove("ESKER_DIR").stdin(Stdio::null());
        command
    }

    fn store(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Starts to import the lines from `from` on.
    fn import(&self, from: u64) -> Child {
        std::fs::write(self.folder.path().join("in.jsonl"), self.lines.text(from)).unwrap();
        // Little memory makes for many flushes and compactions to be killed in.
        let memory = if self.random.below(2) == 0 { "16MiB" } else { "256MiB" };
        let batch = ["1000", "100", "7"][self.random.below(3) as usize];
        let args = ["import", "in.jsonl", "--key", "id", "--report", "--batch", batch, "--memory", memory];
        self.esker(&args).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Imports until a random moment; returns whether the kill was in time.
    fn kill_amid(&mut self) -> bool {
        // Starting over is as good as going on.
        let from = if self.random.below(2) == 0 { self.durable } else { 0 };
        let mut child = self.import(from);
        let limit = Limit::new(&child, LIMIT);
        let reports = BufReader::new(child.stdout.take().unwrap());
        let target = self.random.below(self.lines.0 - from);
        let pause = Duration::from_micros(self.random.below(20_000));
        let (mut reported, mut killed) = (0, false);
        let mut reports = reports.lines();
        loop {
            // One time in eight the process dies while it opens the store.
            if !killed && (reported > target || target.is_multiple_of(8)) {
                std::thread::sleep(pause);
                child.kill().unwrap();
                killed = true;
            }
            // What it wrote before it died counts, read or not.
            let Some(Ok(line)) = reports.next() else { break };
            let Some(count) = line.strip_prefix("durable ") else { continue };
            reported = count.parse().unwrap();
        }
        let status = child.wait().unwrap();
        drop(limit);
        self.durable = self.durable.max(from + reported);
        println!("from {from}, aimed at {target}: reported {reported}, then {status}");
        assert!(killed || status.success(), "{status}");
        !status.success()
    }

    /// The store is sound, and every line that was reported is there as it was.
    fn check(&mut self) {
        if !self.store().join("CURRENT").exists() {
            self.violations += u64::from(self.durable > 0);
            return;
        }
        // In turn the command and the library are the first to open what the kill left behind.
        let by_command = self.random.below(2) == 0;
        if by_command {
            self.verify();
        }
        self.scan(&self.store());
        if !by_command {
            self.verify();
        }
    }

    fn verify(&mut self) {
        let child = self.esker(&["verify"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let limit = Limit::new(&child, LIMIT);
        let output = child.wait_with_output().unwrap();
        drop(limit);
        if !output.status.success() {
            println!("verify: {}", String::from_utf8_lossy(&output.stderr));
            self.violations += 1;
        }
    }

    fn scan(&mut self, store: &Path) {
        let db = Db::builder(store).create_if_missing(false).open().unwrap();
        if let Some(cut) = &db.recovery().cut {
            self.cut += 1;
            // A kill loses nothing that was written: only a write under way can be cut short.
            println!("cut off {} at {}: {}", cut.file.display(), cut.offset, cut.why);
            self.violations += u64::from(cut.damaged);
        }
        let mut seen = vec![false; self.lines.0 as usize];
        for entry in db.iter().unwrap() {
            let (key, value) = entry.unwrap();
            match Lines::number(&value).filter(|number| Lines::key(*number).as_bytes() == &*key) {
                Some(number) => seen[number as usize] = true,
                None => self.violations += 1,
            }
        }
        let missing = seen[..self.durable as usize].iter().filter(|seen| !**seen).count();
        println!(
            "{} of {} lines are there, {missing} of them missing",
            seen.iter().filter(|s| **s).count(),
            self.durable
        );
        self.violations += missing as u64;
        db.close().unwrap();
    }

    /// Imports what is not known to be there, to the end.
    fn finish(&mut self) {
        let mut child = self.import(self.durable);
        let limit = Limit::new(&child, LIMIT);
        let reports = BufReader::new(child.stdout.take().unwrap());
        let last = reports.lines().map(Result::unwrap).filter(|line| line.starts_with("durable ")).last();
        assert!(child.wait().unwrap().success());
        drop(limit);
        let rest = self.lines.0 - self.durable;
        assert_eq!(last, (rest > 0).then(|| format!("durable {rest}")));
        self.durable = self.lines.0;
        self.check();
    }
}

#[test]
fn nothing_that_was_reported_is_lost_to_a_kill() {
    let (kills, lines) = (number_from("ESKER_KILLS", 5), number_from("ESKER_KILL_LINES", 200_000));
    let seed = number_from("ESKER_KILL_SEED", Random::default().next_u64() >> 1);
    println!("ESKER_KILL_SEED={seed}");
    let mut run = Run {
        lines: Lines(lines),
        random: Random::seeded(seed),
        folder: tempfile::tempdir().unwrap(),
        durable: 0,
        violations: 0,
        cut: 0,
    };
    let (mut done, mut tries) = (0, 0);
    while done < kills && tries < kills * 4 {
        tries += 1;
        done += u64::from(run.kill_amid());
        run.check();
        // When most is there, the rest follows and another store begins.
        if run.durable > lines / 10 * 8 {
            run.finish();
            std::fs::remove_dir_all(run.store()).unwrap();
            run.durable = 0;
        }
    }
    run.finish();
    esker_tests::figure!(
        "kills of an import: {done} of {lines} lines, seed {seed}, {} torn ends, {} violations",
        run.cut,
        run.violations
    );
    assert_eq!((done, run.violations), (kills, 0), "seed {seed}");
}
