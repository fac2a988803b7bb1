//! The operations on tensors of a card against those on the CPU. Needs a card; says so where there is none.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::cuda::runners::card;
use crate::cuda::testing::{assert_close, floats};
use crate::cuda::{Download, Precision, upload, with_precision};
use crate::testing::{random, relative_difference, run};
use crate::{
    Activation, AdamOptions, AdamVariable, Conv2d, NormOptions, Padding, adam_update_all, add_skip,
    batch_norm_leaky_relu, batch_statistics, conv2d, conv2d_input_gradient, conv2d_kernel_gradient,
    dropout, losses, max_pool2, max_pool2_gradient, pixel_shuffle, pixel_unshuffle,
    transposed_conv2d, transposed_conv2d_gradients,
};

/// The same `f32` numbers on the CPU and on the card.
fn twins(shape: &[usize], seed: u64, device: &Device) -> Result<[Tensor; 2]> {
    let here = random(shape, seed).to_dtype(DType::F32)?;
    Ok([here.clone(), here.to_device(device)?])
}

fn difference(actual: &Tensor, expected: &Tensor) -> Result<f64> {
    Ok(relative_difference(&actual.to_device(&Device::Cpu)?, expected))
}

#[test]
fn what_moves_and_drops_numbers_has_the_bits_of_the_cpu() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let [here, there] = twins(&[2, 5, 7, 12], 1, &device)?;
    let [skip_cpu, on_card_skip] = twins(&[2, 5, 7, 4], 2, &device)?;
    let [pooled_cpu, on_card_pooled] = twins(&[2, 2, 3, 12], 3, &device)?;
    for (actual, expected) in [
        (dropout(&there, 0.25, 9)?, dropout(&here, 0.25, 9)?),
        (add_skip(&there, &on_card_skip)?, add_skip(&here, &skip_cpu)?),
        (pixel_shuffle(&there, 2)?, pixel_shuffle(&here, 2)?),
        (pixel_unshuffle(&on_card_pooled, 1)?, pixel_unshuffle(&pooled_cpu, 1)?),
        (max_pool2(&there)?, max_pool2(&here)?),
        (max_pool2_gradient(&there, &on_card_pooled)?, max_pool2_gradient(&here, &pooled_cpu)?),
    ] {
        assert_eq!(actual.dims(), expected.dims());
        assert_eq!(floats(&actual.to_device(&Device::Cpu)?), floats(&expected));
    }
    Ok(())
}

#[test]
fn numbers_go_up_and_come_down_however_many_there_are() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    for round in 0u16..40 {
        for length in [1usize, 3, 100_000] {
            let values: Vec<f32> =
                (0..length).map(|at| (at % 4096) as f32 + f32::from(round)).collect();
            let there = upload(&values, length, &device)?;
            let coming = Download::begin(&there)?;
            drop(there);
            assert_eq!(coming.arrived(), None);
            assert_eq!(coming.finish()?, values);
        }
    }
    Ok(())
}

#[test]
fn a_view_in_the_middle_of_a_storage_is_read_where_it_begins() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let [here, there] = twins(&[3, 4, 4, 5], 1, &device)?;
    let middle = |whole: &Tensor| max_pool2(&whole.narrow(0, 1, 1)?);
    assert_eq!(floats(&middle(&there)?.to_device(&Device::Cpu)?), floats(&middle(&here)?));
    Ok(())
}

