//! The networks of the fixtures: their weights are computed by a recipe, not stored.
//!
//! The recipe is in the files' metadata: FNV-1a of the tensor's name, xor a seed, starts a
//! splitmix64 sequence whose upper 20 bits, scaled by a power of two, are the values.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};
use duomo_model::{Architecture, Fcn, Head, Init, Normalization};
use duomo_ops::cuda::runners::Place;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::fixture::{channels_last, path};

/// What a network file's metadata says of its network.
pub(crate) struct Recipe {
    pub(crate) architecture: Architecture,
    seed: u64,
    weights: Value,
}

impl Recipe {
    pub(crate) fn read(name: &str) -> Self {
        let bytes = std::fs::read(path(name)).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().as_ref().unwrap();
        let read = |key: &str| serde_json::from_str::<Value>(&metadata[key]).unwrap();
        Self {
            architecture: architecture(&read("spec")),
            seed: read("weight_seed").as_u64().unwrap(),
            weights: read("weights"),
        }
    }

    /// The network with the recipe's weights, its norms per modality or shared.
    pub(crate) fn network(&self, normalization: Normalization, place: &Place) -> Result<Fcn> {
        let architecture = Architecture { normalization, ..self.architecture.clone() };
        let fcn = Fcn::new(&architecture, 0, place.dtype, &place.device).unwrap();
        fcn.parameters().load_tensors(&self.tensors(normalization)?).unwrap();
        Ok(fcn)
    }

    /// Every weight and statistic by name; a shared norm has one row, the first.
    pub(crate) fn tensors(&self, normalization: Normalization) -> Result<BTreeMap<String, Tensor>> {
        let weights = self.weights.as_object().unwrap();
        let tensor = |(name, entry): (&String, &Value)| {
            let mut shape: Vec<usize> = serde_json::from_value(entry["shape"].clone()).unwrap();
            let values = values(name, self.seed, shape.iter().product(), entry);
            if normalization == Normalization::Shared && shape.len() == 2 {
                shape[0] = 1;
            }
            let count = shape.iter().product();
            let tensor = Tensor::from_slice(&values[..count], shape, &Device::Cpu)?;
            Ok((name.clone(), channels_last(&tensor)?))
        };
        weights.iter().map(tensor).collect()
    }
}

fn architecture(spec: &Value) -> Architecture {
    let number = |key: &str| usize::try_from(spec[key].as_u64().unwrap()).unwrap();
    Architecture {
        width: number("width"),
        input_slices: number("input_slices"),
        classes: number("classes"),
        modalities: number("modalities"),
        blocks: [1, 1, 2, 2, 2, 2, 2, 2],
        head: serde_json::from_value::<Head>(spec["head"].clone()).unwrap(),
        normalization: Normalization::PerModality,
        dropout: 0.0,
        init: Init::He,
    }
}

/// The recipe, checked against the first values and the sum that the file states.
fn values(name: &str, seed: u64, count: usize, entry: &Value) -> Vec<f64> {
    let offset = entry["offset"].as_f64().unwrap();
    let scale = 2f64.powi(i32::try_from(entry["exponent"].as_i64().unwrap()).unwrap());
    let start = fnv1a(name) ^ seed;
    let value = |index: u64| {
        let mut z = start.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let k = ((z ^ (z >> 31)) >> 44) as f64 - f64::from(1 << 19);
        offset + k * scale
    };
    let values: Vec<f64> = (0..count as u64).map(value).collect();

    let first: Vec<f64> = serde_json::from_value(entry["first"].clone()).unwrap();
    assert_eq!(values[..first.len()], first, "{name}");
    let sum: f64 = values.iter().sum();
    assert!((sum - entry["sum"].as_f64().unwrap()).abs() < 1e-6, "{name}: sum {sum}");
    values
}

fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
