//! How long a grid will take, from what was measured on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::run::pool;
use super::timing_folder::TimingFolder;
use super::{Cell, CellStatus, threads_per_job};
use crate::compute::Compute;
use crate::observer::{Event, Observer};
use crate::run::{AbsentClass, TrainRequest, train};
use crate::run_folder::{Resume, RunFolder, Timing};

/// Steps of a short timing.
const SHORT_STEPS: u64 = 6;

/// How long the unfinished cells of a grid will take.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds on the clock, with the jobs and threads asked for.
    pub seconds: f64,
    /// Where the time of each data set's runs comes from.
    pub sources: BTreeMap<String, EstimateSource>,
}

/// What an estimate was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EstimateSource {
    /// The mean of this many finished runs of the grid by the same arithmetic on as many threads.
    FinishedCells(usize),
    /// A few steps and one test of the first unfinished cell, made for the purpose.
    ShortTiming,
}

/// Estimates the time of all cells that are not done, `jobs` at a time.
///
/// Runs of one data set and schedule are taken to last equally long. Where the grid has no finished
/// one by the same arithmetic on as many threads, the first unfinished cell is timed for a few steps in
/// a folder below `scratch`, which is removed again; should the process be killed,
/// [`remove_stale_timings`](super::remove_stale_timings) does it.
///
/// # Errors
///
/// A cell that cannot be timed: its data or folder have a fault that the run would meet, too.
pub fn estimate(
    cells: &[Cell],
    statuses: &[CellStatus],
    jobs: usize,
    compute: Compute,
    scratch: &Path,
) -> Result<Estimate> {
    let open = statuses.iter().filter(|status| **status != CellStatus::Done).count();
    let jobs = jobs.clamp(1, open.max(1));
    let mut sources = BTreeMap::new();
    let mut whole = BTreeMap::new();
    let mut parts = Vec::new();
    for (cell, status) in cells.iter().zip(statuses) {
        let step = match status {
            CellStatus::Done => continue,
            CellStatus::Missing => 0,
            CellStatus::Unfinished { step } => *step,
        };
        let dataset = &cell.experiment.dataset.name;
        if !whole.contains_key(dataset) {
            let alike = |timing: &Timing| {
                timing.arithmetic == compute.arithmetic() && timing.threads == threads_per_job(jobs)
            };
            let (seconds, source) = match finished_seconds(cells, statuses, dataset, alike) {
                Some((seconds, count)) => (seconds, EstimateSource::FinishedCells(count)),
                None => (
                    short_timing(cell, threads_per_job(jobs), compute, scratch)?,
                    EstimateSource::ShortTiming,
                ),
            };
            whole.insert(dataset.clone(), seconds);
            sources.insert(dataset.clone(), source);
        }
        let left = cell.experiment.schedule.steps.saturating_sub(step);
        parts.push(whole[dataset] * left as f64 / cell.experiment.schedule.steps as f64);
    }
    let longest = parts.iter().copied().fold(0.0, f64::max);
    let seconds = (parts.iter().sum::<f64>() / jobs as f64).max(longest);
    Ok(Estimate { seconds, sources })
}

/// Mean seconds of a data set's finished cells that were done as the others will be, and how many there are.
fn finished_seconds(
    cells: &[Cell],
    statuses: &[CellStatus],
    dataset: &str,
    alike: impl Fn(&Timing) -> bool,
) -> Option<(f64, usize)> {
    let finished = cells.iter().zip(statuses).filter(|(cell, status)| {
        cell.experiment.dataset.name == dataset && **status == CellStatus::Done
    });
    let timings = finished.filter_map(|(cell, _)| Timing::read(&cell.folder));
    let seconds: Vec<f64> =
        timings.filter(alike).filter_map(|timing| timing.whole_seconds()).collect();
    let count = seconds.len();
    (count > 0).then(|| (seconds.iter().sum::<f64>() / count as f64, count))
}

/// Seconds of a whole run, from one that is cut to a few steps but prepares, validates and tests
/// as the whole one does.
fn short_timing(cell: &Cell, threads: usize, compute: Compute, scratch: &Path) -> Result<f64> {
    let context = || format!("cannot time the first steps of {}", cell.name);
    let folder = TimingFolder::new(scratch, &cell.name).with_context(context)?;
    let mut experiment = cell.experiment.clone();
    let steps = experiment.schedule.steps.min(SHORT_STEPS);
    experiment.schedule.steps = steps;
    experiment.schedule.validate_every = steps;
    let request = TrainRequest {
        compute,
        experiment,
        data: cell.data.clone(),
        out: folder.run(),
        resume: Resume::Never,
        absent_class: AbsentClass::Refuse,
    };
    let mut watch = Stopwatch::new();
    let trained = pool(threads)?.install(|| train(&request, &mut watch));
    let removed = folder.remove();
    trained.with_context(context)?;
    removed?;
    Ok(watch.whole_seconds(&cell.experiment))
}

/// When the parts of a short run ended.
struct Stopwatch {
    start: Instant,
    steps: Vec<Instant>,
    validated: Option<Instant>,
}

impl Observer for Stopwatch {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Step { .. } => self.steps.push(Instant::now()),
            Event::Validation { .. } => self.validated = Some(Instant::now()),
            _ => {}
        }
    }
}

impl Stopwatch {
    fn new() -> Self {
        Self { start: Instant::now(), steps: Vec::new(), validated: None }
    }

    /// Preparation and test once, a validation as often as the experiment has it, and its steps.
    fn whole_seconds(&self, experiment: &crate::experiment::Experiment) -> f64 {
        let all = self.start.elapsed();
        let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) else {
            return all.as_secs_f64();
        };
        let between = u32::try_from(self.steps.len() - 1).unwrap_or(u32::MAX);
        let step = (*last - *first).checked_div(between).unwrap_or(Duration::ZERO);
        let validation = self.validated.map_or(Duration::ZERO, |validated| validated - *last);
        // What is neither a step nor the validation: preparation before, the test after.
        let once = all.saturating_sub(step * (between + 1)).saturating_sub(validation);
        let schedule = &experiment.schedule;
        let validations = schedule.steps.div_ceil(schedule.validate_every);
        once.as_secs_f64()
            + step.as_secs_f64() * schedule.steps as f64
            + validation.as_secs_f64() * validations as f64
    }
}

impl Timing {
    /// Reads `timing.json` of a run folder, if it is there.
    fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(RunFolder::timing_of(folder)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Seconds of a run that was not interrupted; one that was resumed knows its last part only.
    fn whole_seconds(&self) -> Option<f64> {
        (self.from_step < self.steps)
            .then(|| self.seconds * self.steps as f64 / (self.steps - self.from_step) as f64)
    }
}
