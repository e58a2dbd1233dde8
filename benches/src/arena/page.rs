//! One page of charts that needs nothing from elsewhere.

use super::engines::Kind;
use super::meter::SLOT;
use super::report::{Cell, FACTS, Figure, Line, Section, Summary, facts, short};
use crate::latency::Latency;
use crate::svg::{Anchor, Svg, escape, log_place};

const STYLE: &str = "\
:root { color-scheme: light dark; --text: #222; --faint: #8885; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --paper: #181818 } }
body { font: 14px/1.4 system-ui, sans-serif; color: var(--text); background: var(--paper);
  margin: 2em auto; max-width: 80em; padding: 0 1em }
table { border-collapse: collapse; font-size: 12px }
td, th { padding: 1px 7px; text-align: right; border-bottom: 1px solid var(--faint); white-space: nowrap }
td:first-child, th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left }
figure { display: inline-block; margin: 0 12px 12px 0 }
figcaption { font-size: 12px }
svg text { font: 10px system-ui, sans-serif; fill: var(--text) }
svg line.grid { stroke: var(--faint) } svg line.even { stroke: var(--text) }
svg polyline { fill: none; stroke-width: 1.5 } svg polyline.bare { stroke: #999; stroke-dasharray: 3 3 }
.scroll { overflow-x: auto }
.key { display: inline-block; width: 10px; height: 10px; margin: 0 4px 0 14px }
";

/// The size of a small chart.
const SMALL: (f64, f64) = (250.0, 150.0);
/// Room for the words at its left and below it.
const MARGIN: (f64, f64) = (42.0, 18.0);

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Esker => "#d1495b",
        Kind::EskerInline => "#e8909b",
        Kind::EskerTiered => "#d98a29",
        Kind::RocksdbZstd => "#2a6fbb",
        Kind::RocksdbMixed => "#6cb2e8",
        Kind::RocksdbBlobs => "#1f8f9c",
        Kind::RocksdbUniversal => "#5660c9",
        Kind::Fjall => "#2e9e6b",
        Kind::Lmdb => "#b07d1e",
        Kind::Redb => "#8656b5",
    }
}

/// The whole page.
#[must_use]
pub fn page(summary: &Summary) -> String {
    let mut out = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    out += "<title>Esker and its peers</title>\n<style>\n";
    out += STYLE;
    for kind in Kind::ALL {
        let (name, colour) = (kind.name(), colour(kind));
        out += &format!("polyline.{name} {{ stroke: {colour} }} circle.{name} {{ fill: {colour} }} ");
        out += &format!(".key.{name} {{ background: {colour} }}\n");
    }
    out += "</style>\n</head>\n<body>\n<h1>Esker and its peers</h1>\n";
    out += &conditions(summary);
    for section in &summary.sections {
        let (suite, what) = (escape(section.suite), escape(section.what));
        out += &format!("<h2>{suite}</h2>\n<p>{what}</p>\n");
        out += &ratios(section);
        out += "<h3>Latency</h3>\n<p>Microseconds on a logarithmic scale, by percentile.";
        out += " Dashed is what the machine alone does: a bare spinning loop of 2 us, or for synced";
        out += " writes a bare fdatasync after an append.</p>\n";
        for line in &section.lines {
            let synced = line.phase.starts_with("sync");
            let bare = if synced { summary.fdatasync } else { summary.spin };
            out += &latencies(line, bare);
        }
        out += "<h3>Course over time</h3>\n<p>Operations per second in each tenth of a second;";
        out += " where a line falls to the ground nothing ended.</p>\n";
        for line in &section.lines {
            out += &course(line);
        }
        out += &table(section);
    }
    out + "</body>\n</html>\n"
}

