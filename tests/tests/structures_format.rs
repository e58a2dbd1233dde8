//! The worked example of the page on structures is what a store holds, and the page of commands is the
//! table's.

use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::{Connection, page};
use esker_tests::golden;
use std::fmt::Write;

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(40).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > 40 { format!(" .. ({} bytes)", bytes.len()) } else { String::new() };
    shown.join(" ") + &more
}

#[test]
fn golden_the_records_of_structures() {
    let builder = Store::builder("/data").deterministic(1).databases(2);
    let store = builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new()))).open().unwrap();
    let mut connection = Connection::new(&store);
    for line in [
        "SET greeting hello",
        "PEXPIREAT greeting 4102444800000",
        "HSET user:1 name Ada born 1815",
        "SETRANGE big 4999 !",
        "SADD tags red blue",
        "RPUSH jobs first second",
        "ZADD board 30 ada -1.5 bob",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert!(!connection.execute(&args).reply.is_error(), "{line}");
    }
    let mut text = String::from("```text\n");
    for name in ["headers", "elements", "index"] {
        writeln!(text, "structures.{name}").unwrap();
        let family = store.engine().column_family(&format!("structures.{name}")).unwrap();
        for entry in family.iter().unwrap() {
            let (key, value) = entry.unwrap();
            let ascii: String =
                key.iter().map(|&byte| if byte.is_ascii_graphic() { byte as char } else { '.' }).collect();
            writeln!(text, "  {}  {ascii}", hex(&key)).unwrap();
            writeln!(text, "    = {}", hex(&value)).unwrap();
        }
    }
    golden::check_part("docs/format/structures.md", "example", &(text + "```\n"));
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn golden_the_page_of_commands() {
    golden::check_part("docs/commands.md", "commands", &page());
}
