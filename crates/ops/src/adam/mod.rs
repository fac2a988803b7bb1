//! One step of the Adam optimiser, in place.
//!
//! ```text
//! g ← g + λ w
//! m ← β₁ m + (1 - β₁) g          v ← β₂ v + (1 - β₂) g²
//! w ← w - η · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)        (1)
//! ```
//!
//! `η` is the rate, `λ` the coupled weight decay, `t` the step, counted from 1.

mod cpu;
mod cuda;
mod launches;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Tensor, Var, bail};

use crate::cuda::on_card;
use crate::storage::{View, elements, unsupported, with_view};

/// The constants of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// Decay of the mean of the gradient, `β₁`.
    pub beta1: f64,
    /// Decay of the mean of the squared gradient, `β₂`.
    pub beta2: f64,
    /// Added to the root of the bias-corrected second moment, `ε`.
    pub epsilon: f64,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Moves `var` one Adam step against `gradient` and updates its two moments, in one pass over memory.
///
/// Eq. (1) of the module. `l2` is coupled: `l2 · var` is added to the gradient before the moments, as
/// PyTorch's `Adam(weight_decay = l2)` does and `AdamW` does not.
///
/// # Shapes
///
/// - `var`, `gradient`, `moments.0` (mean), `moments.1` (mean of squares): the same, any
///
/// # Errors
///
/// Returns an error if the shapes or element types differ, the step is 0, two of the tensors share
/// their storage, or the elements are neither `f32` nor `f64`.
///
/// # Source
///
/// D. Kingma, J. Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015, Algorithm 1.
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use duomo_ops::{AdamOptions, adam_update};
///
/// let weight = Var::new(&[1f64], &Device::Cpu)?;
/// let mean = Var::zeros(1, DType::F64, &Device::Cpu)?;
/// let square = Var::zeros(1, DType::F64, &Device::Cpu)?;
/// let gradient = Tensor::new(&[5f64], &Device::Cpu)?;
/// adam_update(&weight, &gradient, (&mean, &square), 0.1, 0.0, 1, AdamOptions::default())?;
/// // The first step has the length of the rate, whatever the gradient.
/// assert!((weight.to_vec1::<f64>()?[0] - 0.9).abs() < 1e-8);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[expect(clippy::too_many_arguments, reason = "one argument per symbol of Eq. (1)")]
pub fn adam_update(
    var: &Var,
    gradient: &Tensor,
    moments: (&Var, &Var),
    rate: f64,
    l2: f64,
    step: u64,
    options: AdamOptions,
) -> Result<()> {
    check(var, gradient, moments, step)?;
    let constants = Constants::new(rate, l2, step, options);
    let gradient = gradient.contiguous()?;
    update(var, &gradient, moments, constants)
}

/// One variable of [`adam_update_all`].
#[derive(Clone, Copy, Debug)]
pub struct AdamVariable<'a> {
    /// What is moved.
    pub var: &'a Var,
    /// Mean of the gradient and of its square, of the variable's shape.
    pub moments: (&'a Var, &'a Var),
    /// Of the variable's shape.
    pub gradient: &'a Tensor,
    /// Coupled weight decay.
    pub l2: f64,
}

