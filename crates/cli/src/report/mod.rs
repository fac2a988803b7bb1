//! One HTML page for some runs: scores, tests, cases slice by slice, curves and provenance.
//!
//! Everything is in the page: style, script and pictures. It fetches nothing.

mod case;
mod curves;
mod features;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use duomo_train::{CaseScores, Experiment, LearningCurve, Summary};
use serde_json::Value;

use crate::comparison::{Comparison, ScoredRun, Scoring, check_splits, tables, tell_apart};
use crate::exit::Fault;
use crate::table::{Align, Table, html_escaped, magnitude, number};
use crate::verbs::score_table;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the numbers of [`gradients_table`] are.
const GRADIENTS: &str = "<p class=\"legend\">Norms of the gradients of Eq. 5's two parts by the kernels that all \
                         modalities share, on the batch of that step.</p>\n";

/// What the page shows of one run.
pub(crate) struct ReportedRun {
    folder: PathBuf,
    experiment: Experiment,
    summary: Summary,
    curve: LearningCurve,
    /// `run.json`.
    record: Value,
    scores: ScoredRun,
}

impl ReportedRun {
    /// Reads a finished run folder.
    ///
    /// # Errors
    ///
    /// A folder without a run, an unfinished one, or a file of it that is damaged.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let fault = |text: String| anyhow::Error::from(Fault::Data(text));
        if !folder.join("DONE").exists() {
            return Err(fault(format!(
                "{} is no finished run folder (it has no file DONE); finish it with `duomo train`",
                folder.display()
            )));
        }
        let damaged = |name: &str, error: String| {
            let path = folder.join(name);
            fault(format!("{}: {error}; the run folder is damaged", path.display()))
        };
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|error| damaged(name, error.to_string()))
        };
        let experiment = toml::from_str(&text("experiment.toml")?)
            .map_err(|error| damaged("experiment.toml", error.to_string()))?;
        let record = serde_json::from_str(&text("run.json")?)
            .map_err(|error| damaged("run.json", error.to_string()))?;
        let summary = Summary::read(&folder.join("summary.json"))
            .map_err(|error| damaged("summary.json", format!("{error:#}")))?;
        let curve = LearningCurve::read(folder)
            .map_err(|error| damaged("metrics.jsonl", format!("{error:#}")))?;
        let scores = ScoredRun::read(folder, &Scoring::dice())?;
        Ok(Self { folder: folder.to_owned(), experiment, summary, curve, record, scores })
    }
}

/// The page.
///
/// # Errors
///
/// Runs that were tested on different patients, or a case's file that can no longer be read.
pub(crate) fn page(runs: &[ReportedRun], worst: usize) -> Result<String> {
    let mut scores: Vec<ScoredRun> = runs.iter().map(|run| run.scores.clone()).collect();
    let folders: Vec<PathBuf> = runs.iter().map(|run| run.folder.clone()).collect();
    tell_apart(&mut scores, &folders);
    let names: Vec<String> = scores.iter().map(|run| run.name.clone()).collect();
    let mut body = String::new();
    for (run, name) in runs.iter().zip(&names) {
        let table = score_table(&run.summary).filled_down().html();
        let postprocessing = html_escaped(&run.summary.postprocessing);
        let content = format!("{table}<p>Post-processing: {postprocessing}</p>");
        section(&mut body, &format!("Scores: {name}"), &content);
    }
    if runs.len() > 1 {
        check_splits(&scores)?;
        let [means, tests] = tables(&Comparison::new(&Scoring::dice(), &scores)?);
        section(&mut body, "Dice side by side, mean ± sd over cases", &means.html());
        let title = format!("Against {}: Wilcoxon signed-rank test of the same cases", names[0]);
        section(&mut body, &title, &tests.html());
    }
    section(&mut body, "Cases, worst first", &cases_table(runs, &names).html());
    for (run, name) in runs.iter().zip(&names) {
        let figures = figures(run, worst)?;
        section(&mut body, &format!("Worst cases, slice by slice: {name}"), &figures);
    }
    for (run, name) in runs.iter().zip(&names) {
        section(&mut body, &format!("Learning curves: {name}"), &curves::svg(&run.curve));
        if !run.curve.gradients.is_empty() {
            let title = format!("What pulls at the shared kernels: {name}");
            let content = format!("{GRADIENTS}{}", gradients_table(&run.curve).html());
            section(&mut body, &title, &content);
        }
    }
    for (run, name) in runs.iter().zip(&names) {
        if let Some(content) = features::content(&run.folder)? {
            section(&mut body, &format!("Features: {name}"), &content);
        }
    }
    section(&mut body, "Where this comes from", &provenance(runs, &names).html());
    let title = html_escaped(&names.join(", "));
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Duomo: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>{title}</h1><button id=\"theme\" type=\"button\">light or dark</button></header>\n\
         <main>\n{body}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    ))
}

