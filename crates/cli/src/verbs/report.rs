//! `duomo report`: one page for some runs, to be read anywhere.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::console;
use crate::exit::Outcome;
use crate::report::{ReportedRun, page};

/// Arguments of `duomo report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Finished run folders; all are compared with the first.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write: one HTML page that needs nothing else, no network either.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// How many of each modality's worst cases are shown slice by slice, in each run.
    #[arg(long, value_name = "N", default_value_t = 2)]
    worst: usize,
    /// Print JSON: the file and the runs that it is about.
    #[arg(long)]
    json: bool,
}

/// Writes the page.
///
/// # Errors
///
/// A run that is not finished, damaged, or was tested on other patients than the first; a file that
/// cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let runs = arguments.runs.iter().map(|folder| ReportedRun::read(folder));
    let runs: Vec<ReportedRun> = runs.collect::<Result<_>>()?;
    console::write_file(&arguments.out, page(&runs, arguments.worst)?.as_bytes())?;
    if arguments.json {
        let Arguments { out, runs, .. } = arguments;
        console::print_json(&json!({"schema": "duomo.report/1", "page": out, "runs": runs}), "-")?;
    } else {
        console::note(&format!("report of {} runs: {}", runs.len(), arguments.out.display()));
    }
    Ok(Outcome::Done)
}
