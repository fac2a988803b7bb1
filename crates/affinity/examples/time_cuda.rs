//! Times the class-specific affinity on the first NVIDIA card, forward and backward.
//!
//! Prints microseconds per call, the sorting of labels on the host included, and the share of the
//! arithmetic alone: `cargo run --release -p duomo-affinity --features cuda --example time_cuda`.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use duomo_affinity::{Reading, class_affinity};
use duomo_ops::cuda::{Precision, set_precision};

const REPEATS: u32 = 200;
const BATCH: usize = 8;

fn main() -> Result<()> {
    let device = Device::new_cuda(0)?;
    println!("B = {BATCH}; means of {REPEATS} calls");
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        set_precision(precision);
        times(&device, precision)?;
    }
    Ok(())
}

fn times(device: &Device, precision: Precision) -> Result<()> {
    for (side, channels, classes) in [28, 32].into_iter().flat_map(|side| {
        [256, 512].into_iter().flat_map(move |c| [4u8, 5].map(move |classes| (side, c, classes)))
    }) {
        let map = || Var::randn(0f32, 1., (BATCH, side, side, channels), device);
        let (l, k) = (map()?, map()?);
        let pixels = BATCH * 64 * side * side;
        let labels: Vec<u8> = (0..classes).cycle().step_by(7).take(pixels).collect();
        let labels = Tensor::from_vec(labels, (BATCH, 8 * side, 8 * side), &Device::Cpu)?;
        let affinity = || class_affinity(&l, &k, &labels, classes.into(), &Reading::default());

        let forward = mean_us(device, || affinity().map(drop))?;
        let both = mean_us(device, || affinity()?.sqr()?.sum_all()?.backward().map(drop))?;

        // One multiplication and one addition per pixel and entry, and twice that backward.
        let flop = (2 * BATCH * side * side * channels * channels) as f64;
        println!(
            "affinity {side}² {channels} C={classes} {precision:?}: forward {forward:7.1} µs ({:.1} TFLOP/s), \
             forward + backward {both:7.1} µs ({:.1} TFLOP/s)",
            flop / forward * 1e-6,
            3.0 * flop / both * 1e-6
        );
    }
    Ok(())
}

/// Mean time of a call, the card's own work included, after some calls that are not counted.
fn mean_us(device: &Device, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    for _ in 0..REPEATS / 10 {
        call()?;
    }
    device.synchronize()?;
    let start = Instant::now();
    for _ in 0..REPEATS {
        call()?;
    }
    device.synchronize()?;
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(REPEATS))
}
