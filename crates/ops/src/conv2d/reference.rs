//! Eq. (1) and its gradients, term by term in `f64`.

use super::{Dims, Padding};

pub(super) fn forward(input: &[f64], kernel: &[f64], dims: &Dims) -> Vec<f64> {
    let mut output = vec![0.0; dims.output_shape().elem_count()];
    for_each_tap(dims, |target, tap, source| {
        let pixel = &input[source * dims.channels..][..dims.channels];
        for k in 0..dims.outputs {
            let weights = &kernel[weight_offset(dims, k, tap)..][..dims.channels];
            output[target * dims.outputs + k] +=
                pixel.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
        }
    });
    output
}

pub(super) fn backward_input(gradient: &[f64], kernel: &[f64], dims: &Dims) -> Vec<f64> {
    let mut input_gradient = vec![0.0; dims.input_shape().elem_count()];
    for_each_tap(dims, |target, tap, source| {
        let pixel = &mut input_gradient[source * dims.channels..][..dims.channels];
        for k in 0..dims.outputs {
            let weights = &kernel[weight_offset(dims, k, tap)..][..dims.channels];
            let g = gradient[target * dims.outputs + k];
            pixel.iter_mut().zip(weights).for_each(|(x, w)| *x += g * w);
        }
    });
    input_gradient
}

pub(super) fn backward_kernel(gradient: &[f64], input: &[f64], dims: &Dims) -> Vec<f64> {
    let mut kernel_gradient = vec![0.0; dims.kernel_shape().elem_count()];
    for_each_tap(dims, |target, tap, source| {
        let pixel = &input[source * dims.channels..][..dims.channels];
        for k in 0..dims.outputs {
            let weights = &mut kernel_gradient[weight_offset(dims, k, tap)..][..dims.channels];
            let g = gradient[target * dims.outputs + k];
            weights.iter_mut().zip(pixel).for_each(|(w, x)| *w += g * x);
        }
    });
    kernel_gradient
}

fn weight_offset(dims: &Dims, output: usize, tap: usize) -> usize {
    (output * dims.kernel_rows * dims.kernel_columns + tap) * dims.channels
}

/// Visits `(output pixel, tap, input pixel)` for every tap that sees a pixel of the image.
fn for_each_tap(dims: &Dims, mut visit: impl FnMut(usize, usize, usize)) {
    for b in 0..dims.batch {
        for (y, x) in (0..dims.height).flat_map(|y| (0..dims.width).map(move |x| (y, x))) {
            for tap in 0..dims.kernel_rows * dims.kernel_columns {
                let (r, s) = (tap / dims.kernel_columns, tap % dims.kernel_columns);
                let row = seen(y, r, dims.kernel_rows, dims.height, dims);
                let column = seen(x, s, dims.kernel_columns, dims.width, dims);
                if let (Some(row), Some(column)) = (row, column) {
                    let image = b * dims.height;
                    visit((image + y) * dims.width + x, tap, (image + row) * dims.width + column);
                }
            }
        }
    }
}

/// The row (or column) of the image that tap `tap` of `taps` sees from position `position`.
fn seen(position: usize, tap: usize, taps: usize, size: usize, dims: &Dims) -> Option<usize> {
    let shifted = position + dims.options.dilation * tap;
    let before = dims.options.dilation * (taps / 2);
    match dims.options.padding {
        Padding::Zero => shifted.checked_sub(before).filter(|&index| index < size),
        Padding::Symmetric => {
            // The mirrored image has period 2 · size: 0 1 2 | 2 1 0 | 0 1 2 …
            let turn = 2 * size;
            let index = (shifted + turn * before.div_ceil(turn) - before) % turn;
            Some(index.min(turn - 1 - index))
        }
    }
}
