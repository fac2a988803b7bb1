//! Is one method better than another on the same cases?

mod bootstrap;
mod holm;
mod normal;
#[cfg(test)]
mod tests;
mod wilcoxon;

pub use bootstrap::{Bootstrap, Interval, bootstrap_mean_difference};
pub use holm::holm;
pub use wilcoxon::{Alternative, Method, Wilcoxon, WilcoxonOptions, ZeroMethod, wilcoxon};

use crate::Error;

/// Returns `first − second`, pair by pair.
fn differences(first: &[f64], second: &[f64]) -> Result<Vec<f64>, Error> {
    if first.len() != second.len() {
        return Err(Error::UnpairedSamples { first: first.len(), second: second.len() });
    }
    if first.is_empty() {
        return Err(Error::EmptySample);
    }
    for sample in [first, second] {
        if let Some(position) = sample.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite { position, value: sample[position] });
        }
    }
    Ok(first.iter().zip(second).map(|(first, second)| first - second).collect())
}
