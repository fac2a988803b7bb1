//! Start values of parameters.

use std::f64::consts::TAU;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::Init;
use crate::layers::{NORM, ParameterSpec, Role};

/// σ of [`Init::TruncatedNormal`].
const TRUNCATED_SIGMA: f64 = 0.01;

/// Returns a parameter's start values, row-major.
///
/// They are a pure function of `(seed, name, shape, role, init)`: a layer keeps its values when
/// another is added or removed.
///
/// # Source
///
/// He: \[He2015\] Eq. (15), `σ² = 2 / ((1 + a²) · fan-in)`, with the slope `a` of the LeakyReLU before every convolution.
pub(crate) fn start_values(spec: &ParameterSpec, init: Init, seed: u64) -> Vec<f64> {
    let count = spec.count();
    match spec.role {
        Role::Gamma | Role::RunningVariance => vec![1.0; count],
        Role::Beta | Role::RunningMean => vec![0.0; count],
        Role::Kernel { fan_in } => {
            let mut normal = Normal::new(seed, &spec.name);
            match init {
                Init::He => {
                    let sigma = (2.0 / ((1.0 + NORM.slope * NORM.slope) * fan_in as f64)).sqrt();
                    (0..count).map(|_| sigma * normal.draw()).collect()
                }
                Init::TruncatedNormal => {
                    (0..count).map(|_| TRUNCATED_SIGMA * normal.draw_within(2.0)).collect()
                }
            }
        }
    }
}

/// A stream of standard normal numbers of its own for every name.
struct Normal {
    uniform: ChaCha8Rng,
    spare: Option<f64>,
}

impl Normal {
    fn new(seed: u64, name: &str) -> Self {
        let mut uniform = ChaCha8Rng::seed_from_u64(seed);
        uniform.set_stream(fnv1a(name));
        Self { uniform, spare: None }
    }

    /// Box and Muller's transform, which makes two numbers of two.
    fn draw(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // `random` is in [0, 1); the logarithm needs (0, 1].
        let radius = (-2.0 * (1.0 - self.uniform.random::<f64>()).ln()).sqrt();
        let (sine, cosine) = (TAU * self.uniform.random::<f64>()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }

    fn draw_within(&mut self, bound: f64) -> f64 {
        loop {
            let value = self.draw();
            if value.abs() <= bound {
                return value;
            }
        }
    }
}

/// The 64-bit Fowler–Noll–Vo hash (variant 1a) of a name.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
