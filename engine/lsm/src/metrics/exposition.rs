//! The text format in which Prometheus reads metrics, version 0.0.4.

use super::histogram::Histogram;
use std::fmt::{Display, Write as _};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, until the store is opened again.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How values are distributed.
    Histogram,
}

impl MetricKind {
    fn word(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// Text that grows metric by metric.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// Labels of a sample, and its value.
type Labels<'l> = &'l [(&'l str, &'l str)];

impl Exposition {
    /// Begins a metric. Its samples must follow at once.
    fn begin(&mut self, name: &str, kind: MetricKind, help: &str) {
        // Writing to a string never fails.
        let _ = writeln!(self.text, "# HELP {name} {}", escaped(help, false));
        let _ = writeln!(self.text, "# TYPE {name} {}", kind.word());
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value, true));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A counter or gauge without labels.
    pub fn one(&mut self, kind: MetricKind, name: &str, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A counter or gauge with labels.
    pub fn many<'l, V: Display>(
        &mut self,
        kind: MetricKind,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'l str, &'l str)>, V)>,
    ) {
        self.begin(name, kind, help);
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    /// A histogram of times, in seconds.
    pub fn times(&mut self, name: &str, help: &str, histogram: &Histogram) {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let powers = (8..=36).step_by(2).map(|power| (seconds(1 << power), histogram.below_power(power)));
        self.histogram(name, help, histogram, powers, seconds(histogram.sum()));
    }

    /// A histogram of numbers.
    pub fn numbers(&mut self, name: &str, help: &str, histogram: &Histogram) {
        let powers = (1..=10).map(|power| (((1u64 << power) - 1) as f64, histogram.below_power(power)));
        self.histogram(name, help, histogram, powers, histogram.sum() as f64);
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        histogram: &Histogram,
        bounds: impl Iterator<Item = (f64, u64)>,
        sum: f64,
    ) {
        self.begin(name, MetricKind::Histogram, help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in bounds {
            self.sample(&bucket, &[("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count());
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], histogram.count());
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Text with what would end it early, or its line, made harmless.
fn escaped(text: &str, quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quoted { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_become_text_with_labels_escaped() {
        let mut text = Exposition::default();
        text.one(MetricKind::Counter, "a_total", "What \\ is\ncounted.", 7);
        let odd = "q\"b\\n\nl";
        text.many(MetricKind::Gauge, "b", "B.", [(vec![("family", odd), ("level", "0")], 1.5)]);
        let expected = "# HELP a_total What \\\\ is\\ncounted.\n# TYPE a_total counter\na_total 7\n\
                        # HELP b B.\n# TYPE b gauge\nb{family=\"q\\\"b\\\\n\\nl\",level=\"0\"} 1.5\n";
        assert_eq!(text.into_text(), expected);
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all() {
        let mut histogram = Histogram::default();
        [1, 2, 3, 4, 5_000].into_iter().for_each(|value| histogram.record(value));
        let mut text = Exposition::default();
        text.numbers("n", "N.", &histogram);
        let text = text.into_text();
        for line in [
            "# TYPE n histogram",
            "n_bucket{le=\"1\"} 1",
            "n_bucket{le=\"3\"} 3",
            "n_bucket{le=\"7\"} 4",
            "n_bucket{le=\"1023\"} 4",
            "n_bucket{le=\"+Inf\"} 5",
            "n_sum 5010",
            "n_count 5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
        let mut text = Exposition::default();
        text.times("t_seconds", "T.", &histogram);
        let text = text.into_text();
        assert!(text.contains("t_seconds_bucket{le=\"0.000000256\"} 4\n"), "{text}");
        assert!(text.contains("t_seconds_bucket{le=\"68.719476736\"} 5\n"), "{text}");
        assert!(text.contains("t_seconds_sum 0.00000501\n"), "{text}");
    }
}
