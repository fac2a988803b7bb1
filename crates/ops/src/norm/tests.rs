//! The norm on the CPU; a card's statistics and [`Activation`] are tested in `launches/tests.rs` and `cuda/card/tests.rs`.

use candle_core::{DType, Device, Tensor};

use super::{Activation, NormOptions, batch_norm_leaky_relu};
use crate::cuda::runners::{Place, places};
use crate::testing::{
    Block, assert_equals_reference_on, assert_gradients, assert_gradients_without_graph_at, random,
    relative_difference, run, tolerance, values,
};

const OPTIONS: NormOptions = NormOptions { epsilon: 1e-3, slope: 0.2 };

#[test]
fn equals_pytorch_with_its_gradients() {
    for (name, rows) in [("norm", [0, 0, 1, 1]), ("norm_shared", [0; 4])] {
        let block = Block::load(name);
        let inputs = [block.channels_last("input"), block.get("gamma"), block.get("beta")];
        for dtype in [DType::F64, DType::F32] {
            let (output, gradients) = block.run(&inputs, &Place::on_cpu(dtype), &|t| {
                Ok(batch_norm_leaky_relu(&t[0], &t[1], &t[2], &rows, OPTIONS)?.0)
            });
            for (actual, expected) in [
                (&output, block.channels_last("train.output")),
                (&gradients[0], block.channels_last("grad.input")),
                (&gradients[1], block.get("grad.gamma")),
                (&gradients[2], block.get("grad.beta")),
            ] {
                let difference = relative_difference(actual, &expected);
                assert!(difference < tolerance(dtype), "{name} {dtype:?}: {difference:e}");
            }
        }
    }
}

#[test]
fn statistics_are_the_mean_and_the_unbiased_variance_of_each_row() {
    let input = random((4, 5, 7, 3), 1);
    let table = random((2, 3), 2);
    let rows = [1, 0, 1, 1];
    for dtype in [DType::F64, DType::F32] {
        let [input, table] = [&input, &table].map(|t| t.to_dtype(dtype).unwrap());
        let (_, statistics) =
            batch_norm_leaky_relu(&input, &table, &table, &rows, OPTIONS).unwrap();
        let (means, variances) = (statistics.mean().unwrap(), statistics.variance().unwrap());
        let all = values(&input);
        for (entry, (row, c)) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)].iter().enumerate()
        {
            let own = |place: &usize| rows[place / 105] == *row && place % 3 == *c;
            let own: Vec<f64> = (0..all.len()).filter(own).map(|place| all[place]).collect();
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            let squares = own.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
            let variance = squares / (own.len() - 1) as f64;
            // The statistics are handed out as f32.
            assert!((f64::from(means[entry]) - mean).abs() < 1e-7);
            assert!((f64::from(variances[entry]) - variance).abs() < 1e-7);
        }
    }
}

