//! Times what it is asked for: a line in, the seconds out.

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use candle_core::{Device, Result, Tensor};
use duomo_ops::{
    Conv2d, Padding, conv2d, conv2d_input_gradient, conv2d_kernel_gradient, keep_freed_memory,
};

use crate::cases::{Case, Pass};

/// Answers until the input ends.
pub(crate) fn serve() -> Result<()> {
    keep_freed_memory();
    for line in stdin().lock().lines() {
        let case = Case::parse(&line?);
        writeln!(stdout(), "{}", seconds(&case)?)?;
    }
    Ok(())
}

/// The shorter of two runs, after one that warms up.
fn seconds(case: &Case) -> Result<f64> {
    let Case { batch, channels, side, outputs, dilation, .. } = *case;
    let options = Conv2d { padding: Padding::Zero, dilation };
    let random = |shape| Tensor::randn(0f32, 1.0, shape, &Device::Cpu);
    let input = random((batch, side, side, channels))?;
    let kernel = random((outputs, 3, 3, channels))?;
    let gradient = random((batch, side, side, outputs))?;
    let run = || match case.pass {
        Pass::Forward => conv2d(&input, &kernel, options),
        Pass::Input => conv2d_input_gradient(&gradient, &kernel, options),
        Pass::Kernel => conv2d_kernel_gradient(&gradient, &input, (3, 3), options),
    };
    run()?;
    let mut shortest = f64::INFINITY;
    for _ in 0..2 {
        let start = Instant::now();
        run()?;
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    Ok(shortest)
}