#[test]
fn norms_train_and_predict_as_on_the_cpu() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let (rows, options) = ([1, 0, 1], NormOptions::default());
    let [here, there] = twins(&[3, 40, 30, 7], 1, &device)?;
    let [gamma_cpu, on_card_gamma] = twins(&[3, 7], 2, &device)?;
    let [beta_cpu, on_card_beta] = twins(&[3, 7], 3, &device)?;
    // What `testing::run` differentiates with.
    let [_, on_card_gradient] = twins(&[3, 40, 30, 7], 99, &device)?;

    let (expected, statistics) =
        batch_norm_leaky_relu(&here, &gamma_cpu, &beta_cpu, &rows, options)?;
    let on_card = batch_statistics(&there, &rows, 3)?;
    let norm = Activation::of_batch(&on_card_gamma, &on_card_beta, &rows, &on_card, options)?;
    assert!(difference(&norm.apply(&there)?, &expected)? < 1e-5);
    let (_, expected) = run(&[here, gamma_cpu, beta_cpu], DType::F32, &|t| {
        Ok(batch_norm_leaky_relu(&t[0], &t[1], &t[2], &rows, options)?.0)
    });
    let actual = norm.gradients(&there, &on_card_gradient)?;
    for (actual, expected) in actual.iter().zip(&expected) {
        assert!(difference(actual, expected)? < 2e-5);
    }

    let [mean, variance] = [0, 1].map(|_| Var::from_tensor(&on_card_gamma.zeros_like().unwrap()));
    let (mean, variance) = (mean?, variance?);
    on_card.lead([&mean, &variance], 0.9)?;
    let led = Tensor::from_vec(statistics.mean()?, (3, 7), &Device::Cpu)?;
    assert!(difference(&mean, &(led * 0.1)?)? < 1e-5);
    Ok(())
}

#[test]
fn given_statistics_are_used_as_on_the_cpu() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let (rows, options) = ([1, 0, 1], NormOptions::default());
    let [here, there] = twins(&[3, 6, 5, 7], 1, &device)?;
    let [gamma_cpu, on_card_gamma] = twins(&[3, 7], 2, &device)?;
    let [beta_cpu, on_card_beta] = twins(&[3, 7], 3, &device)?;
    let running = [&gamma_cpu, &beta_cpu.sqr()?];
    let expected = Activation::of_running([&gamma_cpu, &beta_cpu], running, &rows, options)?;
    let running = [&on_card_gamma, &on_card_beta.sqr()?];
    let tables = [&on_card_gamma, &on_card_beta];
    let actual = Activation::of_running(tables, running, &rows, options)?;
    assert!(difference(&actual.apply(&there)?, &expected.apply(&here)?)? < 1e-5);
    Ok(())
}

#[test]
fn convolutions_and_their_gradients_are_those_of_the_cpu() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let bounds = [(Precision::F32, 2e-5), (Precision::Tf32, 5e-3), (Precision::Bf16, 3e-2)];
    for &(precision, bound) in &bounds[..if cfg!(feature = "cudnn") { 3 } else { 1 }] {
        with_precision(precision, || {
            for (actual, expected) in convolutions(&device)?.iter().chain(&transposed(&device)?) {
                let off = difference(actual, expected)?;
                assert!(off < bound, "{precision:?} {:?}: {off:e}", expected.dims());
            }
            Ok::<_, candle_core::Error>(())
        })?;
    }
    Ok(())
}

/// Results and gradients on the card beside those on the CPU.
fn convolutions(device: &Device) -> Result<Vec<(Tensor, Tensor)>> {
    let mut pairs = Vec::new();
    for (padding, dilation, side) in
        [(Padding::Zero, 1, 3), (Padding::Zero, 2, 3), (Padding::Symmetric, 1, 5)]
    {
        let options = Conv2d { padding, dilation };
        let [x, x_there] = twins(&[2, 14, 12, 32], 1, device)?;
        let [w, w_there] = twins(&[64, side, side, 32], 2, device)?;
        let [g, g_there] = twins(&[2, 14, 12, 64], 3, device)?;
        let sides = (side, side);
        pairs.extend([
            (conv2d(&x_there, &w_there, options)?, conv2d(&x, &w, options)?),
            (
                conv2d_input_gradient(&g_there, &w_there, options)?,
                conv2d_input_gradient(&g, &w, options)?,
            ),
            (
                conv2d_kernel_gradient(&g_there, &x_there, sides, options)?,
                conv2d_kernel_gradient(&g, &x, sides, options)?,
            ),
        ]);
    }
    Ok(pairs)
}

