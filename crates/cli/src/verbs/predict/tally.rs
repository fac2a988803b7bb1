//! What became of the cases of one call, for whoever watches and for stdout.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::case::Ended;
use crate::batch::{Entry, Status};
use crate::console;
use crate::table::{Align, Table};

/// Counts cases, and remembers those that failed; all of them if they are to be printed as JSON.
#[derive(Debug)]
pub(super) struct Tally {
    cases: usize,
    done: usize,
    skipped: usize,
    failed: Vec<(String, String)>,
    told: Option<Vec<Told>>,
}

/// An entry as stdout shows it: `skipped` if an earlier process had done the case.
#[derive(Debug, Serialize)]
struct Told {
    case: String,
    status: &'static str,
    #[serde(flatten)]
    entry: serde_json::Value,
}

impl Tally {
    /// Nothing has been seen of `cases`.
    pub(super) fn new(cases: usize, json: bool) -> Self {
        Self { cases, done: 0, skipped: 0, failed: Vec::new(), told: json.then(Vec::new) }
    }

    /// Counts a case and says what became of it.
    pub(super) fn count(&mut self, ended: Ended) {
        let (entry, known) = match ended {
            Ended::Tried(entry) => (entry, false),
            Ended::Known(entry) => (entry, true),
        };
        let (status, sentence) = match (entry.status, known) {
            (Status::Done, false) => {
                let seconds = entry.seconds.read + entry.seconds.infer + entry.seconds.write;
                ("done", format!("{seconds:.1} s"))
            }
            (Status::Done, true) => ("skipped", "skipped, already done".to_owned()),
            (Status::Failed, false) => ("failed", format!("failed: {}", error(&entry))),
            (Status::Failed, true) => {
                let text = "failed before, skipped without --retry-failed";
                ("failed", format!("{text}: {}", error(&entry)))
            }
        };
        match status {
            "done" => self.done += 1,
            "skipped" => self.skipped += 1,
            _ => self.failed.push((entry.case.clone(), error(&entry).to_owned())),
        }
        console::note(&format!("{}/{}  {}: {sentence}", self.seen(), self.cases, entry.case));
        for warning in entry.warnings.iter().filter(|_| !known) {
            console::warn(&format!("{}: {warning}", entry.case));
        }
        if let Some(told) = &mut self.told {
            told.push(Told::of(entry, status));
        }
    }

    /// Cases of which something has become.
    pub(super) fn seen(&self) -> usize {
        self.done + self.skipped + self.failed.len()
    }

    /// Cases without a label map.
    pub(super) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// Prints the counts and the failures, or all cases as JSON.
    ///
    /// # Errors
    ///
    /// If stdout is closed.
    pub(super) fn print(&self, out: &Path) -> Result<()> {
        if let Some(told) = &self.told {
            return console::print_json(told, "-");
        }
        let mut text = format!(
            "{} of {} cases: {} done, {} skipped, {} failed; label maps and manifest are in {}\n",
            self.seen(),
            self.cases,
            self.done,
            self.skipped,
            self.failed.len(),
            out.display()
        );
        if !self.failed.is_empty() {
            let mut table = Table::new(&[("failed case", Align::Left), ("reason", Align::Left)]);
            for (case, error) in &self.failed {
                table.push([case.clone(), error.clone()]);
            }
            text.push('\n');
            text.push_str(&table.aligned());
        }
        console::print(&text)
    }
}

impl Told {
    fn of(entry: Entry, status: &'static str) -> Self {
        let case = entry.case.clone();
        let mut entry = serde_json::to_value(entry).expect("an entry is text and numbers");
        if let Some(fields) = entry.as_object_mut() {
            fields.retain(|key, _| key != "case" && key != "status");
        }
        Self { case, status, entry }
    }
}

fn error(entry: &Entry) -> &str {
    entry.error.as_deref().unwrap_or("no reason is known")
}
