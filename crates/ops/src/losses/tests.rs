//! The losses by the CUDA kernels against the reference, and their gradients by its differences.

use candle_core::{Device, Tensor};

use super::{launches, reference};
use crate::cuda::{
    Argument::{self, Read, Write},
    Buffer, Launch, Program,
    runners::runners,
    testing::{Numbers, assert_close},
};
use crate::testing::values;

/// Weights of the two losses in the objective.
const INCOMING: [f32; 2] = [1.5, 0.7];

const STEP: f64 = 1e-5;

/// Pixels and classes; a block sums 1024 pixels.
const CASES: [(usize, usize); 5] = [(1, 1), (7, 2), (1024, 3), (1025, 5), (4000, 4)];

/// Logits far enough apart that some probabilities are clipped.
fn logits(pixels: usize, classes: usize) -> Numbers {
    Numbers::new(&(Numbers::random((pixels, classes), 1).wide * 6.0).unwrap())
}

/// All classes but the last, in no order.
fn labels(pixels: usize, classes: usize) -> Vec<u8> {
    let last = classes.max(2) - 1;
    (0..pixels).map(|pixel| u8::try_from((pixel * pixel + pixel / 3) % last).unwrap()).collect()
}

/// `∂ objective / ∂ logits` by central differences at every `stride`-th logit, with their places.
fn differences(
    logits: &Numbers,
    stride: usize,
    objective: impl Fn(&[f64]) -> f64,
) -> Vec<(usize, f64)> {
    let mut z = values(&logits.wide);
    let at = |place: usize| {
        let before = z[place];
        let mut moved = |by: f64| {
            z[place] = before + by;
            objective(&z)
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        z[place] = before;
        (place, slope)
    };
    (0..logits.values.len()).step_by(stride).map(at).collect()
}

fn assert_slopes(what: &str, gradient: &[f32], expected: &[(usize, f64)]) {
    let (places, slopes): (Vec<usize>, Vec<f64>) = expected.iter().copied().unzip();
    let actual: Vec<f32> = places.iter().map(|&place| gradient[place]).collect();
    let expected = Tensor::from_vec(slopes, places.len(), &Device::Cpu).unwrap();
    assert_close(what, &actual, &expected, 2e-5);
}

#[test]
fn dice_and_cross_entropy_with_their_gradient_are_those_of_the_reference() {
    for (pixels, classes) in CASES {
        let (logits, labels) = (logits(pixels, classes), labels(pixels, classes));
        let losses = reference::segmentation(&values(&logits.wide), &labels, classes);
        let expected = Tensor::new(&losses, &Device::Cpu).unwrap();
        let [dice, cross_entropy] = INCOMING.map(f64::from);
        let slopes = differences(&logits, 1 + pixels / 50, |z| {
            let losses = reference::segmentation(z, &labels, classes);
            dice * losses[0] + cross_entropy * losses[1]
        });
        for runner in runners() {
            let what = format!("{runner:?} {pixels} {classes}");
            let program = launches::segmentation(&labels, classes).unwrap();
            let outputs = runner.run(&program, &[&logits.values]);
            assert_close(&what, &outputs[0], &expected, 1e-6);

            let program = launches::segmentation_gradient(&labels, classes).unwrap();
            let gradient = runner.run(&program, &[&logits.values, &outputs[1], &INCOMING]);
            assert_slopes(&what, &gradient[0], &slopes);
        }
    }
}

#[test]
fn class_means_with_their_gradient_are_those_of_the_reference() {
    for (pixels, classes) in CASES {
        let (logits, labels) = (logits(pixels, classes), labels(pixels, classes));
        let means = reference::class_means(&values(&logits.wide), &labels, classes);
        let shape = (classes, classes + 1);
        let expected = Tensor::from_vec(means, shape, &Device::Cpu).unwrap();
        let incoming = Numbers::random(shape, 2);
        let probe = values(&incoming.wide);
        let slopes = differences(&logits, 1 + pixels / 50, |z| {
            let means = reference::class_means(z, &labels, classes);
            // The counts have no part in the objective: their gradient is ignored.
            let numbers = means.iter().zip(&probe).enumerate();
            let kept = numbers.filter(|(place, _)| place % (classes + 1) < classes);
            kept.map(|(_, (mean, probe))| mean * probe).sum()
        });
        for runner in runners() {
            let what = format!("{runner:?} {pixels} {classes}");
            let program = launches::class_means(&labels, classes).unwrap();
            let means = runner.run(&program, &[&logits.values]);
            assert_close(&what, &means[0], &expected, 1e-6);

            let program = launches::class_means_gradient(&labels, classes).unwrap();
            let gradient = runner.run(&program, &[&incoming.values, &means[0]]);
            assert_slopes(&what, &gradient[0], &slopes);
        }
    }
}

#[test]
fn more_blocks_than_threads_are_summed() {
    let (blocks, numbers) = (600, 3);
    let parts = Numbers::random((blocks, numbers), 1);
    let mut program = Program::new(launches::SOURCE);
    let [input, totals] = [Buffer::Input, Buffer::Output(numbers)].map(|b| program.buffer(b));
    let arguments = vec![Write(totals), Read(input), Argument::count(blocks).unwrap()];
    let (grid, threads) = ([numbers, 1, 1], Program::THREADS);
    program.launch(Launch { kernel: "sum_of_blocks", grid, threads, arguments });
    for runner in runners() {
        let outputs = runner.run(&program, &[&parts.values]);
        assert_close("sums", &outputs[0], &parts.wide.sum(0).unwrap(), 1e-6);
    }
}

#[test]
fn what_is_not_a_number_stays_visible() {
    let mut logits = logits(30, 3).values;
    logits[40] = f32::NAN;
    for runner in runners() {
        let program = launches::segmentation(&labels(30, 3), 3).unwrap();
        let losses = &runner.run(&program, &[&logits])[0];
        assert!(losses.iter().all(|loss| loss.is_nan()), "{runner:?} {losses:?}");
    }
}

#[test]
fn a_label_that_is_no_class_is_named() {
    let error = launches::segmentation(&[0, 2, 7, 1], 3).unwrap_err().to_string();

    assert!(error.starts_with("label 7 at pixel 2 of the batch is not a class"), "{error}");
}
