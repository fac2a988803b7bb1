//! Times the class-specific affinity on the first NVIDIA card, forward and backward.
//!
//! Prints microseconds per call, the sorting of labels on the host included, and the share of the
//! arithmetic alone: `cargo run --release -p duomo-affinity --features cuda --example time_cuda`.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

#[expect(dead_code, reason = "the loss is for the other examples")]
mod common;

use std::time::Instant;

use candle_core::{Device, Result, Var};
use common::Modality;
use duomo_affinity::{Reading, class_affinity};

const REPEATS: u32 = 200;
const CLASSES: usize = 4;

fn main() -> Result<()> {
    let device = Device::new_cuda(0)?;
    println!("B = 8, C = {CLASSES}, f32; means of {REPEATS} calls");
    for side in [28, 32] {
        for channels in [256, 512] {
            let modality = Modality::random(1, [8, side, channels])?;
            let to_card = |group| Var::from_tensor(&modality.features[&group].to_device(&device)?);
            let (l, k) = (to_card(5)?, to_card(6)?);
            let affinity =
                || class_affinity(&l, &k, &modality.labels, CLASSES, &Reading::default());

            let forward = mean_us(&device, || affinity().map(drop))?;
            let both = mean_us(&device, || affinity()?.sum_all()?.backward().map(drop))?;

            // One multiplication and one addition per pixel and entry, and twice that backward.
            let flop = (2 * 8 * side * side * channels * channels) as f64;
            println!(
                "h = w = {side}, M = N = {channels}: forward {forward:7.1} µs ({:.1} TFLOP/s), \
                 forward + backward {both:7.1} µs ({:.1} TFLOP/s)",
                flop / forward * 1e-6,
                3.0 * flop / both * 1e-6
            );
        }
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
