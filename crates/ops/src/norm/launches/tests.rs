//! Eq. (1) by the CUDA kernels against the CPU's reference in `f64`.

use candle_core::{DType, Tensor};

use super::{backward, follow, forward, scales, statistics};
use crate::batch_norm_leaky_relu;
use crate::cuda::{
    runners::{Runner, runners},
    testing::{Numbers, assert_close},
};
use crate::norm::{Dims, NormOptions};
use crate::testing::{run, values};

const OPTIONS: NormOptions = NormOptions { epsilon: 1e-3, slope: 0.2 };

struct Case {
    input: Numbers,
    gamma: Numbers,
    beta: Numbers,
    gradient: Numbers,
    rows: Vec<usize>,
}

impl Case {
    fn new(shape: [usize; 4], table_rows: usize, rows: &[usize]) -> Self {
        let table = |seed| Numbers::random((table_rows, shape[3]), seed);
        Self {
            input: Numbers::random(&shape[..], 1),
            gamma: table(2),
            beta: table(3),
            // What `testing::run` differentiates with.
            gradient: Numbers::random(&shape[..], 99),
            rows: rows.to_vec(),
        }
    }

    fn dims(&self) -> Dims {
        let tables = [&self.gamma.wide, &self.beta.wide];
        Dims::new(self.input.wide.dims4().unwrap(), tables, &self.rows, OPTIONS).unwrap()
    }

    fn assert_equals_reference(&self, runner: &Runner, tolerance: f64) {
        let Self { input, gamma, beta, gradient, rows } = self;
        let moments = runner.run(&statistics(self.dims(), rows).unwrap(), &[&input.values]);
        let [mean, variance, biased, shift] = &moments[..] else { panic!("four outputs") };
        let program = scales(mean.len(), true, OPTIONS).unwrap();
        let outputs = runner.run(&program, &[biased, shift]);
        let [rest, inverse] = &outputs[..] else { panic!("two outputs") };
        let inputs = [&input.values[..], &gamma.values, &beta.values, mean, rest, inverse];
        let out = &runner.run(&forward(self.dims(), rows).unwrap(), &inputs)[0];

        let (expected, batch) =
            batch_norm_leaky_relu(&input.wide, &gamma.wide, &beta.wide, rows, OPTIONS).unwrap();
        let what = format!("{runner:?} {rows:?}");
        assert_close(&what, out, &expected, tolerance);
        let (means, variances) = (batch.mean().unwrap(), batch.variance().unwrap());
        for (actual, expected) in [(mean, means), (variance, variances)] {
            let expected = Tensor::from_vec(expected, gamma.wide.shape(), gamma.wide.device());
            assert_close(&what, actual, &expected.unwrap(), tolerance);
        }

        let inputs: [&[f32]; 7] =
            [&input.values, &gradient.values, &gamma.values, &beta.values, mean, rest, inverse];
        let gradients = runner.run(&backward(self.dims(), rows).unwrap(), &inputs);
        let tensors = [&input.wide, &gamma.wide, &beta.wide].map(Tensor::clone);
        let (_, expected) = run(&tensors, DType::F64, &|t| {
            Ok(batch_norm_leaky_relu(&t[0], &t[1], &t[2], rows, OPTIONS)?.0)
        });
        for (actual, expected) in gradients.iter().zip(&expected) {
            assert_close(&what, actual, expected, 2.0 * tolerance);
        }
    }
}

#[test]
fn equals_the_reference_at_every_kind_of_border() {
    let cases = [
        Case::new([1, 1, 2, 1], 1, &[0]),
        Case::new([2, 3, 5, 3], 2, &[0, 1]), // lanes beyond the channels
        Case::new([1, 32, 32, 4], 1, &[0]),  // exactly one segment
        Case::new([1, 25, 41, 2], 1, &[0]),  // one pixel more
        Case::new([3, 9, 7, 33], 4, &[1, 0, 1]), // one channel more than lanes, rows unused
        Case::new([4, 40, 40, 5], 2, &[1, 0, 0, 1]), // several segments, slices of rows mixed
        Case::new([2, 4, 4, 70], 1, &[0, 0]), // several tiles of channels
    ];
    for (case, runner) in
        cases.iter().flat_map(|case| runners().into_iter().map(move |r| (case, r)))
    {
        case.assert_equals_reference(&runner, 1e-5);
    }
}

