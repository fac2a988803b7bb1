//! Runs the cells of a grid, some at a time, inside this process.
//!
//! Threads, not processes: a signal that ends the program ends every run with it, so that nothing
//! goes on writing into a folder that the next start resumes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Cell, CellStatus};
use crate::compute::Compute;
use crate::observer::{Event, Interrupted, Observer};
use crate::run::{AbsentClass, TrainRequest, train};
use crate::run_folder::Resume;
use crate::summary::Summary;

/// Watches the runs of a grid from several threads at once.
pub trait GridObserver: Sync {
    /// Something happened to a cell; of one cell in the order things happen.
    fn event(&self, cell: &Cell, event: &CellEvent<'_>);

    /// Whether all runs should save what they have and end with [`Interrupted`].
    fn wants_stop(&self) -> bool {
        false
    }
}

/// What can happen to a cell.
#[derive(Debug)]
#[non_exhaustive]
pub enum CellEvent<'a> {
    /// Its run begins or goes on.
    Begun,
    /// Its run says something.
    Run(&'a Event<'a>),
    /// Its run is complete, or failed.
    Ended(&'a Result<Summary>),
}

/// How many threads each of `jobs` runs gets of those that this process may use.
pub fn threads_per_job(jobs: usize) -> usize {
    (rayon::current_num_threads() / jobs.max(1)).max(1)
}

/// Runs cells, `jobs` at a time, in the order given, and returns how each ended.
///
/// A cell that fails does not stop the others. A finished cell is only read; an unfinished one goes
/// on from its last checkpoint to the same bits as if it had never been interrupted.
///
/// # Errors
///
/// Threads that cannot be started.
pub fn run_cells(
    cells: &[Cell],
    jobs: usize,
    compute: Compute,
    observer: &dyn GridObserver,
) -> Result<Vec<Result<Summary>>> {
    let jobs = jobs.clamp(1, cells.len().max(1));
    let pools: Vec<ThreadPool> =
        (0..jobs).map(|_| pool(threads_per_job(jobs))).collect::<Result<_>>()?;
    let next = AtomicUsize::new(0);
    let work = |pool: &ThreadPool| {
        let mut ended = Vec::new();
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            observer.event(cell, &CellEvent::Begun);
            let result = pool.install(|| run_cell(cell, compute, observer));
            observer.event(cell, &CellEvent::Ended(&result));
            ended.push((cell.index, result));
        }
        ended
    };
    let mut ended: Vec<(usize, Result<Summary>)> = thread::scope(|scope| {
        let workers: Vec<_> = pools.iter().map(|pool| scope.spawn(|| work(pool))).collect();
        let ended = workers.into_iter().map(|worker| {
            // A panic is a broken invariant; it must not look like a cell that merely failed.
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.flatten().collect()
    });
    ended.sort_by_key(|(index, _)| *index);
    Ok(ended.into_iter().map(|(_, result)| result).collect())
}

/// A pool of its own for each job, so that jobs share the machine evenly.
pub(super) fn pool(threads: usize) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.with_context(|| format!("cannot start {threads} threads"))
}

fn run_cell(cell: &Cell, compute: Compute, observer: &dyn GridObserver) -> Result<Summary> {
    let status = cell.status()?;
    if status == CellStatus::Done {
        // The cell's digest is that of the data, which need not be read again for each.
        return cell.summary();
    }
    if observer.wants_stop() {
        let step = if let CellStatus::Unfinished { step } = status { step } else { 0 };
        return Err(Interrupted { step, steps: cell.experiment.schedule.steps }.into());
    }
    let request = TrainRequest {
        compute,
        experiment: cell.experiment.clone(),
        data: cell.data.clone(),
        out: cell.folder.clone(),
        resume: Resume::Auto,
        absent_class: AbsentClass::Refuse,
    };
    train(&request, &mut Forward { cell, observer })
        .with_context(|| format!("cannot finish {}", cell.folder.display()))
}

/// Hands a run's events on with the name of its cell.
struct Forward<'a> {
    cell: &'a Cell,
    observer: &'a dyn GridObserver,
}

impl Observer for Forward<'_> {
    fn event(&mut self, event: &Event<'_>) {
        self.observer.event(self.cell, &CellEvent::Run(event));
    }

    fn wants_stop(&self) -> bool {
        self.observer.wants_stop()
    }
}
