//! Batch normalisation per modality with a leaky rectifier, in one operation.
//!
//! ```text
//! x̂[b, n, c] = (X[b, n, c] - E[X]) / √(Var[X] + ε)
//! Y[b, n, c] = f(γ[m, c] x̂[b, n, c] + β[m, c]),   m = rows[b],   f(z) = z if z > 0, else a z      (1)
//! ```
//!
//! Mean and (biased) variance run over all pixels of all slices of the same row `m`: a row of `γ` and
//! `β` belongs to a modality, and modalities that share a row share their statistics as well.
//!
//! Dimension key: `B` batch, `N` pixels of a slice, `C` channels, `R` rows of `γ` and `β`, `a` slope.

mod activation;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod affine;
mod card;
mod cpu;
mod host_activation;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod input_gradient;
mod launches;
mod reference;
mod statistics;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod tables;
#[cfg(test)]
mod tests;
mod units;

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType, bail};

pub use self::activation::Activation;
pub(crate) use self::affine::Affine;
pub(crate) use self::host_activation::HostActivation;
pub(crate) use self::input_gradient::Pixels;
pub use self::statistics::{BatchStatistics, batch_statistics};
pub(crate) use self::units::{Units, write_moments};
use crate::storage::{View, elements, unsupported, with_view};

/// Constants of the normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormOptions {
    /// Added to the variance, `ε`.
    pub epsilon: f64,
    /// Slope of the rectifier for negative values, `a`, at least 0.
    pub slope: f64,
}

impl Default for NormOptions {
    fn default() -> Self {
        Self { epsilon: 1e-3, slope: 0.2 }
    }
}

/// Returns the normalised and rectified `input`, Eq. (1) of the module, and the statistics it was
/// normalised with.
///
/// Differentiable in `input`, `gamma` and `beta`, through the statistics. Sums run in `f64`. For the CPU: on a
/// card, and without a graph, [`batch_statistics`] and [`Activation`] do the same in two steps.
///
/// # Shapes
///
/// - `input`: `[B, H, W, C]`; the result has the same
/// - `gamma`, `beta`: `[R, C]`
/// - `rows`: for each of the `B` slices, the row that it uses
///
/// # Errors
///
/// Returns an error if the shapes do not fit each other, a row is out of range or has a single value
/// per channel (its variance is undefined), the slope is negative, or the elements are not all `f32` or
/// all `f64`.
///
/// # Source
///
/// S. Ioffe, C. Szegedy, *Batch Normalization*, ICML 2015; one set of parameters and statistics per
/// modality as in \[Chen2020\], Eq. 1.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use duomo_ops::{NormOptions, batch_norm_leaky_relu};
///
/// let image = Tensor::new(&[1f32, 3.], &Device::Cpu)?.reshape((1, 1, 2, 1))?;
/// let gamma = Tensor::new(&[[10f32]], &Device::Cpu)?;
/// let options = NormOptions { epsilon: 0.0, slope: 0.2 };
/// let (output, statistics) =
///     batch_norm_leaky_relu(&image, &gamma, &gamma.zeros_like()?, &[0], options)?;
/// assert_eq!(output.flatten_all()?.to_vec1::<f32>()?, [-2., 10.]);
/// assert_eq!((statistics.mean()?, statistics.variance()?), (vec![2.0], vec![2.0]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm_leaky_relu(
    input: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    rows: &[usize],
    options: NormOptions,
) -> Result<(Tensor, BatchStatistics)> {
    let dims = Dims::new(input.dims4()?, [gamma, beta], rows, options)?;
    let input = input.contiguous()?;
    let statistics = batch_statistics(&input, rows, dims.rows)?;
    let statistics::Place::Host { moments, .. } = statistics.place() else {
        bail!(
            "{NAME}: got tensors on a card, expected them on the CPU; \
             a card has `batch_statistics` and `Activation`"
        );
    };
    let norm = Norm { dims, rows: rows.into(), moments: Arc::clone(moments) };
    let output = input.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, norm)?;
    Ok((output, statistics))
}

const NAME: &str = "batch_norm_leaky_relu";

/// Sizes and constants, checked against each other.
#[derive(Clone, Copy, Debug)]
struct Dims {
    /// Pixels of one slice.
    pixels: usize,
    channels: usize,
    /// Rows of `γ` and `β`.
    rows: usize,
    options: NormOptions,
}

impl Dims {
    fn new(
        (batch, height, width, channels): (usize, usize, usize, usize),
        tables: [&Tensor; 2],
        rows: &[usize],
        options: NormOptions,
    ) -> Result<Self> {
        let [first, second] = tables.map(Tensor::dims);
        if first != second || first.len() != 2 || first[1] != channels {
            bail!(
                "{NAME}: got tables of shapes {first:?} and {second:?}, expected [R, {channels}]"
            );
        }
        check_rows(rows, batch, first[0])?;
        if options.slope.is_nan() || options.slope < 0.0 {
            bail!("{NAME}: got slope {}, expected one of at least 0", options.slope);
        }
        Ok(Self { pixels: height * width, channels, rows: first[0], options })
    }

