//! Notes on stderr, one line each. They never fail: nobody could be told.

use anstyle::{AnsiColor, Style};
use std::io::Write;

/// `esker: error: ...`
pub fn error(message: &str) {
    tell(AnsiColor::Red, "error", message);
}

/// `esker: warning: ...`
pub fn warning(message: &str) {
    tell(AnsiColor::Yellow, "warning", message);
}

/// `esker: note: ...`
pub fn note(message: &str) {
    tell(AnsiColor::Cyan, "note", message);
}

fn tell(color: AnsiColor, label: &str, message: &str) {
    let style = Style::new().bold().fg_color(Some(color.into()));
    let message = one_line(message);
    let _ = writeln!(anstream::stderr(), "esker: {style}{label}:{style:#} {message}");
}

/// The message without line ends and other controls, which names of files and fields may hold.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
