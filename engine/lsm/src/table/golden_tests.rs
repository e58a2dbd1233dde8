//! The worked example of the format page is what the writer writes.

use super::*;
use std::fmt::Write;

const BEGIN: &str = "<!-- begin: worked example -->\n```text\n";
const END: &str = "```\n<!-- end: worked example -->";

/// A hex dump, sixteen bytes a line.
fn dump(out: &mut String, title: &str, bytes: &[u8], offset: usize) {
    writeln!(out, "{title}").unwrap();
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        let text: String = line.iter().map(|&b| if b.is_ascii_graphic() { b as char } else { '.' }).collect();
        writeln!(out, "  {:04x}  {:<47}  {text}", offset + i * 16, hex.join(" ")).unwrap();
    }
}

fn example() -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("000001.sst");
    let entries = [
        Owned::put(b"user:1", 7, b"Ada"),
        Owned { expires_at: 1_800_000_000_000, ..Owned::put(b"user:2", 9, b"Grace") },
        Owned::delete(b"user:2", 4),
    ];
    let origin = Origin { family: 1, history: 2, created_ms: 1_700_000_000_000, ..Origin::default() };
    let origin = Origin { oldest_deletion_ms: origin.created_ms, ..origin };
    let summary = write(&path, &entries, &TableOptions { origin, ..TableOptions::default() });
    let bytes = std::fs::read(&path).unwrap();
    let table = open(&path, None).unwrap();
    let footer = *table.footer();
    let (data, _) = table.blocks().next().unwrap();
    let mut out = String::new();
    for (title, handle) in [
        ("data block", data),
        ("filter", footer.filter),
        ("index", footer.index),
        ("properties", footer.properties),
    ] {
        let start = handle.offset as usize;
        let end = start + handle.stored_bytes() as usize;
        let title = format!("{title} at {start}: {} bytes and 5 of trailer", handle.size);
        dump(&mut out, &title, &bytes[start..end], start);
    }
    let start = summary.size_bytes as usize - FOOTER_BYTES;
    dump(&mut out, &format!("footer at {start}: {FOOTER_BYTES} bytes"), &bytes[start..], start);
    out
}

/// `ESKER_GOLDEN=rewrite` writes the example into the page instead of comparing it.
#[test]
fn the_worked_example_is_what_is_written() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format/sst.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has the beginning of the example");
    let (shown, after) = rest.split_once(END).expect("the page has the end of the example");
    let written = example();
    if std::env::var_os("ESKER_GOLDEN").is_some_and(|value| value == "rewrite") {
        std::fs::write(page, [before, BEGIN, &written, END, after].concat()).unwrap();
        return;
    }
    assert_eq!(shown, written, "ESKER_GOLDEN=rewrite rewrites the page");
}
