use candle_core::DType;

use super::{pixel_shuffle, pixel_unshuffle};
use crate::conv2d::{Conv2d, Padding, conv2d};
use crate::cuda::runners::{Place, places};
use crate::norm::{NormOptions, batch_norm_leaky_relu};
use crate::testing::{
    Block, assert_fast_equals_reference, assert_gradients, assert_gradients_without_graph, random,
    relative_difference, tolerance, values,
};

#[test]
fn puts_every_channel_where_the_equation_says() {
    let (factor, channels) = (3, 2);
    let input = random((2, 2, 4, factor * factor * channels), 1);
    for place in places() {
        let output = pixel_shuffle(&place.put(&input).unwrap(), factor).unwrap();
        assert_eq!(output.dims(), [2, 6, 12, channels]);
        let (coarse, fine) = (values(&input), values(&output));
        for (at, value) in fine.into_iter().enumerate() {
            let (c, x) = (at % channels, at / channels % 12);
            let (y, b) = (at / channels / 12 % 6, at / channels / 12 / 6);
            let channel = factor * factor * c + factor * (y % factor) + x % factor;
            let pixel = (b * 2 + y / factor) * 4 + x / factor;
            assert_eq!(value.to_bits(), coarse[pixel * 18 + channel].to_bits(), "{place:?}");
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    assert_gradients(&[random((1, 2, 3, 8), 1)], &|t| pixel_shuffle(&t[0], 2));
    assert_fast_equals_reference(&[random((2, 3, 2, 18), 1)], &|t| pixel_shuffle(&t[0], 3));
}

#[test]
fn takes_tensors_that_are_not_contiguous() {
    assert_gradients(&[random((1, 8, 2, 3), 1)], &|t| {
        pixel_shuffle(&t[0].permute((0, 2, 3, 1))?, 2)?.permute((0, 3, 1, 2))
    });
}

#[test]
fn deconvolution_of_the_network_equals_pytorch() {
    let block = Block::load("deconvolution");
    let inputs = [
        block.channels_last("input"),
        block.channels_last("weight"),
        block.get("norm.gamma"),
        block.get("norm.beta"),
    ];
    let options = Conv2d { padding: Padding::Symmetric, dilation: 1 };
    for dtype in [DType::F64, DType::F32] {
        let (output, gradients) = block.run(&inputs, &Place::on_cpu(dtype), &|t| {
            let deep = conv2d(&t[0], &t[1], options)?;
            let norm = NormOptions::default();
            let (deep, _) = batch_norm_leaky_relu(&deep, &t[2], &t[3], &[0, 0, 1, 1], norm)?;
            pixel_shuffle(&deep, 8)
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
fn errors_say_what_does_not_fit() {
    let message = pixel_shuffle(&random((1, 1, 1, 6), 1), 2).unwrap_err().to_string();
    assert!(message.contains("got 6 channels and factor 2"), "{message}");
}

#[test]
fn the_inverse_is_the_gradient() {
    let input = random((2, 3, 2, 18), 1);
    assert_gradients_without_graph(
        std::slice::from_ref(&input),
        &|t| pixel_shuffle(&t[0], 3),
        &|_, gradient| Ok(vec![pixel_unshuffle(gradient, 3)?]),
    );
    let back = pixel_unshuffle(&pixel_shuffle(&input, 3).unwrap(), 3).unwrap();
    assert_eq!(values(&back), values(&input));
    let error = pixel_unshuffle(&random((1, 6, 4, 1), 1), 3).unwrap_err().to_string();
    assert!(error.contains("6 x 4 and factor 3"), "{error}");
}
