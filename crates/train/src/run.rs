//! One run, from a folder of NIfTI files to a summary of the test patients.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cases::Cases;
use crate::evaluation::evaluate_test_cases;
use crate::experiment::Experiment;
use crate::observer::{Event, Observer};
use crate::provenance::{Program, data_hash};
use crate::run_folder::{Resume, RunFolder};
use crate::summary::Summary;
use crate::trainer::Trainer;

/// What a run needs to know.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// Method × data set × schedule and the seed.
    pub experiment: Experiment,
    /// Folder with the data set's files, at any depth.
    pub data: PathBuf,
    /// Run folder.
    pub out: PathBuf,
    /// What to do when the run folder already holds a run.
    pub resume: Resume,
}

/// `run.json`.
#[derive(Serialize)]
struct RunRecord<'a> {
    schema: &'static str,
    program: Program,
    data: &'a PathBuf,
    data_hash: &'a str,
    seed: u64,
    split: &'a duomo_data::Split,
    cases: usize,
}

/// Trains an experiment, segments its test patients and returns their scores.
///
/// The run folder is complete afterwards: see [`RunFolder`] for its files. A run that was
/// interrupted goes on from its last checkpoint; one that is done returns its summary at once.
///
/// # Errors
///
/// - data that cannot be found, read or prepared ([`duomo_data::Error`] is in the chain)
/// - a run folder that holds another experiment or cannot be written to
/// - a loss that is not finite; the last good checkpoint is kept
pub fn train(request: &TrainRequest, observer: &mut dyn Observer) -> Result<Summary> {
    let experiment = &request.experiment;
    let folder = RunFolder::open(&request.out, experiment, request.resume)?;
    if folder.is_done() {
        let text = format!("{} is done; nothing to train", request.out.display());
        observer.event(&Event::Message(&text));
        return Summary::read(&folder.summary());
    }
    let cases = Cases::gather(experiment, &request.data, observer)?;
    folder.begin(experiment)?;
    let data_hash = data_hash(&request.data, &cases.all)?;
    folder.write_json(
        &folder.run(),
        &RunRecord {
            schema: "duomo.run/1",
            program: Program::current(),
            data: &request.data,
            data_hash: &data_hash,
            seed: experiment.seed,
            split: &cases.split,
            cases: cases.all.len(),
        },
    )?;
    describe(&cases, experiment, observer);

    let trainer = Trainer::new(experiment, &folder, &cases, &data_hash, observer)?;
    let model = trainer.run(observer)?;
    let label_map = experiment.dataset.label_map();
    let scores = evaluate_test_cases(&model, &cases, &label_map, &folder, observer)
        .context("on the test patients")?;
    let summary = Summary::of(&model.card, scores);
    folder.write_json(&folder.summary(), &summary)?;
    folder.mark_done()?;
    Ok(summary)
}

fn describe(cases: &Cases, experiment: &Experiment, observer: &mut dyn Observer) {
    for (modality, files) in experiment.dataset.modalities.iter().enumerate() {
        let count = |cases: &[Vec<duomo_data::PreparedCase>]| {
            let slices: usize = cases[modality].iter().map(|case| case.slices).sum();
            format!("{} patients, {slices} slices", cases[modality].len())
        };
        let text = format!(
            "{}: train {}; validation {}; test {}",
            files.name,
            count(&cases.train),
            count(&cases.validation),
            count(&cases.test)
        );
        observer.event(&Event::Message(&text));
    }
}
