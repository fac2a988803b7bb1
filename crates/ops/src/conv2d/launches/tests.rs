//! Eq. (1) and its gradients by the CUDA kernels against the reference in `f64`.

use candle_core::{Device, Tensor};

use super::{backward_input, backward_kernel, extend, fold, forward};
use crate::conv2d::{Conv2d, Dims, Padding, conv2d, conv2d_input_gradient, conv2d_kernel_gradient};
use crate::cuda::{
    runners::runners,
    testing::{Numbers, assert_close},
};

const ZERO: Conv2d = Conv2d { padding: Padding::Zero, dilation: 1 };
const DILATED: Conv2d = Conv2d { padding: Padding::Zero, dilation: 2 };
const SYMMETRIC: Conv2d = Conv2d { padding: Padding::Symmetric, dilation: 1 };

#[test]
fn equals_the_reference_at_every_kind_of_border() {
    let cases: &[([usize; 4], [usize; 3], Conv2d)] = &[
        ([1, 1, 1, 1], [1, 3, 3], ZERO),      // less than one of everything
        ([2, 4, 8, 16], [64, 1, 1], ZERO),    // exactly one tile each way
        ([2, 9, 7, 3], [5, 3, 3], ZERO),      // a tile across images, taps across steps
        ([1, 9, 8, 17], [66, 3, 3], DILATED), // one above
        ([1, 3, 2, 5], [6, 3, 3], DILATED),   // taps that see nothing
        ([2, 6, 5, 65], [4, 5, 5], SYMMETRIC),
        ([1, 2, 2, 3], [4, 5, 5], SYMMETRIC), // a border as wide as the image
        ([1, 1, 3, 2], [3, 3, 3], Conv2d { dilation: 5, ..SYMMETRIC }), // and several times as wide
        ([2, 5, 4, 6], [9, 1, 5], SYMMETRIC),
        ([2, 23, 29, 4], [3, 3, 3], ZERO), // several parts of the kernel's gradient
    ];
    for &([batch, height, width, c], [k, r, s], options) in cases {
        let dims = Dims::new((batch, height, width), &[k, r, s, c], options).unwrap();
        let [input, kernel, gradient] =
            [dims.input_shape(), dims.kernel_shape(), dims.output_shape()]
                .map(|shape| Numbers::random(shape.clone(), shape.elem_count() as u64));
        let output = conv2d(&input.wide, &kernel.wide, options).unwrap();
        let by_input = conv2d_input_gradient(&gradient.wide, &kernel.wide, options).unwrap();
        let by_kernel =
            conv2d_kernel_gradient(&gradient.wide, &input.wide, (r, s), options).unwrap();
        for runner in runners() {
            for (what, program, inputs, expected) in [
                ("forward", forward(&dims), [&input, &kernel], &output),
                ("by input", backward_input(&dims), [&gradient, &kernel], &by_input),
                ("by kernel", backward_kernel(&dims), [&gradient, &input], &by_kernel),
            ] {
                let inputs = inputs.map(|numbers| &numbers.values[..]);
                let outputs = runner.run(&program.unwrap(), &inputs);
                assert_close(&format!("{runner:?} {what} {dims:?}"), &outputs[0], expected, 1e-5);
            }
        }
    }
}

#[test]
fn refuses_what_the_kernels_cannot_count() {
    let message = |height: usize, dilation: usize| {
        let options = Conv2d { dilation, ..ZERO };
        let dims = Dims::new((1, height, 1), &[1, 3, 3, 1], options).unwrap();
        forward(&dims).unwrap_err().to_string()
    };
    assert!(message(1 << 31, 1).contains("got 2147483648 elements"), "{}", message(1 << 31, 1));
    assert!(message(1, usize::MAX).contains("a kernel counts to 2147483647"));
}

#[test]
fn a_mirrored_border_is_laid_round_an_image_and_folded_back() {
    let image = [[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let options = Conv2d { padding: Padding::Symmetric, dilation: 1 };
    let dims = Dims::new((1, 2, 3), &[1, 3, 5, 1], options).unwrap();
    let extended = [
        [2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0],
        [2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0],
        [5.0, 4.0, 4.0, 5.0, 6.0, 6.0, 5.0],
        [5.0, 4.0, 4.0, 5.0, 6.0, 6.0, 5.0],
    ];
    // Every pixel of the image is seen from two rows; the outer columns from two, the middle from three.
    let folded = [[4.0, 12.0, 12.0], [16.0, 30.0, 24.0]];
    for runner in runners() {
        let there = runner.run(&extend(&dims).unwrap(), &[image.as_flattened()]);
        assert_eq!(there, [extended.as_flattened()], "{runner:?}");
        let back = runner.run(&fold(&dims).unwrap(), &[&there[0]]);
        let expected = Tensor::new(&folded, &Device::Cpu).unwrap();
        assert_close(&format!("{runner:?}"), &back[0], &expected, 0.0);
    }
}
