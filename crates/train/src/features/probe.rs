//! Networks whose features are looked at.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use duomo_model::{Architecture, Fcn};

use super::GROUPS;
use super::slices::MiniBatch;
use crate::experiment::Experiment;
use crate::model_file::Model;

/// Features of one modality by group, `[B, h, w, channels]`.
pub(super) type Features = BTreeMap<usize, Tensor>;

/// A network without dropout, and the modalities that it serves.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) modalities: Vec<usize>,
    fcn: Fcn,
}

impl Probe {
    /// The networks of a run as they were before its first step.
    pub(super) fn initial(experiment: &Experiment) -> Result<Vec<Self>> {
        let served = experiment.method.networks(experiment.dataset.modalities.len());
        let probe = |modalities: Vec<usize>| {
            let architecture = undropped(&experiment.architecture(modalities.len()));
            let fcn = Fcn::new(&architecture, experiment.seed, DType::F32, &Device::Cpu)?;
            Ok(Self { modalities, fcn })
        };
        served.into_iter().map(probe).collect()
    }

    /// The networks of a model.
    pub(super) fn trained(model: &Model) -> Result<Vec<Self>> {
        let networks = model.networks().iter().zip(&model.card.networks);
        let probe = |(trained, modalities): (&Fcn, &Vec<usize>)| {
            let architecture = undropped(trained.architecture());
            let fcn = Fcn::new(&architecture, 0, DType::F32, &Device::Cpu)?;
            fcn.parameters().load_tensors(&trained.parameters().to_tensors()?)?;
            Ok(Self { modalities: modalities.clone(), fcn })
        };
        networks.map(probe).collect()
    }
}

fn undropped(architecture: &Architecture) -> Architecture {
    Architecture { dropout: 0.0, ..architecture.clone() }
}

/// Features of every modality, `[modality]`, under the statistics of the mini-batch.
pub(super) fn features(probes: &[Probe], batch: &MiniBatch) -> Result<Vec<Features>> {
    let mut features = vec![Features::new(); batch.images.len()];
    for Probe { modalities, fcn } in probes {
        let images: Vec<Tensor> =
            modalities.iter().map(|&modality| batch.images[modality].clone()).collect();
        let output = fcn.forward_train(&images, &GROUPS, 0).context("in the forward pass")?;
        for (&modality, of_modality) in modalities.iter().zip(output.features) {
            features[modality] = of_modality;
        }
    }
    Ok(features)
}
