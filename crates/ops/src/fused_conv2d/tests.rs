use candle_core::{DType, Device, Tensor};

use super::{Backward, Epilogue, fused_conv2d, fused_conv2d_gradients, reference};
use crate::cuda::runners::{Place, devices};
use crate::testing::{random, relative_difference, values};
use crate::{Activation, BatchStatistics, Conv2d, NormOptions, Padding, batch_statistics};

const ZERO: Conv2d = Conv2d { padding: Padding::Zero, dilation: 1 };
const ROWS: [usize; 3] = [1, 0, 1];
const OPTIONS: NormOptions = NormOptions { epsilon: 1e-3, slope: 0.2 };

/// Image, channels, outputs, channels of the skip.
type Size = ([usize; 3], usize, usize, usize, Conv2d);

/// Sizes on both sides of every algorithm's borders.
const SIZES: [Size; 9] = [
    ([3, 9, 7], 1, 5, 3, ZERO),
    ([3, 12, 19], 4, 4, 4, ZERO),
    ([3, 10, 14], 4, 8, 4, ZERO),
    ([3, 21, 18], 16, 32, 16, ZERO),
    ([3, 14, 14], 33, 50, 20, ZERO),
    ([3, 8, 13], 16, 16, 16, Conv2d { dilation: 2, ..ZERO }),
    ([3, 6, 5], 300, 40, 40, Conv2d { dilation: 2, ..ZERO }),
    ([3, 7, 7], 40, 300, 40, Conv2d { padding: Padding::Symmetric, dilation: 1 }),
    ([3, 28, 28], 64, 64, 64, ZERO),
];

const F64: Place = Place { dtype: DType::F64, device: Device::Cpu };

/// Every size, in `f32` on every device.
fn sizes_and_places() -> impl Iterator<Item = (&'static Size, Place)> {
    let places = devices().into_iter().map(|device| Place { dtype: DType::F32, device });
    places.flat_map(|place| SIZES.iter().map(move |size| (size, place.clone())))
}

/// Tensors of one case, in one place.
struct Case {
    input: Tensor,
    kernel: Tensor,
    skip: Tensor,
    gradient: Tensor,
    others: Tensor,
    reads: Activation,
    writes: Activation,
}

impl Case {
    fn new(size: &Size, place: &Place) -> Self {
        let &([b, h, w], c, k, s, _) = size;
        let draw = |shape: &[usize], seed| place.put(&random(shape, seed)).unwrap();
        let input = draw(&[b, h, w, c], 1);
        let norm = |channels, statistics: &BatchStatistics| {
            let table = |seed| draw(&[2, channels], seed);
            Activation::of_batch(&table(6), &table(7), &ROWS, statistics, OPTIONS).unwrap()
        };
        let of_output = batch_statistics(&draw(&[b, h, w, k], 8), &ROWS, 2).unwrap();
        Self {
            kernel: draw(&[k, 3, 3, c], 2),
            skip: draw(&[b, h, w, s], 3),
            gradient: draw(&[b, h, w, k], 4),
            others: draw(&[b, h, w, c + 3], 5).narrow(3, 2, c).unwrap(),
            reads: norm(c, &batch_statistics(&input, &ROWS, 2).unwrap()),
            writes: norm(k, &of_output),
            input,
        }
    }

    fn epilogues(&self) -> [Epilogue<'_>; 3] {
        let none = Epilogue::default();
        let dropout = Some((0.25, 7));
        [
            none,
            Epilogue { skip: Some(&self.skip), activation: Some(&self.writes), ..none },
            Epilogue { dropout, skip: Some(&self.skip), statistics: Some((&ROWS, 2)), ..none },
        ]
    }

    fn backward(&self, options: Conv2d) -> [Backward<'_>; 2] {
        let (input, activation, kernel) = (&self.input, &self.reads, &self.kernel);
        let none = Backward { input, activation, kernel, options, dropout: None, others: None };
        [none, Backward { dropout: Some((0.25, 7)), others: Some(&self.others), ..none }]
    }
}

