//! Medians over the runs, ratios to RocksDB, and tables of them.

use super::engines::Kind;
use super::order::{Conditions, Job, State};
use super::row::{Outcome, Row};
use super::suites::SUITES;
use crate::latency::Latency;
use serde::Serialize;
use std::fmt::{self, Write};

/// A figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Half of the runs had no more.
    pub median: f64,
    /// The largest less the smallest, as a share of the median.
    pub spread: f64,
}

impl Figure {
    /// The figure of some values; `None` without any.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Figure> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        let spread = if median > 0.0 { (last - first) / median } else { 0.0 };
        Some(Figure { median, spread })
    }
}

/// A phase of an engine.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The engine.
    pub kind: Kind,
    /// How many runs were measured.
    pub runs: usize,
    /// Operations per second.
    pub per_second: Option<Figure>,
    /// Operations per second, as a multiple of the better of RocksDB's settings.
    pub ratio: Option<f64>,
    /// Processor time of an operation, in microseconds.
    pub cpu_us: Option<Figure>,
    /// Processor time of an operation, as a multiple of that of the same RocksDB.
    pub cpu_ratio: Option<f64>,
    /// How long operations took; medians.
    pub latency: Option<Latency>,
    /// Of the runs the one next to the median.
    pub row: Option<Row>,
    /// Why there are no figures.
    pub without: Option<String>,
}

/// A phase of all engines.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its name.
    pub phase: &'static str,
    /// What it does.
    pub what: &'static str,
    /// The engines that took part.
    pub cells: Vec<Cell>,
}

impl Line {
    /// The cell of an engine.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.kind == kind)
    }

    /// The better of RocksDB's settings in this phase.
    #[must_use]
    pub fn rocksdb(&self) -> Option<&Cell> {
        let measured = self.cells.iter().filter(|cell| cell.kind.is_rocksdb() && cell.per_second.is_some());
        let rate = |cell: &&Cell| cell.per_second.map_or(0.0, |figure| figure.median);
        measured.max_by(|a, b| rate(a).total_cmp(&rate(b)))
    }

    fn compare(&mut self) {
        let Some(peer) = self.rocksdb() else { return };
        let (rate, cpu) = (peer.per_second, peer.cpu_us);
        let ratio = |of: Option<Figure>, to: Option<Figure>| {
            of.zip(to).filter(|(_, to)| to.median > 0.0).map(|(of, to)| of.median / to.median)
        };
        for cell in &mut self.cells {
            cell.ratio = ratio(cell.per_second, rate);
            cell.cpu_ratio = ratio(cell.cpu_us, cpu);
        }
    }
}

/// A suite of all engines.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Its name.
    pub suite: &'static str,
    /// What is special about it.
    pub what: &'static str,
    /// Its phases.
    pub lines: Vec<Line>,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What all figures have in common.
    pub conditions: Conditions,
    /// The engines.
    pub kinds: Vec<Kind>,
    /// A spinning loop of two microseconds without any engine; medians.
    pub spin: Option<Latency>,
    /// A bare `fdatasync` after an append; medians.
    pub fdatasync: Option<Latency>,
    /// The suites.
    pub sections: Vec<Section>,
}

