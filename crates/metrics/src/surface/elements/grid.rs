//! The surface elements of a mask, cut out of its bit plane by shifts.

use super::super::border::Rows;
use super::super::planes::{Extent, Masks, Planes};
use crate::Mode;

/// Surface elements of one mask on the grid of voxel corners.
///
/// The element at `[d, h, w]` lies between the voxels `d − 1` and `d` along every axis, counted
/// from the corner of the label's box, so the grid has one position more than the box.
#[derive(Debug)]
pub(super) struct Elements {
    /// One bit per position, `[slices + 1, rows + 1, words + 1]`; one slice in 2D.
    pub(super) bits: Vec<u64>,
    /// What the voxels around each element are, in raster order; see [`super::areas`].
    pub(super) codes: Vec<u8>,
}

/// Returns the shape of the grid, `[slices, rows, words]`.
pub(super) fn shape(extent: &Extent, mode: Mode) -> [usize; 3] {
    let [slices, rows, words] = extent.shape();
    [slices + usize::from(mode == Mode::Volume), rows + 1, words + 1]
}

impl Elements {
    /// Returns the positions around which some voxels are inside the mask and others outside.
    ///
    /// Voxels beyond the image are outside every mask, so that a surface is always closed.
    pub(super) fn of(planes: &Planes, masks: &Masks, label: usize, mode: Mode) -> Self {
        let extent = &planes.extent(label);
        let [slices, rows, words] = shape(extent, mode);
        let mut elements = Self { bits: Vec::with_capacity(slices * rows * words), codes: vec![] };
        let mask = Rows::new(planes, masks, label, extent);
        for slice in extent.slices.start..extent.slices.start + slices {
            // In 2D a slice is its own neighbour: a square of pixels is a cube of two such slices.
            let front = if mode == Mode::Slice { slice } else { slice.wrapping_sub(1) };
            for row in extent.rows.start..extent.rows.start + rows {
                let above = row.wrapping_sub(1);
                elements.push_row([
                    mask.at(front, above),
                    mask.at(front, row),
                    mask.at(slice, above),
                    mask.at(slice, row),
                ]);
            }
        }
        elements
    }

    /// Adds one row of positions, given the rows of voxels `[front, back] × [above, below]` of it.
    fn push_row(&mut self, around: [&[u64]; 4]) {
        let mut before = [0; 4];
        for word in 0..=around[0].len() {
            let after = around.map(|row| row.get(word).copied().unwrap_or(0));
            let mut corners = [0; 8];
            for (row, (&before, &after)) in before.iter().zip(&after).enumerate() {
                corners[2 * row] = after << 1 | before >> 63;
                corners[2 * row + 1] = after;
            }
            before = after;
            let some = corners.iter().fold(0, |bits, corner| bits | corner);
            let all = corners.iter().fold(u64::MAX, |bits, corner| bits & corner);
            let mut rest = some & !all;
            self.bits.push(rest);
            while rest != 0 {
                self.codes.push(code(&corners, rest.trailing_zeros()));
                rest &= rest - 1;
            }
        }
    }
}

/// Gathers one bit of every corner: corner `4·d + 2·h + w` becomes that bit of the code.
fn code(corners: &[u64; 8], position: u32) -> u8 {
    let bits = corners.iter().enumerate();
    bits.fold(0, |code, (corner, bits)| code | u8::from(bits >> position & 1 == 1) << corner)
}
