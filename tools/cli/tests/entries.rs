//! Entries through the real binary: in by `put` and `import`, out by `get`, `scan` and `export`.

mod support;

use support::Folder;

/// Keys and values that a text format could spoil.
const HOSTILE: &[(&str, &str)] = &[
    ("", "the empty key"),
    ("empty", ""),
    ("\\x00\\xff\\xfe", "\\x80\\x00"),
    ("a,b", "c,d"),
    ("quote\"", "\"\"quoted\"\""),
    ("tab\\t", "line\\nend\\r\\n"),
    ("back\\\\slash", "\\\\n is not a line end"),
    ("Zoë 東京", "\u{1f600}"),
    ("\\x68ex:00", "looks like a prefix"),
    ("esker_export", "{\"esker_export\":1}"),
];

fn hostile() -> Folder {
    let folder = Folder::new();
    for (key, value) in HOSTILE {
        folder.ok(&["put", key, value]);
    }
    folder
}

#[test]
fn what_was_put_is_got() {
    let folder = hostile();
    for (key, value) in HOSTILE {
        assert_eq!(folder.ok(&["get", key]), format!("{value}\n"));
    }
    let raw = folder.run(&["get", "hex:00fffe", "--encoding", "raw"]);
    assert_eq!((raw.code, raw.stdout.as_slice()), (0, &b"\x80\x00"[..]));
    assert_eq!(folder.ok(&["get", "base64:AP/+", "-e", "hex"]), "8000\n");
    assert_eq!(folder.ok(&["get", "00fffe", "--key-encoding", "hex", "-e", "base64"]), "gAA=\n");
    let json = "{\"key\":\"\\\\x00\\\\xff\\\\xfe\",\"value\":\"\\\\x80\\\\x00\"}\n";
    assert_eq!(folder.ok(&["get", "hex:00fffe", "--json"]), json);
    folder.run(&["get", "hex:00fffe", "--json", "-e", "raw"]).assert_refused(1, "is not UTF-8");
}

#[test]
fn scanned_keys_can_be_pasted_back() {
    let folder = hostile();
    let keys = folder.ok(&["scan", "--keys-only"]);
    assert_eq!(keys.lines().count(), HOSTILE.len());
    for key in keys.lines() {
        folder.ok(&["get", key]);
    }
    folder.ok(&[&["delete"][..], &keys.lines().collect::<Vec<_>>()].concat());
    assert_eq!(folder.ok(&["scan"]), "");
}

#[test]
fn a_scan_is_a_range() {
    let folder = Folder::new();
    for key in ["a", "ab", "abc", "b", "c"] {
        folder.ok(&["put", key, key]);
    }
    let scan = |args: &[&str]| folder.ok(&[&["scan", "--keys-only"], args].concat()).replace('\n', " ");
    assert_eq!(scan(&[]), "a ab abc b c ");
    assert_eq!(scan(&["--prefix", "ab"]), "ab abc ");
    assert_eq!(scan(&["--from", "ab", "--to", "c"]), "ab abc b ");
    assert_eq!(scan(&["--reverse", "--limit", "2"]), "c b ");
    assert_eq!(scan(&["--prefix", "a", "--from", "aba"]), "abc ");
    assert_eq!(scan(&["--from", "c", "--to", "a"]), "");
    assert_eq!(folder.ok(&["scan", "--count", "--prefix", "a"]), "3\n");
    assert_eq!(folder.ok(&["scan", "--count", "--json"]), "{\"count\":5}\n");
    assert_eq!(folder.ok(&["scan", "--limit", "1", "--json"]), "{\"key\":\"a\",\"value\":\"a\"}\n");
    assert_eq!(folder.ok(&["scan", "--limit", "1"]), "a\ta\n");
}

