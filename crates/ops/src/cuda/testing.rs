//! Helpers of the kernels' tests.

use candle_core::{DType, Device, Shape, Tensor};

use crate::testing::{random, relative_difference};

/// Random numbers as tensors of both types and as the kernels' input.
pub(crate) struct Numbers {
    /// `f64`.
    pub(crate) wide: Tensor,
    /// `f32`, of the same value.
    pub(crate) narrow: Tensor,
    pub(crate) values: Vec<f32>,
}

impl Numbers {
    pub(crate) fn random(shape: impl Into<Shape>, seed: u64) -> Self {
        Self::new(&random(shape, seed))
    }

    pub(crate) fn new(tensor: &Tensor) -> Self {
        let narrow = tensor.to_dtype(DType::F32).unwrap();
        let wide = narrow.to_dtype(DType::F64).unwrap();
        Self { values: floats(&narrow), wide, narrow }
    }
}

/// The elements of a tensor in order, rounded to `f32`.
pub(crate) fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Holds what kernels returned to an expected tensor, relative to its largest element.
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &Tensor, tolerance: f64) {
    let actual = Tensor::from_slice(actual, expected.shape(), &Device::Cpu).unwrap();
    let difference = relative_difference(&actual, expected);
    assert!(difference <= tolerance, "{what} {:?} is off by {difference:e}", expected.dims());
}
