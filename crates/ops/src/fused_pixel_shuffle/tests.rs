use candle_core::{DType, Device, Tensor};

use super::{fused_pixel_shuffle, fused_pixel_shuffle_gradients, reference};
use crate::cuda::runners::{Place, devices};
use crate::testing::{random, relative_difference, values};
use crate::{Activation, NormOptions, batch_statistics};

const ROWS: [usize; 3] = [1, 0, 1];

/// Sides of the coarse image, channels of the fine one, factor.
type Size = ([usize; 2], usize, usize);

const SIZES: [Size; 6] = [
    ([1, 1], 1, 1),
    ([2, 5], 3, 2),
    ([4, 3], 5, 3),
    ([3, 2], 32, 8),
    ([14, 14], 8, 8),
    ([9, 1], 40, 8),
];

/// Tensors of one case, in one place.
struct Case {
    input: Tensor,
    gradient: Tensor,
    norm: Activation,
    factor: usize,
}

impl Case {
    fn new(&([h, w], c, factor): &Size, place: &Place) -> Self {
        let draw = |shape: &[usize], seed| place.put(&random(shape, seed)).unwrap();
        let depth = factor * factor * c;
        let input = draw(&[3, h, w, depth], 1);
        let statistics = batch_statistics(&draw(&[3, h + 1, w, depth], 1), &ROWS, 2).unwrap();
        let [gamma, beta] = [3, 4].map(|seed| draw(&[2, depth], seed));
        let options = NormOptions { epsilon: 1e-3, slope: 0.2 };
        let norm = Activation::of_batch(&gamma, &beta, &ROWS, &statistics, options).unwrap();
        Self { input, gradient: draw(&[3, factor * h, factor * w, c], 2), norm, factor }
    }

    fn forward(&self) -> Tensor {
        fused_pixel_shuffle(&self.input, &self.norm, self.factor).unwrap()
    }

    fn gradients(&self) -> [Tensor; 3] {
        let Self { input, gradient, norm, factor } = self;
        fused_pixel_shuffle_gradients(gradient, input, norm, *factor).unwrap()
    }
}

#[test]
fn fused_equals_reference_whatever_the_sizes() {
    for device in devices() {
        let place = Place { dtype: DType::F32, device };
        for size in &SIZES {
            let fast = Case::new(size, &place);
            let exact = Case::new(size, &Place { dtype: DType::F64, device: Device::Cpu });

            let expected = reference::forward(&exact.input, &exact.norm, exact.factor).unwrap();
            let expected_gradients =
                reference::gradients(&exact.gradient, &exact.input, &exact.norm, exact.factor)
                    .unwrap();

            let difference = relative_difference(&fast.forward(), &expected);
            assert!(difference < 1e-5, "{size:?} {place:?}: {difference:e}");
            for (actual, expected) in fast.gradients().iter().zip(&expected_gradients) {
                let difference = relative_difference(actual, expected);
                assert!(difference < 1e-5, "{size:?} {place:?} {expected:?}: {difference:e}");
            }
        }
    }
}

#[test]
fn does_not_depend_on_the_number_of_threads() {
    let case = Case::new(&SIZES[4], &Place::on_cpu(DType::F32));
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (values(&case.forward()), case.gradients().map(|tensor| values(&tensor))))
    };
    assert!(bits(1) == bits(3), "the bits differ");
}

#[test]
fn errors_say_what_does_not_fit() {
    let Case { input, gradient, norm, .. } = Case::new(&SIZES[1], &Place::on_cpu(DType::F32));
    let message = fused_pixel_shuffle(&input, &norm, 5).unwrap_err().to_string();
    assert!(message.contains("got 12 channels and factor 5"), "{message}");
    let message = fused_pixel_shuffle(&gradient, &norm, 1).unwrap_err().to_string();
    assert!(message.contains("expected [R, 3]"), "{message}");
    let message = fused_pixel_shuffle_gradients(&input, &input, &norm, 2).unwrap_err().to_string();
    assert!(
        message.contains("got a gradient of shape [3, 2, 5, 12], expected [3, 4, 10, 3]"),
        "{message}"
    );
}
