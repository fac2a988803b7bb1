use candle_core::{DType, Device, Tensor, Var};

use super::{Conv2d, Padding, conv2d};
use crate::cuda::runners::places;
use crate::testing::{
    Block, assert_fast_equals_reference, assert_gradients, random, relative_difference, tolerance,
};

const ZERO: Conv2d = Conv2d { padding: Padding::Zero, dilation: 1 };
const DILATED: Conv2d = Conv2d { padding: Padding::Zero, dilation: 2 };
const SYMMETRIC: Conv2d = Conv2d { padding: Padding::Symmetric, dilation: 1 };

#[test]
fn equals_pytorch_with_its_gradients() {
    let blocks = [
        ("conv", ZERO),
        ("conv_dilated", DILATED),
        ("conv_symmetric3", SYMMETRIC),
        ("conv_symmetric5", SYMMETRIC),
    ];
    for (name, options) in blocks {
        let block = Block::load(name);
        let inputs = ["input", "weight"].map(|name| block.channels_last(name));
        for place in places() {
            let (output, gradients) =
                block.run(&inputs, &place, &|t| conv2d(&t[0], &t[1], options));
            for (actual, expected) in [
                (&output, "train.output"),
                (&gradients[0], "grad.input"),
                (&gradients[1], "grad.weight"),
            ] {
                let difference = relative_difference(actual, &block.channels_last(expected));
                let is_close = difference < tolerance(place.dtype);
                assert!(is_close, "{name} {expected} {place:?}: {difference:e}");
            }
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    for options in [ZERO, DILATED, SYMMETRIC, Conv2d { dilation: 2, ..SYMMETRIC }] {
        let inputs = [random((2, 4, 3, 2), 1), random((3, 3, 5, 2), 2)];
        assert_gradients(&inputs, &|t| conv2d(&t[0], &t[1], options));
    }
}

#[test]
fn fast_equals_reference_whatever_the_sizes() {
    let cases: &[([usize; 4], [usize; 3], Conv2d)] = &[
        ([1, 1, 1, 1], [1, 3, 3], ZERO),
        ([2, 9, 31, 1], [16, 3, 3], ZERO),
        ([2, 8, 17, 4], [4, 3, 3], ZERO),
        ([1, 6, 30, 4], [8, 3, 3], ZERO),
        ([1, 12, 19, 8], [8, 3, 3], ZERO),
        ([2, 5, 14, 16], [32, 3, 3], ZERO),
        ([1, 7, 15, 20], [40, 3, 3], ZERO),
        ([1, 14, 14, 33], [50, 3, 3], ZERO),
        ([1, 14, 14, 32], [64, 3, 3], DILATED),
        ([1, 3, 2, 5], [6, 3, 3], DILATED),
        ([2, 14, 14, 16], [96, 3, 3], SYMMETRIC),
        ([2, 29, 23, 24], [5, 5, 5], SYMMETRIC),
        ([1, 28, 28, 32], [4, 5, 5], SYMMETRIC),
        ([1, 2, 2, 3], [4, 5, 5], SYMMETRIC),
        ([1, 1, 1, 3], [4, 3, 3], Conv2d { dilation: 3, ..SYMMETRIC }),
        ([3, 10, 11, 7], [13, 1, 1], ZERO),
        ([1, 5, 40, 6], [9, 1, 5], ZERO),
        ([1, 40, 5, 6], [9, 5, 1], SYMMETRIC),
        ([2, 60, 60, 3], [2, 3, 3], ZERO),
        // Deep enough to be summed in several ranges of channels.
        ([1, 3, 5, 700], [17, 3, 3], ZERO),
        ([1, 4, 3, 600], [2, 3, 3], SYMMETRIC),
    ];
    for &([b, h, w, c], [k, r, s], options) in cases {
        let inputs = [random((b, h, w, c), 1), random((k, r, s, c), 2)];
        assert_fast_equals_reference(&inputs, &|t| conv2d(&t[0], &t[1], options));
    }
}

#[test]
fn every_vector_unit_and_algorithm_equals_the_reference() {
    let tests = std::env::current_exe().unwrap();
    for (unit, algorithm) in ["portable", "avx2", "avx512"]
        .into_iter()
        .flat_map(|unit| ["direct", "winograd", "fastest"].map(|algorithm| (unit, algorithm)))
    {
        let run = std::process::Command::new(&tests)
            .args(["equals_reference_whatever_the_sizes", "winograd_equals_the_reference"])
            .args(["--test-threads", "1"])
            .env(crate::simd::CAP, unit)
            .env(super::choice::ALGORITHM, algorithm)
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{unit} {algorithm}: {report}");
        for test in ["conv2d::tests::fast_equals_reference", "winograd_equals_the_reference_at"] {
            assert!(report.contains(test), "{unit} {algorithm}: {report}");
        }
    }
}

#[test]
fn does_not_depend_on_the_number_of_threads() {
    let inputs = [random((3, 20, 20, 24), 1), random((24, 3, 3, 24), 2)];
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (output, gradients) = pool
            .install(|| crate::testing::run(&inputs, DType::F32, &|t| conv2d(&t[0], &t[1], ZERO)));
        [&output, &gradients[0], &gradients[1]].map(crate::testing::values)
    };
    assert_eq!(bits(1), bits(3));
}

#[test]
fn takes_tensors_that_are_not_contiguous() {
    let inputs = [random((1, 3, 6, 5), 1), random((3, 3, 3, 4), 2)];
    assert_gradients(&inputs, &|t| {
        conv2d(&t[0].permute((0, 2, 3, 1))?, &t[1].transpose(0, 3)?.narrow(0, 1, 2)?, ZERO)?
            .permute((0, 3, 1, 2))
    });
    assert_fast_equals_reference(&inputs, &|t| {
        conv2d(&t[0].permute((0, 2, 3, 1))?, &t[1].transpose(0, 3)?.narrow(0, 1, 2)?, ZERO)?
            .permute((0, 3, 1, 2))
    });
}

#[test]
fn gives_no_gradient_to_an_image_that_wants_none() {
    for place in places() {
        let image = place.put(&random((1, 4, 4, 2), 1)).unwrap();
        let kernel = Var::from_tensor(&place.put(&random((2, 3, 3, 2), 2)).unwrap()).unwrap();
        let sum = conv2d(&image, &kernel, ZERO).unwrap().sum_all().unwrap();
        let gradients = sum.backward().unwrap();
        assert!(gradients.get(&image).is_none());
        assert!(gradients.get(&kernel).is_some());
    }
}

#[test]
fn errors_say_what_does_not_fit() {
    let message = |image: [usize; 4], kernel: [usize; 4], dtype: DType| {
        let [image, kernel] =
            [image, kernel].map(|shape| Tensor::zeros(&shape, dtype, &Device::Cpu).unwrap());
        conv2d(&image, &kernel, ZERO).unwrap_err().to_string()
    };
    let channels = message([1, 4, 4, 2], [3, 3, 3, 5], DType::F32);
    assert!(channels.contains("[1, 4, 4, 2], expected [B, H, W, 5]"), "{channels}");
    let even = message([1, 4, 4, 5], [3, 2, 3, 5], DType::F32);
    assert!(even.contains("kernel of 2 x 3"), "{even}");
    let dtype = message([1, 4, 4, 5], [3, 3, 3, 5], DType::U8);
    assert!(dtype.contains("type U8, expected f32 or f64"), "{dtype}");
}
