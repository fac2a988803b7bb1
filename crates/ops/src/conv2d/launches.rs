//! What a card is asked to do: the launches of `conv2d.cu`.

use candle_core::Result;

use super::{Dims, Padding};
use crate::cuda::{
    Argument::{self, Int, Read, Write},
    Buffer, Launch, Program, Source,
};

#[cfg(test)]
mod tests;

const SOURCE: Source = Source {
    name: "conv2d",
    text: include_str!("conv2d.cu"),
    kernels: &[
        "conv2d_products",
        "conv2d_extend",
        "conv2d_fold",
        "conv2d_kernel_gradient",
        "conv2d_sum_parts",
    ],
};

/// Threads of a block that computes a tile of sums.
const THREADS: usize = 128;

/// Rows and columns of the sums that a block computes.
const TILE: usize = 64;

/// Blocks from which on a card has enough to do, so that the pixels need no further parts.
const BLOCKS: usize = 1024;

/// Least pixels of a part: enough to outweigh the writing of its sums.
const PART: usize = 512;

/// Returns the program of Eq. (1).
///
/// # Shapes
///
/// - inputs: input `[B, H, W, C]`, kernel `[K, R, S, C]`
/// - output: `[B, H, W, K]`
///
/// # Errors
///
/// If the elements of a tensor are more than a kernel counts.
pub(super) fn forward(dims: &Dims) -> Result<Program> {
    let plan = Plan::new(dims)?;
    let mut program = Program::new(SOURCE);
    let [input, kernel] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let out = program.buffer(Buffer::Output(dims.output_shape().elem_count()));
    let [before_rows, before_columns] = plan.border.map(small);
    program.launch(plan.products(
        [out, input, kernel],
        &Sums {
            image: [dims.height, dims.width],
            columns: dims.outputs,
            inner: dims.channels,
            from: [-before_rows, -before_columns],
            step: small(dims.options.dilation),
            mirrored: dims.options.padding == Padding::Symmetric,
            strides: [dims.channels, 1, plan.taps * dims.channels],
        },
    ));
    Ok(program)
}

/// Returns the program of the gradient with respect to the input.
///
/// A mirrored border takes two launches: the gradient of the image with its border, and the sum of
/// the border's gradients into the pixels that they mirror.
///
/// # Shapes
///
/// - inputs: the gradient with respect to the output `[B, H, W, K]`, kernel `[K, R, S, C]`
/// - output: `[B, H, W, C]`
///
/// # Errors
///
/// As [`forward`].
pub(super) fn backward_input(dims: &Dims) -> Result<Program> {
    let plan = Plan::new(dims)?;
    let mut program = Program::new(SOURCE);
    let [gradient, kernel] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let length = dims.input_shape().elem_count();
    let out = program.buffer(Buffer::Output(length));
    let mirrored = dims.options.padding == Padding::Symmetric;
    let border = if mirrored { plan.border } else { [0, 0] };
    let image = [dims.height + 2 * border[0], dims.width + 2 * border[1]];
    let extended =
        if mirrored { program.buffer(Buffer::Scratch(plan.extended_length()?)) } else { out };
    let from = [0, 1].map(|axis| small(plan.border[axis] - border[axis]));
    program.launch(plan.products(
        [extended, gradient, kernel],
        &Sums {
            image,
            columns: dims.channels,
            inner: dims.outputs,
            from,
            step: -small(dims.options.dilation),
            mirrored: false,
            strides: [dims.channels, plan.taps * dims.channels, 1],
        },
    ));
    if mirrored {
        plan.border("conv2d_fold", &mut program, [out, extended], length);
    }
    Ok(program)
}

/// Returns the program that gives a mirrored image its border, for convolutions that know zeros alone:
/// input `[B, H, W, C]`, output `[B, H + 2 border, W + 2 border, C]`.
///
/// # Errors
///
/// As [`forward`].
#[cfg(any(feature = "cudnn", test))]
pub(super) fn extend(dims: &Dims) -> Result<Program> {
    let plan = Plan::new(dims)?;
    let length = plan.extended_length()?;
    let mut program = Program::new(SOURCE);
    let [image, extended] = [Buffer::Input, Buffer::Output(length)].map(|b| program.buffer(b));
    plan.border("conv2d_extend", &mut program, [extended, image], length);
    Ok(program)
}

/// Returns the program that sums the gradient of [`extend`]'s output into that of its input.
///
/// # Errors
///
/// As [`forward`].
#[cfg(any(feature = "cudnn", test))]
pub(super) fn fold(dims: &Dims) -> Result<Program> {
    let plan = Plan::new(dims)?;
    plan.extended_length()?;
    let length = dims.input_shape().elem_count();
    let mut program = Program::new(SOURCE);
    let [extended, out] = [Buffer::Input, Buffer::Output(length)].map(|b| program.buffer(b));
    plan.border("conv2d_fold", &mut program, [out, extended], length);
    Ok(program)
}

