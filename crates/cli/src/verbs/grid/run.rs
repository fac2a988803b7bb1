//! `duomo grid run`: the runs that are missing or unfinished, some at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use duomo_train::{
    Cell, CellStatus, Estimate, EstimateSource, Interrupted, RunFolder, Summary, estimate,
    remove_stale_timings, run_cells, threads_per_job,
};
use serde::Serialize;

use super::board::Board;
use super::{GridArguments, statuses};
use crate::console;
use crate::exit::{Outcome, usage};
use crate::progress::clock;
use crate::run_pictures::write_missing_pictures;
use crate::table::{Align, Table, number};
use crate::verbs::device::DeviceArguments;

/// Arguments of `duomo grid run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    grid: GridArguments,
    #[command(flatten)]
    device: DeviceArguments,
    /// Runs at a time; each gets its share of the threads.
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Do the run with this index only, as `duomo grid list` counts them.
    #[arg(long, value_name = "N")]
    index: Option<usize>,
    /// Print JSON: how each run ended, and its scores.
    #[arg(long)]
    json: bool,
}

/// What `duomo grid run --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    runs: &'a Path,
    cells: Vec<EndedCell<'a>>,
}

#[derive(Serialize)]
struct EndedCell<'a> {
    index: usize,
    name: &'a str,
    folder: &'a Path,
    /// `done` or `failed`.
    status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Scores by modality.
    modalities: Vec<EndedModality>,
}

#[derive(Serialize)]
struct EndedModality {
    name: String,
    patients: usize,
    mean_dice: Option<f64>,
}

