//! Random numbers, one independent stream per patient and modality.

use std::f64::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::vector::Vector;

/// A stream of random numbers that depends on nothing but its seed and stream number.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    /// Streams with different numbers are independent, so patients can be made in any order.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    pub(crate) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }

    /// Two independent standard normal numbers (Box–Muller).
    pub(crate) fn normal_pair(&mut self) -> (f64, f64) {
        let radius = (-2.0 * (1.0 - self.0.random::<f64>()).ln()).sqrt();
        let (sine, cosine) = (TAU * self.0.random::<f64>()).sin_cos();
        (radius * cosine, radius * sine)
    }

    /// A normal number, cut at two standard deviations so that no patient is a monster.
    pub(crate) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        mean + deviation * self.normal_pair().0.clamp(-2.0, 2.0)
    }

    pub(crate) fn normal_vector(&mut self, deviation: f64) -> Vector {
        [self.normal(0.0, deviation), self.normal(0.0, deviation), self.normal(0.0, deviation)]
    }
}
