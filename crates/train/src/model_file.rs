//! A model is one `.safetensors` file: weights, and in its metadata all that prediction needs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use duomo_data::{LabelClass, LabelMap, Preparation, UnknownLabels, atomic_write};
use duomo_model::{Architecture, Fcn};
use duomo_ops::in_pool;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::bad_data::BadData;
use crate::card_memory::{explain_memory_of_model, explain_memory_of_pass};
use crate::inference::{Segmenter, maps_bytes};
use crate::network::TrainedNetwork;
use crate::postprocessing::PostProcessing;

/// What the metadata of a model file says under the key `duomo`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Always `duomo.model/1`.
    pub format: String,
    /// Architecture of each network.
    pub architectures: Vec<Architecture>,
    /// Modalities that each network serves, as indices into `modalities`.
    pub networks: Vec<Vec<usize>>,
    /// Names of the modalities.
    pub modalities: Vec<String>,
    /// Foreground classes in the order of their indices, with the label values they stand for.
    pub labels: Vec<LabelClass>,
    /// How a volume becomes the network's input.
    pub preparation: Preparation,
    /// What is taken away from a prediction, learnt on the validation patients.
    #[serde(default, skip_serializing_if = "PostProcessing::is_off")]
    pub postprocessing: PostProcessing,
    /// Where the weights come from.
    pub provenance: Provenance,
}

/// Where a model's weights come from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of Duomo that trained it.
    pub version: String,
    /// Commit of the source tree, or `unknown`.
    pub commit: String,
    /// Label of the method.
    pub method: String,
    /// Label of the schedule.
    pub schedule: String,
    /// Seed of the run.
    pub seed: u64,
    /// Digest of the training data's files.
    pub data_hash: String,
    /// Optimiser steps behind the weights.
    pub step: u64,
}

/// The format that this version writes and reads.
pub const FORMAT: &str = "duomo.model/1";

impl ModelCard {
    /// The values that class indices are written as.
    pub fn label_values(&self, classes: &[u8]) -> Vec<u16> {
        LabelMap::new(&self.labels, UnknownLabels::Error).values(classes)
    }

    /// Checks what the file's digest cannot: files of earlier versions have none.
    fn check(&self) -> Result<()> {
        let (architectures, networks) = (self.architectures.len(), self.networks.len());
        ensure!(
            architectures == networks && networks > 0,
            "the card has {architectures} architectures for {networks} networks, expected one for each of at \
             least one; take another copy of the model"
        );
        for (index, (architecture, served)) in
            self.architectures.iter().zip(&self.networks).enumerate()
        {
            let (classes, labels) = (architecture.classes, self.labels.len());
            ensure!(
                classes == labels + 1,
                "network {index} of the card tells {classes} classes apart, expected the background and the \
                 {labels} labels; take another copy of the model"
            );
            let known = 0..self.modalities.len();
            ensure!(
                served.len() == architecture.modalities && served.iter().all(|m| known.contains(m)),
                "network {index} of the card serves the modalities {served:?}, expected {} of {}; take another \
                 copy of the model",
                architecture.modalities,
                known.len()
            );
        }
        Ok(())
    }

    /// The post-processing in words, `none` without.
    pub fn describe_postprocessing(&self) -> String {
        self.postprocessing.in_words(&self.labels)
    }
}

/// Networks ready for prediction, and their card.
#[derive(Debug)]
pub struct Model {
    /// What the file says about itself.
    pub card: ModelCard,
    networks: Vec<Fcn>,
}