/// Returns the program of the gradient with respect to the kernel.
///
/// # Shapes
///
/// - inputs: the gradient with respect to the output `[B, H, W, K]`, input `[B, H, W, C]`
/// - output: `[K, R, S, C]`
///
/// # Errors
///
/// As [`forward`].
pub(super) fn backward_kernel(dims: &Dims) -> Result<Program> {
    let plan = Plan::new(dims)?;
    let mut program = Program::new(SOURCE);
    let [gradient, input] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let length = dims.kernel_shape().elem_count();
    let out = program.buffer(Buffer::Output(length));
    let tiles = [dims.channels.div_ceil(TILE), dims.outputs.div_ceil(TILE)];
    let blocks = (tiles[0] * tiles[1] * plan.taps).max(1);
    let part = plan.pixels.div_ceil((BLOCKS / blocks).max(1)).max(PART);
    let parts = plan.pixels.div_ceil(part);
    let sums = if parts == 1 { out } else { program.buffer(Buffer::Scratch(parts * length)) };

    let [before_rows, before_columns] = plan.border.map(small);
    let mut arguments = vec![Write(sums), Read(gradient), Read(input)];
    let sizes = [plan.pixels, dims.height, dims.width, dims.outputs, dims.channels, plan.taps];
    arguments.extend(sizes.map(|size| Int(small(size))));
    arguments.extend([Int(small(dims.kernel_columns)), Int(-before_rows), Int(-before_columns)]);
    let mirrored = dims.options.padding == Padding::Symmetric;
    let rest = [dims.options.dilation, usize::from(mirrored), part];
    arguments.extend(rest.map(|size| Int(small(size))));
    let grid = [tiles[0], tiles[1], plan.taps * parts];
    program.launch(Launch { kernel: "conv2d_kernel_gradient", grid, threads: THREADS, arguments });
    if parts != 1 {
        let arguments = vec![Write(out), Read(sums), Int(small(parts)), Int(small(length))];
        program.launch_items("conv2d_sum_parts", length, arguments);
    }
    Ok(program)
}

/// Sizes that several launches need, checked against the kernels' integers.
struct Plan<'a> {
    dims: &'a Dims,
    pixels: usize,
    taps: usize,
    /// Rows and columns that the taps reach beyond a pixel.
    border: [usize; 2],
}

/// What tells the two passes of `conv2d_products` apart, see there.
struct Sums {
    /// Rows and columns of the result.
    image: [usize; 2],
    /// Channels of the result.
    columns: usize,
    /// Channels of the source.
    inner: usize,
    from: [i32; 2],
    step: i32,
    mirrored: bool,
    /// Of the kernel: per tap, inner channel and column.
    strides: [usize; 3],
}

impl<'a> Plan<'a> {
    fn new(dims: &'a Dims) -> Result<Self> {
        for shape in [dims.input_shape(), dims.output_shape(), dims.kernel_shape()] {
            Argument::count(shape.elem_count())?;
        }
        let reach = |taps: usize| dims.options.dilation.saturating_mul(taps / 2);
        let border = [reach(dims.kernel_rows), reach(dims.kernel_columns)];
        // Positions outside the image are integers, too.
        Argument::count(border[0].max(border[1]).saturating_mul(4))?;
        let taps = dims.kernel_rows * dims.kernel_columns;
        Ok(Self { dims, pixels: dims.batch * dims.height * dims.width, taps, border })
    }

    /// Elements of the input with its border.
    fn extended_length(&self) -> Result<usize> {
        let Self { dims, border, .. } = self;
        let image = (dims.height + 2 * border[0]) * (dims.width + 2 * border[1]);
        let length = dims.batch * image * dims.channels;
        Argument::count(length).map(|_| length)
    }

    /// A launch between an image and the same with its border, over `length` elements of the result.
    fn border(
        &self,
        kernel: &'static str,
        program: &mut Program,
        [out, source]: [usize; 2],
        length: usize,
    ) {
        let Self { dims, border: [rows, columns], .. } = *self;
        let mut arguments = vec![Write(out), Read(source)];
        let sizes = [dims.height, dims.width, dims.channels, rows, columns, length];
        arguments.extend(sizes.map(|size| Int(small(size))));
        program.launch_items(kernel, length, arguments);
    }

    fn products(&self, [out, source, kernel]: [usize; 3], sums: &Sums) -> Launch {
        let Self { dims, taps, .. } = *self;
        let pixels = dims.batch * sums.image[0] * sums.image[1];
        let mut arguments = vec![Write(out), Read(source), Read(kernel)];
        let sizes = [pixels, sums.image[0], sums.image[1], sums.columns, dims.height, dims.width];
        arguments.extend(sizes.map(|size| Int(small(size))));
        let sizes = [sums.inner, taps, dims.kernel_columns];
        arguments.extend(sizes.map(|size| Int(small(size))));
        arguments.extend([sums.from[0], sums.from[1], sums.step].map(Int));
        arguments.push(Int(i32::from(sums.mirrored)));
        arguments.extend(sums.strides.map(|size| Int(small(size))));
        let grid = [pixels.div_ceil(TILE), sums.columns.div_ceil(TILE), 1];
        Launch { kernel: "conv2d_products", grid, threads: THREADS, arguments }
    }
}

/// A size that [`Plan::new`] has found to fit, or that is smaller than one which does.
fn small(size: usize) -> i32 {
    i32::try_from(size).expect("sizes were checked against the kernels' integers")
}
