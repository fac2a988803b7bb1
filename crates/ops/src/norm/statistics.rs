//! What a training batch says about its distribution, on the device where the batch lies.

use std::sync::Arc;

use candle_core::backend::BackendStorage as _;
use candle_core::{DType, Result, Tensor, Var, bail};

use super::card::CardMoments;
use super::units::Units;
use super::{Dims, Moments, NAME, NormOptions, check_rows, count_slices, cpu, reference};
use crate::cuda::on_card;
use crate::storage::{elements, unsupported, with_view};

/// What one training batch says about the distribution of every channel, per row.
///
/// It lies where the batch lies: on a card nobody waits for it.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    present: Vec<bool>,
    place: Place,
}

/// Mean and variance of every row and channel.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Host {
        mean: Vec<f32>,
        variance: Vec<f32>,
        /// The same before rounding, the variance biased.
        moments: Arc<Moments>,
    },
    Card(CardMoments),
}

/// Returns what a batch says about the distribution of every channel, per row.
///
/// # Shapes
///
/// - `input`: `[B, H, W, C]`
/// - `rows`: for each of the `B` slices, the row that it uses, below `row_count`
///
/// # Errors
///
/// Returns an error if there is not one row for each slice, a row is out of range or has a single value per
/// channel, or the elements are neither `f32` nor `f64`, on a card not `f32`.
pub fn batch_statistics(
    input: &Tensor,
    rows: &[usize],
    row_count: usize,
) -> Result<BatchStatistics> {
    let (batch, height, width, channels) = input.dims4()?;
    check_rows(rows, batch, row_count)?;
    let pixels = height * width;
    let dims = Dims { pixels, channels, rows: row_count, options: NormOptions::default() };
    if on_card(input) {
        let present = count_slices(rows, row_count).iter().map(|&slices| slices > 0).collect();
        let place = Place::Card(CardMoments::of(input, dims, rows)?);
        return Ok(BatchStatistics { present, place });
    }
    let moments = with_view(NAME, input, |view| match view.0.dtype() {
        DType::F32 => Ok(cpu::moments(elements(NAME, view)?, rows, dims)),
        DType::F64 => Ok(reference::moments(elements(NAME, view)?, rows, dims)),
        other => Err(unsupported(NAME, other)),
    })?;
    Arc::new(moments).unbiased(pixels)
}

impl BatchStatistics {
    pub(super) fn on_host(
        present: Vec<bool>,
        [mean, variance]: [Vec<f32>; 2],
        moments: Arc<Moments>,
    ) -> Self {
        Self { present, place: Place::Host { mean, variance, moments } }
    }

    /// From sums that an operation took of its results' units, which have `pixels` a slice.
    pub(crate) fn of_units(
        units: &Units,
        rows: &[usize],
        row_count: usize,
        pixels: usize,
    ) -> Result<Self> {
        check_rows(rows, units.slices(), row_count)?;
        Arc::new(units.moments(rows, row_count)).unbiased(pixels)
    }

    /// Whether some slice used the row, `[R]`.
    pub fn present(&self) -> &[bool] {
        &self.present
    }

    /// Mean, `[R, C]` row-major; 0 where the row is not present. A card is waited for.
    ///
    /// # Errors
    ///
    /// If the card does not answer.
    pub fn mean(&self) -> Result<Vec<f32>> {
        match &self.place {
            Place::Host { mean, .. } => Ok(mean.clone()),
            Place::Card(moments) => moments.mean.flatten_all()?.to_vec1(),
        }
    }

    /// Unbiased variance (divided by one less than the count), `[R, C]`; 0 where not present. A card is
    /// waited for.
    ///
    /// # Errors
    ///
    /// If the card does not answer.
    pub fn variance(&self) -> Result<Vec<f32>> {
        match &self.place {
            Place::Host { variance, .. } => Ok(variance.clone()),
            Place::Card(moments) => moments.variance.flatten_all()?.to_vec1(),
        }
    }

    /// Moves running means and variances, `[R, C]`, to `decay · running + (1 - decay) · batch`, in place, in
    /// the rows that are present.
    ///
    /// # Errors
    ///
    /// If their shape is another, or they lie elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor, Var};
    /// use duomo_ops::batch_statistics;
    ///
    /// let image = Tensor::new(&[1f32, 3.], &Device::Cpu)?.reshape((1, 1, 2, 1))?;
    /// let [mean, variance] = [0, 1].map(|_| Var::zeros((1, 1), DType::F32, &Device::Cpu).unwrap());
    /// batch_statistics(&image, &[0], 1)?.lead([&mean, &variance], 0.75)?;
    /// assert_eq!(mean.to_vec2::<f32>()?, [[0.5]]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn lead(&self, running: [&Var; 2], decay: f64) -> Result<()> {
        let (mean, variance) = match &self.place {
            Place::Host { mean, variance, .. } => (mean, variance),
            Place::Card(moments) => return moments.lead(running, decay),
        };
        for (running, batch) in running.into_iter().zip([mean, variance]) {
            let mut values = running.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
            if values.len() != batch.len() {
                bail!("{NAME}: got {} running statistics, expected {}", values.len(), batch.len());
            }
            let channels = batch.len() / self.present.len().max(1);
            for (index, (value, &batch)) in values.iter_mut().zip(batch).enumerate() {
                if self.present[index / channels] {
                    *value = decay * *value + (1.0 - decay) * f64::from(batch);
                }
            }
            let values = Tensor::from_vec(values, running.shape(), running.device())?;
            running.set(&values.to_dtype(running.dtype())?)?;
        }
        Ok(())
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}
