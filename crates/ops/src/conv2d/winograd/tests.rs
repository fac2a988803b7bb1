use super::super::{Conv2d, Dims, Padding, reference};
use super::{backward_input, backward_kernel, forward};
use crate::testing::{random, values};

/// Largest error over the largest value.
fn relative_error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let error = |(&a, e): (&f32, &f64)| (f64::from(a) - e).abs();
    actual.iter().zip(expected).map(error).fold(0.0, f64::max) / largest
}

/// Errors of forward, backward-data and backward-weight on uniform data.
fn errors([b, h, w, c]: [usize; 4], k: usize, options: Conv2d) -> [f64; 3] {
    let dims = Dims::new((b, h, w), &[k, 3, 3, c], options).unwrap();
    let [input, kernel, gradient] = [((b, h, w, c), 1), ((k, 3, 3, c), 2), ((b, h, w, k), 3)]
        .map(|(s, seed)| values(&random(s, seed)));
    let fast = |exact: &[f64]| exact.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let [x, g, y] = [&input, &kernel, &gradient].map(|exact| fast(exact));
    [
        relative_error(&forward(&x, &g, &dims), &reference::forward(&input, &kernel, &dims)),
        relative_error(
            &backward_input(&y, &g, &dims),
            &reference::backward_input(&gradient, &kernel, &dims),
        ),
        relative_error(
            &backward_kernel(&y, &x, &dims),
            &reference::backward_kernel(&gradient, &input, &dims),
        ),
    ]
}

#[test]
fn equals_the_reference_whatever_the_sizes() {
    for padding in [Padding::Zero, Padding::Symmetric] {
        for dilation in [1, 2, 3] {
            let options = Conv2d { padding, dilation };
            for (shape, k) in [
                ([1, 1, 1, 1], 1),
                ([2, 3, 2, 5], 6),
                ([1, 5, 9, 17], 33),
                ([3, 14, 14, 16], 32),
                ([1, 13, 7, 40], 50),
                ([2, 16, 6, 130], 20),
                ([1, 6, 17, 20], 140),
                ([1, 2, 31, 64], 64),
            ] {
                let errors = errors(shape, k, options);
                assert!(errors.iter().all(|&e| e < 1e-5), "{shape:?} {k} {options:?}: {errors:?}");
            }
        }
    }
}
