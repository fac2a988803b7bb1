//! The cases of a run: found, split by patient, prepared.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use duomo_data::{
    Case, CropCentre, PreparedCase, Split, SplitOptions, discover, prepare_all, split,
};

use crate::experiment::Experiment;
use crate::observer::{Event, Observer};

/// Cases of a run by what they are used for; `[modality][case]`.
#[derive(Debug)]
pub struct Cases {
    /// Which patients train, validate and test.
    pub split: Split,
    /// All cases that were found, in the order of discovery.
    pub all: Vec<Case>,
    /// Cases that the optimiser sees.
    pub train: Vec<Vec<PreparedCase>>,
    /// Cases that choose the best checkpoint.
    pub validation: Vec<Vec<PreparedCase>>,
    /// Cases that only the final table sees.
    pub test: Vec<Vec<PreparedCase>>,
}

impl Cases {
    /// Finds, splits and prepares the labelled cases below `data`.
    ///
    /// # Errors
    ///
    /// A folder without usable cases, a modality that has none, or a case that cannot be prepared:
    /// each names folder, modality or file and what would help.
    pub fn gather(experiment: &Experiment, data: &Path, observer: &mut dyn Observer) -> Result<Self> {
        let dataset = &experiment.dataset;
        let discovery = discover(dataset, data)?;
        for left_out in &discovery.left_out {
            let text = format!("{} is left out: {}", left_out.path.display(), left_out.reason);
            observer.event(&Event::Warning(&text));
        }
        let all: Vec<Case> =
            discovery.cases.into_iter().filter(|case| case.labels.is_some()).collect();
        let fractions = &experiment.schedule.split;
        let (fold, folds) = experiment.fold.unwrap_or((0, 1));
        let options = SplitOptions {
            seed: experiment.seed,
            test_fraction: fractions.test_fraction,
            test_patients: fractions.test_patients.clone(),
            validation_fraction: fractions.validation_fraction,
            folds,
            fold,
        };
        let split = split(&all, &options)?;

        let gather = |patients: &[String]| prepared(experiment, &all, patients);
        let (train, validation, test) =
            (gather(&split.train)?, gather(&split.validation)?, gather(&split.test)?);
        for (modality, cases) in dataset.modalities.iter().zip(&train) {
            ensure!(
                !cases.is_empty(),
                "no training patient of modality {} is left below {} after the split; \
                 add patients or lower schedule.split.test_fraction",
                modality.name,
                data.display()
            );
        }
        for case in train.iter().chain(&validation).chain(&test).flatten() {
            for warning in &case.warnings {
                let text = format!("{}: {warning}", case.case.image.display());
                observer.event(&Event::Warning(&text));
            }
        }
        Ok(Self { split, all, train, validation, test })
    }
}

/// Prepared cases of some patients, `[modality][case]`.
fn prepared(experiment: &Experiment, all: &[Case], patients: &[String]) -> Result<Vec<Vec<PreparedCase>>> {
    let label_map = experiment.dataset.label_map();
    let preparation = experiment.preparation();
    let of_modality = |modality: usize| {
        let cases: Vec<Case> = all
            .iter()
            .filter(|case| case.modality == modality && patients.contains(&case.patient))
            .cloned()
            .collect();
        prepare_all(&cases, &label_map, &preparation, CropCentre::Annotation)
    };
    let modalities = 0..experiment.dataset.modalities.len();
    let prepared = modalities.map(|modality| of_modality(modality).into_iter().collect());
    prepared.collect::<Result<_, _>>().context("`duomo check` lists every fault of the data at once")
}
