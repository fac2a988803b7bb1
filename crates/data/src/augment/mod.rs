//! Random changes of training slices; all off by default, as in the paper.

mod spatial;
#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::random::{Purpose, keyed, normal, symmetric, uniform};
use crate::{Batch, Error};
use spatial::Movement;

/// How far slices may be changed. Each amount is drawn evenly from its range, for every slice anew.
///
/// # Examples
///
/// ```
/// let text = "rotation_degrees = 15.0\nflip = 0.5";
/// let augmentation: duomo_data::Augmentation = toml::from_str(text)?;
/// assert_eq!((augmentation.rotation_degrees, augmentation.noise), (15.0, 0.0));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Rotation about the centre, up to this angle either way, in degrees.
    pub rotation_degrees: f64,
    /// Magnification, by up to `exp(scale)` either way; 0.1 is about 10 %.
    pub scale: f64,
    /// Shift along rows and columns, up to this either way, in pixels.
    pub shift_pixels: f64,
    /// Probability, in `0..=1`, of mirroring rows, and independently columns.
    pub flip: f64,
    /// Grey values, brought to `0..=1`, are raised to a power of up to `exp(gamma)` either way.
    pub gamma: f64,
    /// Largest standard deviation of added normal noise; slices have standard deviation 1.
    pub noise: f64,
}

/// What the numbers of a batch's augmentation depend on, besides each slice's place in the batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AugmentationKey {
    /// Seed of the run.
    pub seed: u64,
    /// Index of the modality.
    pub modality: usize,
    /// The step.
    pub step: u64,
}

impl Augmentation {
    /// Returns whether nothing is changed.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether every value can be.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] naming the key.
    pub fn validate(&self) -> Result<(), Error> {
        let amounts = [
            ("rotation_degrees", self.rotation_degrees, 180.0),
            ("scale", self.scale, 1.0),
            ("shift_pixels", self.shift_pixels, 1e4),
            ("flip", self.flip, 1.0),
            ("gamma", self.gamma, 2.0),
            ("noise", self.noise, 10.0),
        ];
        match amounts.into_iter().find(|(_, amount, most)| !(0.0..=*most).contains(amount)) {
            None => Ok(()),
            Some((key, amount, most)) => {
                let problem = format!("expected a number in 0..={most}, got {amount}");
                Err(Error::InvalidOption { key, problem })
            }
        }
    }

    /// Changes every slice of a batch: first its place, image (bilinear) and labels (nearest)
    /// alike, then its grey values.
    ///
    /// What moves in from outside is the slice's minimum and background. Gamma keeps each channel's
    /// mean and standard deviation. The result depends on the key and each slice's place in the
    /// batch, not on threads.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] as in [`Augmentation::validate`].
    pub fn apply(&self, batch: &mut Batch, key: AugmentationKey) -> Result<(), Error> {
        self.validate()?;
        if self.is_off() || batch.slices.is_empty() {
            return Ok(());
        }
        let (side, channels) = (batch.side, batch.input_slices);
        let pixels = side * side;
        batch
            .images
            .par_chunks_exact_mut(pixels * channels)
            .zip(batch.labels.par_chunks_exact_mut(pixels))
            .enumerate()
            .for_each(|(index, (image, labels))| {
                let key = [key.seed, key.modality as u64, key.step, index as u64];
                let mut random = keyed(Purpose::Augmentation, key);
                self.movement(&mut random).apply(image, labels, side);
                self.change_grey_values(image, channels, &mut random);
            });
        Ok(())
    }

    fn movement(&self, random: &mut ChaCha8Rng) -> Movement {
        let angle = symmetric(self.rotation_degrees, random).to_radians();
        let magnification = symmetric(self.scale, random).exp();
        let shift = [(); 2].map(|()| symmetric(self.shift_pixels, random));
        let flip = [(); 2].map(|()| uniform(random) < self.flip);
        Movement { angle, magnification, shift, flip }
    }

    fn change_grey_values(&self, image: &mut [f32], channels: usize, random: &mut ChaCha8Rng) {
        let exponent = symmetric(self.gamma, random).exp();
        let deviation = self.noise * uniform(random);
        if self.gamma > 0.0 {
            (0..channels).for_each(|channel| gamma(image, channels, channel, exponent));
        }
        if self.noise > 0.0 {
            for value in image {
                *value = narrow(f64::from(*value) + deviation * normal(random));
            }
        }
    }
}

/// Raises one channel, brought to `0..=1`, to a power and gives it back its mean and deviation.
fn gamma(image: &mut [f32], channels: usize, channel: usize, exponent: f64) {
    let values: Vec<f64> =
        image.iter().skip(channel).step_by(channels).map(|&value| f64::from(value)).collect();
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let range = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - lowest;
    if range <= 0.0 {
        return;
    }
    let powers: Vec<f64> =
        values.iter().map(|value| ((value - lowest) / range).powf(exponent)).collect();
    let (mean, deviation) = moments(&values);
    let (power_mean, power_deviation) = moments(&powers);
    let scale = if power_deviation > 0.0 { deviation / power_deviation } else { 0.0 };
    for (target, power) in image.iter_mut().skip(channel).step_by(channels).zip(powers) {
        *target = narrow(mean + (power - power_mean) * scale);
    }
}

/// Mean and population standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / count).sqrt())
}

#[expect(clippy::cast_possible_truncation, reason = "tensors are f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}
