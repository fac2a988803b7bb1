//! A whole training step by the CUDA kernels, which an emulator or a card runs, against the CPU's.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use duomo_affinity::{Consistency, Reading, Scope, Side, affinity_loss};
use duomo_model::{Architecture, Fcn, Head, Normalization, distillation_loss, segmentation_losses};
use duomo_ops::cuda::runners::runners;
use duomo_ops::{AdamOptions, AdamVariable, adam_update_all};

/// Largest difference over largest value.
const TOLERANCE: f64 = 1e-4;

/// Largest values of gradients that are compared as if it were this.
const LEAST_GRADIENT: f64 = 0.01;

const RATE: f64 = 1e-4;

/// Everything that a step leaves, by name.
type Numbers = BTreeMap<String, Tensor>;

#[test]
fn a_training_step_on_a_card_is_that_of_the_cpu() -> Result<()> {
    let paper = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(3, 2) };
    let shared = Architecture {
        normalization: Normalization::Shared,
        head: Head::Transposed,
        ..paper.clone()
    };
    let elementwise = Reading::default();
    let means = Reading {
        scope: Scope::Slice,
        consistency: Consistency::MeanDifference,
        background: false,
        ..elementwise
    };
    // A pair across resolutions takes the area average, too.
    for (architecture, pairs, reading, count) in
        [(paper, [(5, 6), (6, 7)], elementwise, 2), (shared, [(3, 4), (7, 7)], means, 1)]
    {
        let on = |device: &Device| steps(&architecture, &pairs, reading, count, device);
        let expected = on(&Device::Cpu)?;
        for runner in runners() {
            let actual = runner.compute(on)?;
            assert!(actual.keys().eq(expected.keys()));
            let bits =
                |numbers: &Numbers| numbers["logits in use 0"].flatten_all()?.to_vec1::<f32>();
            assert_ne!(bits(&actual)?, bits(&expected)?, "the CPU has computed both");
            for (name, expected) in &expected {
                assert_close(name, &actual[name], expected)?;
            }
        }
    }
    Ok(())
}

/// Within [`TOLERANCE`] of the largest value. Where rounding decides there is more room: Adam's early steps are
/// nearly `rate · sign(gradient)`, and a single channel's γ has gradient 0 where a norm follows.
fn assert_close(name: &str, actual: &Tensor, expected: &Tensor) -> Result<()> {
    let difference = (actual - expected)?.abs()?.to_dtype(DType::F64)?;
    let largest = difference.max_all()?.to_scalar::<f64>()?;
    let mean = difference.mean_all()?.to_scalar::<f64>()?;
    let is_close = if name.starts_with("moved ") {
        largest < 2.0 * RATE && mean < 0.002 * RATE
    } else {
        let scale = expected.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        let least = if name.contains("gradient") { LEAST_GRADIENT } else { 0.0 };
        largest <= TOLERANCE * scale.max(least)
    };
    assert!(is_close, "{name}: off by at most {largest:e}, mean {mean:e}");
    Ok(())
}

/// Some steps of Eq. 5 with every loss there is, and logits in use after them.
fn steps(
    architecture: &Architecture,
    pairs: &[(usize, usize)],
    reading: Reading,
    count: u64,
    device: &Device,
) -> Result<Numbers> {
    let fcn = Fcn::new(architecture, 3, DType::F32, device).unwrap();
    let zeros = |var: &Var| Var::zeros(var.shape(), DType::F32, device);
    let moments = fcn.parameters().trainable().iter();
    let moments = moments.map(|(name, var)| Ok((name.as_str(), (zeros(var)?, zeros(var)?))));
    let moments = moments.collect::<Result<BTreeMap<_, _>>>()?;
    let mut numbers = Numbers::new();
    for step in 1..=count {
        let (images, labels) = batch(step, device)?;
        let groups: Vec<usize> = pairs.iter().flat_map(|&(l, k)| [l, k]).collect();
        let output = fcn.forward_train(&images, &groups, step).unwrap();
        let sides = output.features.iter().zip(&labels);
        let sides: Vec<Side<'_>> =
            sides.map(|(features, labels)| Side { features, labels }).collect();
        let mut loss = affinity_loss(&sides, pairs, architecture.classes, &reading)?;
        loss = (loss + distillation_loss(&output.logits, &labels, 2.0).unwrap())?;
        for (logits, labels) in output.logits.iter().zip(&labels) {
            let (dice, cross_entropy) = segmentation_losses(logits, labels).unwrap();
            loss = ((loss + dice)? + cross_entropy)?;
        }
        numbers.insert(format!("step {step} loss"), loss.detach());
        let gradients = output.backward(&loss).unwrap();
        for (name, gradient) in &gradients {
            numbers.insert(format!("step {step} gradient of {name}"), gradient.clone());
        }
        adam(&fcn, &moments, &gradients, &loss, step)?;
    }
    for (name, tensor) in fcn.parameters().to_tensors().unwrap() {
        let trained = fcn.parameters().trainable().contains_key(&name);
        numbers.insert(if trained { format!("moved {name}") } else { name }, tensor);
    }
    for (m, images) in batch(9, device)?.0.iter().enumerate() {
        numbers.insert(format!("logits in use {m}"), fcn.forward(images, m).unwrap());
    }
    for tensor in numbers.values_mut() {
        *tensor = tensor.to_device(&Device::Cpu)?;
    }
    Ok(numbers)
}

fn adam(
    fcn: &Fcn,
    moments: &BTreeMap<&str, (Var, Var)>,
    gradients: &BTreeMap<String, Tensor>,
    loss: &Tensor,
    step: u64,
) -> Result<()> {
    let variables = fcn.parameters().trainable().iter().map(|(name, var)| {
        let (mean, square) = &moments[name.as_str()];
        let gradient = &gradients[name];
        AdamVariable { var, moments: (mean, square), gradient, l2: 1e-4 }
    });
    let variables: Vec<_> = variables.collect();
    adam_update_all(&variables, loss, RATE, step, AdamOptions::default())
}

/// Images and labels of two modalities with different numbers of slices.
fn batch(seed: u64, device: &Device) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for (m, slices) in [2, 3].into_iter().enumerate() {
        let pixels = slices * 24 * 24;
        let at =
            |pixel: usize| (pixel as f64 * 0.37 + (seed as f64 + 1.0) * (m as f64 + 2.0)).sin();
        let noise = |pixel: usize| at(pixel * pixel % 1009) + 0.3 * at(pixel);
        let values: Vec<f64> = (0..pixels).map(noise).collect();
        let classes =
            (0..pixels).map(|pixel| u8::from(at(pixel / 7) > 0.2) + u8::from(at(pixel / 5) > 0.6));
        let image = Tensor::from_vec(values, (slices, 24, 24, 1), &Device::Cpu)?;
        images.push(image.to_dtype(DType::F32)?.to_device(device)?);
        labels.push(Tensor::from_vec(classes.collect::<Vec<_>>(), (slices, 24, 24), &Device::Cpu)?);
    }
    Ok((images, labels))
}
