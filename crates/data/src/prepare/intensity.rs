//! Grey values: cutting the top of the histogram, and z-scores.

/// Returns the grey value that `top_percent` of the voxels exceed, at most.
///
/// With `n` voxels in ascending order it is the one at `⌊(1 − top/100)·(n − 1)⌋`, counted from 0.
pub(super) fn ceiling(voxels: &[f32], top_percent: f64) -> f32 {
    let mut sorted = voxels.to_vec();
    let last = sorted.len().saturating_sub(1);
    let rank = super::resample::whole((1.0 - top_percent / 100.0) * last as f64);
    if sorted.is_empty() {
        return f32::INFINITY;
    }
    *sorted.select_nth_unstable_by(rank.min(last), f32::total_cmp).1
}

/// The value that every voxel has, if they are alike.
pub(crate) fn only_value(voxels: &[f32]) -> Option<f32> {
    let (&first, rest) = voxels.split_first()?;
    rest.iter().all(|&voxel| voxel.total_cmp(&first).is_eq()).then_some(first)
}

/// Brings a slice to mean 0 and standard deviation 1 (population); a constant slice becomes 0.
pub(super) fn z_score(slice: &mut [f32]) {
    let count = slice.len() as f64;
    let mean = slice.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let squares = slice.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
    let deviation = (squares / count).sqrt();
    // Rounding of the mean can leave a constant slice a tiny deviation, which must not be blown up.
    let brightest = slice.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let darkest = slice.iter().copied().fold(f32::INFINITY, f32::min);
    if brightest <= darkest || deviation <= 0.0 {
        slice.fill(0.0);
        return;
    }
    for value in slice {
        #[expect(clippy::cast_possible_truncation, reason = "tensors are f32")]
        let score = ((f64::from(*value) - mean) / deviation) as f32;
        *value = score;
    }
}
