use candle_core::{DType, Tensor, Var};

use super::{max_pool2, max_pool2_gradient};
use crate::cuda::runners::{devices, places};
use crate::testing::{
    assert_fast_equals_reference, assert_gradients, assert_gradients_without_graph, random, values,
};

/// The maximum of every window by its definition.
fn reference(input: &Tensor) -> Vec<f64> {
    let (batch, height, width, channels) = input.dims4().unwrap();
    let x = values(input);
    let at = |b, i, j, c| x[((b * height + i) * width + j) * channels + c];
    let mut maxima = vec![];
    for (b, i) in (0..batch).flat_map(|b| (0..height / 2).map(move |i| (b, i))) {
        for (j, c) in (0..width / 2).flat_map(|j| (0..channels).map(move |c| (j, c))) {
            let window =
                [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(p, q)| at(b, 2 * i + p, 2 * j + q, c));
            maxima.push(window.into_iter().fold(f64::MIN, f64::max));
        }
    }
    maxima
}

#[test]
fn is_the_maximum_of_every_window() {
    for shape in [(2, 4, 6, 3), (1, 5, 7, 4), (2, 8, 8, 16), (1, 1, 4, 2)] {
        for place in places() {
            let input = random(shape, 1);
            let output = max_pool2(&place.put(&input).unwrap()).unwrap();
            assert_eq!(output.dims(), [shape.0, shape.1 / 2, shape.2 / 2, shape.3]);
            assert_eq!(values(&output), reference(&input), "{place:?}");
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    for shape in [(2, 4, 6, 3), (1, 5, 7, 2)] {
        assert_gradients(&[random(shape, 1)], &|t| max_pool2(&t[0]));
        assert_fast_equals_reference(&[random(shape, 1)], &|t| max_pool2(&t[0]));
    }
}

#[test]
fn of_equal_values_the_first_takes_the_whole_gradient() {
    for device in devices() {
        let image = Var::zeros((1, 2, 2, 1), DType::F32, &device).unwrap();
        let gradients = max_pool2(&image).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(values(gradients.get(&image).unwrap()), [1.0, 0.0, 0.0, 0.0], "{device:?}");
    }
}

#[test]
fn a_nan_is_not_hidden() {
    for device in devices() {
        let image = Tensor::new(&[1f32, f32::NAN, 3.0, 4.0], &device).unwrap();
        let output = max_pool2(&image.reshape((1, 2, 2, 1)).unwrap()).unwrap();
        assert!(values(&output)[0].is_nan(), "{device:?}");
    }
}

#[test]
fn takes_tensors_that_are_not_contiguous() {
    assert_gradients(&[random((1, 3, 4, 6), 1)], &|t| {
        max_pool2(&t[0].permute((0, 2, 3, 1))?)?.permute((0, 3, 1, 2))
    });
}

#[test]
fn gradients_without_a_graph_are_the_same() {
    let input = random((2, 5, 6, 3), 1);
    assert_gradients_without_graph(
        std::slice::from_ref(&input),
        &|t| max_pool2(&t[0]),
        &|t, gradient| Ok(vec![max_pool2_gradient(&t[0], gradient)?]),
    );
    let error = max_pool2_gradient(&input, &random((2, 3, 3, 3), 2)).unwrap_err().to_string();
    assert!(error.contains("[2, 3, 3, 3]") && error.contains("[2, 2, 3, 3]"), "{error}");
}
