//! The one place that writes to the terminal.

use std::io::Write as _;

/// Writes one line to stderr, where it keeps its order with what cargo says.
pub(crate) fn say(line: &str) {
    // A closed terminal is no reason to fail a build.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