impl Model {
    /// Reads a model file.
    ///
    /// # Errors
    ///
    /// [`BadData`]: a file that cannot be read, is no safetensors file, was not written by Duomo, has another
    /// format, or lacks a weight: each says which, and which file. A card without room for the weights is
    /// no fault of the file's.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let bad = |what: &str, error: anyhow::Error| {
            BadData::error(format!("{what} {}: {error:#}", path.display()))
        };
        let bytes = std::fs::read(path).map_err(|error| bad("cannot read model", error.into()))?;
        let (card, tensors) = parse(&bytes).map_err(|error| bad("in model", error))?;
        Self::from_parts(card, &tensors, device).map_err(|error| {
            let weights = tensors.iter().filter(|(name, _)| !name.contains('#'));
            let numbers: usize = weights.map(|(_, tensor)| tensor.elem_count()).sum();
            match explain_memory_of_model(error, numbers * size_of::<f32>(), device.location()) {
                Ok(explained) => explained.context(format!("in model {}", path.display())),
                Err(error) => bad("in model", error),
            }
        })
    }

    /// A model of a card and its tensors, those of network `i` under `{i}/{parameter}`.
    ///
    /// # Errors
    ///
    /// A card whose parts contradict each other, or a tensor that is missing, unknown or of another shape than
    /// the card's architecture says.
    pub fn from_parts(
        card: ModelCard,
        tensors: &BTreeMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self> {
        card.check()?;
        let networks = card.architectures.iter().enumerate().map(|(index, architecture)| {
            let fcn = Fcn::new(architecture, 0, DType::F32, device)?;
            fcn.parameters().load_tensors(&of_network(tensors, index))?;
            Ok(fcn)
        });
        let networks = networks.collect::<Result<_>>()?;
        Ok(Self { card, networks })
    }

    /// The networks, in the order of the card.
    pub(crate) fn networks(&self) -> &[Fcn] {
        &self.networks
    }

    /// Index of a modality by name.
    ///
    /// # Errors
    ///
    /// A name that the model does not know lists those it does.
    pub fn modality(&self, name: &str) -> Result<usize> {
        let known = &self.card.modalities;
        known.iter().position(|known| known.eq_ignore_ascii_case(name)).with_context(|| {
            format!("the model knows the modalities {}, not `{name}`", known.join(", "))
        })
    }

    /// The network that serves a modality, and the modality's place among those it serves.
    pub(crate) fn network(&self, modality: usize) -> Result<(&Fcn, usize)> {
        let (network, row) = self
            .card
            .networks
            .iter()
            .enumerate()
            .find_map(|(network, served)| {
                Some((network, served.iter().position(|&m| m == modality)?))
            })
            .with_context(|| format!("no network of the model serves modality {modality}"))?;
        Ok((&self.networks[network], row))
    }
}

impl Segmenter for Model {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, images: &Tensor, modality: usize) -> Result<Tensor> {
        let (network, row) = self.network(modality)?;
        let device = network.parameters().device();
        let logits = || -> Result<Tensor> {
            let there = images.to_device(device)?;
            Ok(network.forward(&there, row)?.to_device(images.device())?)
        };
        // A card is spoken to from one thread.
        let logits = if device.is_cpu() { in_pool(logits) } else { logits() };
        logits.map_err(|error| {
            let &[slices, side, ..] = images.dims() else { return error };
            let bytes = slices * maps_bytes(network.architecture(), side);
            explain_memory_of_pass(error, [slices, side], bytes, device.location())
        })
    }
}

/// Adam's moments of all networks under `{network}/{parameter}#1` and `#2`.
pub(crate) fn moments(networks: &[TrainedNetwork]) -> BTreeMap<String, Tensor> {
    let mut tensors = BTreeMap::new();
    for (index, network) in networks.iter().enumerate() {
        for (name, (first, second)) in &network.moments {
            tensors.insert(format!("{index}/{name}#1"), first.as_tensor().clone());
            tensors.insert(format!("{index}/{name}#2"), second.as_tensor().clone());
        }
    }
    tensors
}

/// Weights and running statistics of all networks under `{network}/{parameter}`.
pub(crate) fn weights(networks: &[TrainedNetwork]) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for (index, network) in networks.iter().enumerate() {
        for (name, tensor) in network.fcn.parameters().to_tensors()? {
            tensors.insert(format!("{index}/{name}"), tensor);
        }
    }
    Ok(tensors)
}

/// The tensors of one network by parameter name, moments left out.
pub(crate) fn of_network(
    tensors: &BTreeMap<String, Tensor>,
    network: usize,
) -> BTreeMap<String, Tensor> {
    let prefix = format!("{network}/");
    let mine =
        tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor)));
    mine.filter(|(name, _)| !name.contains('#'))
        .map(|(name, t)| (name.to_owned(), t.clone()))
        .collect()
}

