//! Eq. (1) and its gradients, term by term in `f64`.

use super::Dims;

pub(super) fn forward(input: &[f64], kernel: &[f64], dims: &Dims) -> Vec<f64> {
    let mut output = vec![0.0; dims.output_shape().elem_count()];
    for_each_stamp(dims, |source, tap, target| {
        for c in 0..dims.channels {
            let x = input[source * dims.channels + c];
            let weights = &kernel[weight_offset(dims, c, tap)..][..dims.outputs];
            let pixel = &mut output[target * dims.outputs..][..dims.outputs];
            pixel.iter_mut().zip(weights).for_each(|(y, w)| *y += x * w);
        }
    });
    output
}

pub(super) fn backward_input(gradient: &[f64], kernel: &[f64], dims: &Dims) -> Vec<f64> {
    let mut input_gradient = vec![0.0; dims.input_shape().elem_count()];
    for_each_stamp(dims, |source, tap, target| {
        for c in 0..dims.channels {
            let weights = &kernel[weight_offset(dims, c, tap)..][..dims.outputs];
            let pixel = &gradient[target * dims.outputs..][..dims.outputs];
            input_gradient[source * dims.channels + c] +=
                pixel.iter().zip(weights).map(|(g, w)| g * w).sum::<f64>();
        }
    });
    input_gradient
}

pub(super) fn backward_kernel(gradient: &[f64], input: &[f64], dims: &Dims) -> Vec<f64> {
    let mut kernel_gradient = vec![0.0; dims.kernel_shape().elem_count()];
    for_each_stamp(dims, |source, tap, target| {
        for c in 0..dims.channels {
            let x = input[source * dims.channels + c];
            let weights = &mut kernel_gradient[weight_offset(dims, c, tap)..][..dims.outputs];
            let pixel = &gradient[target * dims.outputs..][..dims.outputs];
            weights.iter_mut().zip(pixel).for_each(|(w, g)| *w += x * g);
        }
    });
    kernel_gradient
}

fn weight_offset(dims: &Dims, channel: usize, tap: usize) -> usize {
    (channel * dims.kernel_rows * dims.kernel_columns + tap) * dims.outputs
}

/// Visits `(input pixel, tap, output pixel)` for every tap that lands on the output.
fn for_each_stamp(dims: &Dims, mut visit: impl FnMut(usize, usize, usize)) {
    let (rows, columns) = (dims.out_height(), dims.out_width());
    for source in 0..dims.batch * dims.height * dims.width {
        let (b, i, j) = (
            source / (dims.height * dims.width),
            source / dims.width % dims.height,
            source % dims.width,
        );
        for tap in 0..dims.kernel_rows * dims.kernel_columns {
            let (r, s) = (tap / dims.kernel_columns, tap % dims.kernel_columns);
            let row = (i * dims.steps.stride + r).checked_sub(dims.steps.padding);
            let column = (j * dims.steps.stride + s).checked_sub(dims.steps.padding);
            if let (Some(row), Some(column)) = (row, column)
                && row < rows
                && column < columns
            {
                visit(source, tap, (b * rows + row) * columns + column);
            }
        }
    }
}