#[test]
fn inference_equals_pytorch() {
    for (name, rows) in [("norm", [0, 0, 1, 1]), ("norm_shared", [0; 4])] {
        let block = Block::load(name);
        for place in places() {
            let get = |name: &str| place.put(&block.get(name)).unwrap();
            let tables = ["gamma", "beta"].map(get);
            let running = ["running_mean", "running_var"].map(get);
            let norm =
                Activation::of_running(tables.each_ref(), running.each_ref(), &rows, OPTIONS);
            let input = place.put(&block.channels_last("input")).unwrap();
            let output = norm.unwrap().apply(&input).unwrap();
            let difference = relative_difference(&output, &block.channels_last("eval.output"));
            assert!(difference < tolerance(place.dtype), "{name} {place:?}: {difference:e}");
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    let inputs = [random((3, 2, 3, 2), 1), random((3, 2), 2), random((3, 2), 3)];
    assert_gradients(&inputs, &|t| {
        Ok(batch_norm_leaky_relu(&t[0], &t[1], &t[2], &[2, 0, 2], OPTIONS)?.0)
    });
}

#[test]
fn fast_equals_reference_whatever_the_sizes() {
    for shape in [(1, 1, 2, 1), (4, 31, 33, 4), (4, 9, 9, 5), (4, 14, 14, 100), (4, 40, 40, 16)] {
        let (batch, .., channels) = shape;
        let rows: Vec<usize> = (0..batch).map(|b| [1, 0, 1, 3][b]).collect();
        let inputs = [random(shape, 1), random((4, channels), 2), random((4, channels), 3)];
        assert_equals_reference_on(&[Device::Cpu], &inputs, &|t| {
            Ok(batch_norm_leaky_relu(&t[0], &t[1], &t[2], &rows, OPTIONS)?.0)
        });
    }
}

#[test]
fn a_large_mean_does_not_drown_the_variance() {
    let input = (random((2, 30, 30, 3), 1) * 0.125).unwrap();
    let input = (input + 4096.0).unwrap().to_dtype(DType::F32).unwrap();
    let gamma = random((1, 3), 2).to_dtype(DType::F32).unwrap();
    let result = |input: &Tensor, gamma: &Tensor| {
        batch_norm_leaky_relu(input, gamma, gamma, &[0, 0], OPTIONS).unwrap()
    };
    let (output, statistics) = result(&input, &gamma);
    let [input, gamma] = [input, gamma].map(|t| t.to_dtype(DType::F64).unwrap());
    let (expected, expected_statistics) = result(&input, &gamma);
    assert!(relative_difference(&output, &expected) < 1e-5);
    let variances = [&statistics, &expected_statistics].map(|of| of.variance().unwrap());
    for (a, e) in variances[0].iter().zip(&variances[1]) {
        assert!((a / e - 1.0).abs() < 1e-5, "{a} {e}");
    }
}

#[test]
fn rows_without_slices_are_not_present_and_get_no_gradient() {
    let inputs = [random((2, 3, 3, 2), 1), random((3, 2), 2), random((3, 2), 3)];
    let [input, gamma, beta] = &inputs;
    let (_, statistics) = batch_norm_leaky_relu(input, gamma, beta, &[2, 0], OPTIONS).unwrap();
    assert_eq!(statistics.present(), [true, false, true]);
    let (_, gradients) = run(&inputs, DType::F32, &|t| {
        Ok(batch_norm_leaky_relu(&t[0], &t[1], &t[2], &[2, 0], OPTIONS)?.0)
    });
    assert_eq!(values(&gradients[1])[2..4], [0.0, 0.0]);
}

#[test]
fn does_not_depend_on_the_number_of_threads() {
    let inputs = [random((3, 40, 40, 6), 1), random((1, 6), 2), random((1, 6), 3)];
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (output, gradients) = pool.install(|| {
            run(&inputs, DType::F32, &|t| {
                Ok(batch_norm_leaky_relu(&t[0], &t[1], &t[2], &[0; 3], OPTIONS)?.0)
            })
        });
        [&output, &gradients[0], &gradients[1], &gradients[2]].map(values)
    };
    assert_eq!(bits(1), bits(3));
}

#[test]
fn errors_say_what_does_not_fit() {
    let message = |shape: (usize, usize, usize, usize), rows: &[usize]| {
        let table = random((2, 3), 2);
        let result = batch_norm_leaky_relu(&random(shape, 1), &table, &table, rows, OPTIONS);
        result.unwrap_err().to_string()
    };
    let channels = message((1, 2, 2, 4), &[0]);
    assert!(channels.contains("[2, 3] and [2, 3], expected [R, 4]"), "{channels}");
    let rows = message((1, 2, 2, 3), &[2]);
    assert!(rows.contains("got rows [2] for 1 slices"), "{rows}");
    let single = message((1, 1, 1, 3), &[1]);
    assert!(single.contains("row 1 has one value per channel"), "{single}");
}

#[test]
fn gradients_without_a_graph_are_the_same() {
    let rows = [1, 0, 1];
    let inputs = [random((3, 4, 5, 2), 1), random((2, 2), 2), random((2, 2), 3)];
    let forward = |t: &[Tensor]| batch_norm_leaky_relu(&t[0], &t[1], &t[2], &rows, OPTIONS);
    let norm = |t: &[Tensor]| Activation::of_batch(&t[1], &t[2], &rows, &forward(t)?.1, OPTIONS);
    let places = [DType::F64, DType::F32].map(Place::on_cpu);
    assert_gradients_without_graph_at(&places, &inputs, &|t| Ok(forward(t)?.0), &|t, gradient| {
        Ok(norm(t)?.gradients(&t[0], gradient)?.into())
    });

    let short = random((2, 4, 4, 2), 4);
    let norm = norm(&inputs).unwrap();
    let message = norm.gradients(&short, &short).unwrap_err().to_string();
    assert!(message.contains("got rows [1, 0, 1] for 2 slices"), "{message}");
    let message = norm.gradients(&inputs[0], &short).unwrap_err().to_string();
    assert!(message.contains("a gradient of shape [2, 4, 4, 2]"), "{message}");
}