fn conditions(summary: &Summary) -> String {
    let (entries, memory) = (summary.conditions.entries, summary.conditions.memory_bytes >> 20);
    let mut out = format!("<p>{entries} entries with values of 100 bytes, fewer of larger ones;");
    out += &format!(" {memory} MiB of memory.");
    out += " Ratios are to the better of RocksDB's settings, phase by phase; the medians of all runs,";
    out += " and after +- half of the distance between the best and the worst run.</p>\n<p>";
    for &kind in &summary.kinds {
        let (name, note) = (kind.name(), escape(kind.note()));
        out += &format!("<span class=\"key {name}\"></span>{name} <small>({note})</small>\n");
    }
    out += "</p>\n";
    for (what, latency) in [("a spinning loop", summary.spin), ("a bare fdatasync", summary.fdatasync)] {
        if let Some(l) = latency {
            let [p50, p99, p999, max] = [l.p50_us, l.p99_us, l.p999_us, l.max_us].map(short);
            out += &format!("<p>{what}: p50 {p50} us, p99 {p99}, p99.9 {p999}, max {max}</p>\n");
        }
    }
    out
}

/// Whether it has a rate that says something: settling is over when there is nothing to do.
fn is_rate(cell: &Cell) -> bool {
    cell.latency.is_some()
}

/// The factor by which scales of ratios reach to both sides of one.
const REACH: f64 = 16.0;

fn ratios(section: &Section) -> String {
    let lines: Vec<&Line> = section
        .lines
        .iter()
        .filter(|line| line.cells.iter().any(|cell| is_rate(cell) && cell.ratio.is_some()))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let (left, width, row, top) = (150.0, 620.0, 17.0, 20.0);
    let height = top + row * lines.len() as f64;
    let x = |ratio: f64| left + width * log_place(ratio, 1.0 / REACH, REACH);
    let mut svg = Svg::new(left + width + 20.0, height + 6.0);
    for ratio in [0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 8.0, 16.0] {
        let class = if ratio == 1.0 { "even" } else { "grid" };
        svg.line(class, (x(ratio), top - 4.0), (x(ratio), height));
        svg.text(Anchor::Middle, (x(ratio), 10.0), &format!("{ratio}"));
    }
    for (at, line) in lines.iter().enumerate() {
        let y = top + row * (at as f64 + 0.5);
        svg.text(Anchor::End, (left - 8.0, y + 3.0), line.phase);
        for cell in &line.cells {
            if let Some(ratio) = cell.ratio {
                let title = format!("{} {}: {ratio:.2} times RocksDB", line.phase, cell.kind);
                svg.dot(cell.kind.name(), (x(ratio), y), &title);
            }
        }
    }
    let drawing = svg.end();
    format!("<h3>Operations per second as a multiple of RocksDB's</h3>\n{drawing}")
}

fn figure(line: &Line, drawing: &str) -> String {
    let (phase, what) = (escape(line.phase), escape(line.what));
    format!("<figure>\n{drawing}<figcaption><b>{phase}</b> {what}</figcaption>\n</figure>\n")
}

/// The six percentiles that are known, at even distances: about as far apart as the nines.
fn percentiles(latency: &Latency) -> [f64; 6] {
    let l = latency;
    [l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.p9999_us, l.max_us]
}

fn latencies(line: &Line, bare: Option<Latency>) -> String {
    let curves: Vec<(&Cell, [f64; 6])> =
        line.cells.iter().filter_map(|cell| Some((cell, percentiles(cell.latency.as_ref()?)))).collect();
    if curves.is_empty() {
        return String::new();
    }
    let bare = bare.map(|bare| percentiles(&bare));
    let all = || curves.iter().flat_map(|(_, curve)| *curve).chain(bare.into_iter().flatten());
    let low = 10f64.powf(all().fold(f64::MAX, f64::min).max(0.01).log10().floor());
    let high = 10f64.powf(all().fold(low * 10.0, f64::max).log10().ceil());
    let (x, y) = axes(|at| at / 5.0, |number| log_place(number, low, high));
    let mut svg = Svg::new(SMALL.0, SMALL.1);
    let mut mark = low;
    while mark <= high * 1.01 {
        grid(&mut svg, y(mark), &short(mark));
        mark *= 10.0;
    }
    for (at, name) in ["50", "90", "99", "99.9", "99.99", "max"].into_iter().enumerate() {
        svg.text(Anchor::Middle, (x(at as f64), SMALL.1 - 4.0), name);
    }
    let points = |curve: &[f64; 6]| -> Vec<(f64, f64)> {
        curve.iter().enumerate().map(|(at, &number)| (x(at as f64), y(number))).collect()
    };
    if let Some(bare) = bare {
        svg.path("bare", &points(&bare), "the machine alone");
    }
    for (cell, curve) in &curves {
        let title = format!("{}: p99.9 {} us", cell.kind, short(curve[3]));
        svg.path(cell.kind.name(), &points(curve), &title);
    }
    figure(line, &svg.end())
}

