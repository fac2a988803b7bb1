//! Times the operations at the shapes of a small network: `cargo run --release --example time_ops`.
//!
//! Every line is the best of several runs, forward and with the gradients on top, allocations and
//! candle's own bookkeeping included. An argument keeps only the lines that contain it.
#![expect(clippy::print_stdout, reason = "a table is all this program is for")]

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, Var};
use duomo_ops::{
    AdamOptions, Conv2d, NormOptions, Padding, adam_update, add_skip, batch_norm_leaky_relu,
    conv2d, dropout, keep_freed_memory, max_pool2, pixel_shuffle,
};

const BATCH: usize = 8;

/// Runs per line.
const RUNS: usize = 7;

fn main() -> Result<()> {
    keep_freed_memory();
    println!("{:44} {:>9} {:>9} {:>9} ms | GFLOP/s", "operation", "forward", "+ input", "+ kernel");
    convolutions()?;
    for (side, channels) in [(112, 8), (56, 16), (28, 32), (14, 256)] {
        let shape = (BATCH, side, side, channels);
        passes(&format!("norm {side}² C{channels}"), shape, |x| {
            let gamma = Var::ones((1, channels), DType::F32, &Device::Cpu)?;
            Ok(batch_norm_leaky_relu(x, &gamma, &gamma, &[0; BATCH], NormOptions::default())?.0)
        })?;
        passes(&format!("max_pool2 {side}² C{channels}"), shape, max_pool2)?;
        passes(&format!("dropout {side}² C{channels}"), shape, |x| dropout(x, 0.25, 1))?;
        passes(&format!("add_skip {side}² C{channels}"), shape, |x| add_skip(x, &x.detach()))?;
    }
    passes("pixel_shuffle 14² C2048", (BATCH, 14, 14, 2048), |x| pixel_shuffle(x, 8))?;
    let [var, mean, square] = [1, 2, 3].map(|_| Var::zeros(1 << 20, DType::F32, &Device::Cpu));
    let (var, mean, square) = (var?, mean?, square?);
    let gradient = var.copy()?;
    let options = AdamOptions::default();
    let time = best(|| adam_update(&var, &gradient, (&mean, &square), 1e-3, 0.0, 1, options))?;
    line("adam_update 2²⁰", &[time], 0.0);
    Ok(())
}

fn convolutions() -> Result<()> {
    let zero = Conv2d { padding: Padding::Zero, dilation: 1 };
    let dilated = Conv2d { padding: Padding::Zero, dilation: 2 };
    let symmetric = Conv2d { padding: Padding::Symmetric, dilation: 1 };
    for (side, channels, outputs, taps, options) in [
        (112, 1, 8, 3, zero),
        (112, 4, 4, 3, zero),
        (112, 8, 8, 3, zero),
        (112, 16, 16, 3, zero),
        (56, 8, 16, 3, zero),
        (56, 16, 16, 3, zero),
        (56, 64, 64, 3, zero),
        (28, 32, 32, 3, zero),
        (28, 128, 128, 3, zero),
        (14, 32, 64, 3, zero),
        (14, 64, 64, 3, zero),
        (14, 128, 128, 3, zero),
        (14, 256, 256, 3, zero),
        (14, 256, 256, 3, dilated),
        (14, 128, 2048, 3, symmetric),
        (112, 32, 4, 5, symmetric),
    ] {
        let kernel = Tensor::randn(0f32, 0.1, (outputs, taps, taps, channels), &Device::Cpu)?;
        let input = Tensor::randn(0f32, 1.0, (BATCH, side, side, channels), &Device::Cpu)?;
        let (input_var, kernel_var) = (Var::from_tensor(&input)?, Var::from_tensor(&kernel)?);
        let forward = best(|| conv2d(&input, &kernel, options))?;
        let by_input = best(|| conv2d(&input_var, &kernel, options)?.backward())? - forward;
        let by_kernel = best(|| conv2d(&input, &kernel_var, options)?.backward())? - forward;
        let name = format!(
            "conv {side}² C{channels} K{outputs} {taps}x{taps} d{} {:?}",
            options.dilation, options.padding
        );
        let products = BATCH * side * side * channels * outputs * taps * taps;
        line(&name, &[forward, by_input, by_kernel], 2.0 * products as f64);
    }
    Ok(())
}

/// Times an operation of one tensor, forward and backward.
fn passes(
    name: &str,
    shape: (usize, usize, usize, usize),
    operation: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    let input = Tensor::randn(0f32, 1.0, shape, &Device::Cpu)?;
    let var = Var::from_tensor(&input)?;
    let forward = best(|| operation(&input))?;
    let both = best(|| operation(&var)?.backward())?;
    line(name, &[forward, both - forward], 0.0);
    Ok(())
}

/// The shortest of several runs, in seconds.
fn best<T>(mut run: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut shortest = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    Ok(shortest)
}

fn line(name: &str, seconds: &[f64], operations: f64) {
    if std::env::args().nth(1).is_some_and(|filter| !name.contains(&filter)) {
        return;
    }
    print!("{name:44}");
    for time in seconds {
        print!(" {:9.3}", time * 1e3);
    }
    if operations > 0.0 {
        print!(" |");
        for time in seconds {
            print!(" {:6.1}", operations / time / 1e9);
        }
    }
    println!();
}
