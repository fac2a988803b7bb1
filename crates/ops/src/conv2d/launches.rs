//! What a card is asked to do: the launches of `conv2d.cu`.

use candle_core::Result;

use super::{Dims, Padding};
use crate::cuda::{
    Argument::{self, Int, Read, Write},
    Buffer, Launch, Program, Source,
};

#[cfg(test)]
mod tests;

pub(crate) const SOURCE: Source = Source {
    name: "conv2d",
    text: include_str!("conv2d.cu"),
    architecture: None,
    kernels: &[
        "conv2d_products",
        "conv2d_transposed",
        "conv2d_extend",
        "conv2d_fold",
        "conv2d_kernel_gradient",
        "conv2d_sum_parts",
    ],
};

/// Threads of a block that computes a tile of sums.
pub(crate) const THREADS: usize = 128;

/// Rows and columns of the sums that a block computes.
pub(crate) const TILE: usize = 64;

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
    let products = Products {
        batch: dims.batch,
        image: [dims.height, dims.width],
        columns: dims.outputs,
        source: [dims.height, dims.width],
        inner: dims.channels,
        taps: plan.taps(),
        strides: [dims.channels, 1, plan.count * dims.channels],
    };
    program.launch(products.launch([out, input, kernel]));
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
    let products = Products {
        batch: dims.batch,
        image,
        columns: dims.channels,
        source: [dims.height, dims.width],
        inner: dims.outputs,
        taps: Taps {
            from: [0, 1].map(|axis| small(plan.border[axis] - border[axis])),
            step: -small(dims.options.dilation),
            mirrored: false,
            ..plan.taps()
        },
        strides: [dims.channels, plan.count * dims.channels, 1],
    };
    program.launch(products.launch([extended, gradient, kernel]));
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
    let out = program.buffer(Buffer::Output(dims.kernel_shape().elem_count()));
    let sums = KernelGradient {
        batch: dims.batch,
        image: [dims.height, dims.width],
        outputs: dims.outputs,
        input: [dims.height, dims.width],
        channels: dims.channels,
        taps: plan.taps(),
    };
    sums.launch(&mut program, [out, gradient, input]);
    Ok(program)
}

/// Sizes that several launches need, checked against the kernels' integers.
struct Plan<'a> {
    dims: &'a Dims,
    /// Taps of the kernel.
    count: usize,
    /// Rows and columns that the taps reach beyond a pixel.
    border: [usize; 2],
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
        Ok(Self { dims, count: dims.kernel_rows * dims.kernel_columns, border })
    }

    /// Where the kernel looks in the image.
    fn taps(&self) -> Taps {
        let Self { dims, border, .. } = self;
        Taps {
            sides: [dims.kernel_rows, dims.kernel_columns],
            from: border.map(|border| -small(border)),
            stride: 1,
            step: small(dims.options.dilation),
            mirrored: dims.options.padding == Padding::Symmetric,
        }
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
}

/// Where the taps of a kernel look: from pixel `y` at row `stride · y + from + step · r`.
#[derive(Clone, Copy)]
pub(crate) struct Taps {
    /// Rows and columns of the kernel.
    pub(crate) sides: [usize; 2],
    pub(crate) from: [i32; 2],
    pub(crate) stride: usize,
    pub(crate) step: i32,
    pub(crate) mirrored: bool,
}

impl Taps {
    /// The arguments that both kernels take for them.
    fn arguments(&self) -> [Argument; 7] {
        let [rows, columns] = self.sides;
        let [from_row, from_column] = self.from;
        let [count, columns, stride] = [rows * columns, columns, self.stride].map(small);
        [count, columns, from_row, from_column, stride, self.step, i32::from(self.mirrored)]
            .map(Int)
    }
}

/// Sizes of a launch of `conv2d_products`, see there; all must fit the kernels' integers.
pub(crate) struct Products {
    pub(crate) batch: usize,
    /// Rows and columns of the result.
    pub(crate) image: [usize; 2],
    /// Channels of the result.
    pub(crate) columns: usize,
    /// Rows and columns of the source.
    pub(crate) source: [usize; 2],
    /// Channels of the source.
    pub(crate) inner: usize,
    pub(crate) taps: Taps,
    /// Of the kernel: per tap, inner channel and column.
    pub(crate) strides: [usize; 3],
}

impl Products {
    /// The launch that makes buffer `out` of the buffers `source` and `kernel`.
    pub(crate) fn launch(&self, [out, source, kernel]: [usize; 3]) -> Launch {
        let pixels = self.batch * self.image[0] * self.image[1];
        let mut arguments = vec![Write(out), Read(source), Read(kernel)];
        let sizes = [pixels, self.image[0], self.image[1], self.columns];
        arguments.extend(sizes.map(|size| Int(small(size))));
        let sizes = [self.source[0], self.source[1], self.inner];
        arguments.extend(sizes.map(|size| Int(small(size))));
        arguments.extend(self.taps.arguments());
        arguments.extend(self.strides.map(|size| Int(small(size))));
        let grid = [pixels.div_ceil(TILE), self.columns.div_ceil(TILE), 1];
        Launch { kernel: "conv2d_products", grid, threads: THREADS, arguments }
    }
}

/// Sizes of the launches of `conv2d_kernel_gradient`, see there; all must fit the kernels' integers.
pub(crate) struct KernelGradient {
    pub(crate) batch: usize,
    /// Rows and columns of the gradient.
    pub(crate) image: [usize; 2],
    /// Channels of the gradient.
    pub(crate) outputs: usize,
    /// Rows and columns of the input.
    pub(crate) input: [usize; 2],
    /// Channels of the input.
    pub(crate) channels: usize,
    pub(crate) taps: Taps,
}

impl KernelGradient {
    /// Adds the launches that make buffer `out` of the buffers `gradient` and `input`.
    pub(crate) fn launch(&self, program: &mut Program, [out, gradient, input]: [usize; 3]) {
        let taps = self.taps.sides[0] * self.taps.sides[1];
        let pixels = self.batch * self.image[0] * self.image[1];
        let length = self.outputs * taps * self.channels;
        let tiles = [self.channels.div_ceil(TILE), self.outputs.div_ceil(TILE)];
        let blocks = (tiles[0] * tiles[1] * taps).max(1);
        let part = pixels.div_ceil((BLOCKS / blocks).max(1)).max(PART);
        let parts = pixels.div_ceil(part);
        let sums = if parts == 1 { out } else { program.buffer(Buffer::Scratch(parts * length)) };

        let mut arguments = vec![Write(sums), Read(gradient), Read(input)];
        let sizes = [pixels, self.image[0], self.image[1], self.outputs];
        arguments.extend(sizes.map(|size| Int(small(size))));
        let sizes = [self.input[0], self.input[1], self.channels];
        arguments.extend(sizes.map(|size| Int(small(size))));
        arguments.extend(self.taps.arguments());
        arguments.push(Int(small(part)));
        let grid = [tiles[0], tiles[1], taps * parts];
        program.launch(Launch {
            kernel: "conv2d_kernel_gradient",
            grid,
            threads: THREADS,
            arguments,
        });
        if parts != 1 {
            let arguments = vec![Write(out), Read(sums), Int(small(parts)), Int(small(length))];
            program.launch_items("conv2d_sum_parts", length, arguments);
        }
    }
}

/// A size that was found to fit, or that is smaller than one which does.
pub(crate) fn small(size: usize) -> i32 {
    i32::try_from(size).expect("sizes were checked against the kernels' integers")
}