#[test]
fn an_import_of_an_export_is_the_same_store() {
    let folder = hostile();
    folder.ok(&["put", "t\\x00", "other", "--family", "tokens"]);
    let all = |dir: &str| folder.ok(&["export", "--all-families", "--dir", dir]);
    let original = all("data");
    assert!(original.contains("\"family\":\"tokens\""), "{original}");
    for (n, encoding) in ["escape", "hex", "base64"].iter().enumerate() {
        folder.ok(&["export", "--all-families", "-e", encoding, "-o", "export.jsonl"]);
        let copy = format!("copy{n}");
        folder.ok(&["import", "export.jsonl", "--into", &copy]);
        assert_eq!(all(&copy), original);
    }
    let one = folder.ok(&["export"]);
    for (n, format) in ["csv", "tsv", "jsonl"].iter().enumerate() {
        let (file, copy) = (format!("export.{format}"), format!("plain{n}"));
        folder.ok(&["export", "--format", format, "-o", &file]);
        let import = ["import", &file, "--key", "key", "--value", "value", "--encoding", "escape"];
        folder.ok(&[&import[..], &["--into", &copy]].concat());
        assert_eq!(folder.ok(&["export", "--dir", &copy]), one, "{format}");
    }
    folder.ok(&["export", "--format", "csv", "--encoding", "hex", "-o", "hex.csv"]);
    let import = ["import", "hex.csv", "--key", "1", "--value", "2", "--encoding", "hex", "--into", "hexed"];
    folder.ok(&import);
    assert_eq!(folder.ok(&["export", "--dir", "hexed"]), one);
    assert!(!folder.path().join("export.jsonl.partial").exists());
}

#[test]
fn every_format_is_imported() {
    let folder = Folder::new();
    folder.file("a.jsonl", "{\"id\":1,\"name\":\"Ada\"}\n");
    folder.file("a.json", "[\n{\"id\":1,\"name\":\"Ada\"}\n]");
    folder.file("lines.json", "{\"id\":1,\"name\":\"Ada\"}\n");
    folder.file("a.csv", "id,name\n1,Ada\n");
    folder.file("a.tsv", "id\tname\n1\tAda\n");
    folder.file("a.ssv", "1;Ada\n");
    folder.file("a.txt", "1|Ada\n");
    let object = "{\"id\":1,\"name\":\"Ada\"}\n";
    let strings = "{\"id\":\"1\",\"name\":\"Ada\"}\n";
    let table: &[(&[&str], &str)] = &[
        (&["a.jsonl", "--key", "id"], object),
        (&["a.json", "--key", "id"], object),
        (&["lines.json", "--key", "id"], object),
        (&["a.csv", "--key", "id"], strings),
        (&["a.tsv", "--key", "id"], strings),
        (&["a.ssv", "--key", "1"], "1;Ada\n"),
        (&["a.txt", "--key", "1", "--format", "ssv", "--delimiter", "|"], "1|Ada\n"),
        (&["a.jsonl", "--key", "id", "--value", "name"], "Ada\n"),
        (&["a.csv", "--key", "1", "--value", "2"], "Ada\n"),
        (&["a.ssv", "--key", "1", "--value", "2"], "Ada\n"),
        (&["a.csv", "--key", "1", "--no-header"], "{\"1\":\"1\",\"2\":\"Ada\"}\n"),
    ];
    for (n, (args, value)) in table.iter().enumerate() {
        let dir = format!("s{n}");
        folder.ok(&[&["import", "--into", &dir], *args].concat());
        assert_eq!(folder.ok(&["get", "1", "--dir", &dir]), *value, "{args:?}");
    }
}

#[test]
fn an_import_says_what_is_durable_and_can_be_repeated() {
    let folder = Folder::new();
    let records: String = (1..=2500).map(|n| format!("{n:04};{n}\n")).collect();
    folder.file("n.ssv", records);
    let show = ["--show", "u0007", "--show-range", "2"];
    let import = ["import", "n.ssv", "-k", "1", "-v", "2", "--key-prefix", "u"];
    let said = folder.ok(&[&import[..], &["--report"], &show].concat());
    let reports: Vec<u64> =
        said.lines().filter_map(|line| line.strip_prefix("durable ")).map(|n| n.parse().unwrap()).collect();
    assert!(reports.is_sorted() && reports.last() == Some(&2500), "{said}");
    assert!(said.contains("imported 2,500 records, "), "{said}");
    assert!(
        said.ends_with("lookup of u0007\n  7\nthe first 2 keys from u0007\n  u0007\t7\n  u0008\t8\n"),
        "{said}"
    );
    let before = folder.ok(&["export"]);
    let said = folder.ok(&[&import[..], &["--durability", "os", "--json", "--report"], &show].concat());
    assert_eq!(folder.ok(&["export"]), before);
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert_eq!(lines[0], serde_json::json!({ "durable": 2500 }));
    assert_eq!((&lines[1]["records"], &lines[1]["skipped"]), (&2500.into(), &0.into()));
    assert_eq!(lines[2], serde_json::json!({ "key": "u0007", "value": "7" }));
    assert_eq!(lines[4], serde_json::json!({ "key": "u0008", "value": "8" }));
}