/// Puts the runs of a state together.
#[must_use]
pub fn summary(state: &State) -> Summary {
    let mut kinds: Vec<Kind> = state.jobs.iter().map(|job| job.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut sections = Vec::new();
    for suite in SUITES {
        let jobs: Vec<&Job> = state.jobs.iter().filter(|job| job.suite == suite.name).collect();
        let mut lines = Vec::new();
        for phase in suite.phases {
            let cells = kinds.iter().filter_map(|&kind| cell(&jobs, kind, phase.name));
            let mut line = Line { phase: phase.name, what: phase.what, cells: cells.collect() };
            line.compare();
            lines.push(line);
        }
        lines.retain(|line| !line.cells.is_empty());
        if !lines.is_empty() {
            sections.push(Section { suite: suite.name, what: suite.what, lines });
        }
    }
    Summary {
        conditions: state.conditions.clone(),
        kinds,
        spin: middle(state.jobs.iter().filter_map(|job| job.spin)),
        fdatasync: middle(state.jobs.iter().filter_map(|job| job.fdatasync)),
        sections,
    }
}

fn cell(jobs: &[&Job], kind: Kind, phase: &str) -> Option<Cell> {
    let jobs = jobs.iter().filter(|job| job.kind == kind);
    let results = jobs.flat_map(|job| &job.results).filter(|result| result.phase == phase);
    let outcomes: Vec<&Outcome> = results.map(|result| &result.outcome).collect();
    if outcomes.is_empty() {
        return None;
    }
    let without = outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Measured(_) => None,
        Outcome::Unsupported => Some("not offered".to_owned()),
        Outcome::Failed(error) => Some(error.clone()),
    });
    let rows: Vec<&Row> = outcomes.iter().filter_map(|outcome| outcome.row()).collect();
    let per_second = Figure::of(rows.iter().map(|row| row.per_second));
    let off = |row: &Row| per_second.map_or(0.0, |figure| (row.per_second - figure.median).abs());
    let nearest = rows.iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    Some(Cell {
        kind,
        runs: rows.len(),
        per_second,
        ratio: None,
        cpu_us: Figure::of(rows.iter().map(|row| row.cpu_us)),
        cpu_ratio: None,
        latency: middle(rows.iter().filter_map(|row| row.latency)),
        row: nearest.map(|row| Row::clone(row)),
        without,
    })
}

/// The median of each percentile.
fn middle(all: impl Iterator<Item = Latency>) -> Option<Latency> {
    let all: Vec<Latency> = all.collect();
    let of = |field: fn(&Latency) -> f64| Some(Figure::of(all.iter().map(field))?.median);
    Some(Latency {
        p50_us: of(|l| l.p50_us)?,
        p90_us: of(|l| l.p90_us)?,
        p99_us: of(|l| l.p99_us)?,
        p999_us: of(|l| l.p999_us)?,
        p9999_us: of(|l| l.p9999_us)?,
        max_us: of(|l| l.max_us)?,
        mean_us: of(|l| l.mean_us)?,
    })
}

/// A number in four characters or so.
pub(super) fn short(number: f64) -> String {
    match number {
        n if n >= 9_995_000.0 => format!("{:.1} M", n / 1e6),
        n if n >= 999_500.0 => format!("{:.2} M", n / 1e6),
        n if n >= 9_995.0 => format!("{:.0} k", n / 1e3),
        n if n >= 99.95 => format!("{n:.0}"),
        n if n >= 9.995 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conditions { entries, memory_bytes, .. } = self.conditions;
        writeln!(f, "{entries} entries, {} MiB of memory for each engine", memory_bytes >> 20)?;
        for (what, latency) in [("a spinning loop", self.spin), ("a bare fdatasync", self.fdatasync)] {
            if let Some(latency) = latency {
                let Latency { p50_us, p99_us, p999_us, p9999_us, max_us, .. } = latency;
                write!(f, "{what}: p50 {p50_us:.1} us, p99 {p99_us:.1}, p99.9 {p999_us:.1}, ")?;
                writeln!(f, "p99.99 {p9999_us:.1}, max {max_us:.0}")?;
            }
        }
        for section in &self.sections {
            writeln!(f, "\n{}: {}\n", section.suite, section.what)?;
            f.write_str(&comparison(section, &self.kinds))?;
            f.write_char('\n')?;
            f.write_str(&details(section))?;
        }
        Ok(())
    }
}

