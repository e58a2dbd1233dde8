//! The picture of a tree over time.

use super::sample::{Growth, Sample};
use crate::svg::{Anchor, Svg};
use std::time::Duration;

const STYLE: &str = "\
:root { color-scheme: light dark; --text: #222; --faint: #8886; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --paper: #181818 } }
svg { background: var(--paper) }
text { font: 12px system-ui, sans-serif; fill: var(--text) }
line.grid { stroke: var(--faint) } line.part { stroke: var(--text); stroke-dasharray: 4 4 }
polygon { stroke: none } polyline { fill: none; stroke-width: 1.5; stroke: #d1495b }
.memtables { fill: #b8b8b8 } .level0 { fill: #d1495b } .level1 { fill: #e59a3c } .level2 { fill: #8ab17d }
.level3 { fill: #2a9d8f } .level4 { fill: #2a6fbb } .level5 { fill: #54478c } .level6 { fill: #2c2a4a }
";

const WIDTH: f64 = 860.0;
/// Room for the words at the left and at the right.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 110.0;
/// Where the sizes stand, and where the tables of level 0.
const SIZES: Panel = Panel { top: 50.0, height: 280.0 };
const COUNTS: Panel = Panel { top: 370.0, height: 70.0 };
const HEIGHT: f64 = 480.0;

/// A chart of the picture.
#[derive(Clone, Copy)]
struct Panel {
    top: f64,
    height: f64,
}

impl Panel {
    /// Where a share of the full height stands.
    fn at(self, share: f64) -> f64 {
        self.top + self.height * (1.0 - share)
    }
}

/// Draws the sizes of memtables and levels one upon the other, and below them the number of tables at level
/// 0.
#[must_use]
pub fn picture(growth: &Growth) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let samples = &growth.samples;
    let most = samples.iter().map(total).max().unwrap_or(0).max(1) as f64 * 1.05;
    svg.text(Anchor::Start, (LEFT, 20.0), "A tree over time: bytes of memtables and levels");
    for quarter in 0..=4 {
        let y = SIZES.at(f64::from(quarter) / 4.0);
        svg.line("grid", (LEFT, y), (WIDTH - RIGHT, y));
        let mebibytes = most * f64::from(quarter) / 4.0 / f64::from(1 << 20);
        svg.text(Anchor::End, (LEFT - 6.0, y + 4.0), &format!("{mebibytes:.1} MiB"));
    }
    let layers = samples.iter().map(|sample| sample.levels.len()).max().unwrap_or(0) + 1;
    let mut names = 0;
    for layer in (0..layers).rev() {
        if samples.iter().all(|sample| bytes(sample, layer) == 0) {
            continue;
        }
        let edge = |above: usize| {
            let of = move |sample: &Sample| (above..layers).map(|layer| bytes(sample, layer)).sum::<u64>();
            samples.iter().map(move |sample| (x(growth, sample.at), SIZES.at(of(sample) as f64 / most)))
        };
        let points: Vec<_> = edge(layer).chain(edge(layer + 1).rev()).collect();
        let name = layer.checked_sub(1).map_or("memtables".into(), |level| format!("level {level}"));
        let class = name.replace(' ', "");
        svg.area(&class, &points, &name);
        let y = SIZES.top + SIZES.height - 18.0 * f64::from(names);
        names += 1;
        let (left, right) = (WIDTH - RIGHT + 14.0, WIDTH - RIGHT + 26.0);
        svg.area(&class, &[(left, y), (right, y), (right, y - 12.0), (left, y - 12.0)], &name);
        svg.text(Anchor::Start, (right + 5.0, y - 2.0), &name);
    }
    counts(&mut svg, growth);
    parts(&mut svg, growth);
    svg.file(STYLE)
}

/// The number of tables at level 0.
fn counts(svg: &mut Svg, growth: &Growth) {
    let most = growth.samples.iter().map(|sample| sample.at_level_0).max().unwrap_or(0).max(1);
    svg.text(Anchor::Start, (LEFT, COUNTS.top - 10.0), "Tables at level 0");
    for count in [0, most] {
        let y = COUNTS.at(count as f64 / most as f64);
        svg.line("grid", (LEFT, y), (WIDTH - RIGHT, y));
        svg.text(Anchor::End, (LEFT - 6.0, y + 4.0), &count.to_string());
    }
    let points: Vec<_> = growth
        .samples
        .iter()
        .map(|sample| (x(growth, sample.at), COUNTS.at(sample.at_level_0 as f64 / most as f64)))
        .collect();
    svg.path("count", &points, "tables at level 0");
}

/// What was done, and what it cost.
fn parts(svg: &mut Svg, growth: &Growth) {
    for (i, part) in growth.parts.iter().enumerate() {
        // Short parts stand close: their words take turns in two rows.
        let (at, row) = (x(growth, part.from), 13.0 * (i % 2) as f64);
        svg.line("part", (at, SIZES.top - 16.0), (at, COUNTS.at(0.0)));
        svg.text(Anchor::Start, (at + 5.0, SIZES.top - 5.0 - row), part.what);
        // Deletions give little, and what they set off is not written for their sake alone.
        if part.given > u64::from(growth.entries) * 100 {
            let cost = part.written as f64 / part.given as f64;
            let words = format!("tables written: {cost:.1} x what came in");
            svg.text(Anchor::Start, (at + 5.0, COUNTS.at(0.0) + 18.0 + row), &words);
        }
    }
    let scale = format!("{} entries, {:.1} s", growth.entries, last(growth));
    svg.text(Anchor::End, (WIDTH - 10.0, COUNTS.at(0.0) + 18.0), &scale);
}

/// The bytes of a layer: the memtables, then the levels from 0 on.
fn bytes(sample: &Sample, layer: usize) -> u64 {
    match layer {
        0 => sample.memtables,
        layer => sample.levels.get(layer - 1).copied().unwrap_or(0),
    }
}

fn total(sample: &Sample) -> u64 {
    sample.memtables + sample.levels.iter().sum::<u64>()
}

fn last(growth: &Growth) -> f64 {
    growth.samples.last().map_or(0.0, |sample| sample.at.as_secs_f64())
}

fn x(growth: &Growth, at: Duration) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * at.as_secs_f64() / last(growth).max(0.001)
}
