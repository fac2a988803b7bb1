//! The cases of a run: found, split by patient, prepared.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use duomo_data::{
    Case, CropCentre, Dataset, PreparedCase, Split, SplitOptions, discover, prepare_all, split,
};

use crate::bad_data::BadData;
use crate::experiment::Experiment;
use crate::log_file::LogFile;
use crate::observer::{Event, Observer};

/// Warnings of one kind that are told one by one.
const WARNINGS_SHOWN: usize = 4;

/// Cases of a run by what they are used for; `[modality][case]`.
#[derive(Debug)]
pub(crate) struct Cases {
    /// Which patients train, validate and test.
    pub(crate) split: Split,
    /// All cases that were found, in the order of discovery.
    pub(crate) all: Vec<Case>,
    /// Cases that the optimiser sees.
    pub(crate) train: Vec<Vec<PreparedCase>>,
    /// Cases that choose the best checkpoint.
    pub(crate) validation: Vec<Vec<PreparedCase>>,
    /// Cases that only the final table sees.
    pub(crate) test: Vec<Vec<PreparedCase>>,
}

impl Cases {
    /// Finds, splits and prepares the labelled cases below `data`.
    ///
    /// # Errors
    ///
    /// A folder without usable cases, a modality that has none, or a case that cannot be prepared:
    /// each names folder, modality or file and what would help.
    pub(crate) fn gather(
        experiment: &Experiment,
        data: &Path,
        log: &mut LogFile<'_>,
    ) -> Result<Self> {
        let dataset = &experiment.dataset;
        let discovery = discover(dataset, data)?;
        let left_out = discovery.left_out.iter();
        let left_out =
            left_out.map(|file| format!("{} is left out: {}", file.path.display(), file.reason));
        warn(&left_out.collect::<Vec<_>>(), "files are left out", log);
        let all = discovery.cases;
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
        let split = split(&all, &options).map_err(|error| match error {
            duomo_data::Error::TooFewPatients { modality, patients } => BadData::error(format!(
                "all patients of modality {} ({patients}) below {} are in \
                 schedule.split.test_patients, which leaves none to train on; name fewer of them, \
                 or add patients",
                dataset.modalities[modality].name,
                data.display()
            )),
            other => other.into(),
        })?;

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
        let prepared = train.iter().chain(&validation).chain(&test).flatten();
        let oddities = prepared.flat_map(|case| {
            case.warnings.iter().map(|warning| format!("{}: {warning}", case.case.image.display()))
        });
        warn(&oddities.collect::<Vec<_>>(), "oddities were met", log);
        Ok(Self { split, all, train, validation, test })
    }
}

impl Cases {
    /// A sentence for every class that no test patient of a modality has.
    pub(crate) fn absent_classes(&self, dataset: &Dataset, data: &Path) -> Vec<String> {
        let mut sentences = Vec::new();
        for (modality, cases) in dataset.modalities.iter().zip(&self.test) {
            let labels = || cases.iter().filter_map(|case| case.labels.as_ref()).flatten();
            for (class, name) in (1u8..).zip(dataset.class_names()) {
                if cases.is_empty() || labels().any(|&label| label == class) {
                    continue;
                }
                let patients: Vec<&str> = cases.iter().map(|case| &case.case.patient[..]).collect();
                sentences.push(format!(
                    "class {name} is absent from every test patient of modality {} ({}) below {}, \
                     so it cannot be scored; draw others with another seed, or name some who have \
                     it in schedule.split.test_patients",
                    modality.name,
                    patients.join(", "),
                    data.display()
                ));
            }
        }
        sentences
    }
}

/// Writes every warning to the run's log; whoever watches is told a few and how many there are.
fn warn(warnings: &[String], what: &str, log: &mut LogFile<'_>) {
    let (told, rest) = warnings.split_at(warnings.len().min(WARNINGS_SHOWN));
    for text in told {
        log.event(&Event::Warning(text));
    }
    for text in rest {
        log.line("warning", text);
    }
    if !rest.is_empty() {
        let count = warnings.len();
        let text = format!("{count} {what} in all; log.txt in the run folder lists every one");
        log.event(&Event::Warning(&text));
    }
}

/// Prepared cases of some patients, `[modality][case]`.
fn prepared(
    experiment: &Experiment,
    all: &[Case],
    patients: &[String],
) -> Result<Vec<Vec<PreparedCase>>> {
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
    prepared
        .collect::<Result<_, _>>()
        .context("`duomo check` lists every fault of the data at once")
}
