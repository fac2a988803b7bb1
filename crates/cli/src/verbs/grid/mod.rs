//! `duomo grid`: many runs as one thing, here or in a job array.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use duomo_train::{Cell, CellStatus, Grid, SCHEDULES};
use serde::Serialize;

use crate::console;
use crate::exit::{Outcome, usage_unless_data};
use crate::table::{Align, Table};
use crate::verbs::train::known;

mod board;
mod run;
mod slurm;
mod tables;

/// Arguments of `duomo grid`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the runs of a grid with their folders and how far they have come.
    List {
        #[command(flatten)]
        grid: GridArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Do the runs that are missing or unfinished.
    Run(run::Arguments),
    /// Print a job-array script for Slurm, one run per job.
    Slurm(slurm::Arguments),
    /// Write the paper's tables and figures, or an ablation's, from the finished runs.
    Tables(tables::Arguments),
}

/// Which grid, on which data, in which folder: the same for every verb, so that an index means the
/// same run to all.
#[derive(Clone, Debug, clap::Args)]
struct GridArguments {
    /// Grid: tables, ablation-lambda, -size, -pairs, -background, -slices, -dropout, or a .toml file like
    /// experiments/grids/tables.toml.
    #[arg(long, value_name = "NAME|FILE", default_value = "tables")]
    grid: String,
    /// Folder of a data set of the grid; data sets without one are left out.
    #[arg(long, value_name = "NAME=DIR", value_parser = data_folder, required = true)]
    data: Vec<(String, PathBuf)>,
    /// Folder that holds the run folders.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// How long and how wide.
    #[arg(
        long,
        value_name = "NAME|FILE",
        help = format!("Schedule in place of the grid's own: {}", known(&SCHEDULES))
    )]
    schedule: Option<String>,
    /// Seeds 0 to N − 1 in place of the grid's own.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Folds of each seed in place of the grid's own; 1 draws validation patients instead.
    #[arg(long, value_name = "K")]
    folds: Option<usize>,
}

/// Runs a verb of `duomo grid`.
///
/// # Errors
///
/// A grid that makes no sense (2), data or run folders that cannot be used (3), a run that fails (1).
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    match &arguments.verb {
        Verb::List { grid, json } => list(grid, *json),
        Verb::Run(arguments) => run::run(arguments),
        Verb::Slurm(arguments) => slurm::run(arguments),
        Verb::Tables(arguments) => tables::run(arguments),
    }
}

impl GridArguments {
    /// The grid with what the command line changes.
    fn grid(&self) -> Result<Grid> {
        let mut grid = Grid::load(&self.grid).map_err(usage_unless_data)?;
        if let Some(schedule) = &self.schedule {
            grid.schedule.clone_from(schedule);
        }
        grid.seeds = self.seeds.unwrap_or(grid.seeds);
        grid.folds = self.folds.unwrap_or(grid.folds);
        Ok(grid)
    }

    fn cells(&self) -> Result<Vec<Cell>> {
        let grid = self.grid()?;
        let data: BTreeMap<String, PathBuf> = self.data.iter().cloned().collect();
        for name in grid.datasets.iter().filter(|name| !data.contains_key(*name)) {
            console::note(&format!("{name} is left out; --data {name}=DIR would add it"));
        }
        grid.cells(&data, &self.runs).map_err(usage_unless_data)
    }
}

fn statuses(cells: &[Cell]) -> Result<Vec<CellStatus>> {
    cells.iter().map(Cell::status).collect()
}

fn data_folder(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(folder)))
        }
        _ => Err("expected NAME=DIR, such as mscmr=/data/mscmr".to_owned()),
    }
}

/// What `duomo grid list --json` prints.
#[derive(Serialize)]
struct Listing<'a> {
    schema: &'static str,
    cells: Vec<ListedCell<'a>>,
}

#[derive(Serialize)]
struct ListedCell<'a> {
    index: usize,
    name: &'a str,
    folder: &'a Path,
    dataset: &'a str,
    method: &'a str,
    schedule: &'a str,
    seed: u64,
    fold: Option<(usize, usize)>,
    steps: u64,
    data_hash: &'a str,
    #[serde(flatten)]
    status: CellStatus,
}

fn list(arguments: &GridArguments, json: bool) -> Result<Outcome> {
    let cells = arguments.cells()?;
    let statuses = statuses(&cells)?;
    if json {
        let cells = cells.iter().zip(&statuses).map(|(cell, status)| listed(cell, *status));
        console::print_json(&Listing { schema: "duomo.grid/1", cells: cells.collect() }, "-")?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        ("index", Align::Right),
        ("data set", Align::Left),
        ("method", Align::Left),
        ("seed", Align::Right),
        ("fold", Align::Left),
        ("status", Align::Left),
        ("run folder", Align::Left),
    ]);
    for (cell, status) in cells.iter().zip(&statuses) {
        let fold = cell.experiment.fold.map(|(fold, folds)| format!("{fold}/{folds}"));
        table.push([
            cell.index.to_string(),
            cell.experiment.dataset.name.clone(),
            cell.experiment.method.label.clone(),
            cell.experiment.seed.to_string(),
            fold.unwrap_or_default(),
            status_text(cell, *status),
            cell.folder.display().to_string(),
        ]);
    }
    console::print(&table.aligned())?;
    Ok(Outcome::Done)
}

fn listed(cell: &Cell, status: CellStatus) -> ListedCell<'_> {
    let experiment = &cell.experiment;
    ListedCell {
        index: cell.index,
        name: &cell.name,
        folder: &cell.folder,
        dataset: &experiment.dataset.name,
        method: &experiment.method.label,
        schedule: &experiment.schedule.label,
        seed: experiment.seed,
        fold: experiment.fold,
        steps: experiment.schedule.steps,
        data_hash: &cell.data_hash,
        status,
    }
}

fn status_text(cell: &Cell, status: CellStatus) -> String {
    match status {
        CellStatus::Missing => "missing".to_owned(),
        CellStatus::Done => "done".to_owned(),
        CellStatus::Unfinished { step } => {
            format!("unfinished, step {step} of {}", cell.experiment.schedule.steps)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_has_a_name_and_a_path() {
        assert_eq!(data_folder("mscmr=/a=b"), Ok(("mscmr".into(), "/a=b".into())));
        for wrong in ["mscmr", "=x", "mscmr="] {
            assert!(data_folder(wrong).unwrap_err().contains("NAME=DIR"), "{wrong}");
        }
    }
}
