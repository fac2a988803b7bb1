//! Which slices are looked at.

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use duomo_data::{Batch, Case, CropCentre, PreparedCase, SliceId, prepare_all, slices_of};

use crate::draw::DrawnBatch;
use crate::experiment::Experiment;
use crate::network::{images, labels};
use crate::summary::Summary;

/// Most slices of a modality that shares are measured on.
const SPREAD: usize = 32;

/// One mini-batch of every modality, `[modality]`.
#[derive(Debug)]
pub(super) struct MiniBatch {
    /// `[B_m, H, W, s]`.
    pub(super) images: Vec<Tensor>,
    /// `[B_m, H, W]`.
    pub(super) labels: Vec<Tensor>,
}

/// Slices of the test patients.
#[derive(Debug)]
pub(super) struct Slices {
    /// As many of each modality, evenly spaced over all its patients, in mini-batches.
    pub(super) spread: Vec<MiniBatch>,
    /// Of each patient the slice with the largest annotated area, at most a mini-batch of each modality.
    pub(super) pictured: MiniBatch,
    /// Of each modality the pictured slice with the largest annotated area: its place in the mini-batch,
    /// patient and number.
    pub(super) largest: Vec<(usize, String, usize)>,
    /// Prepared cases, `[modality][case]`, and the pictured slices among them.
    pub(super) cases: Vec<Vec<PreparedCase>>,
    /// `[modality][slice of the mini-batch]`.
    pub(super) ids: Vec<Vec<SliceId>>,
}

impl Slices {
    /// Prepares the test patients of a run.
    pub(super) fn of_run(experiment: &Experiment, summary: &Summary) -> Result<Self> {
        let modalities = experiment.dataset.modalities.iter().enumerate();
        let cases: Vec<Vec<PreparedCase>> = modalities
            .map(|(modality, files)| test_cases(experiment, summary, modality, &files.name))
            .collect::<Result<_>>()?;
        let batch = experiment.schedule.batch;
        let gather = |ids: &[Vec<SliceId>]| MiniBatch::gather(experiment, &cases, ids);

        let all: Vec<Vec<SliceId>> = cases.iter().map(|cases| slices_of(cases)).collect();
        let count = all.iter().map(Vec::len).min().unwrap_or(0).min(SPREAD);
        let chosen: Vec<Vec<SliceId>> = all.iter().map(|ids| evenly(ids, count)).collect();
        let spread = (0..count).step_by(batch).map(|first| {
            let last = count.min(first + batch);
            gather(&chosen.iter().map(|ids| ids[first..last].to_vec()).collect::<Vec<_>>())
        });
        let spread = spread.collect::<Result<_>>()?;

        let mut ids = Vec::new();
        let mut largest = Vec::new();
        for of_modality in &cases {
            let mut fullest: Vec<SliceId> =
                (0..of_modality.len()).map(|case| fullest_slice(of_modality, case)).collect();
            fullest.truncate(batch);
            let areas = fullest.iter().map(|&id| annotated(of_modality, id));
            let at = areas.enumerate().max_by_key(|&(_, area)| area).map_or(0, |(at, _)| at);
            let SliceId { case, slice } = fullest[at];
            largest.push((at, of_modality[case].case.patient.clone(), slice));
            ids.push(fullest);
        }
        let pictured = gather(&ids)?;
        Ok(Self { spread, pictured, largest, cases, ids })
    }

    /// Slices of each modality that shares are measured on.
    pub(super) fn count(&self) -> usize {
        let counts = self.spread.iter().map(|batch| batch.images[0].dims()[0]);
        counts.sum()
    }
}

impl MiniBatch {
    fn gather(
        experiment: &Experiment,
        cases: &[Vec<PreparedCase>],
        ids: &[Vec<SliceId>],
    ) -> Result<Self> {
        let input_slices = experiment.schedule.network.input_slices;
        let batches: Vec<DrawnBatch> = cases
            .iter()
            .zip(ids)
            .map(|(cases, ids)| {
                Ok(DrawnBatch {
                    batch: Batch::gather(cases, ids, input_slices)?,
                    names: Vec::new(),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            images: batches
                .iter()
                .map(|batch| images(batch, &Device::Cpu))
                .collect::<Result<_>>()?,
            labels: batches.iter().map(labels).collect::<Result<_>>()?,
        })
    }
}

fn test_cases(
    experiment: &Experiment,
    summary: &Summary,
    modality: usize,
    name: &str,
) -> Result<Vec<PreparedCase>> {
    let cases = summary.cases.iter().filter(|case| case.modality == name);
    let cases: Vec<Case> = cases
        .map(|case| Case {
            patient: case.case.clone(),
            modality,
            image: case.image.clone(),
            labels: Some(case.reference.clone()),
        })
        .collect();
    ensure!(
        !cases.is_empty(),
        "no test patient of modality {name}, whose features could be measured"
    );
    let label_map = experiment.dataset.label_map();
    let prepared =
        prepare_all(&cases, &label_map, &experiment.preparation(), CropCentre::Annotation);
    prepared.into_iter().collect::<Result<_, _>>().context("cannot prepare the test patients")
}

/// `count` of the slices, evenly spaced.
fn evenly(ids: &[SliceId], count: usize) -> Vec<SliceId> {
    (0..count).map(|index| ids[index * ids.len() / count]).collect()
}

fn fullest_slice(cases: &[PreparedCase], case: usize) -> SliceId {
    let slices = (0..cases[case].slices).map(|slice| SliceId { case, slice });
    slices.max_by_key(|&id| annotated(cases, id)).unwrap_or(SliceId { case, slice: 0 })
}

/// Annotated pixels of a slice.
fn annotated(cases: &[PreparedCase], SliceId { case, slice }: SliceId) -> usize {
    let case = &cases[case];
    let pixels = case.side * case.side;
    let labels = case.labels.as_deref().unwrap_or_default();
    labels.iter().skip(slice * pixels).take(pixels).filter(|&&class| class > 0).count()
}
