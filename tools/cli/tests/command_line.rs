//! Help, bad input and exit codes of the real binary.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use support::Folder;
use support::folder::Ran;

const COMMANDS: &[&[&str]] = &[
    &["import"],
    &["ingest"],
    &["export"],
    &["get"],
    &["explain"],
    &["put"],
    &["delete"],
    &["scan"],
    &["stats"],
    &["options"],
    &["compact"],
    &["verify"],
    &["backup"],
    &["backup", "create"],
    &["backup", "list"],
    &["backup", "verify"],
    &["backup", "drill"],
    &["backup", "prune"],
    &["restore"],
    &["checkpoint"],
    &["families"],
    &["families", "list"],
    &["families", "create"],
    &["families", "drop"],
    &["changes"],
    &["consumers"],
    &["consumers", "list"],
    &["consumers", "remove"],
    &["prepared"],
    &["prepared", "list"],
    &["prepared", "commit"],
    &["prepared", "rollback"],
    &["stress"],
    &["sst"],
    &["sst", "dump"],
    &["wal", "dump"],
    &["manifest", "dump"],
];

#[test]
fn every_command_has_help_with_examples() {
    let folder = Folder::new();
    for command in COMMANDS {
        let help = folder.ok(&[command, &["--help"][..]].concat());
        assert!(help.contains("Usage: esker "), "{command:?}: {help}");
        assert!(help.contains("Example"), "{command:?}: {help}");
        assert!(help.contains(&format!("  esker {}", command[0])), "{command:?}: {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{command:?}: {help}");
    }
    let overview = folder.ok(&["--help"]);
    assert!(COMMANDS.iter().all(|command| overview.contains(command[0])), "{overview}");
    assert!(overview.contains("Exit codes:"), "{overview}");
    assert_eq!(folder.ok(&["--version"]), format!("esker {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(folder.run(&[]).code, 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "help creates nothing");
}

#[test]
fn mistakes_are_told_in_one_line() {
    let folder = Folder::new();
    folder.ok(&["put", "k", "v"]);
    folder.file("a.csv", "id,name\n1,Ada\n");
    folder.file("bad.csv", "id,name\n1,Ada\n2,Bob,3\n");
    folder.file("open.csv", "id,name\n1,Ada\n2,\"Bob\n3,Cid\n");
    folder.file("bad.jsonl", "{\"id\":1}\n{\"id\":2\n");
    folder.file("nokey.jsonl", "{\"id\":1}\n\n{\"name\":2}\n");
    folder.file("bad.json", "[{\"id\":1},\n{\"id\":2}");
    folder.file("long.ssv", format!("a;1\n{};2\n", "k".repeat(128 * 1024 + 1)));
    folder.file("plain.txt", "hello\n");
    let table: &[(&[&str], i32, &str)] = &[
        (&["frobnicate"], 2, "unrecognized subcommand 'frobnicate'"),
        (&["get"], 2, "required arguments were not provided: <KEY>"),
        (&["get", "k", "--colour"], 2, "unexpected argument '--colour'"),
        (&["get", "a\\q"], 2, "bad escape"),
        (&["get", "hex:0"], 2, "not hexadecimal"),
        (&["get", "!", "--key-encoding", "base64"], 2, "not base 64"),
        (&["get", "k", "--key-encoding", "rot13"], 2, "invalid value 'rot13'"),
        (&["get", "nothing"], 3, "there is no key nothing"),
        (&["get", "k", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["get", "k", "--family", "none"], 1, "no column family \"none\""),
        (&["get", "k", "--memory", "lots"], 2, "256MB"),
        (&["put", "k"], 2, "<VALUE>"),
        (&["put", "k", "v", "--value-file", "a.csv"], 2, "cannot be used with"),
        (&["put", "k", "--value-file", "none.bin"], 1, "cannot open none.bin: No such file"),
        (&["put", "k", "v", "--ttl", "30"], 2, "30s"),
        (&["put", "k", "v\\"], 2, "bad escape"),
        (&["delete"], 2, "<KEY>"),
        (&["scan", "--limit", "x"], 2, "--limit"),
        (&["scan", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["export", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["stats", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["verify", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["compact", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["delete", "k", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["families", "list", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["families", "drop", "none"], 1, "no column family \"none\""),
        (&["prepared", "list", "--dir", "elsewhere"], 1, "elsewhere"),
        (&["changes"], 1, "opened without it"),
        (&["changes", "--from", "1"], 2, "16 hexadecimal digits"),
        (&["consumers", "remove", "none"], 1, "no feed consumer \"none\""),
        (&["prepared", "commit", "none"], 1, "no transaction \"none\" is prepared"),
        (&["prepared", "rollback", "none"], 1, "no transaction \"none\" is prepared"),
        (&["export", "--encoding", "raw"], 2, "cannot hold raw bytes"),
        (&["export", "--all-families", "--format", "csv"], 2, "--all-families"),
        (&["export", "-o", "no/such/folder"], 1, "no/such/folder"),
        (&["sst", "dump", "none.sst"], 1, "none.sst"),
        (&["ingest", "none.sst"], 1, "cannot open none.sst"),
        (&["ingest", "plain.txt"], 1, "this is not a table"),
        (&["import", "none.csv", "--key", "id"], 1, "cannot open none.csv: No such file"),
        (&["import", "data", "--key", "id"], 1, "it is a directory"),
        (&["import", "plain.txt", "--key", "id"], 2, "name it with --format"),
        (&["import", "a.csv"], 2, "--key is needed"),
        (&["import", "a.csv", "--value", "name"], 2, "--key"),
        (&["import", "a.csv", "--key", "no"], 2, "the columns are: id, name"),
        (&["import", "a.csv", "--key", "id", "--delimiter", "ab"], 2, "single byte"),
        (&["import", "a.csv", "--key", "id", "--batch", "0"], 2, "--batch"),
        (&["import", "a.csv", "--key", "id", "--header", "--no-header"], 2, "cannot be used with"),
        (&["import", "bad.jsonl", "--key", "id", "--header"], 2, "--header"),
        (
            &["import", "bad.csv", "--key", "id"],
            1,
            "bad.csv: line 3: 3 columns where the first row has 2 (1 record is",
        ),
        (&["import", "open.csv", "--key", "id"], 1, "line 3: a quote that opens here is never closed"),
        (&["import", "bad.jsonl", "--key", "id"], 1, "bad.jsonl: line 2: not a JSON object"),
        (&["import", "nokey.jsonl", "--key", "id"], 1, "line 3: no field \"id\" (1 record is durable)"),
        (&["import", "bad.json", "--key", "id"], 1, "line 2: the array is not closed (1 record is durable)"),
        (&["import", "long.ssv", "--key", "1"], 1, "line 2: the key has 131073 bytes; at most 131072"),
    ];
    for (args, code, said) in table {
        folder.run(args).assert_refused(*code, said);
    }
    assert!(!folder.path().join("elsewhere").exists(), "reading creates no store");
}

#[test]
fn a_closed_output_ends_the_command_quietly() {
    let folder = Folder::new();
    let records: String = (0..20_000).map(|n| format!("key{n};value{n}\n")).collect();
    folder.file("many.ssv", records);
    folder.ok(&["import", "many.ssv", "--key", "1"]);
    for command in ["scan", "export"] {
        let mut child =
            folder.command(&[command]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{command}");
    }
}

#[test]
fn an_import_can_be_interrupted() {
    let folder = Folder::new();
    let mut child = folder
        .command(&["import", "-", "--format", "ssv", "--key", "1", "--batch", "1", "--report"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The input stays open: the command waits for more when the signal comes.
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"a;1\nb;2\n").unwrap();
    let mut reports = BufReader::new(child.stdout.take().unwrap()).lines();
    while reports.next().unwrap().unwrap() != "durable 2" {}
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.assert_refused(130, "interrupted; 2 records are durable");
    drop(input);
    assert_eq!(folder.ok(&["scan", "--count"]), "2\n");
}
