//! Times the network's operations on the first NVIDIA card, in `f32`.
//!
//! Prints microseconds per call: `cargo run --release -p duomo-ops --features cuda --example time_kernels`.
//! `scripts/gpu_check_torch.py` times the same in PyTorch, row by row.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, Var};
use duomo_ops::cuda::{Precision, set_precision};
use duomo_ops::{
    Activation, AdamOptions, AdamVariable, Conv2d, NormOptions, Padding, adam_update_all,
    batch_statistics, conv2d, conv2d_input_gradient, conv2d_kernel_gradient, dropout, losses,
    max_pool2, max_pool2_gradient, pixel_shuffle, transposed_conv2d, transposed_conv2d_gradients,
};

const REPEATS: u32 = 50;

/// Slices of a step: 8 of each of two modalities.
const BATCH: usize = 16;

fn main() -> Result<()> {
    let device = Device::new_cuda(0)?;
    let random = |shape: &[usize]| Tensor::randn(0f32, 1., shape, &device);
    let all = [Precision::F32, Precision::Tf32, Precision::Bf16];
    for &precision in &all[..if cfg!(feature = "cudnn") { 3 } else { 1 }] {
        set_precision(precision);
        convolutions(&device, &random, precision)?;
    }
    for (channels, side) in [(16, 224), (512, 28)] {
        elementwise(&device, &random, channels, side)?;
    }
    let deep = random(&[BATCH, 28, 28, 2560])?;
    time(&device, "pixel_shuffle 2560 28²", || pixel_shuffle(&deep, 8).map(drop))?;
    let logits = Var::from_tensor(&random(&[8, 224, 224, 5])?)?;
    let labels: Vec<u8> = (0u8..5).cycle().take(8 * 224 * 224).collect();
    time(&device, "segmentation losses both ways 5 224²", || {
        losses::segmentation(&logits, &labels)?.sum_all()?.backward().map(drop)
    })?;
    adam(&device, &random)
}

type Random<'a> = &'a dyn Fn(&[usize]) -> Result<Tensor>;

fn convolutions(device: &Device, random: Random<'_>, precision: Precision) -> Result<()> {
    let options = Conv2d { padding: Padding::Zero, dilation: 1 };
    for (c, side) in [(16, 224), (64, 56), (256, 28), (512, 28)] {
        let (input, kernel) = (random(&[BATCH, side, side, c])?, random(&[c, 3, 3, c])?);
        let gradient = random(&[BATCH, side, side, c])?;
        time(device, &format!("conv2d forward {c} {side}² {precision:?}"), || {
            conv2d(&input, &kernel, options).map(drop)
        })?;
        time(device, &format!("conv2d by input {c} {side}² {precision:?}"), || {
            conv2d_input_gradient(&gradient, &kernel, options).map(drop)
        })?;
        time(device, &format!("conv2d by kernel {c} {side}² {precision:?}"), || {
            conv2d_kernel_gradient(&gradient, &input, (3, 3), options).map(drop)
        })?;
    }
    let (input, kernel) = (random(&[BATCH, 28, 28, 512])?, random(&[512, 16, 16, 40])?);
    let gradient = random(&[BATCH, 224, 224, 40])?;
    time(device, &format!("transposed_conv2d forward 512 28² {precision:?}"), || {
        transposed_conv2d(&input, &kernel, 8, 4).map(drop)
    })?;
    time(device, &format!("transposed_conv2d gradients 512 28² {precision:?}"), || {
        transposed_conv2d_gradients(&input, &kernel, &gradient, 8, 4).map(drop)
    })
}

fn elementwise(device: &Device, random: Random<'_>, c: usize, side: usize) -> Result<()> {
    let (input, gradient) = (random(&[BATCH, side, side, c])?, random(&[BATCH, side, side, c])?);
    let (gamma, beta) = (random(&[2, c])?, random(&[2, c])?);
    let rows: Vec<usize> = (0..BATCH).map(|slice| slice / (BATCH / 2)).collect();
    let options = NormOptions::default();
    let norm = || {
        let statistics = batch_statistics(&input, &rows, 2)?;
        Activation::of_batch(&gamma, &beta, &rows, &statistics, options)
    };
    time(device, &format!("norm + LeakyReLU forward {c} {side}²"), || {
        norm()?.apply(&input).map(drop)
    })?;
    time(device, &format!("norm + LeakyReLU both ways {c} {side}²"), || {
        let norm = norm()?;
        norm.apply(&input)?;
        norm.gradients(&input, &gradient).map(drop)
    })?;
    let pooled = max_pool2(&input)?;
    time(device, &format!("max_pool2 forward {c} {side}²"), || max_pool2(&input).map(drop))?;
    time(device, &format!("max_pool2 gradient {c} {side}²"), || {
        max_pool2_gradient(&input, &pooled).map(drop)
    })?;
    time(device, &format!("dropout {c} {side}²"), || dropout(&input, 0.25, 1).map(drop))
}

fn adam(device: &Device, random: Random<'_>) -> Result<()> {
    let shape = [512, 3, 3, 512];
    let mut tensors = Vec::new();
    for _ in 0..16 {
        let zeros = || Var::zeros(&shape, DType::F32, device);
        tensors.push((Var::from_tensor(&random(&shape)?)?, zeros()?, zeros()?, random(&shape)?));
    }
    let variables: Vec<AdamVariable<'_>> = tensors
        .iter()
        .map(|(var, mean, square, gradient)| AdamVariable {
            var,
            moments: (mean, square),
            gradient,
            l2: 1e-4,
        })
        .collect();
    let options = AdamOptions::default();
    let loss = Tensor::new(1f32, device)?;
    time(device, "Adam, 38 M weights", || adam_update_all(&variables, &loss, 1e-4, 1, options))
}

/// Prints the mean time of a call, the card's own work included, after some that are not counted.
fn time(device: &Device, name: &str, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    for _ in 0..REPEATS / 5 {
        call()?;
    }
    device.synchronize()?;
    let start = Instant::now();
    for _ in 0..REPEATS {
        call()?;
    }
    device.synchronize()?;
    println!("{name:48} {:9.1} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(REPEATS));
    Ok(())
}
