//! `duomo grid tables`: the paper's tables and figures, or an ablation's, from the finished runs of a
//! grid.

mod ablation;
mod features;
mod files;
mod head;
mod pictures;
mod scores;
mod significance;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use duomo_train::{Cell, CellStatus, Paper, Summary};
use serde_json::json;

use super::{GridArguments, statuses};
use crate::console;
use crate::exit::{Fault, Outcome, usage_unless_data};

/// Arguments of `duomo grid tables`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    grid: GridArguments,
    /// Folder for tables and figures.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Numbers to stand beside ours: chen2020, or a .toml file like experiments/paper/chen2020.toml.
    #[arg(long, value_name = "NAME|FILE", default_value = "chen2020")]
    paper: String,
    /// Print JSON: where tables and figures lie, and which runs are in them.
    #[arg(long)]
    json: bool,
}

/// A finished run.
struct Finished<'a> {
    cell: &'a Cell,
    summary: Summary,
}

/// Writes `tables.md`, every table and figure by itself and a page per data set, and prints the first.
///
/// A grid with variants is an ablation: its table has a row per variant, and none of the paper's.
///
/// # Errors
///
/// A grid without a finished run, a run folder that is damaged or of another version, runs on
/// different splits (3), or a folder that cannot be written to (1).
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let paper = Paper::load(&arguments.paper).map_err(usage_unless_data)?;
    let grid = arguments.grid.grid()?;
    let cells = arguments.grid.cells()?;
    let statuses = statuses(&cells)?;
    let mut finished = Vec::new();
    let mut missing = Vec::new();
    for (cell, status) in cells.iter().zip(statuses) {
        match status {
            CellStatus::Done => finished.push(Finished { cell, summary: cell.summary()? }),
            _ => missing.push(cell),
        }
    }
    if finished.is_empty() {
        return Err(Fault::Data(format!(
            "no run of the grid is done below {}; `duomo grid run` with the same arguments does them",
            arguments.grid.runs.display()
        ))
        .into());
    }
    let is_ablation = !grid.variants.is_empty();
    let mut report = if is_ablation { head::of_ablation(&grid) } else { head::of_paper(&paper) };
    head::provenance(&mut report, &finished, &missing);
    let out = &arguments.out;
    for dataset in datasets(&cells) {
        let methods = methods(&cells, dataset);
        let finished = comparable(&finished, dataset, &methods);
        if finished.is_empty() {
            continue;
        }
        // What every other row is tested against.
        let reference = if is_ablation { methods[0] } else { paper.ours.as_str() };
        if is_ablation {
            ablation::write(out, (&grid.label, dataset), &methods, &finished, &mut report)?;
        } else {
            scores::write(out, dataset, (&paper, &methods), &finished, &mut report)?;
        }
        significance::write(out, dataset, (reference, &methods), &finished, &mut report)?;
        pictures::write(out, dataset, (reference, &methods, is_ablation), &finished, &mut report)?;
    }
    let page = out.join("tables.md");
    console::write_file(&page, report.as_bytes())?;
    if arguments.json {
        let names = |cells: &[&Cell]| -> Vec<String> {
            cells.iter().map(|cell| cell.name.clone()).collect()
        };
        let done: Vec<&Cell> = finished.iter().map(|run| run.cell).collect();
        let written = json!({
            "schema": "duomo.grid-tables/1",
            "out": out,
            "report": page,
            "done": names(&done),
            "missing": names(&missing),
        });
        console::print_json(&written, "-")?;
    } else {
        console::print(&report)?;
    }
    console::note(&format!("tables and figures lie in {}", out.display()));
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

/// Names of the data sets, in the grid's order.
fn datasets(cells: &[Cell]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for cell in cells {
        let name = &cell.experiment.dataset.name;
        if !names.contains(&&name[..]) {
            names.push(name);
        }
    }
    names
}

/// Labels of a data set's methods, in the grid's order.
fn methods<'a>(cells: &'a [Cell], dataset: &str) -> Vec<&'a str> {
    let mut labels: Vec<&str> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.experiment.dataset.name == dataset) {
        let label = &cell.experiment.method.label;
        if !labels.contains(&&label[..]) {
            labels.push(label);
        }
    }
    labels
}

/// Seed and fold of a run.
fn draw(cell: &Cell) -> (u64, Option<(usize, usize)>) {
    (cell.experiment.seed, cell.experiment.fold)
}

/// The finished runs of a data set whose seed and fold every method has that has any: otherwise
/// methods would be compared on other patients.
fn comparable<'a>(
    finished: &'a [Finished<'a>],
    dataset: &str,
    methods: &[&str],
) -> Vec<&'a Finished<'a>> {
    let of_dataset: Vec<&Finished<'_>> =
        finished.iter().filter(|run| run.cell.experiment.dataset.name == dataset).collect();
    let draws = |method: &str| -> BTreeSet<_> {
        let runs = of_dataset.iter().filter(|run| run.cell.experiment.method.label == method);
        runs.map(|run| draw(run.cell)).collect()
    };
    let draws: Vec<BTreeSet<_>> =
        methods.iter().map(|method| draws(method)).filter(|draws| !draws.is_empty()).collect();
    let count = of_dataset.len();
    let kept: Vec<&Finished<'_>> = of_dataset
        .into_iter()
        .filter(|run| draws.iter().all(|draws| draws.contains(&draw(run.cell))))
        .collect();
    if kept.len() < count {
        console::warn(&format!(
            "{} finished runs of {dataset} are left out, because some method lacks their seed or fold",
            count - kept.len()
        ));
    }
    kept
}
