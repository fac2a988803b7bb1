//! Eq. (1) and its gradients by the CUDA kernels against the reference in `f64`.

use super::{backward_input, backward_kernel, forward};
use crate::cuda::{
    runners::runners,
    testing::{Numbers, assert_close},
};
use crate::transposed_conv2d::{Dims, Steps, transposed_conv2d, transposed_conv2d_gradients};

#[test]
fn equals_the_reference_at_every_kind_of_border() {
    // Input, sides and outputs of the kernel, stride, padding.
    let cases: &[([usize; 4], [usize; 3], [usize; 2])] = &[
        ([1, 1, 1, 1], [1, 1, 1], [1, 0]),    // less than one of everything
        ([2, 3, 4, 17], [16, 16, 5], [8, 4]), // the network's, taps across steps
        ([1, 8, 8, 16], [2, 2, 64], [2, 0]),  // exactly one tile each way
        ([2, 5, 7, 3], [4, 3, 66], [2, 1]), // one above, an output that the stride does not divide
        ([1, 3, 2, 65], [2, 5, 4], [3, 0]), // phases with fewer taps, and with none
        ([3, 4, 5, 6], [3, 3, 7], [1, 1]),  // one phase
        ([2, 2, 3, 2], [1, 2, 3], [4, 1]),  // gaps between the stamps
        ([2, 23, 29, 4], [3, 3, 3], [2, 2]), // several parts of the kernel's gradient
    ];
    for &([batch, height, width, c], [r, s, k], [stride, padding]) in cases {
        let (input, kernel) = ([batch, height, width, c], [c, r, s, k]);
        let dims = Dims::new(&input, &kernel, Steps { stride, padding }).unwrap();
        let [input, kernel, gradient] =
            [dims.input_shape(), dims.kernel_shape(), dims.output_shape()]
                .map(|shape| Numbers::random(shape.clone(), shape.elem_count() as u64));
        let output = transposed_conv2d(&input.wide, &kernel.wide, stride, padding).unwrap();
        let [by_input, by_kernel] =
            transposed_conv2d_gradients(&input.wide, &kernel.wide, &gradient.wide, stride, padding)
                .unwrap();
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
    let message = |height: usize, stride: usize| {
        let dims =
            Dims::new(&[1, height, 1, 1], &[1, 1, 1, 1], Steps { stride, padding: 0 }).unwrap();
        forward(&dims).unwrap_err().to_string()
    };
    assert!(message(1 << 31, 1).contains("got 2147483648 elements"), "{}", message(1 << 31, 1));
    assert!(message(1, 256).contains("a card takes strides up to 255, got 256"));
}
