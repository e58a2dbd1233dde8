//! Damage, full disks, other processes and interruptions: each is told in one line, with an exit code, and
//! takes nothing with it.

mod harm;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use support::Folder;
use support::folder::Ran;

/// What is done to the sound store of 5,000 records, and what `get` and `verify` say of it.
struct Harm {
    name: &'static str,
    harm: fn(&Folder),
    /// Exit code of `get key000001`, and what it says.
    get: (i32, &'static str),
    /// The same of `verify`.
    verify: (i32, &'static str),
}

const HARMS: &[Harm] = &[
    Harm {
        name: "a flipped bit in the first data block of a table",
        harm: |folder| folder.flip(".sst", 100),
        get: (1, ".sst at offset 0: expected block checksum"),
        verify: (4, ".sst at offset 0: expected block checksum"),
    },
    Harm {
        name: "a flipped bit in the footer of a table",
        harm: |folder| folder.change(".sst", |bytes| *bytes.iter_mut().nth_back(30).unwrap() ^= 1),
        get: (1, ".sst at offset"),
        verify: (4, ".sst at offset"),
    },
    Harm {
        name: "a table that is cut",
        harm: |folder| folder.change(".sst", |bytes| bytes.truncate(1000)),
        get: (1, "expected a table of"),
        verify: (4, "expected a table of"),
    },
    Harm {
        name: "a table that is gone",
        harm: |folder| std::fs::remove_file(folder.one(".sst")).unwrap(),
        get: (1, "expected a table that the manifest names, found no such file"),
        verify: (4, "expected a table that the manifest names, found no such file"),
    },
    Harm {
        name: "a table of a newer version",
        harm: |folder| folder.change(".sst", |bytes| *bytes.iter_mut().nth_back(15).unwrap() = 9),
        get: (1, ".sst has format version 9; this build reads versions up to 1"),
        verify: (1, ".sst has format version 9"),
    },
    Harm {
        name: "a flipped bit in the manifest",
        harm: |folder| folder.flip("MANIFEST-", 120),
        get: (1, "MANIFEST-"),
        verify: (4, "MANIFEST-"),
    },
    Harm {
        name: "a manifest of a newer version",
        harm: |folder| folder.change("CURRENT", |bytes| *bytes = current("esker 2 MANIFEST-000005 00")),
        get: (1, "CURRENT has format version 2"),
        verify: (1, "CURRENT has format version 2"),
    },
    Harm {
        name: "a manifest that is gone",
        harm: |folder| std::fs::remove_file(folder.one("MANIFEST-")).unwrap(),
        get: (1, "MANIFEST-"),
        verify: (4, "the manifest that CURRENT names, found no such file"),
    },
    Harm {
        name: "CURRENT that is damaged",
        harm: |folder| folder.flip("CURRENT", 10),
        get: (1, "CURRENT at offset 0"),
        verify: (4, "CURRENT at offset 0"),
    },
    Harm {
        name: "CURRENT that is gone",
        harm: |folder| std::fs::remove_file(folder.one("CURRENT")).unwrap(),
        get: (1, "but no CURRENT, which names the manifest"),
        verify: (4, "but no CURRENT"),
    },
    Harm {
        name: "CURRENT that is empty",
        harm: |folder| folder.change("CURRENT", Vec::clear),
        get: (1, "CURRENT at offset 0"),
        verify: (4, "CURRENT at offset 0"),
    },
];

/// A line of CURRENT with its checksum (CRC-32, bit by bit).
fn current(text: &str) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    format!("{text} {:08x}\n", !crc).into_bytes()
}

#[test]
fn damage_is_told_with_file_and_offset_and_never_served() {
    for Harm { name, harm, get, verify } in HARMS {
        println!("{name}");
        let folder = Folder::new();
        folder.store(5000);
        harm(&folder);
        folder.run(&["verify"]).assert_refused_or_damaged(*verify);
        folder.run(&["get", "key000001"]).assert_refused(get.0, get.1);
        folder.run(&["scan"]).assert_refused(get.0, get.1);
        let told = folder.run(&["verify", "--json"]);
        assert_eq!(told.code, verify.0);
        assert_eq!(String::from_utf8(told.stdout).unwrap().contains("\"sound\":false"), verify.0 == 4);
    }
}

#[test]
fn a_dump_of_a_foreign_file_makes_no_numbers_up() {
    let folder = Folder::new();
    folder.file("foreign.log", (0..400).map(|i| (i * 7 % 251) as u8).collect::<Vec<_>>());
    for kind in ["wal", "manifest"] {
        let ran = folder.run(&[kind, "dump", "foreign.log"]);
        let told = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(ran.code, 4, "{told}");
        assert!(told.contains("DAMAGE: ") && told.contains("the magic number"), "{told}");
        for made_up in ["number", "store", "identity", "start lsn"] {
            let fact = told.lines().any(|line| line.trim_start().starts_with(made_up));
            assert!(!fact, "{made_up} in {told}");
        }
    }
}

#[test]
fn what_every_harm_leaves_can_be_made_a_sound_store() {
    for Harm { name, harm, .. } in HARMS {
        println!("{name}");
        let folder = Folder::new();
        folder.store(5000);
        harm(&folder);
        let dry = folder.run(&["repair", "data", "--into", "new", "--dry-run"]);
        if *name == "a manifest of a newer version" {
            // What a newer version means by its files is not for this one to guess.
            dry.assert_refused(1, "CURRENT has format version 2");
            continue;
        }
        assert!(matches!(dry.code, 0 | 4) && !folder.path().join("new").exists(), "{}", dry.stderr);
        let ran = folder.run(&["repair", "data", "--into", "new", "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (dry.code, ""));
        let report = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(report.contains("\"loss\":\"none found\""), ran.code == 0, "{report}");
        assert!(folder.ok(&["verify", "--dir", "new"]).starts_with("sound: "));
        let count: u64 = folder.ok(&["scan", "--count", "--dir", "new"]).trim().parse().unwrap();
        let told = report.split("\"keys\":").find_map(|rest| rest.split([',', '}']).next()?.parse().ok());
        assert_eq!(told, Some(count), "{report}");
        assert!(count == 5000 || ran.code == 4, "{report}");
        let again = folder.run(&["repair", "data", "--into", "new"]);
        again.assert_refused(1, "into");
    }
}

#[test]
fn a_damaged_block_takes_only_its_own_entries() {
    let folder = Folder::new();
    folder.store(5000);
    folder.flip(".sst", 100);
    assert_eq!(folder.ok(&["get", "key004999"]), "key004999;value of 4999\n");
    let path = folder.one(".sst").display().to_string();
    let dump = folder.run(&["sst", "dump", &path, "--blocks"]);
    let told = String::from_utf8(dump.stdout).unwrap();
    assert_eq!((dump.code, dump.stderr.as_str()), (4, ""));
    assert!(told.contains("DAMAGE: ") && told.contains("key0049"), "{told}");
}

#[test]
fn a_damaged_log_is_refused_up_to_where_it_was_synced() {
    let folder = Folder::new();
    folder.killed_store(20);
    let log = folder.one(".log");
    let whole = std::fs::read(&log).unwrap();
    // The third group of twenty: the groups behind it say that it was synced.
    let third = records(&folder, &log)[2];
    folder.flip(".log", third + 40);
    folder.run(&["get", "key1"]).assert_refused(1, &format!(".log at offset {third}: expected payload"));
    folder.run(&["verify"]).assert_refused_or_damaged((4, ".log at offset"));
    assert_eq!(folder.run(&["wal", "dump", &log.display().to_string()]).code, 4);

    let cut = folder.run(&["get", "key2", "--recover-to-damage"]);
    assert_eq!((cut.code, cut.stdout.as_slice()), (0, &b"key2;value\n"[..]));
    assert!(cut.stderr.starts_with("esker: warning: ") && cut.stderr.contains("cut off"), "{}", cut.stderr);
    assert_eq!(folder.ok(&["scan", "--count"]), "2\n");

    // The last group may as well have been torn by a loss of power: it goes, and that is said.
    let torn = Folder::new();
    torn.killed_store(3);
    let log = torn.one(".log");
    let last = records(&torn, &log)[2];
    torn.flip(".log", last + 40);
    assert_eq!(torn.ok(&["scan", "--count"]), "2\n", "who only reads leaves it as it is");
    let ran = torn.run(&["stats"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.starts_with("esker: note: "), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("at offset {last}, an unfinished write")), "{}", ran.stderr);
    assert_eq!(torn.run(&["stats"]).stderr, "", "it is said once");
    assert_eq!(torn.ok(&["scan", "--count"]), "2\n");
    assert!(whole.len() > third);
}

/// Where the records of a segment begin.
fn records(folder: &Folder, log: &std::path::Path) -> Vec<usize> {
    let dump = folder.ok(&["wal", "dump", &log.display().to_string(), "--json"]);
    let rows = dump.lines().filter(|line| line.contains("\"section\":\"records\",\"kind\":\"group\""));
    let number = |row: &str| {
        let behind = row.split("\"offset\":").nth(1).unwrap();
        behind.split(',').next().unwrap().parse().unwrap()
    };
    rows.map(number).collect()
}

#[test]
fn places_without_a_store_are_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::create_dir(folder.path().join("foreign")).unwrap();
    folder.file("foreign/notes.txt", "mine");
    folder.file("file", "mine");
    let table: &[(&[&str], &str)] = &[
        (&["get", "k", "--dir", "missing"], "missing is not an Esker store: there is no store"),
        (&["get", "k", "--dir", "empty"], "empty is not an Esker store: there is no store"),
        (&["get", "k", "--dir", "foreign"], "foreign is not an Esker store: it holds other files"),
        (&["put", "k", "v", "--dir", "foreign"], "it holds other files, such as \"notes.txt\""),
        (&["get", "k", "--dir", "file"], "cannot list file: Not a directory"),
        (&["put", "k", "v", "--dir", "file"], "cannot list file: Not a directory"),
        (&["put", "k", "v", "--dir", "file/below"], "file/below"),
        (&["wal", "dump", "foreign"], "cannot open foreign: is a directory"),
        (&["wal", "dump", "missing.log"], "cannot open missing.log: No such file"),
    ];
    for (args, said) in table {
        folder.run(args).assert_refused(1, said);
    }
    assert!(!folder.path().join("missing").exists());
    let names = |dir: &str| std::fs::read_dir(folder.path().join(dir)).unwrap().count();
    assert_eq!((names("empty"), names("foreign")), (0, 1));
}

#[test]
fn a_store_in_use_says_by_whom() {
    let folder = Folder::new();
    let mut child = folder
        .command(&["import", "-", "--format", "ssv", "--key", "1", "--batch", "1", "--report"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a;1\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    folder.run(&["stats"]).assert_refused(1, &format!("data is in use by process {}", child.id()));
    assert_eq!(folder.ok(&["get", "a"]), "a;1\n", "who only reads does not mind");
    drop(input);
    assert!(child.wait().unwrap().success());
    assert_eq!(folder.ok(&["get", "a"]), "a;1\n");
}

#[test]
fn a_store_without_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.store(10);
    let lock = folder.one("LOCK");
    std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&lock).is_ok() {
        println!("note: this user may read everything; permission is not tried");
        return;
    }
    folder.run(&["get", "key000001"]).assert_refused(1, "LOCK: Permission denied");
}

#[test]
fn keys_at_the_limits() {
    let folder = Folder::new();
    folder.ok(&["put", "", "nothing before it"]);
    assert_eq!(folder.ok(&["get", ""]), "nothing before it\n");
    let prefix = "p".repeat(100_000);
    folder.file("long.ssv", format!("{};1\n", "k".repeat(40_000)));
    let import = ["import", "long.ssv", "--key", "1", "--key-prefix", &prefix];
    folder.run(&import).assert_refused(1, "the key has 140000 bytes; at most 131072 are allowed");
    folder.run(&["scan", "--family", "missing"]).assert_refused(1, "no column family \"missing\"");
}

/// Fills a file system of 90 MB, of which the log takes 64, in a mount namespace of its own; then makes it
/// larger and counts what is there.
const FULL_DISK: &str = r#"
mount -t tmpfs -o size=90m tmpfs disk || exit 99
"$ESKER" import "$1" --key 1 --batch 100 --report --dir disk/data >reports
code=$?
tail -n 1 reports >last
mount -o remount,size=500m disk || exit 98
"$ESKER" scan --count --dir disk/data >count || exit 97
exit $code
"#;

#[test]
fn a_full_disk_ends_an_import_and_keeps_what_was_durable() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    let mut state = 1u64;
    let mut lines = String::new();
    for n in 0..100_000 {
        lines.push_str(&format!("key{n:06};"));
        for _ in 0..60 {
            // Not to be compressed (xorshift, Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            lines.push_str(&format!("{state:016x}"));
        }
        lines.push('\n');
    }
    let input = folder.file("large.ssv", lines);
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh"])
        .arg(input)
        .env("ESKER", env!("CARGO_BIN_EXE_esker"))
        .current_dir(folder.path())
        .output();
    let ran = match output.map(Ran::from) {
        Ok(ran) if ran.code != 99 && !ran.stderr.contains("unshare") => ran,
        _ => {
            println!("note: no file system can be mounted here; a limit on the size of files is tried");
            return limited_file(&folder);
        }
    };
    ran.assert_refused(1, "the disk is full: ");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let durable: u64 = read("last").trim().strip_prefix("durable ").unwrap().parse().unwrap();
    println!("{durable} records were durable when the disk was full");
    assert!(ran.stderr.contains("records are durable)"), "{}", ran.stderr);
    let found: u64 = read("count").trim().parse().unwrap();
    assert!(found >= durable && durable > 10_000, "{found} of {durable}");
}

fn limited_file(folder: &Folder) {
    let script = "trap '' XFSZ; ulimit -f 2000; exec \"$ESKER\" import large.ssv --key 1";
    let mut command = Command::new("bash");
    command.args(["-c", script]).env("ESKER", env!("CARGO_BIN_EXE_esker")).current_dir(folder.path());
    Ran::from(command.output().unwrap()).assert_refused(1, "File too large");
}

#[test]
fn an_import_from_a_file_can_be_interrupted() {
    let folder = Folder::new();
    let lines: String = (0..400_000).map(|n| format!("key{n:06};{}\n", "v".repeat(200))).collect();
    folder.file("many.ssv", lines);
    let mut child = folder
        .command(&["import", "many.ssv", "--key", "1", "--batch", "20", "--report"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reports = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..20 {
        reports.read_line(&mut line).unwrap();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    reports.read_to_string(&mut line).unwrap();
    let last: u64 = line.lines().last().unwrap().strip_prefix("durable ").unwrap().parse().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    let digits = ran.stderr.replace(',', "");
    assert!(digits.contains(&format!("interrupted; {last} records are durable")), "{}", ran.stderr);
    ran.assert_refused(130, "interrupted; ");
    assert!(last < 400_000, "it was over before the signal");
    let stats = folder.ok(&["stats", "--json"]);
    assert!(stats.contains("\"clean\":true"), "it was closed in good order: {stats}");
    assert_eq!(folder.ok(&["scan", "--count"]), format!("{last}\n"));
    assert_eq!(folder.ok(&["verify"]).split(':').next(), Some("sound"));
}

#[test]
fn a_damaged_store_is_repaired_into_a_new_one_and_what_is_lost_is_told() {
    let folder = Folder::new();
    folder.store(5000);
    let whole = folder.ok(&["scan"]);
    std::fs::remove_file(folder.one("CURRENT")).unwrap();
    folder.run(&["get", "key000001"]).assert_refused(1, "but no CURRENT");
    let told = folder.ok(&["repair", "data", "--into", "new", "--dry-run"]);
    assert!(told.starts_with("no loss was found\n"), "{told}");
    assert!(!folder.path().join("new").exists());
    folder.ok(&["repair", "data", "--into", "new"]);
    assert_eq!(folder.ok(&["scan", "--dir", "new"]), whole);
    assert!(folder.ok(&["verify", "--dir", "new"]).starts_with("sound"));
    folder.run(&["repair", "data", "--into", "new"]).assert_refused(1, "is not empty");
    folder.run(&["repair", "data"]).assert_refused(2, "--into");
    folder.run(&["repair", "nothing", "--into", "new2"]).assert_refused(1, "there is no such directory");

    folder.flip(".sst", 100);
    let ran = folder.run(&["repair", "data", "--into", "less", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (4, ""));
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let lost = report["entries_lost"].as_u64().unwrap();
    assert!(report["loss"] == "certain" && lost > 0, "{report}");
    assert_eq!(report["doubts"][0]["family"], "default");
    assert_eq!(report["doubts"][0]["keys"]["from"], "key000000");
    assert_eq!(folder.ok(&["scan", "--count", "--dir", "less"]), format!("{}\n", 5000 - lost));
}
