//! Gradients of an `f64` network that takes an `f32` network's side of each kink.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};
use duomo_model::Output;

use crate::fixture::relative_error;
use crate::network::Case;

/// What `f32` rounds off activations of at most 4 after several layers.
const ROUNDING_ERRORS: [f64; 8] = [2e-6, -2e-6, 4e-6, -4e-6, 6e-6, -6e-6, 1e-5, -1e-5];

/// Of 313,344 rectifiers in a step; more than two at once have not been seen.
const MOST_TIPPED: usize = 4;

type Gradients = BTreeMap<String, Tensor>;

impl Case {
    /// Returns this `f64` network's gradients of `loss_of`, on the side of each kink on which `found`, its gradients in `f32`, are;
    /// every tensor has to be within `tolerance`, which is below the 2e-3 and more that one tipped sign makes.
    ///
    /// In `f32` the sign of a rectifier's argument that is 0 to within rounding is chance, and a slope of
    /// 0.2 or 1 hangs on it (docs/RESULTS.md). A tipped one leaves the gradients of all later layers alone, so the last norm whose
    /// `β` has another gradient is the one before the rectifier, and the entry that is off tells modality and channel.
    /// Moving that one `β` by a rounding error tips it in `f64`, too. The `β` are as before in the end.
    pub(crate) fn gradients_beside(
        &self,
        found: &Gradients,
        tolerance: f64,
        loss_of: impl Fn(&Self) -> Result<(Output, Tensor)>,
    ) -> Result<Gradients> {
        let gradients = || -> Result<Gradients> {
            let (output, loss) = loss_of(self)?;
            Ok(output.backward(&loss).unwrap())
        };
        let (mut exact, mut moved) = (gradients()?, Vec::new());
        while let Some(tipped) = Channel::last_tipped(found, &exact, tolerance)? {
            assert!(moved.len() < MOST_TIPPED, "{tipped:?} is off, too, after {moved:?}");
            let mut shifts = ROUNDING_ERRORS.into_iter();
            exact = loop {
                let shift = shifts.next();
                let shift =
                    shift.unwrap_or_else(|| panic!("what is off at {tipped:?}, after {moved:?}?"));
                tipped.move_beta(self, shift)?;
                let gradients = gradients()?;
                let next = Channel::last_tipped(found, &gradients, tolerance)?;
                if next.is_none_or(|next| next != tipped && next.place() <= tipped.place()) {
                    moved.push((tipped, shift));
                    break gradients;
                }
                tipped.move_beta(self, -shift)?;
            };
        }
        for (channel, shift) in &moved {
            channel.move_beta(self, -shift)?;
        }
        for (name, gradient) in &exact {
            let error = relative_error(&found[name], gradient)?;
            assert!(error <= tolerance, "{name}: error {error:e} with {moved:?}");
        }
        Ok(exact)
    }
}

/// One modality's channel of a norm.
#[derive(Debug, PartialEq)]
struct Channel {
    /// The norm's `β`, `[modalities, channels]`.
    beta: String,
    /// Of `β` in rows.
    entry: usize,
}

impl Channel {
    /// The channel in the last norm whose `β` has another gradient, the one that is furthest off.
    fn last_tipped(found: &Gradients, exact: &Gradients, tolerance: f64) -> Result<Option<Self>> {
        let mut last: Option<Self> = None;
        for (name, exact) in exact.iter().filter(|(name, _)| name.ends_with("norm.beta")) {
            if relative_error(&found[name], exact)? <= tolerance {
                continue;
            }
            let found = found[name].to_device(exact.device())?.to_dtype(DType::F64)?;
            let differences = (found - exact)?.abs()?.flatten_all()?;
            let entry = differences.argmax(0)?.to_scalar::<u32>()? as usize;
            let channel = Self { beta: name.clone(), entry };
            if last.as_ref().is_none_or(|last| last.place() < channel.place()) {
                last = Some(channel);
            }
        }
        Ok(last)
    }

    /// Where the norm stands: `group10` is behind `group9`.
    fn place(&self) -> (usize, &str) {
        let (group, unit) = self.beta.split_once('.').unwrap();
        (group.trim_start_matches("group").parse().unwrap(), unit)
    }

    fn move_beta(&self, case: &Case, shift: f64) -> Result<()> {
        let beta = &case.fcn.parameters().trainable()[&self.beta];
        let mut values = beta.flatten_all()?.to_vec1::<f64>()?;
        values[self.entry] += shift;
        beta.set(&Tensor::from_vec(values, beta.shape(), beta.device())?)
    }
}
