//! What the tables of a grid were made from.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use duomo_train::{Cell, Grid, Paper, Provenance};

use super::Finished;

/// The heading of the paper's tables.
pub(super) fn of_paper(paper: &Paper) -> String {
    format!(
        "# Tables of the paper, beside our runs\n\n\
         Paper: {}, as printed. **Bold**: best of our runs in its column, among methods with a value \
         for every patient.\n",
        paper.source
    )
}

/// The heading of an ablation.
pub(super) fn of_ablation(grid: &Grid) -> String {
    format!(
        "# {}\n\n\
         A row per variant. **Bold**: the best validation, by which a default may be chosen; test \
         patients stand beside it and choose nothing. Pull: norm of the gradient of the weighted \
         transfer loss with respect to all convolution kernels, over that of the segmentation losses, \
         on the batch of the first and of the last step.\n",
        grid.label
    )
}

/// Appends which runs there are, and what they were trained with.
pub(super) fn provenance(report: &mut String, finished: &[Finished<'_>], missing: &[&Cell]) {
    let list = |of: fn(&Finished<'_>) -> String| {
        let values: BTreeSet<String> = finished.iter().map(of).collect();
        values.into_iter().collect::<Vec<_>>().join(", ")
    };
    let _ = write!(
        report,
        "\nRuns: {} done, {} missing. Schedule: {}. Seeds: {}. Duomo: {}. Data: {}.\n",
        finished.len(),
        missing.len(),
        list(|run| {
            let schedule = &run.cell.experiment.schedule;
            format!("{} ({} steps)", schedule.label, schedule.steps)
        }),
        list(|run| run.cell.experiment.seed.to_string()),
        list(|run| {
            let Provenance { version, commit, .. } = &run.summary.provenance;
            let mark = if commit.ends_with("-dirty") { "-dirty" } else { "" };
            format!("{version} at commit {commit:.7}{mark}")
        }),
        list(|run| {
            let Cell { experiment, data, data_hash, .. } = run.cell;
            format!("{} below {} (BLAKE3 {data_hash:.12})", experiment.dataset.name, data.display())
        }),
    );
    for cell in missing {
        let _ = write!(report, "\nMissing: {} (index {}).", cell.name, cell.index);
    }
    if !missing.is_empty() {
        report.push('\n');
    }
}