/// Writes tensors and a card, through a temporary name; `extra` is further metadata.
pub(crate) fn write(
    path: &Path,
    card: &ModelCard,
    tensors: &BTreeMap<String, Tensor>,
    extra: &[(&str, String)],
) -> Result<()> {
    let mut metadata: HashMap<_, _> =
        extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let data: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, tensor.dims().to_vec(), little_endian(tensor)?)))
        .collect::<Result<_>>()?;
    let views = data.iter().map(|(name, shape, bytes)| {
        Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let mut card = serde_json::to_value(card)?;
    card[DIGEST] = digest(&card, &metadata, &views).into();
    metadata.insert(CARD.to_owned(), card.to_string());
    let bytes = safetensors::serialize(views, Some(metadata))?;
    atomic_write(path, &bytes)?;
    Ok(())
}

/// Key of the card in the metadata.
const CARD: &str = "duomo";

/// Key of the digest in the card: the library writes several keys of metadata in random order, and the
/// same model should be the same bytes.
const DIGEST: &str = "blake3";

/// BLAKE3 of the card, all other metadata and all tensors: the format itself would not notice a flipped bit.
fn digest<'a, S: AsRef<str> + 'a>(
    card: &serde_json::Value,
    metadata: &HashMap<String, String>,
    tensors: impl IntoIterator<Item = &'a (S, TensorView<'a>)>,
) -> String {
    let mut digest = blake3::Hasher::new();
    let mut add = |part: &[u8]| {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    };
    add(card.to_string().as_bytes());
    let others: BTreeMap<_, _> = metadata.iter().filter(|(key, _)| *key != CARD).collect();
    for (key, value) in others {
        add(key.as_bytes());
        add(value.as_bytes());
    }
    let tensors: BTreeMap<_, _> =
        tensors.into_iter().map(|(name, tensor)| (name.as_ref(), tensor)).collect();
    for (name, tensor) in tensors {
        add(name.as_bytes());
        add(tensor.data());
    }
    digest.finalize().to_hex().to_string()
}

fn little_endian(tensor: &Tensor) -> Result<Vec<u8>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        bail!("a weight is {value}; weights that are not finite are never written");
    }
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Reads card and tensors, the latter to the CPU.
pub(crate) fn parse(bytes: &[u8]) -> Result<(ModelCard, BTreeMap<String, Tensor>)> {
    let metadata = metadata(bytes)?;
    let card = metadata.get(CARD).context(
        "the file has no `duomo` metadata, so it was not written by `duomo train`; \
         give a model.safetensors from a run folder",
    )?;
    let mut card: serde_json::Value = serde_json::from_str(card)?;
    let format = &card["format"];
    ensure!(
        format == FORMAT,
        "the file has format {format}, written by Duomo {}, and this version, {}, reads \"{FORMAT}\"; \
         use that version",
        card["provenance"]["version"].as_str().unwrap_or("of another time"),
        env!("CARGO_PKG_VERSION")
    );
    let file = SafeTensors::deserialize(bytes)?;
    let views = file.tensors();
    // Files of earlier versions name none.
    let expected = card.as_object_mut().and_then(|card| card.shift_remove(DIGEST));
    ensure!(
        expected.is_none_or(|expected| expected == digest(&card, &metadata, &views)),
        "the file is damaged: its contents do not have the digest that it names; \
         take another copy of it"
    );
    let card = serde_json::from_value(card).context("in the `duomo` metadata")?;
    let mut tensors = BTreeMap::new();
    for (name, view) in views {
        ensure!(
            view.dtype() == Dtype::F32,
            "tensor {name} has type {:?}, expected F32",
            view.dtype()
        );
        let values: Vec<f32> =
            view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensors.insert(name, Tensor::from_vec(values, view.shape(), &Device::Cpu)?);
    }
    Ok((card, tensors))
}

/// The string metadata of a safetensors file.
pub(crate) fn metadata(bytes: &[u8]) -> Result<HashMap<String, String>> {
    let (_, header) = SafeTensors::read_metadata(bytes)
        .context("not a safetensors file, or one that was cut short")?;
    Ok(header.metadata().clone().unwrap_or_default())
}

#[cfg(test)]
mod tests;
