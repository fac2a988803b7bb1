//! An ablation's table.

use std::path::Path;

use anyhow::Result;
use duomo_train::{AblationTable, LearningCurve, VariantRuns};

use super::Finished;
use super::files::Written;
use crate::ablation_table::{blocks, csv};

/// Writes the table of a grid's variants on a data set.
///
/// # Errors
///
/// A run's log that is damaged, or a folder that cannot be written to.
pub(super) fn write(
    out: &Path,
    (grid, dataset): (&str, &str),
    variants: &[&str],
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let variants: Vec<VariantRuns> = variants
        .iter()
        .map(|variant| {
            let runs = finished.iter().filter(|run| run.cell.experiment.method.label == *variant);
            let runs = runs
                .map(|run| Ok((run.summary.clone(), LearningCurve::read(&run.cell.folder)?)))
                .collect::<Result<_>>()?;
            Ok(VariantRuns { variant: (*variant).to_owned(), runs })
        })
        .collect::<Result<_>>()?;
    let modalities = &finished[0].cell.experiment.dataset.modalities;
    let modalities: Vec<String> = modalities.iter().map(|files| files.name.clone()).collect();
    let table = AblationTable::new(grid, dataset, &modalities, &variants);
    Written {
        name: &format!("{grid}-{dataset}"),
        title: &format!("{grid} on {dataset}"),
        blocks: &blocks(&table),
        csv: csv(&table),
        data: &table,
    }
    .write(out, report)
}
