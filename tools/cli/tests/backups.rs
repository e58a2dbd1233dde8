//! Checkpoints and backups through the real binary.

mod support;

use support::Folder;

fn filled() -> Folder {
    let folder = Folder::new();
    for i in 0..20 {
        folder.ok(&["put", &format!("k{i:02}"), &"v".repeat(100)]);
    }
    folder.ok(&["put", "token", "t", "--family", "tokens"]);
    folder
}

#[test]
fn a_backup_is_made_listed_proven_and_restored() {
    let folder = filled();
    let made = folder.ok(&["backup", "create", "--to", "backups"]);
    assert!(made.starts_with("backup 1 of 20") && made.ends_with(" of it new\n"), "{made}");
    folder.ok(&["put", "k00", "changed"]);
    let made = folder.ok(&["backup", "create", "--to", "backups", "--rate", "1GB", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert!(made["number"] == 2 && made["new_bytes"].as_u64() < made["bytes"].as_u64(), "{made}");
    let list = folder.ok(&["backup", "list", "backups", "--json"]);
    assert_eq!(list.lines().count(), 2);
    assert_eq!(serde_json::from_str::<serde_json::Value>(list.lines().last().unwrap()).unwrap(), made);
    assert_eq!(folder.ok(&["backup", "list", "backups"]).lines().count(), 2);

    let verified = folder.ok(&["backup", "verify", "backups"]);
    assert!(verified.starts_with("sound: 2 backups in "), "{verified}");
    let drill = folder.ok(&["backup", "drill", "backups"]);
    assert!(drill.starts_with("backup 2 can be restored: 21 entries in 2 column families"), "{drill}");
    let restored = folder.ok(&["restore", "backups", "--into", "first", "--backup", "1"]);
    assert_eq!(restored, "backup 1 restored into first\n");
    folder.ok(&["restore", "backups", "--into", "newest"]);
    assert_eq!(folder.ok(&["get", "k00", "--dir", "first"]), format!("{}\n", "v".repeat(100)));
    assert_eq!(folder.ok(&["get", "k00", "--dir", "newest"]), "changed\n");
    folder.ok(&["restore", "backups", "--into", "some", "--family", "tokens"]);
    assert_eq!(folder.ok(&["get", "token", "--dir", "some", "--family", "tokens"]), "t\n");
    assert_eq!(folder.run(&["get", "k00", "--dir", "some"]).code, 3);

    let pruned = folder.ok(&["backup", "prune", "backups", "--keep-last", "1", "--keep-within", "1d"]);
    assert!(pruned.starts_with("0 backups removed"), "both are of today: {pruned}");
    assert!(folder.ok(&["backup", "prune", "backups"]).starts_with("1 backup removed"));
    assert!(folder.ok(&["backup", "verify", "backups"]).starts_with("sound: 1 backup in "));
}

#[test]
fn mistakes_with_backups_are_told_in_one_line() {
    let folder = filled();
    folder.run(&["backup", "list", "backups"]).assert_refused(1, "there are no backups");
    folder.ok(&["backup", "create", "--to", "backups"]);
    folder
        .run(&["backup", "create", "--to", "backups", "--dir", "none"])
        .assert_refused(1, "there is no store");
    folder.run(&["backup", "create", "--to", "data"]).assert_refused(1, "it holds other files");
    folder
        .run(&["backup", "create", "--to", "backups", "--rate", "0"])
        .assert_refused(2, "more than nothing");
    folder.run(&["restore", "backups", "--into", "data"]).assert_refused(1, "is not empty");
    folder.run(&["restore", "backups", "--into", "new", "--backup", "7"]).assert_refused(1, "no backup 7");
    folder.run(&["restore", "backups", "--into", "new", "--family", "nobody"]).assert_refused(1, "nobody");
    folder.run(&["checkpoint", "data"]).assert_refused(1, "is not empty");
    assert!(!folder.path().join("new").exists());
}

#[test]
fn a_damaged_object_is_named_with_the_backups_that_need_it() {
    let folder = filled();
    folder.ok(&["backup", "create", "--to", "backups"]);
    let objects = folder.path().join("backups/objects");
    let object = std::fs::read_dir(&objects).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let name = object.file_name().unwrap().to_str().unwrap();
    folder.file(&format!("backups/objects/{name}"), bytes);
    let verified = folder.run(&["backup", "verify", "backups"]);
    assert_eq!(verified.code, 4);
    let told = verified.stderr;
    assert!(told.contains(name) && told.contains("it is needed by 1"), "{told}");
    assert_eq!(folder.run(&["backup", "drill", "backups"]).code, 4);
    assert_eq!(folder.run(&["restore", "backups", "--into", "new"]).code, 1);
    let json = folder.run(&["backup", "verify", "backups", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["sound"] == false && json["damaged"][0]["backups"][0] == 1, "{json}");
}

#[test]
fn a_checkpoint_is_a_store_of_its_own() {
    let folder = filled();
    let made = folder.ok(&["checkpoint", "copy"]);
    assert!(made.starts_with("copy: ") && made.contains(" shared, "), "{made}");
    folder.ok(&["put", "k00", "later"]);
    assert_eq!(folder.ok(&["get", "k00", "--dir", "copy"]), format!("{}\n", "v".repeat(100)));
    folder.ok(&["verify", "--dir", "copy"]);
    folder.ok(&["verify"]);
    let json = folder.ok(&["checkpoint", "second", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["linked_bytes"].as_u64() > Some(0) && json["path"] == "second", "{json}");
}
