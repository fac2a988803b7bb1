//! Does what it is told, as often as it is asked: a line in, seconds and numbers out.

use std::collections::BTreeMap;
use std::io::{Write as _, stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device};
use duomo_data::{Case as Patient, CropCentre, Geometry, Image, prepare_volume};
use duomo_model::Fcn;
use duomo_train::{
    Experiment, FORMAT, Model, ModelCard, PostProcessing, Provenance, TrainedNetwork, in_pool,
    keep_freed_memory, segment, segment_automatically,
};

use crate::case::{Case, Work};

/// Voxels of the volume, in millimetres; in the plane as the quick schedule wants them.
const SPACING_MM: [f64; 3] = [5.0, 1.5, 1.5];

/// Answers until the input ends.
pub(crate) fn serve(case: &Case) -> Result<()> {
    keep_freed_memory();
    match case.work {
        Work::Step => serve_steps(case),
        Work::Segment | Work::Predict => serve_volumes(case),
    }
}

/// Answers with the loss.
fn serve_steps(case: &Case) -> Result<()> {
    let experiment = case.experiment()?;
    let networks = TrainedNetwork::of_experiment(&experiment, &Device::Cpu)?;
    let batches: Vec<_> =
        (0..experiment.dataset.modalities.len()).map(|modality| case.batch(modality)).collect();
    for (step, line) in (1..).zip(stdin().lines()) {
        line?;
        let start = Instant::now();
        // As the trainer does.
        let terms = in_pool(|| networks[0].step(&batches, &experiment, step))?;
        answer(start.elapsed().as_secs_f64(), &[terms.total])?;
    }
    Ok(())
}

/// Answers with the voxels of each class.
fn serve_volumes(case: &Case) -> Result<()> {
    let model = model(&case.experiment()?)?;
    let shape = [case.slices, case.side, case.side];
    let geometry = Geometry::from_spacing(shape, SPACING_MM);
    let image = Image { geometry, voxels: case.batch(0).batch.images, warnings: vec![] };
    let path = PathBuf::from("volume in memory");
    let patient = Patient { patient: String::new(), modality: 0, image: path, labels: None };
    let centre = CropCentre::Image;
    let mut prepared = prepare_volume(&patient, &image, None, &model.card.preparation, centre)?;
    if case.work == Work::Segment {
        // The peers' numbers, not z-scored anew.
        prepared.images.clone_from(&image.voxels);
    }
    for line in stdin().lines() {
        line?;
        let start = Instant::now();
        let classes = match case.work {
            Work::Predict => segment_automatically(&model, &patient, &image, 0)?.1,
            _ => segment(&model, &prepared, 0)?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let mut voxels = vec![0.0; model.card.labels.len() + 1];
        for &class in &classes {
            voxels[usize::from(class)] += 1.0;
        }
        answer(seconds, &voxels)?;
    }
    Ok(())
}

fn answer(seconds: f64, numbers: &[f64]) -> Result<()> {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    writeln!(stdout(), "{seconds} {}", numbers.join(" "))?;
    Ok(())
}

/// A model that has learnt nothing yet.
fn model(experiment: &Experiment) -> Result<Model> {
    let modalities = experiment.dataset.modalities.len();
    let architecture = experiment.architecture(modalities);
    let fcn = Fcn::new(&architecture, experiment.seed, DType::F32, &Device::Cpu)?;
    let weights = fcn.parameters().to_tensors()?.into_iter();
    let weights: BTreeMap<_, _> =
        weights.map(|(name, tensor)| (format!("0/{name}"), tensor)).collect();
    let card = ModelCard {
        format: FORMAT.to_owned(),
        architectures: vec![architecture],
        networks: vec![(0..modalities).collect()],
        modalities: experiment.dataset.modalities.iter().map(|m| m.name.clone()).collect(),
        labels: experiment.dataset.labels.clone(),
        preparation: experiment.preparation(),
        postprocessing: PostProcessing::default(),
        provenance: Provenance {
            version: String::new(),
            commit: String::new(),
            method: experiment.method.label.clone(),
            schedule: experiment.schedule.label.clone(),
            seed: experiment.seed,
            data_hash: String::new(),
            step: 0,
        },
    };
    Model::from_parts(card, &weights, &Device::Cpu)
}
