//! What a card is asked to do: the launches of `norm.cu`.

use candle_core::Result;

use super::{Dims, NormOptions, count_slices};
use crate::cuda::{
    Argument::{self, Float, Read, Write},
    Buffer, Launch, Program, Source,
};

#[cfg(test)]
mod tests;

const SOURCE: Source = Source {
    name: "norm",
    text: include_str!("norm.cu"),
    architecture: None,
    kernels: &[
        "batch_norm_segments",
        "batch_norm_statistics",
        "batch_norm_scales",
        "batch_norm_leaky_relu",
        "batch_norm_gradient_segments",
        "batch_norm_gradient_sums",
        "batch_norm_input_gradient",
        "batch_norm_follow",
    ],
};

/// Most pixels of a segment: at 32 channels a thread's `f32` sums run over 128 of them.
const PIECE: usize = 1024;

/// Most channels that a block's threads lie along.
const LANES: usize = 32;

/// Returns the program of a batch's statistics.
///
/// # Shapes
///
/// - input: `[B, N, C]`
/// - outputs: mean, unbiased variance, biased variance and what rounding the mean left over, each `[R, C]`
///
/// # Errors
///
/// If the elements are more than a kernel counts.
pub(super) fn statistics(dims: Dims, rows: &[usize]) -> Result<Program> {
    let plan = Plan::new(dims, rows)?;
    let mut program = Program::new(SOURCE);
    let input = program.buffer(Buffer::Input);
    let of_rows = program.buffer(plan.rows());
    let table = dims.rows * dims.channels;
    let outputs = [0; 4].map(|_| program.buffer(Buffer::Output(table)));
    let partial = plan.segments * dims.channels;
    let [means, squares] = [0; 2].map(|_| program.buffer(Buffer::Scratch(partial)));

    let mut arguments = vec![Write(means), Write(squares), Read(input)];
    arguments.extend([plan.pixels, plan.channels, plan.lanes, plan.piece, plan.pieces]);
    program.launch(plan.tiles("batch_norm_segments", plan.segments, arguments));
    let mut arguments = outputs.map(Write).to_vec();
    arguments.extend([means, squares, input, of_rows].map(Read));
    arguments.push(Argument::count(plan.segments)?);
    arguments.extend([plan.pixels, plan.channels, plan.lanes, plan.piece, plan.pieces]);
    program.launch(plan.tiles("batch_norm_statistics", dims.rows, arguments));
    Ok(program)
}

/// Returns the program of what Eq. (1) needs of `length` known means and variances.
///
/// # Shapes
///
/// - inputs: variance and, if `rounded`, what rounding the mean left over
/// - outputs: the latter in deviations, and `1 / √(Var + ε)`
///
/// # Errors
///
/// As [`statistics`].
#[expect(clippy::cast_possible_truncation, reason = "a constant near 0, kept in f32")]
pub(super) fn scales(length: usize, rounded: bool, options: NormOptions) -> Result<Program> {
    let mut program = Program::new(SOURCE);
    let variance = program.buffer(Buffer::Input);
    let shift = program.buffer(if rounded { Buffer::Input } else { Buffer::Scratch(1) });
    let [rest, inverse] = [0; 2].map(|_| program.buffer(Buffer::Output(length)));
    let mut arguments = vec![Write(rest), Write(inverse), Read(variance), Read(shift)];
    arguments.extend([Argument::Int(i32::from(rounded)), Float(options.epsilon as f32)]);
    arguments.push(Argument::count(length)?);
    program.launch_items("batch_norm_scales", length, arguments);
    Ok(program)
}

/// Returns the program of Eq. (1) with known statistics.
///
/// # Shapes
///
/// - inputs: input `[B, N, C]`; `γ`, `β`, mean, its rest and `1 / √(Var + ε)`, each `[R, C]`
/// - output: the result
///
/// # Errors
///
/// As [`statistics`].
pub(super) fn forward(dims: Dims, rows: &[usize]) -> Result<Program> {
    let plan = Plan::new(dims, rows)?;
    let mut program = Program::new(SOURCE);
    let inputs = [0; 6].map(|_| program.buffer(Buffer::Input));
    let of_rows = program.buffer(plan.rows());
    let out = program.buffer(Buffer::Output(plan.length));
    let mut arguments = vec![Write(out)];
    arguments.extend(inputs.map(Read));
    arguments.extend([Read(of_rows), plan.pixels, plan.channels, plan.slope]);
    arguments.push(Argument::count(plan.length)?);
    program.launch_items("batch_norm_leaky_relu", plan.length, arguments);
    Ok(program)
}

