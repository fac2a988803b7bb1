//! What is timed, and the experiment and slices that it needs.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Device, Tensor};
use duomo_data::{Batch, Dataset, SliceId};
use duomo_model::Fcn;
use duomo_ops::split_mix;
use duomo_train::{DrawnBatch, Experiment};

/// Slices of all batches look alike but differ: a seed of their own each.
const NOISE: f32 = 0.3;

/// What is done with the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// One training step on `slices` slices of each of two modalities.
    Step,
    /// A prepared volume to class indices, one look.
    Segment,
    /// All that `duomo predict` does with a volume in memory: preparation and every look.
    Predict,
}

const WORKS: [(Work, &str); 3] =
    [(Work::Step, "step"), (Work::Segment, "segment"), (Work::Predict, "predict")];

/// One measurement, the same for Duomo and its peers.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) work: Work,
    /// The schedule whose network it is.
    pub(crate) schedule: String,
    pub(crate) width: usize,
    pub(crate) side: usize,
    pub(crate) slices: usize,
    pub(crate) dropout: f64,
}

impl Case {
    /// The case in words, as a process is told it.
    pub(crate) fn line(&self) -> String {
        let Self { work, schedule, width, side, slices, dropout } = self;
        let name = WORKS.iter().find(|(known, _)| known == work).expect("every work has a name").1;
        format!("{name} {schedule} {width} {side} {slices} {dropout}")
    }

    /// Reads [`Self::line`].
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [work, schedule, width, side, slices, dropout] = words[..] else {
            bail!("got `{line}`, expected work, schedule, width, side, slices, dropout");
        };
        let (work, _) = WORKS.iter().find(|(_, name)| *name == work).context("unknown work")?;
        Ok(Self {
            work: *work,
            schedule: schedule.to_owned(),
            width: width.parse()?,
            side: side.parse()?,
            slices: slices.parse()?,
            dropout: dropout.parse()?,
        })
    }

    /// CSA on LGE and bSSFP MR with this case's sizes.
    pub(crate) fn experiment(&self) -> Result<Experiment> {
        let mut overrides = vec![
            format!("schedule.network.width={}", self.width),
            format!("schedule.network.dropout={:?}", self.dropout),
        ];
        // The looks of a whole prediction are at the schedule's own crop.
        if self.work != Work::Predict {
            overrides.push(format!("schedule.preparation.crop={}", self.side));
        }
        Experiment::load(Dataset::load("mscmr")?, "csa", &self.schedule, 1, &overrides)
    }

    /// One batch of noisy nested discs, as a heart in short axis: most pixels are background.
    pub(crate) fn batch(&self, modality: usize) -> DrawnBatch {
        let Self { side, slices, .. } = *self;
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for slice in 0..slices {
            for pixel in 0..side * side {
                let class = class_of(pixel % side, pixel / side, side, slice + modality);
                let seed = (modality * slices + slice) * side * side + pixel;
                // Classes differ in brightness, and in the other direction in the other modality.
                let bright = if modality == 0 { class } else { 3 - class };
                images.push(f32::from(bright) - 1.0 + NOISE * noise(seed as u64));
                labels.push(class);
            }
        }
        let ids = (0..slices).map(|slice| SliceId { case: 0, slice }).collect();
        let batch = Batch { images, labels, slices: ids, side, input_slices: 1 };
        DrawnBatch { batch, names: vec![String::new(); slices] }
    }

    /// Writes start values and data to where a peer reads them.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let experiment = self.experiment()?;
        let modalities = experiment.dataset.modalities.len();
        let architecture = experiment.architecture(modalities);
        let fcn = Fcn::new(&architecture, experiment.seed, DType::F32, &Device::Cpu)?;
        let weights = fcn.parameters().to_tensors()?.into_iter();
        let mut tensors: HashMap<String, Tensor> =
            weights.map(|(name, tensor)| (format!("weight.{name}"), tensor)).collect();
        let (slices, side) = (self.slices, self.side);
        for modality in 0..if self.work == Work::Step { modalities } else { 1 } {
            let Batch { images, labels, .. } = self.batch(modality).batch;
            let images = Tensor::from_vec(images, (slices, side, side, 1), &Device::Cpu)?;
            let labels = Tensor::from_vec(labels, (slices, side, side), &Device::Cpu)?;
            tensors.insert(format!("images.{modality}"), images);
            tensors.insert(format!("labels.{modality}"), labels);
        }
        Ok(candle_core::safetensors::save(&tensors, path)?)
    }
}

/// The class of a pixel: rings around a centre that moves from slice to slice.
fn class_of(x: usize, y: usize, side: usize, slice: usize) -> u8 {
    let half = side as f64 / 2.0;
    let shift = [0.0, 0.1, -0.1][slice % 3] * half;
    let radius = (x as f64 - half - shift).hypot(y as f64 - half + shift) / half;
    match radius {
        r if r < 0.15 => 3,
        r if r < 0.3 => 2,
        r if r < 0.45 => 1,
        _ => 0,
    }
}

/// A number in −1..1.
fn noise(seed: u64) -> f32 {
    f32::from(u16::try_from(split_mix(0, seed) >> 48).expect("16 bits are left")) / 32768.0 - 1.0
}