#[test]
fn a_large_mean_does_not_drown_the_variance() {
    let mut case = Case::new([2, 40, 30, 3], 1, &[0, 0]);
    case.input = Numbers::new(&((case.input.wide * 0.125).unwrap() + 4096.0).unwrap());
    for runner in runners() {
        // The sums of the gradient meet the input's own rounding.
        case.assert_equals_reference(&runner, 1e-5);
    }
}

#[test]
fn an_outlier_in_front_does_not_drown_the_variance() {
    let mut case = Case::new([1, 30, 30, 1], 1, &[0]);
    let mut values = case.input.values.clone();
    values[0] = 1e4;
    let values = Tensor::from_vec(values, case.input.wide.shape(), case.input.wide.device());
    case.input = Numbers::new(&values.unwrap().to_dtype(DType::F64).unwrap());
    for runner in runners() {
        // Beside a deviation of 333, the sum that makes the gradient of γ is a small difference.
        case.assert_equals_reference(&runner, 1e-4);
    }
}

#[test]
fn given_statistics_are_used_as_the_equation_says() {
    let Case { input, gamma, beta, .. } = Case::new([3, 6, 5, 7], 2, &[0; 3]);
    let (mean, rows) = (Numbers::random((2, 7), 5), [1, 0, 1]);
    let variance = Numbers::new(&mean.wide.sqr().unwrap());
    let tables = [&gamma.wide, &beta.wide];
    let dims = Dims::new(input.wide.dims4().unwrap(), tables, &rows, OPTIONS).unwrap();
    let [g, b, m, v] = [&gamma, &beta, &mean, &variance].map(|table| values(&table.wide));
    let of = |(place, x): (usize, f64)| {
        let at = rows[place / (6 * 5 * 7)] * 7 + place % 7;
        let z = g[at] * (x - m[at]) / (v[at] + OPTIONS.epsilon).sqrt() + b[at];
        if z > 0.0 { z } else { OPTIONS.slope * z }
    };
    let expected: Vec<f64> = values(&input.wide).into_iter().enumerate().map(of).collect();
    let expected = Tensor::from_vec(expected, input.wide.shape(), input.wide.device()).unwrap();
    for runner in runners() {
        let program = scales(2 * 7, false, OPTIONS).unwrap();
        let outputs = runner.run(&program, &[&variance.values]);
        let [rest, inverse] = &outputs[..] else { panic!("two outputs") };
        let tables = [&gamma, &beta, &mean].map(|table| &table.values[..]);
        let inputs = [&[&input.values[..]], &tables[..], &[rest, inverse]].concat();
        let outputs = runner.run(&forward(dims, &rows).unwrap(), &inputs);
        assert_close("inference", &outputs[0], &expected, 1e-6);
    }
}

#[test]
fn running_statistics_follow_in_rows_that_the_batch_holds() {
    let case = Case::new([2, 2, 2, 300], 3, &[2, 0]);
    let (running, batch) = (&case.gamma, &case.beta);
    let moved = ((&running.wide * 0.9).unwrap() + (&batch.wide * 0.1).unwrap()).unwrap();
    let row = |of: &Tensor, row: usize| of.narrow(0, row, 1).unwrap();
    let expected =
        Tensor::cat(&[row(&moved, 0), row(&running.wide, 1), row(&moved, 2)], 0).unwrap();
    for runner in runners() {
        let program = follow(case.dims(), &case.rows, 0.9).unwrap();
        let outputs = runner.run(&program, &[&running.values, &batch.values]);
        assert_close("follow", &outputs[0], &expected, 1e-6);
    }
}
