//! Reads the published values of `tests/fixtures/method` and compares with them.
//!
//! Tensors of rank 4 are stored with channels second; they come out channels last, which turns
//! `[B, C, H, W]` into `[B, H, W, C]`, `[K, C, R, S]` into `[K, R, S, C]` and the transposed head's
//! `[C, K, R, S]` into `[C, R, S, K]`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use duomo_ops::cuda::runners::Place;

/// The largest error allowed against the `f64` values.
///
/// The published values need 1e-12 in `f64` and 5e-5 in `f32` of PyTorch itself.
pub(crate) fn tolerance(place: &Place) -> f64 {
    if place.dtype == DType::F64 { 1e-9 } else { 1e-4 }
}

/// The tensors of one file.
pub(crate) struct Fixture {
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

impl Fixture {
    pub(crate) fn open(name: &str) -> Result<Self> {
        let stored = candle_core::safetensors::load(path(name), &Device::Cpu)?;
        let channels_last = |(name, tensor): (String, Tensor)| Ok((name, channels_last(&tensor)?));
        Ok(Self { tensors: stored.into_iter().map(channels_last).collect::<Result<_>>()? })
    }

    /// A tensor as stored: `f32` inputs, `f64` results, `u8` labels.
    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("the fixture has no tensor {name}"))
    }

    #[track_caller]
    pub(crate) fn assert_close(&self, name: &str, actual: &Tensor, tolerance: f64) {
        let expected = self.get(name);
        let error = relative_error(actual, expected).unwrap();
        let (dtype, device) = (actual.dtype(), actual.device());
        assert!(error <= tolerance, "{name} in {dtype:?} on {device:?}: error {error:e}");
    }
}

pub(crate) fn path(name: &str) -> String {
    format!("{}/../../tests/fixtures/method/{name}.safetensors", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    if tensor.rank() == 4 { tensor.permute((0, 2, 3, 1))?.contiguous() } else { Ok(tensor.clone()) }
}

/// Largest difference over largest expected value.
pub(crate) fn relative_error(actual: &Tensor, expected: &Tensor) -> Result<f64> {
    assert_eq!(actual.dims(), expected.dims(), "shapes differ");
    let values = |tensor: &Tensor| {
        let here = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        here.flatten_all()?.to_vec1::<f64>()
    };
    let (actual, expected) = (values(actual)?, values(expected)?);
    let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let differences = actual.iter().zip(&expected).map(|(a, e)| (a - e).abs());
    // A NaN must not pass as a small difference.
    let difference = differences.fold(0.0, |d, x| if x <= d { d } else { x });
    Ok(difference / largest.max(f64::MIN_POSITIVE))
}