/// Returns the program of the gradients.
///
/// # Shapes
///
/// - inputs: input and the gradient with respect to the result, `[B, N, C]`; `γ`, `β`, and the mean, its
///   rest and `1 / √(Var + ε)`, each `[R, C]`
/// - outputs: the gradients with respect to input, `γ` and `β`
///
/// # Errors
///
/// As [`statistics`].
pub(super) fn backward(dims: Dims, rows: &[usize]) -> Result<Program> {
    let plan = Plan::new(dims, rows)?;
    let mut program = Program::new(SOURCE);
    let [input, gradient] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let tables = [0; 5].map(|_| program.buffer(Buffer::Input)); // γ, β, mean, rest, inverse
    let of_rows = program.buffer(plan.rows());
    let shares = program.buffer(plan.shares(rows));
    let out = program.buffer(Buffer::Output(plan.length));
    let table = dims.rows * dims.channels;
    let [by_gamma, by_beta] = [0; 2].map(|_| program.buffer(Buffer::Output(table)));
    let partial = plan.segments * dims.channels;
    let [deltas, products] = [0; 2].map(|_| program.buffer(Buffer::Scratch(partial)));

    let mut arguments = vec![Write(deltas), Write(products), Read(input), Read(gradient)];
    arguments.extend(tables.map(Read));
    arguments.extend([Read(of_rows), plan.pixels, plan.channels, plan.lanes, plan.piece]);
    arguments.extend([plan.pieces, plan.slope]);
    program.launch(plan.tiles("batch_norm_gradient_segments", plan.segments, arguments));
    let mut arguments = vec![Write(by_gamma), Write(by_beta), Read(deltas), Read(products)];
    arguments.extend([Read(of_rows), Argument::count(plan.segments)?]);
    arguments.extend([plan.channels, plan.lanes, plan.pieces]);
    program.launch(plan.tiles("batch_norm_gradient_sums", dims.rows, arguments));
    let mut arguments = vec![Write(out), Read(input), Read(gradient)];
    arguments.extend(tables.map(Read));
    arguments.extend([by_gamma, by_beta, of_rows, shares].map(Read));
    arguments.extend([plan.pixels, plan.channels, plan.slope, Argument::count(plan.length)?]);
    program.launch_items("batch_norm_input_gradient", plan.length, arguments);
    Ok(program)
}

/// Returns the program that moves running statistics to `decay · running + (1 - decay) · batch` in the
/// rows that some slice of `rows` uses.
///
/// # Shapes
///
/// - inputs: running statistics, updated, and the batch's, `[R, C]`
///
/// # Errors
///
/// As [`statistics`].
#[expect(clippy::cast_possible_truncation, reason = "a factor of numbers of type f32")]
pub(super) fn follow(dims: Dims, rows: &[usize], decay: f64) -> Result<Program> {
    let length = dims.rows * dims.channels;
    let present = (0..dims.rows).map(|row| i32::from(rows.contains(&row))).collect();
    let mut program = Program::new(SOURCE);
    let running = program.buffer(Buffer::Updated);
    let batch = program.buffer(Buffer::Input);
    let present = program.buffer(Buffer::Ints(present));
    let mut arguments = vec![Write(running), Read(batch), Read(present)];
    arguments.extend([Argument::count(dims.channels)?, Float(decay as f32)]);
    arguments.push(Argument::count(length)?);
    program.launch_items("batch_norm_follow", length, arguments);
    Ok(program)
}

/// How the input is cut, and the arguments that say so.
struct Plan {
    dims: Dims,
    of_slices: Vec<i32>,
    length: usize,
    segments: usize,
    lane_count: usize,
    pixels: Argument,
    channels: Argument,
    lanes: Argument,
    piece: Argument,
    pieces: Argument,
    slope: Argument,
}

impl Plan {
    #[expect(clippy::cast_possible_truncation, reason = "constants near 1, kept in f32")]
    fn new(dims: Dims, rows: &[usize]) -> Result<Self> {
        let pieces = dims.pixels.div_ceil(PIECE);
        let length = rows.len() * dims.slice();
        let lanes = dims.channels.next_power_of_two().min(LANES);
        // The kernels' indices are within these two.
        Argument::count(length)?;
        Argument::count(dims.rows * dims.channels)?;
        Ok(Self {
            dims,
            of_slices: rows.iter().filter_map(|&row| i32::try_from(row).ok()).collect(),
            length,
            segments: rows.len() * pieces,
            lane_count: lanes,
            pixels: Argument::count(dims.pixels)?,
            channels: Argument::count(dims.channels)?,
            lanes: Argument::count(lanes)?,
            piece: Argument::count(PIECE)?,
            pieces: Argument::count(pieces)?,
            slope: Float(dims.options.slope as f32),
        })
    }

    fn rows(&self) -> Buffer {
        Buffer::Ints(self.of_slices.clone())
    }

    /// 1 over the pixels of every row.
    #[expect(clippy::cast_possible_truncation, reason = "a factor of numbers of type f32")]
    fn shares(&self, rows: &[usize]) -> Buffer {
        let share = |slices: usize| (1.0 / (slices * self.dims.pixels).max(1) as f64) as f32;
        Buffer::Floats(count_slices(rows, self.dims.rows).into_iter().map(share).collect())
    }

    /// A launch over `items`, segments or rows, and tiles of channels.
    fn tiles(&self, kernel: &'static str, items: usize, arguments: Vec<Argument>) -> Launch {
        let grid = [items, self.dims.channels.div_ceil(self.lane_count), 1];
        Launch { kernel, grid, threads: Program::THREADS, arguments }
    }
}
