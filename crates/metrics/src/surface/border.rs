//! The surface of a mask, cut out of its bit plane by shifts.

use std::ops::Range;

use super::planes::{Extent, Planes};
use crate::Mode;

/// Surface voxels of one mask inside the box that holds both masks of the label, or other points to
/// measure between: see [`Pair::between`](super::Pair::between).
///
/// Positions count from the corner of that box, as `[slice, row, column]`.
#[derive(Debug)]
pub(super) struct Border {
    /// `[slices, rows, words]` of the box.
    pub(super) shape: [usize; 3],
    /// One bit per voxel of the box, `[slices, rows, words]`.
    pub(super) bits: Vec<u64>,
    /// The smallest box that holds all bits that are set.
    pub(super) hull: Extent,
    /// Bits that are set.
    pub(super) count: usize,
}

impl Border {
    /// Takes any bits of a box.
    pub(super) fn new(shape: [usize; 3], bits: Vec<u64>) -> Self {
        let [_, rows, words] = shape;
        let mut hull = Extent { slices: 0..0, rows: 0..0, words: 0..0 };
        let (mut count, mut seen) = (0, vec![0; words]);
        for (index, row) in bits.chunks_exact(words.max(1)).enumerate() {
            let in_row: u32 = row.iter().map(|word| word.count_ones()).sum();
            if in_row > 0 {
                count += in_row as usize;
                hull.slices = including(&hull.slices, index / rows);
                hull.rows = including(&hull.rows, index % rows);
                seen.iter_mut().zip(row).for_each(|(seen, word)| *seen |= word);
            }
        }
        for word in (0..words).filter(|&word| seen[word] != 0) {
            hull.words = including(&hull.words, word);
        }
        Self { shape, bits, hull, count }
    }

    /// Returns the voxels of the mask that have a face neighbour outside it.
    ///
    /// Voxels beyond the image are outside every mask, so a voxel at its edge is on the surface.
    pub(super) fn of(planes: &Planes, bits: &[u64], label: usize, mode: Mode) -> Self {
        let Some(extent) = &planes.extents[label] else {
            return Self::new([0; 3], Vec::new());
        };
        let shape = extent.shape();
        let mut border: Vec<u64> = vec![0; shape.iter().product()];
        let rows = Rows::new(planes, bits, label, extent);
        let targets = border.chunks_exact_mut(shape[2]);
        let positions =
            extent.slices.clone().flat_map(|d| extent.rows.clone().map(move |h| (d, h)));
        for (target, (d, h)) in targets.zip(positions) {
            let middle = rows.at(d, h);
            let (front, back) = match mode {
                Mode::Volume => (rows.at(d.wrapping_sub(1), h), rows.at(d + 1, h)),
                // A mask is its own neighbour across slices: that direction never opens it.
                Mode::Slice => (middle, middle),
            };
            border_row(
                middle,
                [rows.at(d, h.wrapping_sub(1)), rows.at(d, h + 1), front, back],
                target,
            );
        }
        Self::new(shape, border)
    }

    /// Returns the voxels in some words that a mask holds, each given as `(word, mask)`.
    pub(super) fn subset(&self, masks: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let [_, rows, words] = self.shape;
        let mut hull = Extent { slices: 0..0, rows: 0..0, words: 0..0 };
        let (mut bits, mut count) = (vec![0; self.bits.len()], 0);
        for (index, mask) in masks {
            let added = self.bits[index] & mask & !bits[index];
            if added != 0 {
                bits[index] |= added;
                count += added.count_ones() as usize;
                hull.slices = including(&hull.slices, index / words / rows);
                hull.rows = including(&hull.rows, index / words % rows);
                hull.words = including(&hull.words, index % words);
            }
        }
        Self { shape: self.shape, bits, hull, count }
    }

    /// Returns the `[slice, row, column]` of a bit of a word.
    pub(super) fn position(&self, index: usize, bit: usize) -> [usize; 3] {
        let [_, rows, words] = self.shape;
        [index / words / rows, index / words % rows, index % words * 64 + bit]
    }
}

/// The rows of one mask, cut to the words of its box, with rows of zeros all around.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    shape: [usize; 3],
    labels: usize,
    label: usize,
    bits: &'a [u64],
    extent: &'a Extent,
    outside: Vec<u64>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(planes: &Planes, bits: &'a [u64], label: usize, extent: &'a Extent) -> Self {
        let (shape, labels) = (planes.shape, planes.extents.len());
        Self { shape, labels, label, bits, extent, outside: vec![0; extent.words.len()] }
    }

    /// Returns the row at this place of the image, zeros if it lies outside the box.
    pub(super) fn at(&self, slice: usize, row: usize) -> &[u64] {
        let Extent { slices, rows, words } = self.extent;
        if !slices.contains(&slice) || !rows.contains(&row) {
            return &self.outside;
        }
        let [_, height, row_words] = self.shape;
        let start = ((slice * self.labels + self.label) * height + row) * row_words;
        &self.bits[start + words.start..start + words.end]
    }
}

/// Returns the smallest range that holds a range and a position.
fn including(range: &Range<usize>, position: usize) -> Range<usize> {
    let start = if range.is_empty() { position } else { range.start.min(position) };
    start..range.end.max(position + 1)
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