fn transposed(device: &Device) -> Result<Vec<(Tensor, Tensor)>> {
    let mut pairs = Vec::new();
    for (stride, padding, side) in [(8, 4, 16), (2, 0, 3)] {
        let [x, x_there] = twins(&[2, 7, 6, 32], 4, device)?;
        let [w, w_there] = twins(&[32, side, side, 40], 5, device)?;
        let wide = transposed_conv2d(&x, &w, stride, padding)?;
        let [g, g_there] = twins(wide.dims(), 6, device)?;
        pairs.push((transposed_conv2d(&x_there, &w_there, stride, padding)?, wide));
        let here = transposed_conv2d_gradients(&x, &w, &g, stride, padding)?;
        let there = transposed_conv2d_gradients(&x_there, &w_there, &g_there, stride, padding)?;
        pairs.extend(there.into_iter().zip(here));
    }
    Ok(pairs)
}

#[test]
fn adam_moves_many_variables_as_on_the_cpu() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let moved = |side: usize| -> Result<Vec<Vec<f32>>> {
        let mut tensors = Vec::new();
        // More than one launch takes.
        for variable in 0..70 {
            let length = 1 + 97 * variable;
            let of = |seed: usize| Ok(twins(&[length], seed as u64, &device)?[side].clone());
            let var = |tensor: Result<Tensor>| Var::from_tensor(&tensor?);
            let zeros = || var(of(0)?.zeros_like());
            tensors.push((var(of(variable))?, zeros()?, zeros()?, of(variable + 100)?));
        }
        let update = |(var, mean, square, gradient): &(Var, Var, Var, Tensor)| -> Result<()> {
            let moments = (mean, square);
            let variable = AdamVariable { var, moments, gradient, l2: 0.01 };
            let loss = Tensor::new(1f32, var.device())?;
            adam_update_all(&[variable], &loss, 0.1, 1, AdamOptions::default())
        };
        if side == 0 {
            tensors.iter().try_for_each(update)?;
        } else {
            let variables: Vec<_> = tensors
                .iter()
                .map(|(var, mean, square, gradient)| AdamVariable {
                    var,
                    moments: (mean, square),
                    gradient,
                    l2: 0.01,
                })
                .collect();
            let loss = Tensor::new(1f32, &device)?;
            adam_update_all(&variables, &loss, 0.1, 1, AdamOptions::default())?;
        }
        tensors.iter().map(|(var, ..)| Ok(floats(&var.to_device(&Device::Cpu)?))).collect()
    };
    for (actual, expected) in moved(1)?.iter().zip(&moved(0)?) {
        let expected = Tensor::from_slice(expected, expected.len(), &Device::Cpu)?;
        assert_close("Adam", actual, &expected, 1e-6);
    }
    Ok(())
}

#[test]
fn losses_take_tensors_of_a_card_and_say_what_does_not_fit() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let logits = Var::zeros((1, 1, 2, 2), DType::F32, &device)?;
    let both = losses::segmentation(&logits, &[0, 1])?;
    // No opinion: 1 − 2·½ / (2·¼ + 1), and ½ ln 2.
    let expected = Tensor::new(&[1.0 / 3.0, 0.5 * 2f64.ln()], &Device::Cpu)?;
    assert!(difference(&both, &expected)? < 1e-6);
    let gradients = both.get(1)?.backward()?;
    let gradient = gradients.get(&logits).expect("the logits are a variable");
    let expected = Tensor::new(&[[[[-0.125, 0.125], [0.125, -0.125]]]], &Device::Cpu)?;
    assert!(difference(gradient, &expected)? < 1e-6);

    let means = losses::class_means(&logits, &[0, 1])?;
    assert_eq!(floats(&means.to_device(&Device::Cpu)?), [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    let gradients = means.sum_all()?.backward()?;
    let pulled = gradients.get(&logits).expect("the logits are a variable");
    let expected = Tensor::new(&[[[[1.0, 1.0], [1.0, 1.0]]]], &Device::Cpu)?;
    assert!(difference(pulled, &expected)? < 2e-6);
    let error = losses::segmentation(&logits, &[0]).unwrap_err().to_string();
    assert!(error.contains("got 1 labels for logits of shape [1, 1, 2, 2]"), "{error}");
    Ok(())
}
