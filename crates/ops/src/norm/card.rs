//! Statistics and norms of maps on a card, where they stay: the host waits for nothing.

use candle_core::{Result, Tensor, Var, bail};

use super::{Dims, NAME, NormOptions, count_slices, launches};
use crate::cuda;

/// Mean and variance of every row and channel of a batch, `[R, C]` each.
#[derive(Clone, Debug)]
pub(super) struct CardMoments {
    pub(super) mean: Tensor,
    /// Unbiased.
    pub(super) variance: Tensor,
    /// What Eq. (1) takes.
    biased: Tensor,
    /// What rounding the mean left over.
    rest: Tensor,
    dims: Dims,
    rows: Vec<usize>,
}

impl CardMoments {
    pub(super) fn of(input: &Tensor, dims: Dims, rows: &[usize]) -> Result<Self> {
        let counts = count_slices(rows, dims.rows);
        if let Some(row) = counts.iter().position(|&slices| slices * dims.pixels == 1) {
            bail!(
                "{NAME}: row {row} has one value per channel, expected at least two for a variance"
            );
        }
        let program = launches::statistics(dims, rows)?;
        let shape = &(dims.rows, dims.channels).into();
        // SAFETY: `dims` is made from the input's shape, and each row is below `dims.rows`; the launches run
        // between guards in their tests.
        let [mean, variance, biased, rest] =
            unsafe { cuda::tensors(NAME, &program, &[&input.contiguous()?], [shape; 4])? };
        Ok(Self { mean, variance, biased, rest, dims, rows: rows.to_vec() })
    }

    /// Does what [`BatchStatistics::lead`](super::BatchStatistics::lead) does.
    pub(super) fn lead(&self, running: [&Var; 2], decay: f64) -> Result<()> {
        let program = launches::follow(self.dims, &self.rows, decay)?;
        for (running, batch) in running.into_iter().zip([&self.mean, &self.variance]) {
            if running.shape() != batch.shape() {
                bail!(
                    "{NAME}: got running statistics of shape {:?}, expected {:?}",
                    running.dims(),
                    batch.dims()
                );
            }
            // SAFETY: both have the shape that the launch is made for, and it runs between guards in
            // its test; a running statistic is no batch statistic, so they share no storage.
            unsafe { cuda::update(NAME, &program, &[batch], &[running])? };
        }
        Ok(())
    }
}

/// What [`Activation`](super::Activation) is on a card; the tensors are `[R, C]`.
#[derive(Clone, Debug)]
pub(super) struct CardActivation {
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    /// What rounding the mean left over, in deviations.
    rest: Tensor,
    /// `1 / √(Var + ε)`.
    inverse: Tensor,
    rows: Vec<usize>,
    options: NormOptions,
}

impl CardActivation {
    /// The norm with the statistics of a batch.
    pub(super) fn of_batch(
        tables: [&Tensor; 2],
        rows: &[usize],
        CardMoments { mean, biased, rest, .. }: &CardMoments,
        options: NormOptions,
    ) -> Result<Self> {
        Self::new(tables, [mean, biased], Some(rest), rows, options)
    }

    /// The norm with given means and variances.
    pub(super) fn of_running(
        tables: [&Tensor; 2],
        running: [&Tensor; 2],
        rows: &[usize],
        options: NormOptions,
    ) -> Result<Self> {
        Self::new(tables, running, None, rows, options)
    }

    fn new(
        [gamma, beta]: [&Tensor; 2],
        [mean, variance]: [&Tensor; 2],
        rest: Option<&Tensor>,
        rows: &[usize],
        options: NormOptions,
    ) -> Result<Self> {
        let shapes = [gamma, beta, mean, variance, rest.unwrap_or(mean)].map(Tensor::dims);
        if gamma.rank() != 2 || shapes.iter().any(|shape| *shape != shapes[0]) {
            bail!("{NAME}: got tables of shapes {shapes:?}, expected equal ones, [R, C]");
        }
        let program = launches::scales(gamma.elem_count(), rest.is_some(), options)?;
        let variance = variance.contiguous()?;
        let inputs: Vec<&Tensor> = [Some(&variance), rest].into_iter().flatten().collect();
        // SAFETY: all have as many elements as the launch is made for; it runs between guards in its test.
        let [rest, inverse] =
            unsafe { cuda::tensors(NAME, &program, &inputs, [gamma.shape(); 2])? };
        let [gamma, beta, mean] = [gamma, beta, mean].map(Tensor::contiguous);
        let (gamma, beta, mean) = (gamma?, beta?, mean?);
        Ok(Self { gamma, beta, mean, rest, inverse, rows: rows.to_vec(), options })
    }

    pub(super) fn apply(&self, input: &Tensor) -> Result<Tensor> {
        let program = launches::forward(self.dims(input.dims4()?)?, &self.rows)?;
        let input = input.contiguous()?;
        let [gamma, beta, mean, rest, inverse] = self.tables();
        let inputs = [&input, gamma, beta, mean, rest, inverse];
        // SAFETY: `dims` has compared the tables' shapes with the input's, and the rows; the launch runs
        // between guards in its test.
        let [output] = unsafe { cuda::tensors(NAME, &program, &inputs, [input.shape()])? };
        Ok(output)
    }

    /// The gradients with respect to `input`, `γ` and `β`; `gradient` has the input's shape.
    pub(super) fn gradients(&self, input: &Tensor, gradient: &Tensor) -> Result<[Tensor; 3]> {
        let program = launches::backward(self.dims(input.dims4()?)?, &self.rows)?;
        let (input, gradient) = (input.contiguous()?, gradient.contiguous()?);
        let [gamma, beta, mean, rest, inverse] = self.tables();
        let inputs = [&input, &gradient, gamma, beta, mean, rest, inverse];
        let shapes = [input.shape(), gamma.shape(), gamma.shape()];
        // SAFETY: as in `apply`; `Activation::gradients` has compared the gradient's shape.
        unsafe { cuda::tensors(NAME, &program, &inputs, shapes) }
    }

    /// Checks that it fits a map `[B, H, W, C]`.
    pub(super) fn check(&self, shape: (usize, usize, usize, usize)) -> Result<()> {
        self.dims(shape).map(drop)
    }

    fn dims(&self, shape: (usize, usize, usize, usize)) -> Result<Dims> {
        Dims::new(shape, [&self.gamma, &self.beta], &self.rows, self.options)
    }

    fn tables(&self) -> [&Tensor; 5] {
        [&self.gamma, &self.beta, &self.mean, &self.rest, &self.inverse]
    }
}
