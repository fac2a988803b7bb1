//! `duomo compare`: runs beside each other on the same cases.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::comparison::{
    Comparison, Group, ScoredRun, Scoring, check_conventions, check_splits, csv, tables, tell_apart,
};
use crate::console;
use crate::exit::{Fault, Outcome};
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
    /// What a missed or spurious class without a value counts as: nothing, or a distance in the
    /// metric's unit (0 for ratios).
    #[arg(long, value_name = "none|MM", default_value = "none", value_parser = penalty)]
    penalty: Penalty,
    /// Print JSON instead of the tables; --json=FILE writes it to a file beside them.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-"
    )]
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
/// Runs that cannot be read, lack the metric, measure it by other conventions, were tested on other
/// patients, or have no class or case in common.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    keep_runs(arguments)?;
    let scoring = Scoring { metric: arguments.metric.clone(), penalty: arguments.penalty.0 };
    let read = |path: &PathBuf| ScoredRun::read(path, &scoring);
    let mut runs: Vec<ScoredRun> = arguments.runs.iter().map(read).collect::<Result<_>>()?;
    tell_apart(&mut runs, &arguments.runs);
    check_splits(&runs)?;
    check_conventions(&scoring, &runs)?;
    let comparison = Comparison::new(&scoring, &runs)?;
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
        let penalty = comparison.penalty.map(|penalty| format!(", penalty {penalty}"));
        let penalty = penalty.unwrap_or_default();
        let captions = [
            format!("{metric}: mean ± sd over cases{penalty}"),
            format!("{metric}: run − {baseline}, Wilcoxon signed-rank test of the same cases"),
        ];
        console::print(&format!("{}\n\n{means}\n{}\n\n{tests}", captions[0], captions[1]))?;
    }
    Ok(Outcome::Done)
}

/// Refuses to write over what is compared.
fn keep_runs(arguments: &Arguments) -> Result<()> {
    let json = arguments.json.as_deref().filter(|&target| target != "-").map(Path::new);
    let targets = [("--csv", arguments.csv.as_deref()), ("--json", json)];
    for (option, target) in targets {
        // What does not exist has no other name, and cannot be a run.
        let Some(file) = target.and_then(|target| target.canonicalize().ok()) else { continue };
        let is_run = |run: &PathBuf| run.canonicalize().is_ok_and(|run| run == file);
        if arguments.runs.iter().any(is_run) {
            let file = file.display();
            return Err(Fault::Usage(format!(
                "{option} would replace {file}, which is compared; give it another file"
            ))
            .into());
        }
    }
    Ok(())
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
    if !comparison.left_out_classes.is_empty() {
        let classes: Vec<String> =
            comparison.left_out_classes.iter().map(Group::to_string).collect();
        console::warn(&format!(
            "classes that some run lacks are left out, of the means too: {}; evaluate all with the \
             same --labels to count them",
            classes.join(", ")
        ));
    }
    if runs.iter().any(|run| run.by_slice) {
        console::warn(
            "every slice counts as a case of its own; slices of one patient are alike, so the \
             p-values are too small",
        );
    }
    if runs.iter().any(|run| run.lacks_misses) {
        console::warn(
            "some cases have no value and are left out of the means, which flatters the run that \
             misses more; --penalty MM counts them",
        );
    } else if comparison.groups.iter().flat_map(|group| &group.undefined).any(|&n| n > 0) {
        console::warn(
            "some cases have no value, because neither side holds the class or the metric is not \
             defined for them; they are left out of the means",
        );
    }
}
