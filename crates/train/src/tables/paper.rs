//! What the paper prints, read from a data file.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::experiment::load;

/// Tables of a paper: which numbers it prints, and for which of our data sets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Where the numbers are printed.
    pub source: String,
    /// Label of the method that every other one is tested against.
    pub ours: String,
    /// The tables, in the paper's order.
    pub tables: Vec<PaperTable>,
}

/// One table of a paper.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PaperTable {
    /// Name of the files that are written.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Data set, as our grid names it.
    pub dataset: String,
    /// Modalities, in the order of columns.
    pub modalities: Vec<String>,
    /// Classes within each modality, in the order of columns.
    pub classes: Vec<String>,
    /// Dice in percent, if the table has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dice: Option<Printed>,
    /// Hausdorff distance in voxel units, if the table has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hausdorff_voxels: Option<Printed>,
}

/// Values by method label, then by modality, in the order of the table's classes.
pub type Printed = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

/// Papers that come with the program, by name.
pub const PAPERS: [(&str, &str); 1] =
    [("chen2020", include_str!("../../../../experiments/paper/chen2020.toml"))];

impl Paper {
    /// Reads a paper's numbers by name or path.
    ///
    /// # Errors
    ///
    /// Unknown names list the known ones; TOML errors name file, line and key; a row that does not
    /// have one value per class, or a modality that the table lacks, is named.
    pub fn load(name: &str) -> Result<Self> {
        let paper: Self = load("paper", name, &PAPERS)?;
        for table in &paper.tables {
            table.check()?;
        }
        Ok(paper)
    }
}

impl PaperTable {
    fn check(&self) -> Result<()> {
        for printed in [&self.dice, &self.hausdorff_voxels].into_iter().flatten() {
            for (method, modalities) in printed {
                for (modality, values) in modalities {
                    ensure!(
                        self.modalities.contains(modality),
                        "{}, {method}: modality {modality} is none of {}",
                        self.name,
                        self.modalities.join(", ")
                    );
                    ensure!(
                        values.len() == self.classes.len(),
                        "{}, {method}, {modality}: {} values for the {} classes {}",
                        self.name,
                        values.len(),
                        self.classes.len(),
                        self.classes.join(", ")
                    );
                }
            }
        }
        Ok(())
    }

    /// The methods that the paper has a row for.
    pub fn methods(&self) -> BTreeSet<&str> {
        let printed = [&self.dice, &self.hausdorff_voxels].into_iter().flatten();
        printed.flat_map(|printed| printed.keys().map(String::as_str)).collect()
    }
}

/// What is printed for a method, modality and class; the mean over classes without a class.
pub(super) fn printed(
    values: Option<&Printed>,
    method: &str,
    modality: &str,
    class: Option<usize>,
) -> Option<f64> {
    let values = values?.get(method)?.get(modality)?;
    match class {
        Some(class) => values.get(class).copied(),
        None => duomo_metrics::Summary::of(values).mean,
    }
}