/// Moves many variables as [`adam_update`] does each: on a card in few launches, on the CPU one after another;
/// none if `loss`, a scalar, is infinite or no number. On a card nobody waits to learn of it.
///
/// # Errors
///
/// Those of [`adam_update`], and if some of the variables lie on a card but not all on one.
pub fn adam_update_all(
    variables: &[AdamVariable<'_>],
    loss: &Tensor,
    rate: f64,
    step: u64,
    options: AdamOptions,
) -> Result<()> {
    if variables.first().is_some_and(|first| on_card(first.var)) {
        return cuda::update_all(variables, loss, rate, step, options);
    }
    if !loss.to_dtype(DType::F64)?.to_scalar::<f64>()?.is_finite() {
        return Ok(());
    }
    for &AdamVariable { var, moments, gradient, l2 } in variables {
        adam_update(var, gradient, moments, rate, l2, step, options)?;
    }
    Ok(())
}

/// Checks what [`adam_update`] asks of shapes, storages and the step.
fn check(var: &Var, gradient: &Tensor, moments: (&Var, &Var), step: u64) -> Result<()> {
    let shapes = [var.dims(), gradient.dims(), moments.0.dims(), moments.1.dims()];
    if shapes.iter().any(|shape| *shape != shapes[0]) {
        bail!("adam_update: got shapes {shapes:?}, expected four equal ones");
    }
    let tensors = [var.as_tensor(), moments.0, moments.1, gradient];
    if (1..4).any(|i| tensors[..i].iter().any(|other| share_storage(other, tensors[i]))) {
        bail!("adam_update: the variable, its moments and the gradient must not share storage");
    }
    if step == 0 {
        bail!("adam_update: got step 0, expected steps counted from 1");
    }
    Ok(())
}

/// Whether locking one tensor would lock the other.
fn share_storage(one: &Tensor, other: &Tensor) -> bool {
    storage_address(one) == storage_address(other)
}

fn storage_address(tensor: &Tensor) -> usize {
    std::ptr::from_ref(&*tensor.storage_and_layout().0).addr()
}

/// What Eq. (1) needs in one step.
#[derive(Clone, Copy, Debug)]
struct Constants {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    l2: f64,
    /// `η / (1 - β₁ᵗ)`
    step_size: f64,
    /// `1 / √(1 - β₂ᵗ)`
    root_scale: f64,
}

impl Constants {
    fn new(rate: f64, l2: f64, step: u64, options: AdamOptions) -> Self {
        let AdamOptions { beta1, beta2, epsilon } = options;
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        Self {
            beta1,
            beta2,
            epsilon,
            l2,
            step_size: rate / correction(beta1),
            root_scale: 1.0 / correction(beta2).sqrt(),
        }
    }
}

/// Locks the three variables one inside the other, so that a single pass can write all of them.
fn update(
    var: &Var,
    gradient: &Tensor,
    (mean, square): (&Var, &Var),
    constants: Constants,
) -> Result<()> {
    var.inplace_op1(&Lend::new(|weights| {
        mean.inplace_op1(&Lend::new(|mean| {
            square.inplace_op1(&Lend::new(|square| {
                let state = [&mut *weights, &mut *mean, square];
                with_view("adam_update", gradient, |gradient| step(state, gradient, constants))
            }))
        }))
    }))
}

/// Dispatches on the element type.
fn step(state: [&mut CpuStorage; 3], gradient: View<'_>, constants: Constants) -> Result<()> {
    match state {
        [CpuStorage::F32(w), CpuStorage::F32(m), CpuStorage::F32(v)] => {
            cpu::step(elements("adam_update", gradient)?, [w, m, v], constants);
        }
        [CpuStorage::F64(w), CpuStorage::F64(m), CpuStorage::F64(v)] => {
            cpu::step(elements("adam_update", gradient)?, [w, m, v], constants);
        }
        [w, ..] => return Err(unsupported("adam_update", w.dtype())),
    }
    Ok(())
}

/// Lends the storage of a variable to a function for the time of one in-place operation.
struct Lend<F>(RefCell<F>);

impl<F: FnMut(&mut CpuStorage) -> Result<()>> Lend<F> {
    fn new(run: F) -> Self {
        Self(RefCell::new(run))
    }
}

impl<F: FnMut(&mut CpuStorage) -> Result<()>> InplaceOp1 for Lend<F> {
    fn name(&self) -> &'static str {
        "adam_update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        if layout.start_offset() != 0 || !layout.is_contiguous() {
            bail!("adam_update: got a variable that is a view, expected one with its own storage");
        }
        (self.0.borrow_mut())(storage)
    }
}
