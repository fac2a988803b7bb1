//! The paper's tables, filled with our runs.

use std::path::Path;

use anyhow::Result;
use duomo_train::{FilledTable, MethodRuns, Paper};

use super::Finished;
use super::files::Written;
use crate::paper_tables::{blocks, csv};

/// Writes the tables that the paper has of a data set.
///
/// # Errors
///
/// A folder that cannot be written to.
pub(super) fn write(
    out: &Path,
    dataset: &str,
    (paper, methods): (&Paper, &[&str]),
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    for table in paper.tables.iter().filter(|table| table.dataset == dataset) {
        let filled = FilledTable::new(paper, table, &runs_of(finished, methods));
        Written {
            name: &filled.name,
            title: &filled.title,
            blocks: &blocks(&filled),
            csv: csv(&filled),
            data: &filled,
        }
        .write(out, report)?;
    }
    Ok(())
}

/// The summaries of each method.
pub(super) fn runs_of(finished: &[&Finished<'_>], methods: &[&str]) -> Vec<MethodRuns> {
    let runs = methods.iter().map(|method| {
        let runs = finished.iter().filter(|run| run.cell.experiment.method.label == *method);
        MethodRuns {
            method: (*method).to_owned(),
            summaries: runs.map(|run| run.summary.clone()).collect(),
        }
    });
    runs.collect()
}