fn course(line: &Line) -> String {
    let slot = SLOT.as_secs_f64();
    // The last slot was hardly ever a whole one.
    let slots = |cell: &Cell| -> Vec<f64> {
        let slots = cell.row.as_ref().map_or(&[][..], |row| &row.slots);
        slots[..slots.len().saturating_sub(1)].iter().map(|&n| n as f64 / slot).collect()
    };
    let curves: Vec<(&Cell, Vec<f64>)> = line
        .cells
        .iter()
        .filter(|cell| is_rate(cell))
        .map(|cell| (cell, slots(cell)))
        .filter(|(_, curve)| curve.len() > 1)
        .collect();
    let Some(longest) = curves.iter().map(|(_, curve)| curve.len()).max() else { return String::new() };
    let most = curves.iter().flat_map(|(_, curve)| curve).fold(1.0, |most: f64, &n| most.max(n));
    let (x, y) = axes(|at| at / (longest - 1) as f64, |number| number / most);
    let mut svg = Svg::new(SMALL.0, SMALL.1);
    for share in [0.0, 0.5, 1.0] {
        grid(&mut svg, y(share * most), &short(share * most));
    }
    svg.text(Anchor::Start, (MARGIN.0, SMALL.1 - 4.0), "0 s");
    svg.text(Anchor::End, (SMALL.0 - 4.0, SMALL.1 - 4.0), &format!("{:.1} s", longest as f64 * slot));
    for (cell, curve) in &curves {
        let points: Vec<(f64, f64)> =
            curve.iter().enumerate().map(|(at, &number)| (x(at as f64), y(number))).collect();
        svg.path(cell.kind.name(), &points, cell.kind.name());
    }
    figure(line, &svg.end())
}

/// Where places from 0 to 1 stand in a small chart.
fn axes(x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> (impl Fn(f64) -> f64, impl Fn(f64) -> f64) {
    let (left, bottom) = MARGIN;
    let right = 14.0;
    (
        move |at| left + (SMALL.0 - left - right) * x(at),
        move |number| (SMALL.1 - bottom) - (SMALL.1 - bottom - 8.0) * y(number),
    )
}

fn grid(svg: &mut Svg, y: f64, label: &str) {
    svg.line("grid", (MARGIN.0, y), (SMALL.0 - 4.0, y));
    svg.text(Anchor::End, (MARGIN.0 - 4.0, y + 3.0), label);
}

fn table(section: &Section) -> String {
    let titles = ["phase", "engine", "per second", "+-%", "ratio", "CPU us", "+-%", "CPU ratio"];
    let titles: String = titles.iter().chain(&FACTS).map(|title| format!("<th>{title}</th>")).collect();
    let mut out = format!("<h3>All figures</h3>\n<div class=\"scroll\">\n<table>\n<tr>{titles}</tr>\n");
    for line in &section.lines {
        for cell in &line.cells {
            out += &format!("<tr><td>{}</td><td>{}</td>", escape(line.phase), cell.kind.name());
            for text in rates(cell).iter().chain(facts(cell).iter().flatten()) {
                out += &format!("<td>{}</td>", escape(text));
            }
            if let Some(why) = &cell.without {
                out += &format!("<td>{}</td>", escape(why));
            }
            out += "</tr>\n";
        }
    }
    out + "</table>\n</div>\n"
}

fn rates(cell: &Cell) -> [String; 6] {
    let number = |figure: Option<Figure>| figure.map_or_else(|| "-".into(), |figure| short(figure.median));
    let spread =
        |figure: Option<Figure>| figure.map_or_else(String::new, |f| format!("{:.0}", f.spread * 50.0));
    let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    [
        number(cell.per_second),
        spread(cell.per_second),
        ratio(cell.ratio),
        number(cell.cpu_us),
        spread(cell.cpu_us),
        ratio(cell.cpu_ratio),
    ]
}
