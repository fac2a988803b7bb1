//! The result: a block of lines for every case.

use std::fmt::Write as _;

use crate::peers::Peer;

/// Everything printed so far.
#[derive(Default)]
pub(crate) struct Table {
    text: String,
}

impl Table {
    /// Prints and keeps a case: median and spread of every process, how many times Duomo's that is, and the
    /// most memory it held.
    pub(crate) fn add(&mut self, case: &str, peers: &[Peer], seconds: &[Vec<f64>]) {
        let heading = format!("\n{case}: median (fastest to slowest) ms, over duomo's; peak MiB");
        self.emit(&heading);
        let usual = median(&seconds[0]);
        for (peer, seconds) in peers.iter().zip(seconds) {
            let fastest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
            let slowest = seconds.iter().copied().fold(0.0, f64::max);
            let middle = median(seconds);
            let mut line = format!("  {:8}{:11.1}", peer.name, middle * 1e3);
            let spread = format!("({:.1} to {:.1})", fastest * 1e3, slowest * 1e3);
            let _ = write!(line, " {spread:24}{:7.2} x", middle / usual);
            if let Some(peak) = peer.peak_mib() {
                let _ = write!(line, "{peak:9.0} MiB");
            }
            self.emit(&line);
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn emit(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}
