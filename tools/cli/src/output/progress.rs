//! Progress of long work: on stderr, and only where a person watches.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

const BYTES: &str = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta}";
const BYTES_UNBOUNDED: &str = "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}";
const COUNT: &str = "{msg} {spinner} {human_pos} {per_sec}";
const SPINNER: &str = "{msg} {spinner} {elapsed}";

/// A bar over bytes, of a known total or of none.
#[must_use]
pub fn bytes(message: &'static str, total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    show(bar, message, if total.is_some() { BYTES } else { BYTES_UNBOUNDED })
}

/// A counter without a known end.
#[must_use]
pub fn count(message: &'static str) -> ProgressBar {
    show(ProgressBar::no_length(), message, COUNT)
}

/// A sign of life for work that cannot be counted from here.
#[must_use]
pub fn spinner(message: &'static str) -> ProgressBar {
    let bar = show(ProgressBar::no_length(), message, SPINNER);
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}

fn show(bar: ProgressBar, message: &'static str, template: &str) -> ProgressBar {
    let visible = std::io::stderr().is_terminal();
    bar.set_draw_target(if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_understood() {
        for template in [BYTES, BYTES_UNBOUNDED, COUNT, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
