//! Eq. (1) as a function that other operations apply.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::affine::Affine;
use super::{BatchStatistics, Dims, Moments, NAME, Norm, NormOptions, count_slices, to_f64};

/// Batch norm with known statistics, then LeakyReLU, for operations that apply it to what they read or write
/// ([`fused_conv2d`](fn@crate::fused_conv2d)).
#[derive(Clone, Debug)]
pub struct Activation {
    /// `γ` and `β`, `[R, C]`.
    tables: [Tensor; 2],
    pub(super) rows: Arc<[usize]>,
    pub(super) moments: Arc<Moments>,
    pub(super) options: NormOptions,
    /// `γ / √(Var + ε)`, `[R, C]`.
    pub(super) scales: Arc<[f64]>,
    /// The function of each row.
    affine: Arc<[Affine]>,
}

impl Activation {
    /// The norm with the statistics of a training batch.
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
        Self::new([gamma, beta], rows, Arc::clone(&statistics.moments), options)
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
        [gamma, beta]: [&Tensor; 2],
        [mean, variance]: [&Tensor; 2],
        rows: &[usize],
        options: NormOptions,
    ) -> Result<Self> {
        let moments = Moments {
            mean: to_f64(mean)?,
            variance: to_f64(variance)?,
            slices: count_slices(rows, gamma.dim(0)?),
        };
        Self::new([gamma, beta], rows, Arc::new(moments), options)
    }

    fn new(
        tables: [&Tensor; 2],
        rows: &[usize],
        moments: Arc<Moments>,
        options: NormOptions,
    ) -> Result<Self> {
        let (row_count, channels) = tables[0].dims2()?;
        let known = [moments.mean.len(), moments.variance.len(), tables[1].elem_count()];
        if known.iter().any(|&known| known != row_count * channels) {
            bail!(
                "{NAME}: got tables of {known:?} numbers, expected {} each",
                row_count * channels
            );
        }
        let numbers = [to_f64(tables[0])?, to_f64(tables[1])?];
        let [gamma, beta] = numbers.each_ref().map(Vec::as_slice);
        let affine = Affine::of_rows([gamma, beta], &moments, options, channels).into();
        let inverse = moments.inverse_deviations(options.epsilon);
        let scales = gamma.iter().zip(inverse).map(|(gamma, inverse)| gamma * inverse).collect();
        let tables = [tables[0].contiguous()?, tables[1].contiguous()?];
        Ok(Self { tables, rows: rows.into(), moments, options, scales, affine })
    }

    /// Returns the normalised and rectified map, in a pass of its own and without a graph.
    ///
    /// # Shapes
    ///
    /// - `input`: `[B, H, W, C]`; the result has the same
    ///
    /// # Errors
    ///
    /// Returns an error if the map does not fit the tables and rows.
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
        let norm = self.norm(input)?;
        input.contiguous()?.apply_op3_no_bwd(&self.tables[0], &self.tables[1], &norm)
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
        let [gamma, beta] = &self.tables;
        self.norm(input)?.all_gradients([input, gamma, beta, gradient])
    }

    /// Checks that it fits a map `[B, H, W, C]`.
    pub(crate) fn check(&self, shape: (usize, usize, usize, usize)) -> Result<()> {
        let [gamma, beta] = &self.tables;
        Dims::new(shape, [gamma, beta], &self.rows, self.options).map(drop)
    }

    fn norm(&self, input: &Tensor) -> Result<Norm> {
        let [gamma, beta] = &self.tables;
        let dims = Dims::new(input.dims4()?, [gamma, beta], &self.rows, self.options)?;
        Ok(Norm { dims, rows: Arc::clone(&self.rows), moments: Arc::clone(&self.moments) })
    }

    /// The rows of the tables.
    pub(crate) fn row_count(&self) -> usize {
        self.affine.len()
    }

    pub(super) fn channels(&self) -> usize {
        self.scales.len() / self.row_count().max(1)
    }

    /// The functions of all rows.
    pub(crate) fn affine(&self) -> &[Affine] {
        &self.affine
    }

    /// The row of each slice.
    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }
}
