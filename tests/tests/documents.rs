//! Tables of the documents keep what they promise.

use esker_structures::command::commands;
use esker_tests::fuzz::TARGETS;
use esker_tests::redis::parse_ways;
use esker_tests::workspace;
use std::fs;

/// Numbers that run out of date by themselves, where the pages have them.
#[test]
fn what_is_tried_is_as_many_as_the_pages_say() {
    let read = |path: &str| fs::read_to_string(workspace::root().join(path)).unwrap();
    let (commands, targets) = (commands().count(), TARGETS.len());
    let ways = parse_ways(&read("fixtures/redis/errors.txt")).unwrap().len();
    for (path, said) in [
        ("docs/testing.md", format!("{commands} commands on data")),
        ("docs/testing.md", format!("{ways} ways to errors")),
        ("docs/testing.md", format!("{targets} targets")),
        ("docs/reliability.md", format!("fuzzing of {targets} targets")),
        ("docs/reliability.md", format!("each of {commands} commands")),
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&read(path)).contains(&said), "{path} does not say: {said}");
    }
    let testing = read("docs/testing.md");
    let missing: Vec<&str> = TARGETS
        .iter()
        .map(|target| target.name)
        .filter(|name| {
            let rows = testing.lines().filter(|line| line.starts_with("| `"));
            !rows.filter_map(|row| row.split(" | ").next()).any(|cell| cell.contains(&format!("`{name}`")))
        })
        .collect();
    assert!(missing.is_empty(), "targets without a row in docs/testing.md: {missing:?}");
}

#[test]
fn what_a_user_of_rocksdb_is_told_to_be_there_has_an_example() {
    let page = fs::read_to_string(workspace::root().join("docs/coming-from-rocksdb.md")).unwrap();
    // Sections by the anchor that their heading has, and whether an example stands in them.
    let sections: Vec<(String, bool)> = page
        .split("\n## ")
        .skip(1)
        .map(|section| {
            let heading = section.lines().next().unwrap_or_default();
            (heading.to_lowercase().replace(' ', "-"), section.contains("\n```rust\n"))
        })
        .collect();
    let mut promised = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| RocksDB")) {
        let cells: Vec<_> = row.split(" | ").collect();
        let [_, answer, why] = cells[..] else { panic!("not three cells: {row}") };
        if answer.starts_with("no") {
            assert!(why.len() > 10, "no, and no reason: {row}");
            continue;
        }
        for link in why.split("](#").skip(1) {
            let anchor = link.split(')').next().unwrap_or_default();
            assert!(sections.contains(&(anchor.to_string(), true)), "no example at #{anchor}: {row}");
        }
        if answer.starts_with("yes") || answer.starts_with("better") {
            promised += 1;
            assert!(why.contains("](#") || why.contains("](cli.md)"), "yes, and no example: {row}");
        }
    }
    assert!(promised > 39, "{promised} rows say yes");
}
