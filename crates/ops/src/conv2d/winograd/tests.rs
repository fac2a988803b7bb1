use super::super::finish::Around;
use super::super::{Conv2d, Dims, Padding, reference};
use super::{backward_input, backward_kernel, forward, tile_pixels};
use crate::norm::Units;
use crate::testing::{random, values};

/// Of the largest value; direct convolution is held to the same.
const TOLERANCE: f64 = 1e-5;

const ZERO: Conv2d = Conv2d { padding: Padding::Zero, dilation: 1 };

/// Largest error over the largest value.
fn relative_error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let errors = actual.iter().zip(expected).map(|(&a, e)| (f64::from(a) - e).abs());
    // `max` would drop what is not a number.
    errors.fold(0.0, |worst, error| if error <= worst { worst } else { error }) / largest
}

/// Holds forward, backward-data and backward-weight on uniform data to the reference.
fn assert_equals_reference([b, h, w, c]: [usize; 4], k: usize, options: Conv2d) {
    let dims = Dims::new((b, h, w), &[k, 3, 3, c], options).unwrap();
    let shapes = [[b, h, w, c], [k, 3, 3, c], [b, h, w, k]];
    let exact = [0, 1, 2].map(|which| values(&random(&shapes[which], which as u64)));
    let [x, w, g] = &exact;
    #[expect(clippy::cast_possible_truncation, reason = "they were drawn to be exact in f32")]
    let rounded =
        exact.each_ref().map(|values| values.iter().map(|&x| x as f32).collect::<Vec<_>>());
    let [x32, w32, g32] = &rounded;
    for (pass, actual, expected) in [
        ("forward", forward(x32, w32, &dims, Around::default()), reference::forward(x, w, &dims)),
        (
            "input",
            backward_input(g32, w32, &dims, Around::default()),
            reference::backward_input(g, w, &dims),
        ),
        ("kernel", backward_kernel(g32, x32, &dims, None), reference::backward_kernel(g, x, &dims)),
    ] {
        let error = relative_error(&actual, &expected);
        assert!(error < TOLERANCE, "{pass} {:?} {k} {options:?}: {error:e}", shapes[0]);
    }
}

#[test]
fn statistics_are_finite_where_whole_groups_of_tiles_lie_beside_the_image() {
    for (h, w) in [(1, 512), (512, 1)] {
        let options = Conv2d { dilation: 2, ..ZERO };
        let dims = Dims::new((1, h, w), &[1, 3, 3, 1], options).unwrap();
        let pixels = tile_pixels(&dims);
        assert!(
            pixels.chunks(64).any(|group| group.iter().all(|&pixels| pixels == 0)),
            "{pixels:?}"
        );

        // Pixels of 3, whose squared deviations are 0.
        let moments = |mut units: Units| {
            for (sums, &pixels) in units.values.chunks_exact_mut(2).zip(&units.pixels) {
                sums[0] = 3.0 * pixels as f32;
            }
            units.moments(&[0], 1)
        };
        let of_tiles = moments(Units::of_pixels(1, pixels, 1));

        assert_eq!(of_tiles, moments(Units::of_rows(1, (h, w), 1)), "{h} × {w}");
    }
}

#[test]
fn winograd_equals_the_reference_whatever_the_sizes() {
    for padding in [Padding::Zero, Padding::Symmetric] {
        for dilation in [1, 2, 3] {
            for (shape, k) in [
                ([1, 1, 1, 1], 1),
                ([2, 3, 2, 5], 6),
                ([1, 5, 9, 17], 33),
                ([3, 14, 14, 16], 32),
                ([1, 13, 7, 40], 50),
                ([2, 16, 6, 130], 20),
                ([1, 6, 17, 20], 140),
                // Deep enough to be summed in several parts.
                ([1, 2, 31, 300], 24),
                ([1, 4, 5, 30], 270),
            ] {
                assert_equals_reference(shape, k, Conv2d { padding, dilation });
            }
        }
    }
}

#[test]
fn winograd_equals_the_reference_at_network_scale() {
    assert_equals_reference([2, 56, 56, 16], 16, ZERO);
    assert_equals_reference([2, 28, 28, 64], 64, ZERO);
    assert_equals_reference([2, 14, 14, 128], 128, Conv2d { dilation: 2, ..ZERO });
    // More channels and tiles than are kept at a time.
    assert_equals_reference([2, 30, 31, 260], 140, ZERO);
    assert_equals_reference(
        [1, 14, 14, 128],
        640,
        Conv2d { padding: Padding::Symmetric, dilation: 1 },
    );
}

#[test]
fn winograd_does_not_depend_on_the_number_of_threads() {
    // The second has so many channels that transformed tiles are kept.
    for ([b, h, w, c], k) in [([3, 20, 19, 48], 40), ([2, 12, 13, 140], 300)] {
        let dims = Dims::new((b, h, w), &[k, 3, 3, c], ZERO).unwrap();
        let shapes = [[b, h, w, c], [k, 3, 3, c], [b, h, w, k]];
        let draw = |which: usize| {
            let tensor = random(&shapes[which], which as u64).to_dtype(candle_core::DType::F32);
            tensor.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let [x, w, g] = [0, 1, 2].map(draw);
        let results = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let kernel = backward_kernel(&g, &x, &dims, None);
                [
                    forward(&x, &w, &dims, Around::default()),
                    backward_input(&g, &w, &dims, Around::default()),
                    kernel,
                ]
            })
        };
        assert!(results(1) == results(3), "the bits differ");
    }
}
