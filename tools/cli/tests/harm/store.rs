//! The files of a store, and how they come to harm.

use crate::support::Folder;
use crate::support::folder::Ran;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;

impl Folder {
    /// A store of `records` records in tables, closed in good order.
    pub fn store(&self, records: u32) {
        let lines: String = (0..records).map(|n| format!("key{n:06};value of {n}\n")).collect();
        self.file("in.ssv", lines);
        self.ok(&["import", "in.ssv", "--key", "1"]);
        self.ok(&["compact"]);
    }

    /// A store with `groups` synced groups in its log, whose process was killed.
    pub fn killed_store(&self, groups: u32) {
        let mut child = self
            .command(&["import", "-", "--format", "ssv", "--key", "1", "--batch", "1", "--report"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut reports = BufReader::new(child.stdout.take().unwrap()).lines();
        for n in 1..=groups {
            input.write_all(format!("key{n};value\n").as_bytes()).unwrap();
            while reports.next().unwrap().unwrap() != format!("durable {n}") {}
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The one file of the store whose name ends (or, for a manifest, begins) so.
    pub fn one(&self, part: &str) -> PathBuf {
        let named = std::fs::read_dir(self.path().join("data")).unwrap().map(|entry| entry.unwrap().path());
        let fits = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(part) || name.starts_with(part)
        };
        let found: Vec<PathBuf> = named.filter(fits).collect();
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        found[0].clone()
    }

    /// Changes the bytes of that file.
    pub fn change(&self, part: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.one(part);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    /// Flips a bit at an offset of that file.
    pub fn flip(&self, part: &str, at: usize) {
        self.change(part, |bytes| bytes[at] ^= 1);
    }
}

impl Ran {
    /// The exit code, and one line on stderr as above; what `verify` found out is on stdout, too.
    pub fn assert_refused_or_damaged(&self, (code, said): (i32, &str)) {
        self.assert_refused(code, said);
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert!(code != 4 || stdout.is_empty() || stdout.starts_with("DAMAGED, "), "{stdout}");
    }
}
