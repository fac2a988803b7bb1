//! Tests of every row against one of them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::files::Written;
use super::{Finished, draw};
use crate::comparison::{Comparison, ScoredRun, Scoring, check_splits, csv, tables};
use crate::console;

/// Writes one test per modality and method on the patients' mean Dice, corrected together.
///
/// # Errors
///
/// Runs of one seed and fold that were tested on different patients; a folder that cannot be written to.
pub(super) fn write(
    out: &Path,
    dataset: &str,
    (reference, methods): (&str, &[&str]),
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let mut runs = Vec::new();
    let mut order: Vec<&str> = methods.to_vec();
    order.sort_by_key(|method| *method != reference);
    for method in order {
        let folders = finished.iter().filter(|run| run.cell.experiment.method.label == method);
        let read = |run: &&Finished<'_>| ScoredRun::read(&run.cell.folder, &Scoring::dice());
        let of_method: Vec<ScoredRun> = folders.map(read).collect::<Result<_>>()?;
        if !of_method.is_empty() {
            runs.push((method, of_method));
        }
    }
    check_draws(finished, &runs)?;
    let merged: Vec<ScoredRun> =
        runs.iter().map(|(method, runs)| ScoredRun::merged(method, runs)).collect();
    if merged.len() < 2 || merged[0].name != reference {
        console::warn(&format!(
            "no tests on {dataset}: they need a finished run of {reference} and of another method"
        ));
        return Ok(());
    }
    let comparison = Comparison::of_means(&Scoring::dice(), &merged)?;
    let [_, tests] = tables(&comparison);
    let title = format!("{dataset}: every method against {reference}");
    let caption = format!(
        "Difference of the patients' mean Dice (method − {reference}: negative where {reference} is \
         better), 95 % bootstrap interval; two-sided Wilcoxon signed-rank test, Holm's correction for \
         all rows"
    );
    let blocks = [(caption, tests)];
    let name = format!("tests-{dataset}");
    let csv = csv(&comparison);
    Written { name: &name, title: &title, blocks: &blocks, csv, data: &comparison }
        .write(out, report)
}

/// Runs of one seed and fold must have been tested on the same patients.
fn check_draws(finished: &[&Finished<'_>], runs: &[(&str, Vec<ScoredRun>)]) -> Result<()> {
    let draws: BTreeSet<_> = finished.iter().map(|run| draw(run.cell)).collect();
    for wanted in draws {
        let mut of_draw = Vec::new();
        for (method, of_method) in runs {
            let cells = finished.iter().filter(|run| run.cell.experiment.method.label == *method);
            let pairs = cells.zip(of_method).filter(|(run, _)| draw(run.cell) == wanted);
            of_draw.extend(pairs.map(|(_, run)| run.clone()));
        }
        check_splits(&of_draw)?;
    }
    Ok(())
}