fn section(body: &mut String, title: &str, content: &str) {
    let _ = write!(
        body,
        "<section>\n<h2>{}</h2>\n<div class=\"wide\">\n{content}</div>\n</section>\n",
        html_escaped(title)
    );
}

/// Every test case of every run by its mean Dice, undefined ones first: those went most wrong.
fn cases_table(runs: &[ReportedRun], names: &[String]) -> Table {
    let mut cases: Vec<(&str, &CaseScores)> = Vec::new();
    for (run, name) in runs.iter().zip(names) {
        cases.extend(run.summary.cases.iter().map(|case| (&name[..], case)));
    }
    let score = |case: &CaseScores| case.mean_dice().unwrap_or(-1.0);
    cases.sort_by(|(_, one), (_, other)| score(one).total_cmp(&score(other)));
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("modality", Align::Left),
        ("case", Align::Left),
        ("mean Dice", Align::Right),
        ("Dice of each class", Align::Left),
        ("largest HD mm", Align::Right),
        ("not found, or made up", Align::Left),
    ]);
    for (name, case) in cases {
        let each = case.classes.iter();
        let dice = each.clone().map(|class| format!("{} {}", class.name, number(class.dice, 3)));
        let distance = each.clone().filter_map(|class| class.hausdorff_mm).reduce(f64::max);
        let wrong = each.filter(|class| ["missed", "spurious"].contains(&&class.status[..]));
        let wrong = wrong.map(|class| format!("{} {}", class.name, class.status));
        table.push([
            name.to_owned(),
            case.modality.clone(),
            case.case.clone(),
            number(case.mean_dice(), 3),
            dice.collect::<Vec<_>>().join(", "),
            number(distance, 1),
            wrong.collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

/// Norms of the gradients of Eq. 5's two parts, on the batch of each step at which they were measured.
fn gradients_table(curve: &LearningCurve) -> Table {
    let mut table = Table::new(&[
        ("step", Align::Right),
        ("segmentation losses", Align::Right),
        ("transfer loss, weighted", Align::Right),
        ("transfer / segmentation", Align::Right),
        ("cosine between them", Align::Right),
    ]);
    for (step, norms) in &curve.gradients {
        table.push([
            step.to_string(),
            magnitude(Some(norms.rest)),
            magnitude(Some(norms.transfer)),
            magnitude(norms.ratio()),
            number(norms.cosine, 3),
        ]);
    }
    table
}

/// The worst cases of each modality.
fn figures(run: &ReportedRun, worst: usize) -> Result<String> {
    let dataset = &run.experiment.dataset;
    let mut text = case::legend(&dataset.class_names());
    for modality in &run.summary.modalities {
        let cases = run.summary.cases.iter().filter(|case| case.modality == modality.name);
        let mut cases: Vec<&CaseScores> = cases.collect();
        let score = |case: &CaseScores| case.mean_dice().unwrap_or(-1.0);
        cases.sort_by(|one, other| score(one).total_cmp(&score(other)));
        for case in cases.into_iter().take(worst) {
            let figure = case::figure(case, dataset);
            text.push_str(&figure.with_context(|| format!("cannot draw case {}", case.case))?);
        }
    }
    Ok(text)
}

fn provenance(runs: &[ReportedRun], names: &[String]) -> Table {
    let mut columns = vec![("", Align::Left)];
    columns.extend(names.iter().map(|name| (&name[..], Align::Left)));
    let mut table = Table::new(&columns);
    let mut row = |title: &str, value: &dyn Fn(&ReportedRun) -> String| {
        table.push(std::iter::once(title.to_owned()).chain(runs.iter().map(value)));
    };
    let recorded = |value: &Value| match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    row("run folder", &|run| run.folder.display().to_string());
    row("method", &|run| run.experiment.method.label.clone());
    row("schedule", &|run| {
        let schedule = &run.experiment.schedule;
        format!("{}, {} steps, width {}", schedule.label, schedule.steps, schedule.network.width)
    });
    row("weights of step", &|run| run.summary.provenance.step.to_string());
    row("seed", &|run| run.experiment.seed.to_string());
    row("data", &|run| recorded(&run.record["data"]));
    row("BLAKE3 of the data", &|run| run.summary.provenance.data_hash.clone());
    row("Duomo", &|run| {
        let provenance = &run.summary.provenance;
        format!("{} at commit {}", provenance.version, provenance.commit)
    });
    row("machine", &|run| {
        let program = &run.record["program"];
        format!("{}, {} threads", recorded(&program["platform"]), recorded(&program["threads"]))
    });
    table
}
