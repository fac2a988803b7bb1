//! The surface of a mask, cut out of its bit plane by shifts.

use super::planes::{Extent, Planes};
use crate::Mode;

/// Surface voxels of one mask inside the box that holds both masks of the label.
///
/// Positions count from the corner of that box, as `[slice, row, column]`.
#[derive(Debug)]
pub(super) struct Border {
    /// `[slices, rows, words]` of the box.
    pub(super) shape: [usize; 3],
    /// One bit per voxel of the box, `[slices, rows, words]`.
    pub(super) bits: Vec<u64>,
}

impl Border {
    /// Returns the voxels of the mask that have a face neighbour outside it.
    ///
    /// Voxels beyond the image are outside every mask, so a voxel at its edge is on the surface.
    pub(super) fn of(planes: &Planes, bits: &[u64], label: usize, mode: Mode) -> Self {
        let Some(extent) = &planes.extents[label] else {
            return Self { shape: [0; 3], bits: Vec::new() };
        };
        let shape = [extent.slices.len(), extent.rows.len(), extent.words.len()];
        let mut border = Self { shape, bits: vec![0; shape.iter().product()] };
        let outside = vec![0; shape[2]];
        let row = |slice: usize, row: usize| {
            let inside = extent.slices.contains(&slice) && extent.rows.contains(&row);
            if inside { plane_row(planes, bits, label, [slice, row], extent) } else { &outside[..] }
        };
        let targets = border.bits.chunks_exact_mut(shape[2]);
        let positions =
            extent.slices.clone().flat_map(|d| extent.rows.clone().map(move |h| (d, h)));
        for (target, (d, h)) in targets.zip(positions) {
            let middle = row(d, h);
            let (front, back) = match mode {
                Mode::Volume => (row(d.wrapping_sub(1), h), row(d + 1, h)),
                // A mask is its own neighbour across slices: that direction never opens it.
                Mode::Slice => (middle, middle),
            };
            border_row(middle, [row(d, h.wrapping_sub(1)), row(d, h + 1), front, back], target);
        }
        border
    }

    /// Returns the number of surface voxels.
    pub(super) fn count(&self) -> usize {
        self.bits.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Returns the surface voxels at ascending positions in raster order, as `[slice, row, column]`.
    pub(super) fn pick(
        &self,
        positions: impl IntoIterator<Item = usize>,
    ) -> impl Iterator<Item = [usize; 3]> {
        let [_, rows, words] = self.shape;
        let (mut index, mut before) = (0, 0);
        positions.into_iter().map(move |position| {
            while position - before >= self.bits[index].count_ones() as usize {
                before += self.bits[index].count_ones() as usize;
                index += 1;
            }
            let word = self.bits[index];
            let bits = (before..position).fold(word, |bits, _| bits & (bits - 1));
            let column = index % words * 64 + bits.trailing_zeros() as usize;
            [index / words / rows, index / words % rows, column]
        })
    }

    /// Visits the surface voxels of one slice as `(row, column)` in raster order.
    pub(super) fn for_each_in_slice(&self, slice: usize, mut visit: impl FnMut(usize, usize)) {
        let [_, rows, words] = self.shape;
        let bits = &self.bits[slice * rows * words..(slice + 1) * rows * words];
        for (index, &word) in bits.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                visit(index / words, index % words * 64 + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
    }

    /// Visits all surface voxels as `[slice, row, column]` in raster order.
    pub(super) fn for_each(&self, mut visit: impl FnMut([usize; 3])) {
        for slice in 0..self.shape[0] {
            self.for_each_in_slice(slice, |row, column| visit([slice, row, column]));
        }
    }
}

/// Returns one row of a bit plane, cut to the words of the box.
fn plane_row<'a>(
    planes: &Planes,
    bits: &'a [u64],
    label: usize,
    [slice, row]: [usize; 2],
    extent: &Extent,
) -> &'a [u64] {
    let [_, height, words] = planes.shape;
    let start = ((slice * planes.extents.len() + label) * height + row) * words;
    &bits[start + extent.words.start..start + extent.words.end]
}

/// Writes the voxels of `row` that miss one of their six face neighbours.
///
/// Words left and right of the box hold no voxel of the label, so zeros stand in for them.
fn border_row(row: &[u64], neighbours: [&[u64]; 4], border: &mut [u64]) {
    for (word, target) in border.iter_mut().enumerate() {
        let bits = row[word];
        if bits == 0 {
            continue;
        }
        let before = if word > 0 { row[word - 1] } else { 0 };
        let after = row.get(word + 1).copied().unwrap_or(0);
        let left = bits << 1 | before >> 63;
        let right = bits >> 1 | after << 63;
        let enclosed = neighbours.iter().fold(left & right, |all, other| all & other[word]);
        *target = bits & !enclosed;
    }
}