#[test]
fn fused_equals_reference_whatever_the_sizes() {
    for (size, place) in sizes_and_places() {
        let [fast, exact] = [&place, &F64].map(|place| Case::new(size, place));
        for (index, (fused, one_by_one)) in
            fast.epilogues().iter().zip(&exact.epilogues()).enumerate()
        {
            for reads in [true, false] {
                let (y, statistics) = fused_conv2d(
                    &fast.input,
                    reads.then_some(&fast.reads),
                    &fast.kernel,
                    size.4,
                    fused,
                )
                .unwrap();
                let norm = reads.then_some(&exact.reads);
                let (expected, expected_statistics) =
                    reference::forward(&exact.input, norm, &exact.kernel, size.4, one_by_one)
                        .unwrap();
                let difference = relative_difference(&y, &expected);
                assert!(difference < 1e-5, "{size:?} {place:?} {index} {reads}: {difference:e}");
                assert_same_statistics(statistics.as_ref(), expected_statistics.as_ref());
            }
        }
    }
}

/// Means and variances within 1e-5 of the largest variance's root and of the largest variance.
fn assert_same_statistics(actual: Option<&BatchStatistics>, expected: Option<&BatchStatistics>) {
    let (Some(actual), Some(expected)) = (actual, expected) else {
        assert!(actual.is_none() && expected.is_none());
        return;
    };
    let [[mean, variance], [expected_mean, expected_variance]] = [actual, expected]
        .map(|statistics| [statistics.mean().unwrap(), statistics.variance().unwrap()]);
    let largest = expected_variance.iter().fold(0.0, |largest: f32, x| largest.max(*x));
    let close = |a: &[f32], b: &[f32], scale: f32| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * scale)
    };
    assert!(close(&mean, &expected_mean, largest.sqrt()), "{actual:?} {expected:?}");
    assert!(close(&variance, &expected_variance, largest), "{actual:?} {expected:?}");
    assert_eq!(actual.present(), expected.present());
}

#[test]
fn every_fused_gradient_equals_reference_whatever_the_sizes() {
    for (size, place) in sizes_and_places() {
        let [fast, exact] = [&place, &F64].map(|place| Case::new(size, place));
        for (of, one_by_one) in fast.backward(size.4).iter().zip(&exact.backward(size.4)) {
            let actual = fused_conv2d_gradients(&fast.gradient, of).unwrap();
            let expected = reference::gradients(&exact.gradient, one_by_one).unwrap();
            for (name, actual, expected) in [
                ("input", &actual.input, &expected.input),
                ("gamma", &actual.gamma, &expected.gamma),
                ("beta", &actual.beta, &expected.beta),
                ("kernel", &actual.kernel, &expected.kernel),
            ] {
                let difference = relative_difference(actual, expected);
                assert!(difference < 1e-5, "{size:?} {place:?} {name}: {difference:e}");
            }
        }
    }
}

#[test]
fn does_not_depend_on_the_number_of_threads() {
    for size in &SIZES {
        let case = Case::new(size, &Place::on_cpu(DType::F32));
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let [.., epilogue] = case.epilogues();
                let (y, statistics) =
                    fused_conv2d(&case.input, Some(&case.reads), &case.kernel, size.4, &epilogue)
                        .unwrap();
                let [.., of] = case.backward(size.4);
                let gradients = fused_conv2d_gradients(&case.gradient, &of).unwrap();
                let tensors = [&y, &gradients.input, &gradients.gamma, &gradients.kernel];
                let statistics = statistics.unwrap();
                (tensors.map(values), statistics.mean().unwrap(), statistics.variance().unwrap())
            })
        };
        assert!(bits(1) == bits(3), "{size:?}: the bits differ");
    }
}

#[test]
fn errors_say_what_does_not_fit() {
    let case = Case::new(&SIZES[1], &Place::on_cpu(DType::F32));
    let none = Epilogue::default();
    let wide = random((3, 12, 19, 5), 1).to_dtype(DType::F32).unwrap();
    let message = fused_conv2d(&wide, None, &case.kernel, ZERO, &none).unwrap_err().to_string();
    assert!(message.contains("got a feature map of shape [3, 12, 19, 5]"), "{message}");
    let skip = Epilogue { skip: Some(&wide), ..none };
    let message = fused_conv2d(&case.input, None, &case.kernel, ZERO, &skip).unwrap_err();
    assert!(message.to_string().contains("no more channels in the skip"), "{message}");
    let [of, _] = case.backward(ZERO);
    let message = fused_conv2d_gradients(&wide, &of).unwrap_err().to_string();
    assert!(message.contains("got gradients of shape [3, 12, 19, 5]"), "{message}");
}
