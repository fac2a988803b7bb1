//! Direct convolution: the image is cut into strips of rows, each is copied with its border to scratch
//! memory that stays in the second-level cache, and register tiles run over it.
//!
//! Every output number is one sum in the order of the taps, and the gradient of the kernel is summed in
//! an order given by the shapes: the number of threads changes no bit.

use std::cell::RefCell;

use super::border::{Image, Window, mirrored};
use super::finish::{Around, Reading, Size};
use super::gram::{Gram, Outputs, Taps};
use super::packed::{Packed, lanes};
use super::tile::Convolve;
use super::{Dims, Padding};
use crate::fill::{fill, fill_groups};
use crate::simd::dispatch;

/// Numbers of scratch memory that a strip may take: half of a typical second-level cache of 1 MiB.
const SCRATCH: usize = 1 << 17;

/// Strips that a batch is cut into at least for the kernel gradient, so that its sums can be shared out.
const MIN_STRIPS: usize = 16;

/// Outputs whose kernel gradients one task sums.
const TASK_OUTPUTS: usize = 32;

/// Numbers that all partial sums of the kernel gradient may take together.
const PARTIAL_SUMS: usize = 1 << 19;

/// Most partial sums of the kernel gradient.
const MOST_PARTS: usize = 16;

thread_local! {
    /// Scratch memory of a thread, kept between calls: fresh pages cost as much as the arithmetic.
    static WINDOW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn forward(input: &[f32], kernel: &[f32], dims: &Dims, around: Around<'_>) -> Vec<f32> {
    let packed = Packed::forward(kernel, dims);
    let rows = strip_rows(dims, dims.channels, strips_for_threads());
    fill_strips(dims, rows, dims.outputs, |b, window, output| {
        let image = Image {
            padding: dims.options.padding,
            ..dims.image(input, (b, around.reading), dims.channels)
        };
        convolve(&image, &packed, &window, output);
        around.finish(b, &window, dims, dims.outputs, output);
    })
}

pub(super) fn backward_input(
    gradient: &[f32],
    kernel: &[f32],
    dims: &Dims,
    around: Around<'_>,
) -> Vec<f32> {
    let packed = Packed::backward(kernel, dims);
    let least = strip_rows(dims, dims.outputs, strips_for_threads());
    let rows = rows_that_hold_the_fold(least, dims);
    fill_strips(dims, rows, dims.channels, |b, window, output| {
        let image = dims.image(gradient, (b, None), dims.outputs);
        match dims.options.padding {
            Padding::Zero => convolve(&image, &packed, &window, output),
            Padding::Symmetric => convolve_and_fold(&image, &packed, &window, output),
        }
        around.finish(b, &window, dims, dims.channels, output);
    })
}

pub(super) fn backward_kernel(
    gradient: &[f32],
    input: &[f32],
    dims: &Dims,
    reading: Option<Reading<'_>>,
) -> Vec<f32> {
    let weights = dims.kernel_shape().elem_count();
    if weights == 0 || gradient.is_empty() {
        return vec![0.0; weights];
    }
    let taps = Taps::new(dims);
    let rows = strip_rows(dims, dims.channels, MIN_STRIPS);
    let strips = dims.batch * dims.height.div_ceil(rows);
    let parts = (PARTIAL_SUMS / weights).clamp(1, MOST_PARTS.min(strips));
    let blocks = dims.outputs.div_ceil(TASK_OUTPUTS);
    let run = taps.padded(lanes());
    let part_len = taps.rows * taps.runs * TASK_OUTPUTS.min(dims.outputs) * run;

    let sums = fill(blocks * parts * part_len, part_len, |start, sums| {
        let (block, part) = (start / part_len / parts, start / part_len % parts);
        let outputs = Outputs::block(block * TASK_OUTPUTS, dims);
        let sums = &mut sums[..taps.rows * taps.runs * outputs.count * run];
        for strip in strips * part / parts..strips * (part + 1) / parts {
            add_strip((gradient, input, reading), (strip, rows), outputs, (dims, sums));
        }
    });

    fill(weights, dims.depth(), |start, target| {
        let k = start / dims.depth();
        let block = k / TASK_OUTPUTS;
        let count = Outputs::block(block * TASK_OUTPUTS, dims).count;
        for part in sums[block * parts * part_len..].chunks_exact(part_len).take(parts) {
            for (place, target) in target.chunks_exact_mut(taps.run_len).enumerate() {
                let sums = &part[(place * count + k % TASK_OUTPUTS) * run..];
                target.iter_mut().zip(sums).for_each(|(w, sum)| *w += sum);
            }
        }
    })
}

/// Adds one strip's share of the kernel gradient for some outputs.
fn add_strip(
    (gradient, input, reading): (&[f32], &[f32], Option<Reading<'_>>),
    (strip, rows): (usize, usize),
    outputs: Outputs,
    (dims, sums): (&Dims, &mut [f32]),
) {
    let strips = dims.height.div_ceil(rows);
    let (b, first) = (strip / strips, strip % strips * rows);
    let window = dims.window(first, rows.min(dims.height - first));
    let image = dims.image(input, (b, reading), dims.channels);
    let image = Image { padding: dims.options.padding, ..image };
    let row = dims.width * dims.outputs;
    let gradient = &gradient[(b * dims.height + first) * row..][..window.rows.len() * row];
    WINDOW.with_borrow_mut(|scratch| {
        let window = window.grown(dims.margins());
        dispatch(Gram {
            window: image.copy_window(&window, lanes(), scratch),
            row_step: window.columns.len() * dims.channels,
            gradient,
            width: dims.width,
            taps: Taps::new(dims),
            outputs,
            sums,
        });
    });
}

/// Returns images of `channels` that `work` wrote, called with image, window and output of every strip
/// of rows, in parallel.
fn fill_strips(
    dims: &Dims,
    rows: usize,
    channels: usize,
    work: impl Fn(usize, Window, &mut [f32]) + Sync,
) -> Vec<f32> {
    let row = dims.width * channels;
    let image = dims.height * row;
    if dims.channels * dims.outputs == 0 {
        return vec![0.0; dims.batch * image];
    }
    fill_groups(dims.batch * image, (image, rows * row), |start, output| {
        let first = start % image / row;
        work(start / image, dims.window(first, output.len() / row), output);
    })
}

/// Convolves a window of `image` into `output`, `[rows, columns, outputs]`.
fn convolve(image: &Image<'_>, packed: &Packed, window: &Window, output: &mut [f32]) {
    let width = window.columns.len();
    let mut seen = window.grown(packed.margins());
    // The last group of pixels may reach past the window.
    seen.columns.end += (width.next_multiple_of(packed.group) - width).cast_signed();
    WINDOW.with_borrow_mut(|scratch| {
        dispatch(Convolve {
            window: image.copy_window(&seen, 0, scratch),
            row_step: seen.columns.len() * image.channels,
            packed,
            width,
            output,
        });
    });
}

/// Convolves a window and the mirrored border beside it, and adds every number of the border to the
/// pixel that the border mirrors.
fn convolve_and_fold(image: &Image<'_>, packed: &Packed, window: &Window, output: &mut [f32]) {
    let (margin, columns) = packed.margins();
    let mut bordered = window.grown((0, columns));
    if window.rows.start == 0 {
        bordered.rows.start -= margin.cast_signed();
    }
    if window.rows.end == image.height.cast_signed() {
        bordered.rows.end += margin.cast_signed();
    }
    let row = bordered.columns.len() * packed.outputs;
    OUTPUT.with_borrow_mut(|scratch| {
        let needed = bordered.rows.len() * row;
        scratch.resize(scratch.len().max(needed), 0.0);
        convolve(image, packed, &bordered, &mut scratch[..needed]);
        for (y, scratch) in bordered.rows.clone().zip(scratch.chunks_exact(row)) {
            let target = mirrored(y, image.height) - window.rows.start.cast_unsigned();
            let target = &mut output[target * image.width * packed.outputs..];
            for (x, pixel) in bordered.columns.clone().zip(scratch.chunks_exact(packed.outputs)) {
                let target = &mut target[mirrored(x, image.width) * packed.outputs..];
                target.iter_mut().zip(pixel).for_each(|(sum, g)| *sum += g);
            }
        }
    });
}

/// Rows of a strip whose window of `channels` fits the scratch memory and that gives `strips` strips.
fn strip_rows(dims: &Dims, channels: usize, strips: usize) -> usize {
    let (margin, columns) = dims.margins();
    let row = (dims.width + 2 * columns) * channels;
    let fitting = (SCRATCH / row.max(1)).saturating_sub(2 * margin);
    let sharing = (dims.batch * dims.height).div_ceil(strips);
    fitting.min(sharing).clamp(1, dims.height.max(1))
}

/// At least `rows` rows, so many that the border folds onto rows of the strip that computes it.
fn rows_that_hold_the_fold(rows: usize, dims: &Dims) -> usize {
    let margin = match dims.options.padding {
        Padding::Zero => 0,
        Padding::Symmetric => dims.margins().0,
    };
    let holds = |rows: &usize| dims.height.is_multiple_of(*rows) || dims.height % rows >= margin;
    (rows.max(margin)..dims.height).find(holds).unwrap_or(dims.height.max(1))
}

/// Strips that keep all threads busy; where the rows are cut changes no number.
fn strips_for_threads() -> usize {
    4 * rayon::current_num_threads()
}

impl Dims {
    fn image<'a>(
        &self,
        batch: &'a [f32],
        (b, reading): (usize, Option<Reading<'a>>),
        channels: usize,
    ) -> Image<'a> {
        let Self { height, width, .. } = *self;
        let values = &batch[b * height * width * channels..][..height * width * channels];
        let norm = reading.map(|reading| reading.of_slice(b));
        Image { values, height, width, channels, padding: Padding::Zero, norm }
    }

    fn window(&self, first: usize, rows: usize) -> Window {
        let rows = first.cast_signed()..(first + rows).cast_signed();
        Window { rows, columns: 0..self.width.cast_signed() }
    }

    /// Rows above (and below) and columns beside the image that the kernel sees.
    fn margins(&self) -> (usize, usize) {
        let reach = |taps: usize| self.options.dilation * (taps / 2);
        (reach(self.kernel_rows), reach(self.kernel_columns))
    }

    /// Weights of one output.
    fn depth(&self) -> usize {
        self.kernel_rows * self.kernel_columns * self.channels
    }
}

impl Around<'_> {
    /// Finishes a strip of image `b`.
    fn finish(self, b: usize, window: &Window, dims: &Dims, channels: usize, output: &mut [f32]) {
        if let Some((finish, target)) = self.finish {
            let size = Size { height: dims.height, width: dims.width, channels };
            let first = b * dims.height + window.rows.start.cast_unsigned();
            finish.rows(first, size, output, target);
        }
    }
}

impl Taps {
    fn new(dims: &Dims) -> Self {
        let (runs, run_len) = match dims.options.dilation {
            1 => (1, dims.kernel_columns * dims.channels),
            _ => (dims.kernel_columns, dims.channels),
        };
        let (channels, dilation) = (dims.channels, dims.options.dilation);
        Self { rows: dims.kernel_rows, runs, run_len, channels, dilation }
    }
}

impl Outputs {
    fn block(first: usize, dims: &Dims) -> Self {
        Self { first, count: TASK_OUTPUTS.min(dims.outputs - first), all: dims.outputs }
    }
}
