//! One run, from a folder of NIfTI files to a summary of the test patients.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use duomo_data::discover;
use serde::Serialize;

use crate::bad_data::BadData;
use crate::cases::Cases;
use crate::compute::Compute;
use crate::evaluation::evaluate_test_cases;
use crate::experiment::Experiment;
use crate::log_file::LogFile;
use crate::observer::{Event, Observer};
use crate::provenance::{Program, data_hash};
use crate::run_folder::{Resume, RunFolder, Timing};
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
    /// What to do when a class is absent from every test patient.
    pub absent_class: AbsentClass,
    /// Where to compute. Checkpoints and models know nothing of it.
    pub compute: Compute,
}

/// What to do when a class is absent from every test patient of a modality, so that no number can
/// say how well it is segmented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbsentClass {
    /// Say so and train: the model may serve elsewhere.
    #[default]
    Warn,
    /// Refuse before the first step: a table would have a hole.
    Refuse,
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
/// interrupted goes on from its last checkpoint; of one that is done the data's digest is compared,
/// and its summary returned.
///
/// # Errors
///
/// - data that cannot be found, read or prepared ([`duomo_data::Error`] is in the chain)
/// - [`BadData`] if a class is absent from every test patient and the request refuses that, or if the run
///   is done and was made of other data
/// - a run folder that holds another experiment or cannot be written to
/// - a loss that is not finite; the last good checkpoint is kept
/// - [`Interrupted`](crate::Interrupted) if the observer wants the run to stop: every step it did is kept
pub fn train(request: &TrainRequest, observer: &mut dyn Observer) -> Result<Summary> {
    let folder = RunFolder::open(&request.out, &request.experiment, request.resume)?;
    if folder.is_done() {
        let summary = finished(request, &folder)?;
        let text = format!("{} is done; nothing to train", request.out.display());
        observer.event(&Event::Message(&text));
        return Ok(summary);
    }
    let mut log = LogFile::new(observer);
    let result = run(request, &folder, &mut log);
    match &result {
        Ok(_) => log.line("", "done"),
        Err(error) => {
            log.line("ended", &format!("{error:#}"));
            if let Some(sentence) = way_back(error, &folder) {
                log.event(&Event::Warning(&sentence));
            }
        }
    }
    result
}

/// The summary of a run that is done, if the data are still those that it was made of.
fn finished(request: &TrainRequest, folder: &RunFolder) -> Result<Summary> {
    let summary = Summary::read(&folder.summary())?;
    let cases = discover(&request.experiment.dataset, &request.data)?.cases;
    let (found, now) = (&summary.provenance.data_hash, data_hash(&request.data, &cases)?);
    if *found == now {
        return Ok(summary);
    }
    Err(BadData::error(format!(
        "{} is done, but the data have changed since (data_hash {found}, below {} now {now}); give another --out, or the \
         data that it was trained on",
        request.out.display(),
        request.data.display()
    )))
}

/// What is left of a run whose folder could no longer be written to.
fn way_back(error: &anyhow::Error, folder: &RunFolder) -> Option<String> {
    let is_write = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(duomo_data::Error::Write { .. }))
    };
    let whole = folder.all_checkpoints().into_iter().find(|path| path.exists());
    whole
        .filter(|_| error.chain().any(is_write))
        .map(|path| format!("{} is whole, and the same command goes on from it", path.display()))
}

fn run(request: &TrainRequest, folder: &RunFolder, log: &mut LogFile<'_>) -> Result<Summary> {
    let experiment = &request.experiment;
    let start = Instant::now();
    let cases = Cases::gather(experiment, &request.data, log)?;
    for sentence in cases.absent_classes(&experiment.dataset, &request.data) {
        match request.absent_class {
            AbsentClass::Warn => log.event(&Event::Warning(&sentence)),
            AbsentClass::Refuse => return Err(BadData::error(sentence)),
        }
    }
    let _lock = folder.begin(experiment, request.resume)?;
    log.open(&folder.log())?;
    let data_hash = data_hash(&request.data, &cases.all)?;
    let program = Program::current();
    log.line(
        "",
        &format!("duomo {} ({}) on {}", program.version, program.commit, program.platform),
    );
    folder.write_json(
        &folder.run(),
        &RunRecord {
            schema: "duomo.run/1",
            program,
            data: &request.data,
            data_hash: &data_hash,
            seed: experiment.seed,
            split: &cases.split,
            cases: cases.all.len(),
        },
    )?;
    describe(&cases, experiment, log);

    let trainer = Trainer::new(experiment, folder, &cases, &data_hash, request.compute, log)?;
    let from_step = trainer.step_done();
    let model = trainer.run(log)?;
    let label_map = experiment.dataset.label_map();
    let steps = experiment.schedule.steps;
    let scores = evaluate_test_cases(&model, &cases, &label_map, folder, steps, log)
        .context("on the test patients")?;
    let summary = Summary::of(&model.card, scores);
    folder.write_json(&folder.summary(), &summary)?;
    folder.write_json(
        &RunFolder::timing_of(folder.root()),
        &Timing {
            seconds: start.elapsed().as_secs_f64(),
            from_step,
            steps,
            threads: rayon::current_num_threads(),
            arithmetic: request.compute.arithmetic(),
        },
    )?;
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
