//! What a card is asked to do: launches of `../conv2d/conv2d.cu`.
//!
//! The gradients are a convolution with a stride and the gradient of its kernel, see [`super`].

use candle_core::{Result, bail};

use super::Dims;
use crate::conv2d::launches::{KernelGradient, Products, SOURCE, THREADS, TILE, Taps, small};
use crate::cuda::{
    Argument::{self, Int, Read, Write},
    Buffer, Launch, Program,
};

#[cfg(test)]
mod tests;

/// The largest stride whose phases, a grid's z, a card takes.
const LARGEST_STRIDE: usize = 255;

/// Returns the program of Eq. (1).
///
/// # Shapes
///
/// - inputs: input `[B, h, w, C]`, kernel `[C, R, S, K]`
/// - output: `[B, H, W, K]`
///
/// # Errors
///
/// If the elements of a tensor are more than a kernel counts, or the stride is larger than a grid takes.
pub(super) fn forward(dims: &Dims) -> Result<Program> {
    check(dims)?;
    let mut program = Program::new(SOURCE);
    let [input, kernel] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let out = program.buffer(Buffer::Output(dims.output_shape().elem_count()));
    let stride = dims.steps.stride;
    let phase = [dims.out_height(), dims.out_width()].map(|size| size.div_ceil(stride));
    let pixels = dims.batch * phase[0] * phase[1];
    let mut arguments = vec![Write(out), Read(input), Read(kernel)];
    let sizes = [pixels, dims.out_height(), dims.out_width(), dims.outputs];
    arguments.extend(sizes.map(|size| Int(small(size))));
    let sizes = [dims.height, dims.width, dims.channels, dims.kernel_rows, dims.kernel_columns];
    arguments.extend(sizes.map(|size| Int(small(size))));
    arguments.extend([stride, dims.steps.padding].map(|size| Int(small(size))));
    let grid = [pixels.div_ceil(TILE), dims.outputs.div_ceil(TILE), stride * stride];
    program.launch(Launch { kernel: "conv2d_transposed", grid, threads: THREADS, arguments });
    Ok(program)
}

/// Returns the program of the gradient with respect to the input.
///
/// # Shapes
///
/// - inputs: the gradient with respect to the output `[B, H, W, K]`, kernel `[C, R, S, K]`
/// - output: `[B, h, w, C]`
///
/// # Errors
///
/// As [`forward`].
pub(super) fn backward_input(dims: &Dims) -> Result<Program> {
    check(dims)?;
    let mut program = Program::new(SOURCE);
    let [gradient, kernel] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let out = program.buffer(Buffer::Output(dims.input_shape().elem_count()));
    let products = Products {
        batch: dims.batch,
        image: [dims.height, dims.width],
        columns: dims.channels,
        source: [dims.out_height(), dims.out_width()],
        inner: dims.outputs,
        taps: taps(dims),
        strides: [dims.outputs, 1, dims.kernel_rows * dims.kernel_columns * dims.outputs],
    };
    program.launch(products.launch([out, gradient, kernel]));
    Ok(program)
}

/// Returns the program of the gradient with respect to the kernel.
///
/// # Shapes
///
/// - inputs: the gradient with respect to the output `[B, H, W, K]`, input `[B, h, w, C]`
/// - output: `[C, R, S, K]`
///
/// # Errors
///
/// As [`forward`].
pub(super) fn backward_kernel(dims: &Dims) -> Result<Program> {
    check(dims)?;
    let mut program = Program::new(SOURCE);
    let [gradient, input] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let out = program.buffer(Buffer::Output(dims.kernel_shape().elem_count()));
    // The other way round than in a convolution: here the result is the larger image.
    let sums = KernelGradient {
        batch: dims.batch,
        image: [dims.height, dims.width],
        outputs: dims.channels,
        input: [dims.out_height(), dims.out_width()],
        channels: dims.outputs,
        taps: taps(dims),
    };
    sums.launch(&mut program, [out, input, gradient]);
    Ok(program)
}

/// Where the kernel of the convolution whose transpose this is looks.
fn taps(dims: &Dims) -> Taps {
    Taps {
        sides: [dims.kernel_rows, dims.kernel_columns],
        from: [-small(dims.steps.padding); 2],
        stride: dims.steps.stride,
        step: 1,
        mirrored: false,
    }
}

fn check(dims: &Dims) -> Result<()> {
    let stride = dims.steps.stride;
    if stride > LARGEST_STRIDE {
        bail!(
            "transposed_conv2d: a card takes strides up to {LARGEST_STRIDE}, got {stride}; keep the \
             tensors on the CPU"
        );
    }
    for shape in [dims.input_shape(), dims.kernel_shape(), dims.output_shape()] {
        Argument::count(shape.elem_count())?;
    }
    // Positions outside the images, and pixels of a phase's incomplete row, are integers, too.
    let side = [dims.height, dims.width, dims.kernel_rows, dims.kernel_columns, dims.steps.padding];
    let reach = side.iter().sum::<usize>().saturating_mul(stride + 1);
    Argument::count(reach)?;
    let phase = |size: usize| size.div_ceil(stride);
    Argument::count(dims.batch * phase(dims.out_height()) * phase(dims.out_width())).map(drop)
}
