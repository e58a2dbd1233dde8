//! The figures that the runs are about: what was tried, and how much of it went wrong.

use std::io::{self, Write};

/// Prints a line `figure: ...`. Unlike what a test prints otherwise it is always seen: the test
/// harness only keeps back what the print macros write.
pub fn print(text: &str) {
    // A closed output is no reason to fail a test.
    let _ = io::stdout().write_all(format!("figure: {text}\n").as_bytes());
}

/// Prints a figure, with the arguments of [`format!`].
#[macro_export]
macro_rules! figure {
    ($($text:tt)*) => {
        $crate::figures::print(&format!($($text)*))
    };
}