/// Does the runs and prints their scores.
///
/// # Errors
///
/// What kept all runs from being done; if some were done, they are listed and the code is 4.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let start = Instant::now();
    let compute = arguments.device.compute()?;
    let cells = chosen(arguments.grid.cells()?, arguments.index)?;
    let statuses = statuses(&cells)?;
    remove_stale_timings(&arguments.grid.runs);
    let jobs = usize::from(arguments.jobs);
    let open: Vec<Cell> = cells
        .iter()
        .zip(&statuses)
        .filter(|(_, status)| **status != CellStatus::Done)
        .map(|(cell, _)| cell.clone())
        .collect();
    console::note(&tally(&statuses));
    draw_missing_pictures(&cells, &statuses)?;
    let mut results = Vec::new();
    if !open.is_empty() {
        let estimate = if arguments.index.is_some() {
            // One job of many: timing it first would cost each of them its start.
            None
        } else {
            let estimate = estimate(&cells, &statuses, jobs, compute, &arguments.grid.runs)?;
            console::note(&estimate_text(&estimate, open.len(), jobs.min(open.len())));
            Some(Duration::from_secs_f64(estimate.seconds))
        };
        let board = Board::new(&open, estimate);
        results = run_cells(&open, jobs, compute, &board)?;
        board.close();
    }
    if let Some(at) = results.iter().position(was_interrupted) {
        return Err(results.swap_remove(at).expect_err("it was interrupted"));
    }
    let failed = failures(&open, results)?;
    let report = report(&cells, &failed, &arguments.grid.runs)?;
    if arguments.json {
        console::print_json(&report, "-")?;
    } else {
        console::print(&scores(&report).aligned())?;
    }
    console::note(&format!(
        "{} of {} runs are done, in {}; they lie in {}",
        cells.len() - failed.len(),
        cells.len(),
        clock(start.elapsed()),
        arguments.grid.runs.display()
    ));
    Ok(if failed.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

/// Draws what a process that was killed between a run's end and its pictures left undrawn.
fn draw_missing_pictures(cells: &[Cell], statuses: &[CellStatus]) -> Result<()> {
    let cells = cells.iter().zip(statuses);
    for (cell, _) in cells.filter(|(_, status)| **status == CellStatus::Done) {
        let folder = RunFolder::pictures_of(&cell.folder);
        let drawn = write_missing_pictures(&cell.summary()?, &cell.experiment.dataset, &folder);
        if let Err(error) = drawn {
            console::warn(&format!("no pictures of {}: {error:#}", cell.name));
        }
    }
    Ok(())
}

fn was_interrupted(result: &Result<Summary>) -> bool {
    result.as_ref().is_err_and(anyhow::Error::is::<Interrupted>)
}

fn chosen(cells: Vec<Cell>, index: Option<usize>) -> Result<Vec<Cell>> {
    let Some(index) = index else { return Ok(cells) };
    let count = cells.len();
    let cell = cells.into_iter().nth(index).ok_or_else(|| {
        usage(&anyhow!("the grid has {count} runs, 0 to {}; got --index {index}", count - 1))
    })?;
    Ok(vec![cell])
}

fn tally(statuses: &[CellStatus]) -> String {
    let count = |is: fn(&CellStatus) -> bool| statuses.iter().filter(|status| is(status)).count();
    format!(
        "{} runs: {} done, {} unfinished, {} missing",
        statuses.len(),
        count(|status| *status == CellStatus::Done),
        count(|status| matches!(status, CellStatus::Unfinished { .. })),
        count(|status| *status == CellStatus::Missing)
    )
}

fn estimate_text(estimate: &Estimate, runs: usize, jobs: usize) -> String {
    let sources = estimate.sources.iter().map(|(dataset, source)| match source {
        EstimateSource::FinishedCells(1) => format!("{dataset} from 1 finished run"),
        EstimateSource::FinishedCells(count) => format!("{dataset} from {count} finished runs"),
        EstimateSource::ShortTiming => format!("{dataset} from a short timing just now"),
    });
    format!(
        "estimate: {} for {runs} runs, {jobs} at a time on {} threads each; measured on this \
         machine, {}",
        clock(Duration::from_secs_f64(estimate.seconds)),
        threads_per_job(jobs),
        sources.collect::<Vec<_>>().join(", ")
    )
}

/// Indices of the runs that failed, with the reason; an error if nothing else came of it.
fn failures(open: &[Cell], results: Vec<Result<Summary>>) -> Result<BTreeMap<usize, String>> {
    let mut failed = BTreeMap::new();
    let mut first = None;
    let count = results.len();
    for (cell, result) in open.iter().zip(results) {
        if let Err(error) = result {
            failed.insert(cell.index, format!("{error:#}"));
            first.get_or_insert(error);
        }
    }
    match first {
        // With nothing done, the first failure says best what is wrong, and with which code.
        Some(error) if failed.len() == count && count > 1 => {
            Err(error.context(format!("none of {count} runs could be done; the first failed")))
        }
        Some(error) if failed.len() == count => Err(error),
        _ => Ok(failed),
    }
}

/// How each run ended, with the scores of those that are done.
fn report<'a>(
    cells: &'a [Cell],
    failed: &'a BTreeMap<usize, String>,
    runs: &'a Path,
) -> Result<Report<'a>> {
    let cells = cells.iter().map(|cell| {
        let error = failed.get(&cell.index).map(String::as_str);
        let modalities = if error.is_some() { Vec::new() } else { cell.summary()?.modalities };
        let modalities = modalities.into_iter().map(|modality| EndedModality {
            name: modality.name,
            patients: modality.cases,
            mean_dice: modality.mean_dice,
        });
        Ok(EndedCell {
            index: cell.index,
            name: &cell.name,
            folder: &cell.folder,
            status: if error.is_some() { "failed" } else { "done" },
            error,
            modalities: modalities.collect(),
        })
    });
    Ok(Report { schema: "duomo.grid-run/1", runs, cells: cells.collect::<Result<_>>()? })
}

/// Mean foreground Dice of each run that is done, by modality.
fn scores(report: &Report<'_>) -> Table {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("modality", Align::Left),
        ("patients", Align::Right),
        ("mean Dice", Align::Right),
    ]);
    for cell in &report.cells {
        let mut name = cell.name.to_owned();
        for modality in &cell.modalities {
            table.push([
                std::mem::take(&mut name),
                modality.name.clone(),
                modality.patients.to_string(),
                number(modality.mean_dice, 3),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_says_where_it_comes_from() {
        let sources = BTreeMap::from([
            ("mmwhs".to_owned(), EstimateSource::ShortTiming),
            ("mscmr".to_owned(), EstimateSource::FinishedCells(2)),
        ]);

        let text = estimate_text(&Estimate { seconds: 600.0, sources }, 9, 1);

        assert!(text.starts_with("estimate: 10 min 0 s for 9 runs, 1 at a time on "), "{text}");
        assert!(
            text.ends_with("mmwhs from a short timing just now, mscmr from 2 finished runs"),
            "{text}"
        );
    }

    #[test]
    fn a_tally_counts_each_status() {
        let statuses = [
            CellStatus::Done,
            CellStatus::Missing,
            CellStatus::Unfinished { step: 3 },
            CellStatus::Done,
        ];

        assert_eq!(tally(&statuses), "4 runs: 2 done, 1 unfinished, 1 missing");
    }
}
