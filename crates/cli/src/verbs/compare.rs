//! `duomo compare`: runs beside each other on the same cases.

use std::path::PathBuf;

use anyhow::Result;

use crate::comparison::{Comparison, ScoredRun, check_splits, csv, tables, tell_apart};
use crate::console;
use crate::exit::Outcome;
use crate::table::Table;

/// Arguments of `duomo compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run folders, or reports of `duomo evaluate --json`; all are compared with the first.
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Metric, by the name it has in the JSON; `nsd@2` is the one at a tolerance of 2 mm.
    #[arg(long, default_value = "dice")]
    metric: String,
    /// What a missed or spurious class without a value counts as: nothing, or this many mm.
    #[arg(long, value_name = "none|MM", default_value = "none", value_parser = penalty)]
    penalty: Penalty,
    /// Write JSON to a file, or to stdout instead of the tables with `-`.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<String>,
    /// Write CSV, one line per run, modality and class.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print the tables as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Print the tables as LaTeX, for the package booktabs.
    #[arg(long, conflicts_with = "markdown")]
    latex: bool,
}

/// What stands in for an undefined distance.
#[derive(Clone, Copy, Debug)]
struct Penalty(Option<f64>);

fn penalty(text: &str) -> Result<Penalty, String> {
    if text == "none" {
        return Ok(Penalty(None));
    }
    match text.parse::<f64>() {
        Ok(mm) if mm.is_finite() && mm >= 0.0 => Ok(Penalty(Some(mm))),
        _ => Err("expected none or a distance in mm".to_owned()),
    }
}

/// Compares the runs and prints means and tests.
///
/// # Errors
///
/// Runs that cannot be read, lack the metric, were tested on other patients, or have no case in common.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let read = |path: &PathBuf| ScoredRun::read(path, &arguments.metric, arguments.penalty.0);
    let mut runs: Vec<ScoredRun> = arguments.runs.iter().map(read).collect::<Result<_>>()?;
    tell_apart(&mut runs, &arguments.runs);
    check_splits(&runs)?;
    let comparison = Comparison::new(&arguments.metric, &runs)?;
    warn(&comparison, &runs);

    if let Some(path) = &arguments.csv {
        console::write_file(path, csv(&comparison).as_bytes())?;
    }
    if let Some(target) = &arguments.json {
        console::print_json(&comparison, target)?;
    }
    if arguments.json.as_deref() != Some("-") {
        let render = match (arguments.markdown, arguments.latex) {
            (true, _) => Table::markdown,
            (_, true) => Table::latex,
            _ => Table::aligned,
        };
        let [means, tests] = tables(&comparison).each_ref().map(render);
        let baseline = &comparison.runs[0];
        let metric = &comparison.metric;
        let captions = [
            format!("{metric}: mean ± sd over cases"),
            format!("{metric}: run − {baseline}, Wilcoxon signed-rank test of the same cases"),
        ];
        console::print(&format!("{}\n\n{means}\n{}\n\n{tests}", captions[0], captions[1]))?;
    }
    Ok(Outcome::Done)
}

/// Says what makes the comparison less than it seems.
fn warn(comparison: &Comparison, runs: &[ScoredRun]) {
    if !comparison.left_out.is_empty() {
        console::warn(&format!(
            "left out, because some run lacks them: {}",
            comparison.left_out.join(", ")
        ));
    }
    let hashes: Vec<&String> = runs.iter().filter_map(|run| run.data_hash.as_ref()).collect();
    if hashes.windows(2).any(|pair| pair[0] != pair[1]) {
        console::warn("the runs were trained on different data sets (their data_hash differs)");
    }
    let undefined: usize = comparison.groups.iter().flat_map(|group| &group.undefined).sum();
    if undefined > 0 {
        console::warn(
            "some cases have no value and are left out of the means, which flatters the run that \
             misses more; --penalty MM counts them",
        );
    }
}
