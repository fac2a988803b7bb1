//! `network_adam.safetensors`: three steps of Adam on the class-specific affinity method.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var};
use duomo_ops::{AdamOptions, adam_update};

use crate::affinity::{PUBLISHED, affinity};
use crate::fixture::Fixture;
use crate::network::{Case, sample};

const RATE: f64 = 1e-4;

#[test]
fn three_steps_in_f64_are_as_published() -> Result<()> {
    let published = Fixture::open("network_adam")?;
    steps(DType::F64, &published, |name, actual| {
        // Running statistics come from batch statistics that are handed over in `f32`.
        let tolerance = if name.contains("running") { 1e-7 } else { 1e-9 };
        published.assert_close(name, actual, tolerance);
        Ok(())
    })
}

/// Losses and running statistics of three steps in `f32`. The parameters are bounded loosely: an entry whose
/// gradient is 0 to within rounding moves by the rate in either direction.
#[test]
fn three_steps_in_f32_lead_to_the_same_losses() -> Result<()> {
    let published = Fixture::open("network_adam")?;
    steps(DType::F32, &published, |name, actual| {
        if name.contains("running") || name.ends_with("loss") {
            published.assert_close(name, actual, 1e-4);
            return Ok(());
        }
        let difference = (actual.to_dtype(DType::F64)? - published.get(name))?.abs()?;
        let largest = difference.max_all()?.to_scalar::<f64>()?;
        let mean = difference.mean_all()?.to_scalar::<f64>()?;
        assert!(largest < 6.0 * RATE && mean < 0.1 * RATE, "{name}: {largest}, mean {mean}");
        Ok(())
    })
}

/// Parameters and moments in `f32`, led by the gradients of the `f64` network.
#[test]
fn three_steps_in_f32_with_given_gradients_are_as_published() -> Result<()> {
    let published = Fixture::open("network_adam")?;
    steps_with_twins(DType::F64, DType::F32, &published, |name, actual| {
        if !name.contains("running") && !name.ends_with("loss") {
            published.assert_close(name, actual, 1e-4);
        }
        Ok(())
    })
}

/// Runs three steps with and without the L2 term and shows every published value.
fn steps(
    dtype: DType,
    published: &Fixture,
    check: impl FnMut(&str, &Tensor) -> Result<()>,
) -> Result<()> {
    steps_with_twins(dtype, dtype, published, check)
}

/// Does what [`steps`] does with a network of type `dtype`, and takes the same steps with parameters of type
/// `shown`, whose values are shown.
fn steps_with_twins(
    dtype: DType,
    shown: DType,
    published: &Fixture,
    mut check: impl FnMut(&str, &Tensor) -> Result<()>,
) -> Result<()> {
    for (prefix, l2) in [("l2_0", 0.0), ("l2_0.0001", 1e-4)] {
        let case = Case::open("network", dtype, 0.0)?;
        let twin = Case::open("network", shown, 0.0)?;
        let networks = [case.fcn.parameters().trainable(), twin.fcn.parameters().trainable()];
        let zeros = |var: &Var| Var::zeros(var.shape(), var.dtype(), var.device());
        let moments_of = |variables: &BTreeMap<String, Var>| {
            let pairs = variables.iter();
            pairs.map(|(name, var)| Ok((name.clone(), (zeros(var)?, zeros(var)?)))).collect()
        };
        let moments: Vec<BTreeMap<String, (Var, Var)>> =
            networks.iter().map(|variables| moments_of(variables)).collect::<Result<_>>()?;

        for step in 1..=3 {
            let output = case.fcn.forward_train(&case.images, &[5, 6, 7], 0).unwrap();
            let loss = case.total(&output, &affinity(&case, &output, PUBLISHED)?)?;
            let gradients = output.backward(&loss).unwrap();
            for (variables, moments) in networks.iter().zip(&moments) {
                for (name, var) in *variables {
                    let (first, second) = &moments[name];
                    let l2 = if var.rank() == 4 { l2 } else { 0.0 };
                    let gradient = gradients[name].to_dtype(var.dtype())?;
                    let options = AdamOptions::default();
                    adam_update(var, &gradient, (first, second), RATE, l2, step, options)?;
                }
            }

            let prefix = format!("{prefix}.step{step}.");
            for name in published.tensors.keys().filter(|name| name.starts_with(&prefix)) {
                let actual = match &name[prefix.len()..] {
                    "loss" => loss.clone(),
                    running if running.contains("running") => {
                        now(&case, running, published.get(name))?
                    }
                    parameter => now(&twin, parameter, published.get(name))?,
                };
                check(name, &actual)?;
            }
        }
    }
    Ok(())
}

/// A parameter or statistic in the shape in which it is published.
fn now(case: &Case, name: &str, published: &Tensor) -> Result<Tensor> {
    let parameters = case.fcn.parameters();
    let var = parameters.trainable().get(name).or_else(|| parameters.statistics().get(name));
    let tensor = var.unwrap().as_detached_tensor();
    if published.rank() == 1 { sample(&tensor) } else { Ok(tensor) }
}