    /// Elements of one slice.
    fn slice(&self) -> usize {
        self.pixels * self.channels
    }
}

fn check_rows(rows: &[usize], batch: usize, row_count: usize) -> Result<()> {
    if rows.len() == batch && rows.iter().all(|&row| row < row_count) {
        return Ok(());
    }
    bail!(
        "{NAME}: got rows {rows:?} for {batch} slices, \
         expected one per slice, each below {row_count}"
    )
}

/// Mean and biased variance of every row and channel, `[R, C]`, and the slices of every row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments {
    mean: Vec<f64>,
    variance: Vec<f64>,
    slices: Vec<usize>,
}

impl Moments {
    #[expect(clippy::cast_possible_truncation, reason = "statistics are kept like the weights")]
    fn unbiased(self: &Arc<Self>, pixels: usize) -> Result<BatchStatistics> {
        let counts: Vec<usize> = self.slices.iter().map(|slices| slices * pixels).collect();
        let channels = self.mean.len() / counts.len().max(1);
        if let Some(row) = counts.iter().position(|&count| count == 1) {
            bail!(
                "{NAME}: row {row} has one value per channel, expected at least two for a variance"
            );
        }
        let count_of = |index: usize| counts[index / channels].max(2) as f64;
        let mean = self.mean.iter().map(|&mean| mean as f32).collect();
        let unbiased = |(count, variance)| (variance * count / (count - 1.0)) as f32;
        let variance = (0..).map(count_of).zip(&self.variance).map(unbiased).collect();
        let present = self.slices.iter().map(|&slices| slices > 0).collect();
        Ok(BatchStatistics::on_host(present, [mean, variance], Arc::clone(self)))
    }

    /// `1 / √(Var + ε)`, `[R, C]`.
    fn inverse_deviations(&self, epsilon: f64) -> Vec<f64> {
        self.variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect()
    }
}

/// How many slices use each row.
fn count_slices(rows: &[usize], row_count: usize) -> Vec<usize> {
    (0..row_count).map(|row| rows.iter().filter(|&&used| used == row).count()).collect()
}

fn to_f64(table: &Tensor) -> Result<Vec<f64>> {
    table.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// Eq. (1) with the moments already known.
#[derive(Clone, Debug)]
struct Norm {
    dims: Dims,
    rows: Arc<[usize]>,
    moments: Arc<Moments>,
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let views = [(input, input_layout), (gamma, gamma_layout), (beta, beta_layout)];
        let output = match input.dtype() {
            DType::F32 => CpuStorage::F32(cpu::forward(three(views)?, self)),
            DType::F64 => CpuStorage::F64(reference::forward(three(views)?, self)),
            other => return Err(unsupported(NAME, other)),
        };
        Ok((output, input_layout.shape().clone()))
    }

    /// With `δ = G · f'(z)` and sums over all pixels of the row, of which there are `n`,
    ///
    /// ```text
    /// ∂L/∂β = Σ δ        ∂L/∂γ = Σ δ x̂        ∂L/∂X = γ / √(Var + ε) · (δ - Σδ / n - x̂ Σ(δ x̂) / n)
    /// ```
    fn bwd(
        &self,
        input: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [input_gradient, gamma_gradient, beta_gradient] =
            self.all_gradients([input, gamma, beta, gradient])?;
        Ok((
            input.track_op().then_some(input_gradient),
            gamma.track_op().then_some(gamma_gradient),
            beta.track_op().then_some(beta_gradient),
        ))
    }
}

/// Input, `γ` and `β`.
type Three<'a, T> = [&'a [T]; 3];

fn three<T: WithDType>([input, gamma, beta]: [View<'_>; 3]) -> Result<Three<'_, T>> {
    Ok([elements(NAME, input)?, elements(NAME, gamma)?, elements(NAME, beta)?])
}

impl Norm {
    /// The gradients with respect to input, `γ` and `β`, given these and that of the output.
    fn all_gradients(&self, tensors: [&Tensor; 4]) -> Result<[Tensor; 3]> {
        match tensors[0].dtype() {
            DType::F32 => self.gradients(tensors, cpu::backward),
            DType::F64 => self.gradients(tensors, reference::backward),
            other => Err(unsupported(NAME, other)),
        }
    }

    fn gradients<T: WithDType>(
        &self,
        [input, gamma, beta, gradient]: [&Tensor; 4],
        backward: impl FnOnce(Three<'_, T>, &[T], &Self) -> [Vec<T>; 3],
    ) -> Result<[Tensor; 3]> {
        let [by_input, by_gamma, by_beta] = with_view(NAME, input, |input| {
            with_view(NAME, gamma, |gamma| {
                with_view(NAME, beta, |beta| {
                    with_view(NAME, gradient, |gradient| {
                        let three = three([input, gamma, beta])?;
                        Ok(backward(three, elements(NAME, gradient)?, self))
                    })
                })
            })
        })?;
        Ok([
            Tensor::from_vec(by_input, input.shape(), input.device())?,
            Tensor::from_vec(by_gamma, gamma.shape(), gamma.device())?,
            Tensor::from_vec(by_beta, beta.shape(), beta.device())?,
        ])
    }
}
