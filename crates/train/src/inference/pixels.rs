//! From logits to probabilities and classes, pixel by pixel in parallel.
//!
//! Dimension key: `N` pixels, `C` classes.

use rayon::prelude::*;

/// Pixels that one task works on: enough that handing them out costs nothing.
const TASK: usize = 4096;

/// Logits closer than this to the largest may have its probability once both are rounded.
///
/// `exp(−1e-6)` is 16 units in the last place of 1 below it; exponential and quotient err by one or
/// two.
const CLOSE: f32 = 1e-6;

/// Returns the probabilities of `[N, C]` logits.
///
/// ```text
/// P[n, c] = exp(L[n, c] − max L[n]) / Σ_k exp(L[n, k] − max L[n])
/// ```
pub(super) fn softmax(logits: &[f32], classes: usize) -> Vec<f32> {
    let mut probabilities = vec![0.0; logits.len()];
    let tasks = probabilities.par_chunks_mut(TASK * classes).zip(logits.par_chunks(TASK * classes));
    tasks.for_each(|(probabilities, logits)| {
        let pixels = probabilities.chunks_exact_mut(classes).zip(logits.chunks_exact(classes));
        pixels.for_each(|(out, logits)| softmax_of_pixel(logits, out));
    });
    probabilities
}

/// Returns the most probable class of every pixel of `[N, C]` logits, the lower of two equally
/// probable ones: the index of the largest of [`softmax`], without computing it where one logit is
/// clearly the largest.
pub(super) fn classes(logits: &[f32], classes: usize) -> Vec<u8> {
    let mut indices = vec![0; logits.len() / classes];
    let tasks = indices.par_chunks_mut(TASK).zip(logits.par_chunks(TASK * classes));
    tasks.for_each(|(indices, logits)| {
        for (index, logits) in indices.iter_mut().zip(logits.chunks_exact(classes)) {
            *index = class_of_pixel(logits);
        }
    });
    indices
}

fn class_of_pixel(logits: &[f32]) -> u8 {
    let largest = largest_of(logits);
    // What is not a number is not lower either, and gets its turn below.
    let lower = logits.iter().filter(|&&logit| logit < largest - CLOSE).count();
    if lower + 1 == logits.len() && largest.is_finite() {
        return index_of_largest(logits);
    }
    let mut probabilities = vec![0.0; logits.len()];
    softmax_of_pixel(logits, &mut probabilities);
    index_of_largest(&probabilities)
}

fn softmax_of_pixel(logits: &[f32], out: &mut [f32]) {
    let largest = largest_of(logits);
    let mut sum = 0.0;
    for (value, logit) in out.iter_mut().zip(logits) {
        *value = (logit - largest).exp();
        sum += *value;
    }
    for value in out {
        *value /= sum;
    }
}

fn largest_of(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Index of the largest value, the lower of two equal ones.
fn index_of_largest(values: &[f32]) -> u8 {
    let first = (0u8, f32::NEG_INFINITY);
    let larger = |best: (u8, f32), other: (u8, f32)| if other.1 > best.1 { other } else { best };
    (0u8..).zip(values.iter().copied()).fold(first, larger).0
}
