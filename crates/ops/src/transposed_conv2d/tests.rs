use candle_core::DType;

use super::{transposed_conv2d, transposed_conv2d_gradients};
use crate::cuda::runners::Place;
use crate::norm::{NormOptions, batch_norm_leaky_relu};
use crate::testing::{
    Block, assert_fast_equals_reference, assert_gradients, assert_gradients_without_graph, random,
    relative_difference, tolerance,
};

#[test]
fn equals_pytorch_with_its_gradients() {
    let block = Block::load("deconvolution_transposed");
    // PyTorch's [in, out, R, S] becomes [in, R, S, out].
    let inputs = [
        block.channels_last("input"),
        block.channels_last("weight"),
        block.get("norm.gamma"),
        block.get("norm.beta"),
    ];
    for dtype in [DType::F64, DType::F32] {
        let (output, gradients) = block.run(&inputs, &Place::on_cpu(dtype), &|t| {
            let wide = transposed_conv2d(&t[0], &t[1], 8, 4)?;
            Ok(batch_norm_leaky_relu(&wide, &t[2], &t[3], &[0, 0, 1, 1], NormOptions::default())?.0)
        });
        for (actual, expected) in [
            (&output, block.channels_last("train.output")),
            (&gradients[0], block.channels_last("grad.input")),
            (&gradients[1], block.channels_last("grad.weight")),
            (&gradients[2], block.get("grad.norm.gamma")),
            (&gradients[3], block.get("grad.norm.beta")),
        ] {
            let difference = relative_difference(actual, &expected);
            assert!(difference < tolerance(dtype), "{dtype:?} {:?}: {difference:e}", actual.dims());
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    for (stride, padding) in [(1, 0), (2, 1), (3, 0), (2, 0)] {
        let inputs = [random((2, 3, 2, 2), 1), random((2, 3, 4, 3), 2)];
        assert_gradients(&inputs, &|t| transposed_conv2d(&t[0], &t[1], stride, padding));
    }
}

#[test]
fn fast_equals_reference_whatever_the_sizes() {
    for (stride, padding, sides) in
        [(1, 1, (3, 3)), (2, 1, (4, 4)), (8, 4, (16, 16)), (3, 0, (2, 5))]
    {
        let inputs = [random((2, 5, 4, 6), 1), random((6, sides.0, sides.1, 7), 2)];
        assert_fast_equals_reference(&inputs, &|t| {
            transposed_conv2d(&t[0], &t[1], stride, padding)
        });
    }
}

#[test]
fn errors_say_what_does_not_fit() {
    let error = transposed_conv2d(&random((1, 2, 2, 3), 1), &random((2, 4, 4, 1), 2), 2, 1);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("expected equal C"), "{message}");
    let error = transposed_conv2d(&random((1, 1, 1, 3), 1), &random((3, 2, 2, 1), 2), 2, 1);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("nothing is left"), "{message}");
}

#[test]
fn gradients_without_a_graph_are_the_same() {
    let inputs = [random((2, 3, 2, 2), 1), random((2, 4, 4, 3), 2)];
    assert_gradients_without_graph(
        &inputs,
        &|t| transposed_conv2d(&t[0], &t[1], 2, 1),
        &|t, gradient| Ok(transposed_conv2d_gradients(&t[0], &t[1], gradient, 2, 1)?.into()),
    );
    let error = transposed_conv2d_gradients(&inputs[0], &inputs[1], &inputs[0], 2, 1);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("a gradient of shape [2, 3, 2, 2]"), "{message}");
}