/// Operations per second and processor time, a phase in a line.
fn comparison(section: &Section, kinds: &[Kind]) -> String {
    let takes_part = |kind: Kind| section.lines.iter().any(|line| line.of(kind).is_some());
    let other = |kind: &Kind| *kind != Kind::Esker && !kind.is_rocksdb() && takes_part(*kind);
    let others: Vec<Kind> = kinds.iter().copied().filter(other).collect();
    let mut out = format!(
        "{:22} {:>9} {:>5} {:>7}  {:>9} {:>5} {:>7} {:9}  {:>6} {:>6}",
        "per second, +-%, CPU us", "esker", "", "", "rocksdb", "", "", "", "ratio", "CPU"
    );
    others.iter().for_each(|kind| out += &format!(" {:>12}", kind.name()));
    out.push('\n');
    for line in &section.lines {
        out += &format!("{:22} ", line.phase);
        for cell in [line.of(Kind::Esker), line.rocksdb()] {
            let Some((rate, cpu)) = cell.and_then(|cell| cell.per_second.zip(cell.cpu_us)) else {
                out += &format!(" {:>9} {:>5} {:>7} ", "-", "", "");
                continue;
            };
            let spread = format!("{:.0}%", rate.spread * 50.0);
            out += &format!(" {:>9} {spread:>5} {:>7.2} ", short(rate.median), cpu.median);
        }
        let setting = line.rocksdb().and_then(|cell| cell.kind.name().strip_prefix("rocksdb-"));
        let esker = line.of(Kind::Esker);
        let ratio = |of: Option<f64>| of.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let (rate, cpu) = (ratio(esker.and_then(|c| c.ratio)), ratio(esker.and_then(|c| c.cpu_ratio)));
        out += &format!("{:9}  {rate:>6} {cpu:>6}", setting.unwrap_or_default());
        for &kind in &others {
            let rate = line.of(kind).and_then(|cell| cell.per_second);
            out += &format!(" {:>12}", rate.map_or_else(|| "-".into(), |rate| short(rate.median)));
        }
        out.push('\n');
    }
    out
}

/// The titles of [`facts`].
pub(super) const FACTS: [&str; 12] = [
    "p50 us", "p99", "p99.9", "p99.99", "max", "waits ms", "beside/s", "MB out", "w. amp", "MB disk",
    "sp. amp", "MiB peak",
];

/// What is known of a cell beside its rate and processor time, as text.
pub(super) fn facts(cell: &Cell) -> Option<[String; 12]> {
    let row = cell.row.as_ref()?;
    let some = |number: Option<f64>| number.map_or_else(String::new, short);
    let of = |field: fn(&Latency) -> f64| some(cell.latency.as_ref().map(field));
    let live = row.space_amplification();
    Some([
        of(|l| l.p50_us),
        of(|l| l.p99_us),
        of(|l| l.p999_us),
        of(|l| l.p9999_us),
        of(|l| l.max_us),
        some(row.waited_ms),
        some(row.beside_per_second),
        short(row.written_bytes as f64 / 1e6),
        some(row.write_amplification()),
        if row.disk_bytes > 0 { short(row.disk_bytes as f64 / 1e6) } else { String::new() },
        some(live),
        short(row.peak_rss_bytes as f64 / f64::from(1 << 20)),
    ])
}

/// Everything else, an engine and a phase in a line.
fn details(section: &Section) -> String {
    let mut out = format!("{:22} {:17} {:>9} {:>9}", "", "", "per s", "CPU us");
    FACTS.iter().for_each(|title| out += &format!(" {title:>9}"));
    out.push('\n');
    for (line, cell) in section.lines.iter().flat_map(|line| line.cells.iter().map(move |cell| (line, cell)))
    {
        let rates = [cell.per_second, cell.cpu_us].map(|figure| figure.map(|figure| figure.median));
        let [rate, cpu] = rates.map(|median| median.map_or_else(String::new, short));
        out += &format!("{:22} {:17} {rate:>9} {cpu:>9}", line.phase, cell.kind);
        facts(cell).iter().flatten().for_each(|fact| out += &format!(" {fact:>9}"));
        if let Some(why) = &cell.without {
            out += &format!("  {why}");
        }
        out.push('\n');
    }
    out
}
