//! Convolution with 3×3 kernels by Winograd's minimal filtering F(4×4, 3×3).
//!
//! Four by four outputs `Y` of one tile depend on six by six inputs `d`. With the matrices of
//! `transforms`, \[Lavin2016\] Eqs. (8) and (12) read
//!
//! ```text
//! Y = Aᵀ [ Σ_c (G g Gᵀ) ⊙ (Bᵀ d B) ] A        (W1)
//! ```
//!
//! and need 36 products per channel in place of 144; where an image leaves no more than two rows or columns to its
//! last tiles, these take 24, or 16 in the corner. For every one of the 36 points, the sum over
//! channels is a matrix product of tiles × channels with channels × outputs.
//!
//! The gradient with respect to the input is Eq. (W1) itself, with the kernel turned and inputs and outputs
//! exchanged. That with respect to the kernel is its transpose, summed over the tiles `t`:
//!
//! ```text
//! ∂L/∂g = Gᵀ [ Σ_t (A ∂L/∂Y Aᵀ) ⊙ (Bᵀ d B) ] G        (W2)
//! ```
//!
//! Every number is one sum in an order given by the shapes: the number of threads changes no bit.
//!
//! # Source
//!
//! \[Lavin2016\] A. Lavin, S. Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016; other
//! points (see `transforms`), Eq. (W2) and dilation are ours.

mod convolve;
mod gemm;
mod grid;
mod kept;
mod kernel_gradient;
mod memory;
mod outer;
mod outputs;
#[cfg(test)]
mod tests;
mod tiles;
mod transforms;
mod weights;

use self::grid::Grid;
use self::weights::Taps;
use super::border::mirrored;
use super::finish::{Around, Reading};
use super::{Dims, Padding};
use crate::fill::fill;

/// Taps of a kernel.
const TAPS: usize = 9;
/// Rows (and columns) of the outputs of a tile.
const OUTPUT_SIDE: usize = 4;
/// Rows (and columns) of the inputs of a tile.
const INPUT_SIDE: usize = 6;
/// Rows (and columns) of the points of a tile.
const POINT_SIDE: usize = 6;
/// Points of a tile.
const POINTS: usize = POINT_SIDE * POINT_SIDE;

/// Pixels of each tile of an image.
pub(super) fn tile_pixels(dims: &Dims) -> Vec<u32> {
    Grid::new(dims, dims.options.padding).tile_pixels()
}

/// Products that one channel of one output takes.
pub(super) fn products(dims: &Dims) -> usize {
    let grid = Grid::new(dims, dims.options.padding);
    (0..POINTS).map(|point| grid.with_point(point, &(0..grid.count())).len()).sum()
}

pub(super) fn forward(input: &[f32], kernel: &[f32], dims: &Dims, around: Around<'_>) -> Vec<f32> {
    let grid = Grid::new(dims, dims.options.padding);
    convolve::convolve(&grid, input, &Taps::forward(kernel, dims), around)
}

/// `around.finish` is possible without padding by mirrors only.
pub(super) fn backward_input(
    gradient: &[f32],
    kernel: &[f32],
    dims: &Dims,
    around: Around<'_>,
) -> Vec<f32> {
    // The gradients of what was mirrored belong to the pixels it mirrored.
    let border = match dims.options.padding {
        Padding::Zero => 0,
        Padding::Symmetric => dims.options.dilation,
    };
    assert!(border == 0 || around.finish.is_none(), "the results are not folded yet");
    let grid = Grid::with_border(dims, Padding::Zero, border);
    let taps = Taps::backward(kernel, dims);
    let input_gradient = convolve::convolve(&grid, gradient, &taps, around);
    match dims.options.padding {
        Padding::Zero => input_gradient,
        Padding::Symmetric => fold(&input_gradient, border, dims),
    }
}

/// Adds the border's numbers to the pixels that the border mirrors.
fn fold(bordered: &[f32], border: usize, dims: &Dims) -> Vec<f32> {
    let (height, width) = (dims.height + 2 * border, dims.width + 2 * border);
    let inside = |position: usize, size: usize| {
        mirrored(position.cast_signed() - border.cast_signed(), size)
    };
    let (row, bordered_row) = (dims.width * dims.channels, width * dims.channels);
    fill(dims.input_shape().elem_count(), row, |start, target| {
        let (image, y) = (start / row / dims.height, start / row % dims.height);
        for source in (0..height).filter(|&source| inside(source, dims.height) == y) {
            let source = &bordered[(image * height + source) * bordered_row..][..bordered_row];
            for (x, pixel) in source.chunks_exact(dims.channels).enumerate() {
                let target = &mut target[inside(x, dims.width) * dims.channels..];
                target.iter_mut().zip(pixel).for_each(|(sum, g)| *sum += g);
            }
        }
    })
}

pub(super) fn backward_kernel(
    gradient: &[f32],
    input: &[f32],
    dims: &Dims,
    reading: Option<Reading<'_>>,
) -> Vec<f32> {
    kernel_gradient::backward_kernel(gradient, input, dims, reading)
}
