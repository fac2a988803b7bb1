//! Interpolation from the acquired to the reconstructed matrix.

use std::f64::consts::PI;

use crate::vector::cell;

/// Half width of the kernel in acquired voxels.
const LOBES: i64 = 3;

/// Resamples an image `[H, W]` with a windowed sinc, which rings a little at sharp borders, as
/// zero-filled raw data does. The images cover the same field of view.
pub(crate) fn resample(image: &[f64], from: [usize; 2], to: [usize; 2]) -> Vec<f64> {
    if from == to {
        return image.to_vec();
    }
    let across = weights(from[1], to[1]);
    let down = weights(from[0], to[0]);
    let mut rows = Vec::with_capacity(from[0] * to[1]);
    for row in image.chunks_exact(from[1]) {
        rows.extend(
            across
                .iter()
                .map(|taps| taps.iter().map(|&(index, weight)| weight * row[index]).sum::<f64>()),
        );
    }
    let mut out = vec![0.0; to[0] * to[1]];
    for (taps, target) in down.iter().zip(out.chunks_exact_mut(to[1])) {
        for &(index, weight) in taps {
            let source = &rows[index * to[1]..(index + 1) * to[1]];
            for (sum, value) in target.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
    }
    out
}

/// Source indices and weights of every target voxel; the border voxel is repeated outwards.
fn weights(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    (0..to)
        .map(|target| {
            let (base, fraction) = cell((target as f64 + 0.5) * from as f64 / to as f64 - 0.5);
            let taps: Vec<(usize, f64)> = (1 - LOBES..=LOBES)
                .map(|tap| {
                    let index = usize::try_from((base + tap).max(0)).expect("clamped at zero");
                    (index.min(from - 1), lanczos(tap as f64 - fraction))
                })
                .collect();
            let total: f64 = taps.iter().map(|(_, weight)| weight).sum();
            taps.into_iter().map(|(index, weight)| (index, weight / total)).collect()
        })
        .collect()
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) };
    if x.abs() >= LOBES as f64 { 0.0 } else { sinc(x) * sinc(x / LOBES as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_constants_and_centres() {
        let flat = resample(&[2.5; 12], [3, 4], [7, 9]);
        assert!(flat.iter().all(|value| (value - 2.5).abs() < 1e-12));

        let mut spike = vec![0.0; 81];
        spike[40] = 1.0;
        let fine = resample(&spike, [9, 9], [27, 27]);
        let brightest = (0..fine.len()).max_by(|&a, &b| fine[a].total_cmp(&fine[b]));
        assert_eq!(brightest, Some(13 * 27 + 13));
        assert!((fine[13 * 27 + 13] - 1.0).abs() < 1e-12);
    }
}
