//! Figures and pages of a grid.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use duomo_train::{Cell, Summary};

use super::scores::runs_of;
use super::{Finished, draw, features};
use crate::console;
use crate::figures;
use crate::report::{ReportedRun, page};

/// Cases of each modality that a page shows slice by slice, in each of many runs.
const WORST_SHOWN: usize = 1;

/// Writes Fig. 6 (not of an ablation, whose variants look alike), box plots, learning curves, what is
/// known of the features, and a page.
///
/// # Errors
///
/// A file of a run that can no longer be read, or a folder that cannot be written to.
pub(super) fn write(
    out: &Path,
    dataset: &str,
    (reference, methods, is_ablation): (&str, &[&str], bool),
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let runs: Vec<(&Cell, &Summary)> =
        finished.iter().map(|run| (run.cell, &run.summary)).collect();
    let name = format!("fig6-{dataset}.png");
    if !is_ablation && figures::write_methods(&runs, &out.join(&name))? {
        let _ = write!(
            report,
            "\nFig. 6: of each modality the patient whose Dice, averaged over methods, is the median.\n\n\
             ![image, reference and every method]({name})\n"
        );
    }
    for (cell, _) in &runs {
        let name = format!("curves/{}.png", cell.name);
        figures::write_curve(cell, &out.join(&name))?;
    }
    let name = format!("dice-{dataset}.png");
    figures::write_box_plots(&runs_of(finished, methods), &out.join(&name))?;
    let _ = write!(report, "\nDice of every test patient:\n\n![box plots]({name})\n");
    let _ = write!(report, "\nLearning curves of every run: `curves/{dataset}-*.png`.\n");
    features::write(out, dataset, (reference, methods), finished, report)?;
    write_page(out, dataset, reference, finished, report)
}

/// The page of `duomo report` for the runs of the first seed and fold, the reference before the others.
fn write_page(
    out: &Path,
    dataset: &str,
    reference: &str,
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let cells = finished.iter().map(|run| run.cell);
    let mut cells: Vec<&Cell> = cells.filter(|cell| draw(cell) == draw(finished[0].cell)).collect();
    cells.sort_by_key(|cell| cell.experiment.method.label != reference);
    let runs = cells.into_iter().map(|cell| ReportedRun::read(&cell.folder));
    let page = page(&runs.collect::<Result<Vec<_>>>()?, WORST_SHOWN)?;
    let name = format!("report-{dataset}.html");
    console::write_file(&out.join(&name), page.as_bytes())?;
    let _ =
        write!(report, "\nScores, cases slice by slice, curves, provenance: [{name}]({name}).\n");
    Ok(())
}
