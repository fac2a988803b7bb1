//! Helpers of the tests: random tensors, gradients by central differences, and the fixtures.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Shape, Tensor, Var};

use crate::cuda::runners::{Place, devices, places};
use crate::dropout::split_mix;

/// An operation under test, as a function of its tensors.
pub(crate) type Operation<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

/// The gradients of an operation, as a function of its tensors and the gradient of its result.
pub(crate) type Gradients<'a> = &'a dyn Fn(&[Tensor], &Tensor) -> Result<Vec<Tensor>>;

/// Numbers uniform in `[-1, 1)`, `f64`, exactly representable as `f32`.
pub(crate) fn random(shape: impl Into<Shape>, seed: u64) -> Tensor {
    let shape = shape.into();
    let draw =
        |index: usize| (split_mix(seed, index as u64) >> 41) as f64 / f64::from(1 << 22) - 1.0;
    let values: Vec<f64> = (0..shape.elem_count()).map(draw).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The largest difference, relative to the largest expected value.
pub(crate) fn relative_difference(actual: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(actual.dims(), expected.dims());
    let [actual, expected] = [actual, expected].map(values);
    assert!(actual.iter().all(|x| x.is_finite()));
    let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let difference =
        actual.iter().zip(&expected).fold(0.0, |worst: f64, (a, e)| worst.max((a - e).abs()));
    difference / largest.max(f64::MIN_POSITIVE)
}

/// All elements in order, as `f64`, from wherever they are.
pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    let here = tensor.to_device(&Device::Cpu).unwrap();
    here.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The result for `inputs` in the given type on the CPU, and the gradients of `Σ result · probe`.
pub(crate) fn run(
    inputs: &[Tensor],
    dtype: DType,
    operation: Operation<'_>,
) -> (Tensor, Vec<Tensor>) {
    run_at(inputs, &Place::on_cpu(dtype), operation)
}

/// [`run`], anywhere.
fn run_at(inputs: &[Tensor], place: &Place, operation: Operation<'_>) -> (Tensor, Vec<Tensor>) {
    probed(inputs, place, operation, |output| random(output.dims(), 99))
}

fn probed(
    inputs: &[Tensor],
    place: &Place,
    operation: Operation<'_>,
    probe: impl FnOnce(&Tensor) -> Tensor,
) -> (Tensor, Vec<Tensor>) {
    let var = |input: &Tensor| Var::from_tensor(&place.put(input).unwrap()).unwrap();
    let vars: Vec<Tensor> = inputs.iter().map(|input| var(input).into_inner()).collect();
    let output = operation(&vars).unwrap();
    let probe = place.put(&probe(&output)).unwrap();
    let gradients = (&output * &probe).unwrap().sum_all().unwrap().backward().unwrap();
    let gradients = vars.iter().map(|var| gradients.get(var).unwrap().clone()).collect();
    (output, gradients)
}

/// Holds every gradient in `f64` to central differences.
pub(crate) fn assert_gradients(inputs: &[Tensor], operation: Operation<'_>) {
    const STEP: f64 = 1e-5;
    let (_, gradients) = run(inputs, DType::F64, operation);
    let objective = |inputs: &[Tensor]| {
        let output = operation(inputs).unwrap();
        let probe = random(output.dims(), 99);
        values(&output).iter().zip(values(&probe)).map(|(y, p)| y * p).sum::<f64>()
    };
    for (which, gradient) in gradients.iter().enumerate() {
        let shifted = |index: usize, by: f64| {
            let mut moved = inputs.to_vec();
            let mut entries = values(&inputs[which]);
            entries[index] += by;
            moved[which] = Tensor::from_vec(entries, inputs[which].shape(), &Device::Cpu).unwrap();
            objective(&moved)
        };
        let numeric = (0..inputs[which].elem_count())
            .map(|index| (shifted(index, STEP) - shifted(index, -STEP)) / (2.0 * STEP));
        let numeric = Tensor::from_vec(numeric.collect(), gradient.shape(), &Device::Cpu).unwrap();
        let difference = relative_difference(gradient, &numeric);
        // Central differences of smooth functions are good to about STEP².
        assert!(difference < 1e-7, "gradient {which} is off by {difference:e}");
    }
}

/// Holds the gradients that `gradients` returns for inputs and the gradient of the result to those of the
/// graph, bit for bit, in every place; on a card, whose libraries may add in any order, to 1e-5.
pub(crate) fn assert_gradients_without_graph(
    inputs: &[Tensor],
    operation: Operation<'_>,
    gradients: Gradients<'_>,
) {
    assert_gradients_without_graph_at(&places(), inputs, operation, gradients);
}

/// [`assert_gradients_without_graph`] in these places.
pub(crate) fn assert_gradients_without_graph_at(
    places: &[Place],
    inputs: &[Tensor],
    operation: Operation<'_>,
    gradients: Gradients<'_>,
) {
    for place in places {
        let (output, expected) = run_at(inputs, place, operation);
        let probe = place.put(&random(output.dims(), 99)).unwrap();
        let inputs: Vec<_> = inputs.iter().map(|input| place.put(input).unwrap()).collect();
        let actual = gradients(&inputs, &probe).unwrap();
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(&expected) {
            assert!(!actual.track_op() && actual.dims() == expected.dims());
            if place.device.is_cpu() {
                assert_eq!(values(actual), values(expected), "{place:?}");
            } else {
                assert!(relative_difference(actual, expected) < 1e-5, "{place:?}");
            }
        }
    }
}

/// Holds the `f32` result and gradients to those in `f64`, on every device.
pub(crate) fn assert_fast_equals_reference(inputs: &[Tensor], operation: Operation<'_>) {
    assert_equals_reference_on(&devices(), inputs, operation);
}

/// [`assert_fast_equals_reference`] on these devices.
pub(crate) fn assert_equals_reference_on(
    devices: &[Device],
    inputs: &[Tensor],
    operation: Operation<'_>,
) {
    let (expected, expected_gradients) = run(inputs, DType::F64, operation);
    for device in devices {
        let place = Place { dtype: DType::F32, device: device.clone() };
        let (actual, actual_gradients) = run_at(inputs, &place, operation);
        let difference = relative_difference(&actual, &expected);
        // Sums of hundreds of products in f32.
        assert!(difference < 1e-5, "{place:?}: result is off by {difference:e}");
        let pairs = actual_gradients.iter().zip(&expected_gradients);
        for (which, (actual, expected)) in pairs.enumerate() {
            let difference = relative_difference(actual, expected);
            assert!(difference < 1e-5, "{place:?}: gradient {which} is off by {difference:e}");
        }
    }
}

/// One building block's tensors, names without the block's.
pub(crate) struct Block(HashMap<String, Tensor>);

impl Block {
    pub(crate) fn load(name: &str) -> Self {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/method/blocks.safetensors");
        let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        let prefix = format!("{name}.");
        let own = tensors.into_iter().filter_map(|(key, tensor)| {
            let key = key.strip_prefix(&prefix)?.to_owned();
            Some((key, tensor.to_dtype(DType::F64).unwrap()))
        });
        Self(own.collect())
    }

    /// A tensor as stored, `f64`.
    pub(crate) fn get(&self, name: &str) -> Tensor {
        self.0[name].clone()
    }

    /// A tensor stored channels first, channels last.
    pub(crate) fn channels_last(&self, name: &str) -> Tensor {
        self.0[name].permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
    }

    /// The result for `inputs` and the gradients of `Σ result · probe` with the probe of the block.
    pub(crate) fn run(
        &self,
        inputs: &[Tensor],
        place: &Place,
        operation: Operation<'_>,
    ) -> (Tensor, Vec<Tensor>) {
        probed(inputs, place, operation, |_| self.channels_last("probe"))
    }
}

/// The tolerance of a comparison with the fixtures: nine digits in `f64`, four in `f32`.
pub(crate) fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-9 } else { 1e-4 }
}
