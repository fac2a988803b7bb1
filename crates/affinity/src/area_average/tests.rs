use candle_core::{DType, Result, Tensor};
use duomo_ops::cuda::runners::devices;

use super::area_average;
use crate::testing::{Noise, central_differences, gradient, numbers, relative_difference};

/// The definition, one window at a time.
fn by_definition(
    values: &[f64],
    [b, height, width, m]: [usize; 4],
    h: usize,
    w: usize,
) -> Vec<f64> {
    let mut out = Vec::new();
    for (s, i, j, c) in
        (0..b * h * w * m).map(|at| (at / (h * w * m), at / (w * m) % h, at / m % w, at % m))
    {
        let end = |i: usize, fine: usize, coarse: usize| {
            ((i + 1) as f64 * fine as f64 / coarse as f64).ceil()
        };
        let rows = |y: &usize| *y >= i * height / h && (*y as f64) < end(i, height, h);
        let columns = |x: &usize| *x >= j * width / w && (*x as f64) < end(j, width, w);
        let window: Vec<f64> = (0..height)
            .filter(rows)
            .flat_map(|y| (0..width).filter(columns).map(move |x| (y, x)))
            .map(|(y, x)| values[((s * height + y) * width + x) * m + c])
            .collect();
        out.push(window.iter().sum::<f64>() / window.len() as f64);
    }
    out
}

#[test]
fn halves_a_map_by_the_mean_of_each_tile() -> Result<()> {
    for device in devices() {
        let features = Tensor::new(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &device)?;

        let coarse = area_average(&features.reshape((1, 2, 4, 1))?, 1, 2)?;

        assert_eq!(coarse.dims(), [1, 1, 2, 1]);
        assert_eq!(numbers(&coarse), [3.5, 5.5], "{device:?}");
    }
    Ok(())
}

#[test]
fn equals_the_definition_for_whole_and_broken_ratios() -> Result<()> {
    for (fine, h, w) in [([2, 6, 8, 3], 3, 4), ([1, 7, 5, 2], 3, 4), ([3, 5, 9, 1], 5, 2)] {
        let features = Noise(3).features(&fine[..], DType::F64);

        let coarse = area_average(&features, h, w)?;

        let expected = by_definition(&numbers(&features), fine, h, w);
        assert!(relative_difference(&numbers(&coarse), &expected) < 1e-13, "{fine:?} to {h}, {w}");
    }
    Ok(())
}

#[test]
fn gradient_equals_central_differences() -> Result<()> {
    let mut noise = Noise(4);
    let features = noise.features((2, 5, 4, 2), DType::F64);
    let weights = noise.features((2, 3, 2, 2), DType::F64);
    let loss = || (area_average(&features, 3, 2)? * weights.as_tensor())?.sum_all();

    let expected = central_differences(&features, loss);

    assert!(relative_difference(&gradient(&loss()?, &features), &expected) < 1e-8);
    Ok(())
}

#[test]
fn leaves_a_map_on_the_same_grid_alone() -> Result<()> {
    let features = Noise(5).features((1, 3, 3, 2), DType::F32);

    let same = area_average(&features, 3, 3)?;

    assert_eq!(numbers(&same), numbers(&features));
    Ok(())
}

#[test]
fn refuses_a_finer_grid() {
    let features = Noise(6).features((1, 3, 3, 2), DType::F32);

    let error = area_average(&features, 6, 3).unwrap_err().to_string();

    let expected = "area_average: features have shape [1, 3, 3, 2], expected [B, H, W, M] with H at \
                    least 6 and W at least 3";
    assert!(error.starts_with(expected), "{error}");
}