#[test]
fn bad_records_can_be_skipped() {
    let folder = Folder::new();
    let records: String =
        (1..=20).map(|n| if n % 2 == 0 { "oops\n".into() } else { format!("{{\"id\":{n}}}\n") }).collect();
    folder.file("mixed.jsonl", records);
    let ran = folder.run(&["import", "mixed.jsonl", "--key", "id", "--on-error", "skip"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.starts_with("esker: warning: line 2 is skipped: not a JSON object"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("esker: warning: 5 more were skipped\n"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 6);
    assert!(String::from_utf8(ran.stdout).unwrap().starts_with("imported 10 records, 10 skipped, "));
    assert_eq!(folder.ok(&["scan", "--count"]), "10\n");
}

#[test]
fn a_value_can_come_from_a_file() {
    let folder = Folder::new();
    let value = b"\x00\xff\n";
    folder.file("value.bin", value);
    folder.ok(&["put", "k", "--value-file", "value.bin"]);
    assert_eq!(folder.run(&["get", "k", "-e", "raw"]).stdout, value);
}

#[test]
fn families_are_listed_created_and_dropped() {
    let folder = Folder::new();
    folder.ok(&["families", "create", "tokens"]);
    folder.run(&["families", "create", "tokens"]).assert_refused(1, "\"tokens\" exists already");
    folder.ok(&["put", "k", "v", "--family", "tokens"]);
    folder.run(&["get", "k"]).assert_refused(3, "there is no key k");
    assert_eq!(folder.ok(&["get", "k", "-f", "tokens"]), "v\n");
    assert!(folder.ok(&["families", "list"]).lines().any(|name| name == "tokens"));
    assert!(folder.ok(&["families", "list", "--json"]).contains("{\"name\":\"tokens\"}\n"));
    folder.ok(&["families", "drop", "tokens"]);
    assert!(!folder.ok(&["families", "list"]).contains("tokens"));
}

#[test]
fn a_store_is_described_checked_and_compacted() {
    let folder = hostile();
    assert!(folder.ok(&["verify"]).starts_with("sound: "));
    let report: serde_json::Value = serde_json::from_str(&folder.ok(&["verify", "--json"])).unwrap();
    assert_eq!(report["sound"], true);
    folder.ok(&["compact"]);
    folder.ok(&["compact", "--prefix", "a"]);
    let stats: serde_json::Value = serde_json::from_str(&folder.ok(&["stats", "--json"])).unwrap();
    assert_eq!(stats["families"][0]["name"], "default");
    assert!(folder.ok(&["stats"]).contains("family \"default\""));
    assert!(!folder.ok(&["stats"]).contains("hidden"));
    assert_eq!(folder.ok(&["scan", "--count"]), format!("{}\n", HOSTILE.len()));
    folder.ok(&["delete", "nothing"]);
    let hidden = folder.ok(&["stats"]);
    assert!(hidden.contains("hidden     since 1"), "{hidden}");
}

#[test]
fn files_are_ingested_once() {
    let folder = Folder::new();
    let path = folder.path().join("new.sst");
    let mut writer = esker::SstWriter::create(&path, &esker::FamilyOptions::default()).unwrap();
    writer.put("k1", "v1").unwrap();
    writer.put("k2", "v2").unwrap();
    writer.finish().unwrap();
    assert_eq!(folder.ok(&["ingest", "new.sst", "--family", "f"]), "1 file ingested, 2 records\n");
    assert_eq!(folder.ok(&["get", "k2", "--family", "f"]), "v2\n");
    folder.run(&["ingest", "new.sst", "--family", "f"]).assert_refused(1, "the store has it already");
    assert!(folder.ok(&["sst", "dump", "new.sst"]).contains("made outside"));
    assert!(path.exists());
    folder.ok(&["ingest", "new.sst", "--dir", "other", "--move"]);
    assert!(!path.exists());
}

/// `export -o /dev/null` once put a file in the place of the device.
#[test]
fn an_export_writes_to_a_device_as_it_stands() {
    use std::os::unix::fs::FileTypeExt;
    let folder = hostile();
    folder.ok(&["export", "-o", "/dev/null"]);
    folder.run(&["export", "-o", "/dev/full"]).assert_refused(1, "/dev/full");
    for device in ["/dev/null", "/dev/full"] {
        assert!(std::fs::metadata(device).unwrap().file_type().is_char_device(), "{device}");
    }
}

#[test]
fn an_explanation_says_where_a_key_stands_and_why() {
    let folder = Folder::new();
    folder.ok(&["put", "k", "value"]);
    let text = folder.ok(&["explain", "k"]);
    assert!(text.contains("a get answers: a value of 5 bytes, written by sequence number 1\n"), "{text}");
    assert!(text.contains("level 0, table 0"), "{text}");
    folder.ok(&["delete", "k"]);
    let json: serde_json::Value = serde_json::from_str(&folder.ok(&["explain", "k", "--json"])).unwrap();
    assert_eq!((&json["answer"]["found"], &json["answer"]["why"]), (&false.into(), &"deleted".into()));
    let places = json["places"].as_array().unwrap();
    let kinds: Vec<_> = places.iter().filter_map(|place| place["entry"]["kind"].as_str()).collect();
    assert_eq!(kinds, ["deletion", "value"], "{json}");
    assert_eq!(places[2]["entry"]["hidden_by"], "newer", "{json}");
    let nothing = folder.ok(&["explain", "other", "--json"]);
    assert!(nothing.contains("\"why\":\"nowhere\""), "{nothing}");
}

#[test]
fn changes_are_printed_and_consumers_listed_and_removed() {
    let folder = Folder::new();
    let builder = || esker::Db::builder(folder.path().join("data"));
    let db = builder().feed(esker::FeedOptions::default()).open().unwrap();
    db.feed_consumer("search\n").unwrap();
    db.column_family("other").unwrap().put("k\t", "v").unwrap();
    db.close().unwrap();
    // The tool keeps what the program keeps.
    folder.ok(&["put", "a", "1"]);
    folder.ok(&["delete", "a"]);
    let all = folder.ok(&["changes"]);
    let words: Vec<Vec<&str>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
    let word = |at: usize, word: usize| words[words.len() - 3 + at][word];
    assert_eq!((word(0, 2), word(0, 3), word(0, 4), word(0, 5)), ("other", "put", "k\\t", "v"), "{all}");
    assert_eq!((word(1, 3), word(1, 4), word(2, 3)), ("put", "a", "delete"), "{all}");
    let behind = folder.ok(&["changes", "--from", word(0, 0), "--json"]);
    assert!(behind.lines().count() == 2 && behind.contains("\"operation\":\"delete\""), "{behind}");
    assert_eq!(
        folder.ok(&["changes", "--consumer", "search\n", "--limit", "1", "--json"]).lines().count(),
        1
    );
    let json = folder.ok(&["consumers", "list", "--json"]);
    assert!(json.contains("\"lag\":3") && json.contains("\"cut_loose\":false"), "{json}");
    assert!(folder.ok(&["consumers", "list"]).contains("search\\n: at "));
    folder.ok(&["consumers", "remove", "search\n"]);
    assert_eq!(folder.ok(&["consumers", "list"]), "");
    folder.run(&["changes", "--from", "0000000000000001-7"]).assert_refused(1, "not all changes behind");
}

#[test]
fn a_prepared_transaction_is_listed_and_ended() {
    let folder = Folder::new();
    let prepare = |name: &str| {
        let db = esker::Db::open(folder.path().join("data")).unwrap();
        let mut transaction = db.begin(esker::TransactionOptions::default()).unwrap();
        transaction.put(&db, name, "v").unwrap();
        transaction.prepare(name, esker::Durability::Sync).unwrap();
        db.close().unwrap();
    };
    prepare("one");
    prepare("two\n");
    let in_use = esker::Db::open(folder.path().join("data")).unwrap();
    let listed = folder.ok(&["prepared", "list"]);
    assert!(listed.starts_with("one: 1 write, 1 key locked, ") && listed.contains("\ntwo\\n: "), "{listed}");
    let json = folder.ok(&["prepared", "list", "--json"]);
    assert!(json.lines().count() == 2 && json.contains("\"name\":\"two\\n\""), "{json}");
    in_use.close().unwrap();
    folder.run(&["put", "one", "theirs"]).assert_refused(1, "the prepared transaction \"one\" holds one");
    folder.ok(&["prepared", "commit", "one"]);
    folder.ok(&["prepared", "rollback", "two\n"]);
    assert_eq!(folder.ok(&["prepared", "list"]), "");
    assert_eq!(folder.ok(&["scan"]), "one\tv\n");
}
