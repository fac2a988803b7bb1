//! `network_adam.safetensors`: three steps of Adam on the class-specific affinity method.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var};
use duomo_model::Output;
use duomo_ops::cuda::runners::Place;
use duomo_ops::{AdamOptions, adam_update};

use crate::affinity::{PUBLISHED, affinity};
use crate::fixture::{Fixture, relative_error};
use crate::network::{Case, sample};

const RATE: f64 = 1e-4;

#[test]
fn three_steps_in_f64_are_as_published() -> Result<()> {
    let published = Fixture::open("network_adam")?;
    for (prefix, l2) in [("l2_0", 0.0), ("l2_0.0001", 1e-4)] {
        let exact = Stepped::open(DType::F64)?;
        for step in 1..=3 {
            let (output, loss) = loss_of(&exact.case)?;
            exact.step(&output.backward(&loss).unwrap(), l2, step)?;

            let prefix = format!("{prefix}.step{step}.");
            for name in published.tensors.keys().filter(|name| name.starts_with(&prefix)) {
                let actual = match &name[prefix.len()..] {
                    "loss" => loss.clone(),
                    parameter => now(&exact.case, parameter, published.get(name))?,
                };
                // Running statistics come from batch statistics that are handed over in `f32`.
                let tolerance = if name.contains("running") { 1e-7 } else { 1e-9 };
                published.assert_close(name, &actual, tolerance);
            }
        }
    }
    Ok(())
}

/// Largest difference over largest value in `f32`.
const TOLERANCE: f64 = 1e-4;

/// Gradients on the same side of each kink; a tipped sign makes 2e-3 and more.
const SAME_SIDE: f64 = 1e-4;

/// What `f32` rounds off weights of about 1 in three steps.
const ROUNDING: f64 = 5e-7;

/// Beside the `f64` network on `f32`'s side of each kink ([`Case::gradients_beside`]).
///
/// Adam's early steps are nearly `rate · sign(gradient)`, so an entry whose gradient is 0 to within rounding may
/// move by a fraction of the rate in another direction; the others by what their gradients leave open ([`Stepped::leave_open`]).
#[test]
fn three_steps_in_f32_lie_beside_those_in_f64() -> Result<()> {
    let published = Fixture::open("network_adam")?;
    for (prefix, l2) in [("l2_0", 0.0), ("l2_0.0001", 1e-4)] {
        let [fast, exact] = [DType::F32, DType::F64].map(Stepped::open);
        let (fast, mut exact) = (fast?, exact?);
        for step in 1..=3 {
            let (output, loss) = loss_of(&fast.case)?;
            let gradients = output.backward(&loss).unwrap();
            let beside = exact.case.gradients_beside(&gradients, SAME_SIDE, loss_of)?;
            fast.step(&gradients, l2, step)?;
            exact.step(&beside, l2, step)?;

            let prefix = format!("{prefix}.step{step}.");
            published.assert_close(&format!("{prefix}loss"), &loss, TOLERANCE);
            for name in published.tensors.keys().filter_map(|name| name.strip_prefix(&prefix)) {
                let stored = published.get(&format!("{prefix}{name}"));
                if name.contains("running") {
                    let running = now(&fast.case, name, stored)?;
                    published.assert_close(&format!("{prefix}{name}"), &running, TOLERANCE);
                } else if name != "loss" {
                    let expected = now(&exact.case, name, stored)?;
                    let error = relative_error(&now(&fast.case, name, stored)?, &expected)?;
                    assert!(error <= TOLERANCE, "{prefix}{name}: error {error:e}");
                }
            }
            exact.leave_open(&beside, step)?;
            exact.assert_beside(&fast, &prefix)?;
        }
    }
    Ok(())
}

/// Eq. 5 with the class-specific affinity.
fn loss_of(case: &Case) -> Result<(Output, Tensor)> {
    let output = case.fcn.forward_train(&case.images, &[5, 6, 7], 0).unwrap();
    let loss = case.total(&output, &affinity(case, &output, PUBLISHED)?)?;
    Ok((output, loss))
}

/// A network and Adam's moments of its parameters.
struct Stepped {
    case: Case,
    moments: BTreeMap<String, (Var, Var)>,
    /// How far from an exact network's each entry may lie by now.
    open: BTreeMap<String, Tensor>,
}

impl Stepped {
    fn open(dtype: DType) -> Result<Self> {
        let case = Case::open("network", &Place::on_cpu(dtype), 0.0)?;
        let zeros = |var: &Var| Var::zeros(var.shape(), var.dtype(), var.device());
        let moments = case.fcn.parameters().trainable().iter();
        let moments = moments.map(|(name, var)| Ok((name.clone(), (zeros(var)?, zeros(var)?))));
        let moments = moments.collect::<Result<BTreeMap<_, _>>>()?;
        let open = moments.iter().map(|(name, (mean, _))| (name.clone(), mean.copy().unwrap()));
        let open = open.collect();
        Ok(Self { case, moments, open })
    }

    fn step(&self, gradients: &BTreeMap<String, Tensor>, l2: f64, step: u64) -> Result<()> {
        for (name, var) in self.case.fcn.parameters().trainable() {
            let (first, second) = &self.moments[name];
            let l2 = if var.rank() == 4 { l2 } else { 0.0 };
            let options = AdamOptions::default();
            adam_update(var, &gradients[name], (first, second), RATE, l2, step, options)?;
        }
        Ok(())
    }

    /// Adds to [`Self::open`] how far the last update, `rate · m / √v`, can change, by at most `2 · rate`, if the gradients change
    /// by [`SAME_SIDE`] of their largest: `m` and `√v` each by as much.
    fn leave_open(&mut self, gradients: &BTreeMap<String, Tensor>, step: u64) -> Result<()> {
        let unbiased = 1.0 - AdamOptions::default().beta2.powi(i32::try_from(step).unwrap());
        for (name, open) in &mut self.open {
            let error = SAME_SIDE * gradients[name].abs()?.max_all()?.to_scalar::<f64>()?;
            let size = (self.moments[name].1.as_detached_tensor() / unbiased)?.sqrt()?;
            *open = (&*open + ((2.0 * error / size)?.minimum(2.0)? * RATE)?)?;
        }
        Ok(())
    }

    /// Every entry of `fast` has to lie beside this network's, no further than its steps left open, and much nearer on average.
    fn assert_beside(&self, fast: &Self, prefix: &str) -> Result<()> {
        for (name, var) in self.case.fcn.parameters().trainable() {
            let actual = fast.case.fcn.parameters().trainable()[name].to_dtype(DType::F64)?;
            let difference = (actual.detach() - var.as_detached_tensor())?.abs()?;
            let share =
                (&difference / (&self.open[name] + ROUNDING)?)?.max_all()?.to_scalar::<f64>()?;
            let largest = difference.max_all()?.to_scalar::<f64>()?;
            let mean = difference.mean_all()?.to_scalar::<f64>()?;
            let is_close = share <= 1.0 && largest < RATE && mean < 0.01 * RATE;
            assert!(is_close, "{prefix}{name}: {share} of what is open, {largest}, mean {mean}");
        }
        Ok(())
    }
}

/// A parameter or statistic in the shape in which it is published.
fn now(case: &Case, name: &str, published: &Tensor) -> Result<Tensor> {
    let parameters = case.fcn.parameters();
    let var = parameters.trainable().get(name).or_else(|| parameters.statistics().get(name));
    let tensor = var.unwrap().as_detached_tensor();
    if published.rank() == 1 { sample(&tensor) } else { Ok(tensor) }
}
