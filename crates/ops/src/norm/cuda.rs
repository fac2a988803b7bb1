//! Runs the launches on a card, where statistics stay: the host waits for nothing.

use candle_core::{Result, Tensor, Var, bail};

use super::{Dims, NAME, NormOptions, launches};
use crate::cuda::card;

/// What one training batch on a card says about the distribution of every channel, per row.
#[derive(Clone, Debug)]
pub struct CardStatistics {
    dims: Dims,
    rows: Vec<usize>,
    /// Mean and unbiased variance.
    moments: [Tensor; 2],
    /// What rounding the mean left over, in deviations, and `1 / √(Var + ε)`.
    scales: [Tensor; 2],
}

impl CardStatistics {
    /// Mean and unbiased variance, `[R, C]`; 0 in rows that no slice uses.
    pub fn moments(&self) -> &[Tensor; 2] {
        &self.moments
    }

    /// Moves running means and variances, `[R, C]`, to `decay · running + (1 - decay) · batch`, in place,
    /// in the rows that the batch holds.
    ///
    /// # Errors
    ///
    /// If their shape is another, or they do not lie on the card.
    pub fn lead(&self, running: [&Var; 2], decay: f64) -> Result<()> {
        let program = launches::follow(self.dims, &self.rows, decay)?;
        for (running, batch) in running.into_iter().zip(&self.moments) {
            if running.shape() != batch.shape() {
                bail!(
                    "{NAME}: got running statistics of shape {:?}, expected {:?}",
                    running.dims(),
                    batch.dims()
                );
            }
            // SAFETY: both have the shape that the launch is made for, and it runs between guards in
            // its test; a running statistic is no batch statistic, so they share no storage.
            unsafe { card::update(NAME, &program, &[batch], &[running])? };
        }
        Ok(())
    }
}

/// Returns what [`super::batch_norm_leaky_relu`] does, for tensors on a card and without a graph.
///
/// # Errors
///
/// Those of [`super::batch_norm_leaky_relu`], and if the tensors are not `f32` on one card.
pub fn batch_norm_leaky_relu_on_card(
    input: &Tensor,
    [gamma, beta]: [&Tensor; 2],
    rows: &[usize],
    options: NormOptions,
) -> Result<(Tensor, CardStatistics)> {
    let dims = Dims::new(input.dims4()?, [gamma, beta], rows, options)?;
    if let Some(row) = rows.iter().find(|&&row| dims.pixels * count(rows, row) == 1) {
        bail!("{NAME}: row {row} has one value per channel, expected at least two for a variance");
    }
    let program = launches::forward(dims, rows)?;
    let contiguous = contiguous([input, gamma, beta])?;
    let inputs: Vec<&Tensor> = contiguous.iter().collect();
    let (shape, table) = (input.shape(), gamma.shape());
    let shapes = [shape, table, table, table, table];
    // SAFETY: `Dims` has compared the shapes of all three and the rows; the launches run between
    // guards in their tests.
    let [output, mean, variance, rest, inverse] =
        unsafe { card::tensors(NAME, &program, &inputs, shapes)? };
    let (moments, scales) = ([mean, variance], [rest, inverse]);
    Ok((output, CardStatistics { dims, rows: rows.to_vec(), moments, scales }))
}

/// Returns the gradients of [`batch_norm_leaky_relu_on_card`] with respect to `input`, `gamma` and
/// `beta`, given that with respect to the output.
///
/// # Errors
///
/// If the shapes are not those of the forward pass, or the tensors are not `f32` on one card.
pub fn batch_norm_leaky_relu_gradients_on_card(
    input: &Tensor,
    [gamma, beta]: [&Tensor; 2],
    gradient: &Tensor,
    statistics: &CardStatistics,
) -> Result<[Tensor; 3]> {
    let CardStatistics { dims, rows, moments: [mean, _], scales: [rest, inverse] } = statistics;
    Dims::new(input.dims4()?, [gamma, beta], rows, dims.options)?;
    if gradient.shape() != input.shape() || mean.shape() != gamma.shape() {
        bail!(
            "{NAME}: got means of shape {:?} and a gradient of shape {:?}, expected {:?} and {:?}",
            mean.dims(),
            gradient.dims(),
            gamma.dims(),
            input.dims()
        );
    }
    let program = launches::backward(Dims { pixels: pixels(input)?, ..*dims }, rows)?;
    let contiguous = contiguous([input, gradient, gamma, beta, mean, rest, inverse])?;
    let inputs: Vec<&Tensor> = contiguous.iter().collect();
    let shapes = [input.shape(), gamma.shape(), gamma.shape()];
    // SAFETY: the shapes of all seven have been compared, as have the rows; the launches run between
    // guards in their tests.
    unsafe { card::tensors(NAME, &program, &inputs, shapes) }
}

/// Returns what [`Activation::apply`](super::Activation::apply) does with running statistics, for tensors on a
/// card.
///
/// # Shapes
///
/// - `input`: `[B, H, W, C]`; the result has the same
/// - `gamma`, `beta`, `mean`, `variance`: `[R, C]`
/// - `rows`: for each slice, the row that it uses
///
/// # Errors
///
/// If the shapes do not fit each other, a row is out of range, the slope is negative, or the tensors are not
/// `f32` on one card.
pub fn normalize_leaky_relu_on_card(
    input: &Tensor,
    [gamma, beta]: [&Tensor; 2],
    [mean, variance]: [&Tensor; 2],
    rows: &[usize],
    options: NormOptions,
) -> Result<Tensor> {
    let dims = Dims::new(input.dims4()?, [gamma, beta], rows, options)?;
    Dims::new(input.dims4()?, [mean, variance], rows, options)?;
    let program = launches::inference(dims, rows)?;
    let contiguous = contiguous([input, gamma, beta, mean, variance])?;
    let inputs: Vec<&Tensor> = contiguous.iter().collect();
    // SAFETY: `Dims` has compared the shapes of all five and the rows; the launches run between
    // guards in their tests.
    let [output] = unsafe { card::tensors(NAME, &program, &inputs, [input.shape()])? };
    Ok(output)
}

fn contiguous<const N: usize>(tensors: [&Tensor; N]) -> Result<Vec<Tensor>> {
    tensors.into_iter().map(Tensor::contiguous).collect()
}

fn count(rows: &[usize], row: usize) -> usize {
    rows.iter().filter(|&&used| used == row).count()
}

fn pixels(input: &Tensor) -> Result<usize> {
    let (_, height, width, _) = input.dims4()?;
    Ok(height * width)
}
