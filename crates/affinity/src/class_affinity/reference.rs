//! The truth: Eqs. (2) and (3) in `f64` as they are written, entry by entry. Slow, obviously right.
//!
//! Every class makes its own masked copy of both maps, every entry its own cosine. Tests compare the
//! fast path with it; it takes no part in training.

use candle_core::{DType, Result, Tensor};

use crate::{norms::EPSILON, reading::Reading, regions::Regions};

/// Returns the affinity of maps on one grid, `[C, M, N]` row-major.
///
/// # Shapes
///
/// - `features_l`: `[B, h, w, M]`, `features_k`: `[B, h, w, N]`, any float type
/// - `labels`: `[B, H, W]`, `u8` class indices
///
/// # Errors
///
/// If the labels do not fit the maps, or hold a value that is not below `classes`.
pub fn affinity(
    features_l: &Tensor,
    features_k: &Tensor,
    labels: &Tensor,
    classes: usize,
    reading: &Reading,
) -> Result<Vec<f64>> {
    let (b, h, w, _) = features_l.dims4()?;
    let regions = Regions::new(labels, [b, h, w], classes, *reading)?;
    let (l, k) = (channel_vectors(features_l)?, channel_vectors(features_k)?);
    let mut affinity = vec![0.0; regions.classes * l.len() * k.len()];
    for index in 0..regions.list.len() {
        let (class, weight) = (regions.list[index].class, regions.list[index].weight);
        let (masked_l, masked_k) = (mask(&l, &regions, index), mask(&k, &regions, index)); // Eq. (2)
        for (m, u) in masked_l.iter().enumerate() {
            for (n, v) in masked_k.iter().enumerate() {
                affinity[(class * l.len() + m) * k.len() + n] += weight * cosine(u, v); // Eq. (3)
            }
        }
    }
    Ok(affinity)
}

/// Returns `∂L/∂features_l` and `∂L/∂features_k`, channels last, for `incoming` = `∂L/∂A`.
///
/// Adds up `∂cos(u, v)/∂u = (v/‖v‖ − cos(u, v) · u/‖u‖) / ‖u‖` entry by entry.
///
/// # Errors
///
/// As [`affinity`].
pub fn gradients(
    [features_l, features_k]: [&Tensor; 2],
    labels: &Tensor,
    classes: usize,
    reading: &Reading,
    incoming: &[f64],
) -> Result<[Vec<f64>; 2]> {
    let (b, h, w, _) = features_l.dims4()?;
    let regions = Regions::new(labels, [b, h, w], classes, *reading)?;
    let (l, k) = (channel_vectors(features_l)?, channel_vectors(features_k)?);
    let mut out = [vec![vec![0.0; b * h * w]; l.len()], vec![vec![0.0; b * h * w]; k.len()]];
    for index in 0..regions.list.len() {
        let (class, weight) = (regions.list[index].class, regions.list[index].weight);
        let (masked_l, masked_k) = (mask(&l, &regions, index), mask(&k, &regions, index));
        for (m, u) in masked_l.iter().enumerate() {
            for (n, v) in masked_k.iter().enumerate() {
                let gradient = weight * incoming[(class * l.len() + m) * k.len() + n];
                add_gradient_of_cosine(&mut out[0][m], u, v, gradient);
                add_gradient_of_cosine(&mut out[1][n], v, u, gradient);
            }
        }
    }
    Ok(out.map(|vectors| {
        (0..b * h * w).flat_map(|pixel| vectors.iter().map(move |v| v[pixel])).collect()
    }))
}

/// One vector over all pixels of the batch per channel.
fn channel_vectors(features: &Tensor) -> Result<Vec<Vec<f64>>> {
    features.to_dtype(DType::F64)?.flatten_to(2)?.t()?.to_vec2()
}

/// A masked channel `F^c_m` over all pixels of the batch.
struct Masked {
    values: Vec<f64>,
    length: f64,
}

/// Eq. (2): the vectors with 0 wherever the pixel is not of the region.
fn mask(vectors: &[Vec<f64>], regions: &Regions, index: usize) -> Vec<Masked> {
    let mut inside = vec![0.0; regions.pixels];
    for &pixel in &regions.order[regions.list[index].rows.clone()] {
        inside[pixel] = 1.0;
    }
    let masked = |vector: &Vec<f64>| {
        let values: Vec<f64> = vector.iter().zip(&inside).map(|(x, inside)| x * inside).collect();
        Masked { length: dot(&values, &values).sqrt(), values }
    };
    vectors.iter().map(masked).collect()
}

fn cosine(u: &Masked, v: &Masked) -> f64 {
    if u.length <= EPSILON || v.length <= EPSILON {
        return 0.0;
    }
    dot(&u.values, &v.values) / (u.length * v.length)
}

fn add_gradient_of_cosine(out: &mut [f64], u: &Masked, v: &Masked, factor: f64) {
    if u.length <= EPSILON || v.length <= EPSILON {
        return;
    }
    let cosine = cosine(u, v);
    for ((out, x), y) in out.iter_mut().zip(&u.values).zip(&v.values) {
        *out += factor * (y / v.length - cosine * x / u.length) / u.length;
    }
}

fn dot(u: &[f64], v: &[f64]) -> f64 {
    u.iter().zip(v).map(|(x, y)| x * y).sum()
}
