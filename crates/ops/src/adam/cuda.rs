//! Runs the launches on a card.

use std::collections::HashSet;

use candle_core::{Result, Tensor, Var, bail};

use super::{AdamOptions, AdamVariable, Constants, check, launches, storage_address};
use crate::cuda;

/// Variables of one launch. Their storages are locked one inside the other, on the stack.
const VARIABLES: usize = 64;

pub(super) fn update_all(
    variables: &[AdamVariable<'_>],
    loss: &Tensor,
    rate: f64,
    step: u64,
    options: AdamOptions,
) -> Result<()> {
    if loss.elem_count() != 1 {
        bail!("adam_update: got a loss of shape {:?}, expected a scalar", loss.dims());
    }
    let loss = loss.detach();
    let mut seen = HashSet::from([storage_address(&loss)]);
    for &AdamVariable { var, moments, gradient, .. } in variables {
        check(var, gradient, moments, step)?;
        let tensors: [&Tensor; 4] = [var, moments.0, moments.1, gradient];
        if tensors.into_iter().any(|tensor| !seen.insert(storage_address(tensor))) {
            bail!("adam_update: the variables, their moments and gradients must not share storage");
        }
    }
    let constants = Constants::new(rate, 0.0, step, options);
    variables.chunks(VARIABLES).try_for_each(|some| update(some, &loss, constants))
}

fn update(variables: &[AdamVariable<'_>], loss: &Tensor, constants: Constants) -> Result<()> {
    let lengths: Vec<usize> = variables.iter().map(|each| each.var.elem_count()).collect();
    let l2: Vec<f64> = variables.iter().map(|each| each.l2).collect();
    let program = launches::update(&lengths, &l2, constants)?;
    let gradients: Vec<Tensor> =
        variables.iter().map(|each| each.gradient.contiguous()).collect::<Result<_>>()?;
    let inputs: Vec<&Tensor> = [loss].into_iter().chain(&gradients).collect();
    let updated: Vec<&Var> =
        variables.iter().flat_map(|each| [each.var, each.moments.0, each.moments.1]).collect();
    // SAFETY: the shapes of a variable, its moments and its gradient are equal, and no two tensors
    // share storage, see `update_all`; the launch runs between guards in its test.
    unsafe { cuda::update("adam_update", &program, &inputs, &updated) }
}
