//! Eq. (1) as a function, with statistics in main memory.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::affine::Affine;
use super::{Dims, Moments, NAME, Norm, NormOptions, count_slices, to_f64};

/// What [`Activation`](super::Activation) is on the CPU.
#[derive(Clone, Debug)]
pub(crate) struct HostActivation {
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

impl HostActivation {
    /// The norm with given means and variances.
    pub(super) fn of_running(
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

    /// The norm with the moments of a batch.
    pub(super) fn new(
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

    pub(super) fn apply(&self, input: &Tensor) -> Result<Tensor> {
        let norm = self.norm(input)?;
        input.contiguous()?.apply_op3_no_bwd(&self.tables[0], &self.tables[1], &norm)
    }

    pub(super) fn gradients(&self, input: &Tensor, gradient: &Tensor) -> Result<[Tensor; 3]> {
        let [gamma, beta] = &self.tables;
        self.norm(input)?.all_gradients([input, gamma, beta, gradient])
    }

    /// Checks that it fits a map `[B, H, W, C]`.
    pub(super) fn check(&self, shape: (usize, usize, usize, usize)) -> Result<()> {
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
