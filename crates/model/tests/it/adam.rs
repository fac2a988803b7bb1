//! `network_adam.safetensors`: three steps of Adam on the class-specific affinity method.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var};
use duomo_ops::{AdamOptions, adam_update};

use crate::affinity::{PUBLISHED, affinity};
use crate::fixture::Fixture;
use crate::network::{Case, sample};

const RATE: f64 = 1e-4;

/// Weight of the L2 term under each prefix of the published names.
const L2: [(&str, f64); 2] = [("l2_0", 0.0), ("l2_0.0001", 1e-4)];

/// What gradients in `f32` are held to as a whole, relative to their norm. One pixel whose maximum
/// rounding tips is worth a few thousandths; without any, 1e-5 would do.
const GRADIENT_TOLERANCE: f64 = 1e-2;

/// Rounding of a step in `f32`, in rates: a dozen operations.
const ROUNDING: f64 = 12.0 * f32::EPSILON as f64;

#[test]
fn three_steps_in_f64_are_as_published() -> Result<()> {
    let published = Fixture::open("network_adam")?;
    for (prefix, l2) in L2 {
        let mut exact = Training::start(DType::F64, l2)?;
        for step in 1..=3 {
            let loss = exact.step(step)?;
            each_published(&published, &format!("{prefix}.step{step}."), |name, full_name| {
                let actual = if name == "loss" { loss.clone() } else { exact.now(name) };
                // Running statistics come from batch statistics that are handed over in `f32`.
                let tolerance = if name.contains("running") { 1e-7 } else { 1e-9 };
                let actual = in_shape(actual, published.get(full_name))?;
                published.assert_close(full_name, &actual, tolerance);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Every step in `f32` starts where the one before ended in `f64`. Adam divides by the gradient's own
/// size, so an entry with a gradient of about 0 may go any way, and the steps after it would differ.
#[test]
fn each_step_in_f32_differs_by_what_its_gradient_explains() -> Result<()> {
    let published = Fixture::open("network_adam")?;
    for (prefix, l2) in L2 {
        let mut exact = Training::start(DType::F64, l2)?;
        let mut rounded = Training::start(DType::F32, l2)?;
        for step in 1..=3 {
            rounded.continue_from(&exact)?;
            exact.step(step)?;
            let loss = rounded.step(step)?;
            each_published(&published, &format!("{prefix}.step{step}."), |name, full_name| {
                let expected = published.get(full_name);
                if name == "loss" {
                    published.assert_close(full_name, &loss, 1e-4);
                } else if name.contains("running") {
                    published.assert_close(full_name, &rounded.now(name), 1e-4);
                } else {
                    let actual = in_shape(rounded.now(name), expected)?.to_dtype(DType::F64)?;
                    let doubt = in_shape(exact.doubt(&rounded, name, step)?, expected)?;
                    let storage = (expected.abs()? * f64::from(f32::EPSILON))?;
                    let excess = ((actual - expected)?.abs()? - ((doubt * RATE)? + storage)?)?;
                    let excess = excess.max_all()?.to_scalar::<f64>()?;
                    assert!(excess <= 0.0, "{full_name}: {excess:e} more than explained");
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn each_published(
    published: &Fixture,
    prefix: &str,
    mut check: impl FnMut(&str, &str) -> Result<()>,
) -> Result<()> {
    let mut names = published.tensors.keys().filter(|name| name.starts_with(prefix));
    names.try_for_each(|full_name| check(&full_name[prefix.len()..], full_name))
}

/// The published network with its optimizer.
struct Training {
    case: Case,
    moments: BTreeMap<String, (Var, Var)>,
    /// Of the last step, without the L2 term.
    gradients: BTreeMap<String, Tensor>,
    l2: f64,
}

impl Training {
    fn start(dtype: DType, l2: f64) -> Result<Self> {
        let case = Case::open("network", dtype, 0.0)?;
        let zeros = |var: &Var| Var::zeros(var.shape(), var.dtype(), var.device());
        let moments = case.fcn.parameters().trainable().iter();
        let moments = moments.map(|(name, var)| Ok((name.clone(), (zeros(var)?, zeros(var)?))));
        let moments = moments.collect::<Result<_>>()?;
        Ok(Self { moments, gradients: BTreeMap::new(), case, l2 })
    }

    /// Takes over all parameters, statistics and moments.
    fn continue_from(&mut self, other: &Self) -> Result<()> {
        let take = |target: &Var, source: &Var| target.set(&source.to_dtype(target.dtype())?);
        let [target, source] = [self, other].map(|training| training.case.fcn.parameters());
        for (name, var) in target.trainable() {
            take(var, &source.trainable()[name])?;
            take(&self.moments[name].0, &other.moments[name].0)?;
            take(&self.moments[name].1, &other.moments[name].1)?;
        }
        for (name, var) in target.statistics() {
            take(var, &source.statistics()[name])?;
        }
        Ok(())
    }

    /// Takes a step, counted from 1, and returns the loss before it.
    fn step(&mut self, step: u64) -> Result<Tensor> {
        let output = self.case.fcn.forward_train(&self.case.images, &[5, 6, 7], 0).unwrap();
        let transfer = affinity(&self.case, &output, PUBLISHED)?;
        let loss = self.case.total(&output, &transfer)?;
        let gradients = loss.backward()?;
        for (name, var) in self.case.fcn.parameters().trainable() {
            let (first, second) = &self.moments[name];
            let l2 = if var.rank() == 4 { self.l2 } else { 0.0 };
            let gradient = gradients.get(var).unwrap();
            adam_update(var, gradient, (first, second), RATE, l2, step, AdamOptions::default())?;
            self.gradients.insert(name.clone(), gradient.clone());
        }
        Ok(loss)
    }

    /// A parameter or statistic.
    fn now(&self, name: &str) -> Tensor {
        let parameters = self.case.fcn.parameters();
        let var = parameters.trainable().get(name).or_else(|| parameters.statistics().get(name));
        var.unwrap().as_detached_tensor()
    }

    /// How far the last step of `rounded` may differ from this one's, in rates.
    ///
    /// A step is `m / √v`. Gradients that differ by `δ` change `m` and `√v` by at most `δ` each, the
    /// step by `2 δ / √v` and never by more than 2; rounding of the step itself adds a little.
    ///
    /// `δ` is what it is found to be, entry by entry. As a whole it must be small, in the Euclidean
    /// norm: where rounding tips a maximum or a sign of the network, single entries jump.
    fn doubt(&self, rounded: &Self, name: &str, step: u64) -> Result<Tensor> {
        let gradient = &self.gradients[name];
        let differences = (rounded.gradients[name].to_dtype(DType::F64)? - gradient)?;
        let norm = |tensor: &Tensor| tensor.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>();
        let error = norm(&differences)? / norm(gradient)?;
        assert!(error <= GRADIENT_TOLERANCE, "gradient of {name} before step {step}: {error:e}");

        let correction = 1.0 - AdamOptions::default().beta2.powf(step as f64);
        let size = (self.moments[name].1.as_tensor() / correction)?.sqrt()?;
        ((differences.abs()? / size)? * 2.0)?.minimum(2.0)? + ROUNDING
    }
}

/// A tensor in the shape in which it is published: whole or sampled.
fn in_shape(tensor: Tensor, published: &Tensor) -> Result<Tensor> {
    if published.rank() == 1 { sample(&tensor) } else { Ok(tensor) }
}
