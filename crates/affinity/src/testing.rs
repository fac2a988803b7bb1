//! What the tests of every module share: random inputs, fixtures and comparisons.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use duomo_ops::cuda::runners::Place;

/// Names of the fixture files, `affinity_*.safetensors`.
pub(crate) const FIXTURES: [&str; 9] = [
    "plain",
    "absent_class",
    "zero_channel",
    "finer_l",
    "finer_k",
    "three_modalities",
    "one_slice",
    "batches_differ",
    "background_only",
];

/// A fixture file; its README says what each tensor is and where it comes from.
pub(crate) struct Fixture(HashMap<String, Tensor>);

impl Fixture {
    pub(crate) fn load(name: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/method");
        let path = format!("{folder}/affinity_{name}.safetensors");
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Tensor> {
        self.0.get(key)
    }

    /// Number of modalities.
    pub(crate) fn modalities(&self) -> usize {
        (0..9).take_while(|i| self.0.contains_key(&format!("m{i}.labels"))).count()
    }

    pub(crate) fn labels(&self, modality: usize) -> &Tensor {
        &self.0[&format!("m{modality}.labels")]
    }

    pub(crate) fn classes(&self) -> usize {
        self.0["m0.present"].elem_count()
    }

    /// The map of layer `l` or `k`, channels last.
    pub(crate) fn features(&self, modality: usize, layer: &str, place: &Place) -> Var {
        let stored = &self.0[&format!("m{modality}.features_{layer}")];
        moved(&channels_last(stored), place)
    }
}

/// `[B, M, h, w]` to `[B, h, w, M]`.
pub(crate) fn channels_last(stored: &Tensor) -> Tensor {
    stored.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

/// A repeatable stream of numbers: splitmix64.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in −0.75..1.25, so that means are not 0.
    pub(crate) fn value(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 0.75
    }

    pub(crate) fn features(&mut self, shape: impl Into<Shape>, dtype: DType) -> Var {
        let shape = shape.into();
        let values: Vec<f64> = (0..shape.elem_count()).map(|_| self.value()).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap()
    }

    pub(crate) fn labels(&mut self, shape: (usize, usize, usize), classes: u8) -> Tensor {
        let count = shape.0 * shape.1 * shape.2;
        let label = |bits: u64| u8::try_from(bits % u64::from(classes)).unwrap();
        let values: Vec<u8> = (0..count).map(|_| label(self.next() >> 7)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// A permutation of `0..count`.
    pub(crate) fn shuffle(&mut self, count: u32) -> Tensor {
        let mut keyed: Vec<(u64, u32)> = (0..count).map(|i| (self.next(), i)).collect();
        keyed.sort_unstable();
        let order: Vec<u32> = keyed.into_iter().map(|(_, i)| i).collect();
        Tensor::new(order, &Device::Cpu).unwrap()
    }
}

/// A variable of these numbers, in another place.
pub(crate) fn moved(tensor: &Tensor, place: &Place) -> Var {
    Var::from_tensor(&place.put(tensor).unwrap()).unwrap()
}

/// `of_f64`, or 1e-4 in `f32`.
pub(crate) fn tolerance(place: &Place, of_f64: f64) -> f64 {
    if place.dtype == DType::F64 { of_f64 } else { 1e-4 }
}

/// The elements in order, from wherever they are.
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    let here = tensor.to_device(&Device::Cpu).unwrap();
    here.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference over the largest value of `expected` (over 1e-12 where that is smaller).
pub(crate) fn relative_difference(actual: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(1e-12f64, |largest, value| largest.max(value.abs()));
    let differences = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    assert!(actual.iter().all(|value| value.is_finite()));
    differences.fold(0.0, f64::max) / largest
}

/// The gradient of `loss` at `var` by central differences in every element, for `f64`.
pub(crate) fn central_differences(var: &Var, loss: impl Fn() -> Result<Tensor>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let original = numbers(var);
    let at = |index: usize, step: f64| {
        let mut moved = original.clone();
        moved[index] += step;
        var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
        loss().unwrap().to_scalar::<f64>().unwrap()
    };
    let gradient =
        (0..original.len()).map(|i| (at(i, STEP) - at(i, -STEP)) / (2.0 * STEP)).collect();
    var.set(&Tensor::from_vec(original.clone(), var.shape(), &Device::Cpu).unwrap()).unwrap();
    gradient
}

/// The gradient of `loss` at `var` by backpropagation.
pub(crate) fn gradient(loss: &Tensor, var: &Var) -> Vec<f64> {
    numbers(loss.backward().unwrap().get(var).expect("the loss depends on the variable"))
}
