//! Eq. (1) as a function that other operations apply.

use candle_core::{Result, Tensor, bail};

use super::card::CardActivation;
use super::statistics::Place as Known;
use super::{BatchStatistics, HostActivation, NAME, NormOptions};
use crate::cuda::on_card;

/// Batch norm with known statistics, then LeakyReLU, for operations that apply it to what they read or write
/// ([`fused_conv2d`](fn@crate::fused_conv2d)).
#[derive(Clone, Debug)]
pub struct Activation(Place);

/// Where tables and statistics lie.
#[derive(Clone, Debug)]
enum Place {
    Host(HostActivation),
    Card(CardActivation),
}

impl Activation {
    /// The norm with the statistics of a training batch, on whose device its tables lie.
    ///
    /// # Shapes
    ///
    /// - `gamma`, `beta`: `[R, C]`
    /// - `rows`: for each slice, the row that it uses
    ///
    /// # Errors
    ///
    /// Returns an error if the shapes do not fit each other or the slope is negative.
    pub fn of_batch(
        gamma: &Tensor,
        beta: &Tensor,
        rows: &[usize],
        statistics: &BatchStatistics,
        options: NormOptions,
    ) -> Result<Self> {
        let tables = [gamma, beta];
        Ok(Self(match statistics.place() {
            Known::Host { moments, .. } => {
                Place::Host(HostActivation::new(tables, rows, moments.clone(), options)?)
            }
            Known::Card(moments) => {
                Place::Card(CardActivation::of_batch(tables, rows, moments, options)?)
            }
        }))
    }

    /// The norm with given means and variances, for inference.
    ///
    /// # Shapes
    ///
    /// - `gamma`, `beta`, `mean`, `variance`: `[R, C]`
    /// - `rows`: for each slice, the row that it uses
    ///
    /// # Errors
    ///
    /// Those of [`Self::of_batch`].
    pub fn of_running(
        tables: [&Tensor; 2],
        running: [&Tensor; 2],
        rows: &[usize],
        options: NormOptions,
    ) -> Result<Self> {
        Ok(Self(if on_card(tables[0]) {
            Place::Card(CardActivation::of_running(tables, running, rows, options)?)
        } else {
            Place::Host(HostActivation::of_running(tables, running, rows, options)?)
        }))
    }

    /// Returns the normalised and rectified map, in a pass of its own and without a graph.
    ///
    /// # Shapes
    ///
    /// - `input`: `[B, H, W, C]`; the result has the same
    ///
    /// # Errors
    ///
    /// Returns an error if the map does not fit the tables and rows, or lies elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use duomo_ops::{Activation, NormOptions};
    ///
    /// let image = Tensor::new(&[1f32, 3.], &Device::Cpu)?.reshape((1, 1, 2, 1))?;
    /// let [zero, two, four] = [0f32, 2., 4.].map(|x| Tensor::new(&[[x]], &Device::Cpu).unwrap());
    /// let options = NormOptions { epsilon: 0.0, slope: 0.2 };
    /// let norm = Activation::of_running([&four, &zero], [&two, &four], &[0], options)?;
    /// // (1 - 2) / 2 · 4 = -2, times the slope; (3 - 2) / 2 · 4 = 2.
    /// assert_eq!(norm.apply(&image)?.flatten_all()?.to_vec1::<f32>()?, [-0.4, 2.]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn apply(&self, input: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Place::Host(norm) => norm.apply(input),
            Place::Card(norm) => norm.apply(input),
        }
    }

    /// Returns the gradients of [`Self::apply`] with respect to input, `γ` and `β`, where the statistics are
    /// those of the input and depend on it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::apply`].
    pub fn gradients(&self, input: &Tensor, gradient: &Tensor) -> Result<[Tensor; 3]> {
        if gradient.shape() != input.shape() {
            bail!(
                "{NAME}: got a gradient of shape {:?}, expected {:?}",
                gradient.dims(),
                input.dims()
            );
        }
        match &self.0 {
            Place::Host(norm) => norm.gradients(input, gradient),
            Place::Card(norm) => norm.gradients(input, gradient),
        }
    }

    /// Checks that it fits a map `[B, H, W, C]`.
    pub(crate) fn check(&self, shape: (usize, usize, usize, usize)) -> Result<()> {
        match &self.0 {
            Place::Host(norm) => norm.check(shape),
            Place::Card(norm) => norm.check(shape),
        }
    }

    /// What operations on the CPU join into themselves.
    ///
    /// # Errors
    ///
    /// If it lies on a card.
    pub(crate) fn host(&self) -> Result<&HostActivation> {
        match &self.0 {
            Place::Host(norm) => Ok(norm),
            Place::Card(_) => {
                bail!(
                    "{NAME}: got statistics on a card, expected them where the map is, on the CPU"
                )
            }
        }
    }
}
