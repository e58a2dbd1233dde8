//! The text of metrics: what the page says of it, and that it keeps to its format.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Db, Durability, FeedOptions};
use esker_tests::golden;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The text of a store that has a bit of everything; one family has a name that must be escaped.
fn text() -> String {
    let builder = Db::builder("/store").fs(Fs::Sim(SimFs::new())).clock(Clock::Manual(ManualClock::new(1)));
    let builder = builder.feed(FeedOptions::default());
    let db = builder.deterministic(1).default_durability(Durability::Os).time_one_in(1).open().unwrap();
    db.feed_consumer("search").unwrap();
    let odd = db.column_family("a \"b\"\\\n").unwrap();
    for n in 0..100 {
        db.put(format!("{n:03}"), [b'v'; 100]).unwrap();
        odd.put(format!("{n:03}"), b"v").unwrap();
    }
    db.compact().unwrap();
    let text = db.metrics().prometheus();
    db.close().unwrap();
    text
}

/// A metric as the text announces it.
#[derive(Debug, Default)]
struct Announced {
    name: String,
    kind: String,
    labels: BTreeSet<String>,
    help: String,
    samples: usize,
}

/// The labels of a sample without its name and value; every character that needs it is escaped.
fn labels(sample: &str) -> Vec<(String, String)> {
    let (mut found, mut rest) = (Vec::new(), sample);
    while let Some((label, value)) = rest.split_once("=\"") {
        let (mut text, mut chars) = (String::new(), value.char_indices());
        let end = loop {
            match chars.next().expect("a quote ends it") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect("something is escaped").1 {
                    'n' => text.push('\n'),
                    escaped @ ('\\' | '"') => text.push(escaped),
                    other => panic!("\\{other} in {sample}"),
                },
                (_, other) => text.push(other),
            }
        };
        found.push((label.trim_start_matches(',').to_owned(), text));
        rest = &value[end + 1..];
    }
    assert_eq!(rest, "", "{sample}");
    found
}

fn announced(text: &str) -> Vec<Announced> {
    assert!(text.ends_with('\n'));
    let mut all: Vec<Announced> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a help");
            all.push(Announced { name: name.into(), help: help.into(), ..Announced::default() });
            continue;
        }
        let last = all.last_mut().expect("a metric is announced first");
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            last.kind = kind.strip_prefix(&format!("{} ", last.name)).expect("of the same metric").into();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, sample) = sample.split_once('{').unwrap_or((sample, "}"));
        let own = match last.kind.as_str() {
            "histogram" => {
                ["_bucket", "_sum", "_count"].map(|end| last.name.clone() + end).contains(&name.into())
            }
            _ => last.name == name,
        };
        assert!(own, "{line} stands under {}", last.name);
        let labels = labels(sample.strip_suffix('}').expect("its end"));
        last.labels.extend(labels.into_iter().map(|(label, _)| label));
        last.samples += 1;
    }
    all
}

#[test]
fn golden_the_page_lists_every_metric() {
    let mut table = String::from("| name | type | labels | what it is |\n|---|---|---|---|\n");
    for Announced { name, kind, labels, help, .. } in announced(&text()) {
        let labels: Vec<String> =
            labels.iter().filter(|label| *label != "le").map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
    golden::check_part("docs/observing.md", "metrics", &table);
}

#[test]
fn the_text_keeps_to_its_format() {
    let text = text();
    let all = announced(&text);
    let names: BTreeSet<&str> = all.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "each metric is announced once");
    for metric in &all {
        let plain = metric.name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(metric.name.starts_with("esker_") && plain && !metric.help.is_empty(), "{metric:?}");
        assert_eq!(metric.kind == "counter", metric.name.ends_with("_total"), "{metric:?}");
        assert!(["counter", "gauge", "histogram"].contains(&metric.kind.as_str()), "{metric:?}");
        assert!(metric.samples > 0, "{metric:?}");
    }
    // The name with odd characters comes back as it is.
    let sample = text.lines().find(|line| line.starts_with("esker_memtable_bytes{family=\"a ")).unwrap();
    let (_, inner) = sample.split_once('{').unwrap();
    let inner = inner.rsplit_once('}').unwrap().0;
    assert_eq!(labels(inner), [("family".to_owned(), "a \"b\"\\\n".to_owned())]);
}

#[test]
fn histograms_never_go_down_and_end_with_their_count() {
    let text = text();
    let mut before = (String::new(), 0);
    for line in text.lines().filter(|line| !line.starts_with('#') && line.contains("_bucket{")) {
        let (name, rest) = line.split_once("_bucket{le=\"").unwrap();
        let (bound, count) = rest.split_once("\"} ").unwrap();
        let count: u64 = count.parse().unwrap();
        assert!(before.0 != name || before.1 <= count, "{line}");
        if bound == "+Inf" {
            assert!(text.contains(&format!("{name}_count {count}\n")), "{line}");
        }
        before = (name.to_owned(), count);
    }
    assert!(
        text.contains("esker_write_seconds_count 200\n") && text.contains("esker_group_size_count 200\n")
    );
}
