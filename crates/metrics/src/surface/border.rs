//! The surface of a mask, cut out of its bit plane by shifts.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use super::planes::{Extent, Masks, Planes};
use crate::Mode;

/// Surface voxels of one mask inside the box that holds both masks of the label, or other points to
/// measure between: see [`Pair::between`](super::Pair::between).
///
/// Positions count from the corner of that box, as `[slice, row, column]`.
#[derive(Debug)]
pub(super) struct Border {
    /// `[slice, row, word]` at which the bits start: the corner of the box, but for a
    /// [`subset`](Self::subset).
    origin: [usize; 3],
    /// `[slices, rows, words]` of the bits.
    pub(super) shape: [usize; 3],
    /// One bit per voxel of the box, or of the part of it that holds a subset.
    pub(super) bits: Vec<u64>,
    /// The smallest box that holds all bits that are set.
    pub(super) hull: Extent,
    /// Bits that are set.
    pub(super) count: usize,
}

impl Border {
    /// Takes any bits of a box.
    pub(super) fn new(shape: [usize; 3], bits: Vec<u64>) -> Self {
        let mut border = Self { origin: [0; 3], shape, bits, hull: Extent::default(), count: 0 };
        for index in (0..border.bits.len()).filter(|&index| border.bits[index] != 0) {
            border.count += border.bits[index].count_ones() as usize;
            border.hull.include(border.place(index));
        }
        border
    }

    /// Returns the voxels of the mask that have a face neighbour outside it.
    ///
    /// Voxels beyond the image are outside every mask, so a voxel at its edge is on the surface.
    pub(super) fn of(planes: &Planes, masks: &Masks, label: usize, mode: Mode) -> Self {
        let extent = planes.extent(label);
        let shape = extent.shape();
        let mut border = Self {
            origin: [0; 3],
            shape,
            bits: vec![0; shape.iter().product()],
            hull: Extent::default(),
            count: 0,
        };
        let rows = Rows::new(planes, masks, label, &extent);
        pulp::Arch::new().dispatch(|| {
            for d in masks.extents[label].slices.clone() {
                for h in masks.extents[label].rows.clone() {
                    border.cut_row(&rows, [d, h], mode);
                }
            }
        });
        border
    }

    /// Fills in the row of the box that is at `[d, h]` in the image.
    #[inline(always)]
    fn cut_row(&mut self, rows: &Rows<'_>, [d, h]: [usize; 2], mode: Mode) {
        let middle = rows.at(d, h);
        // Memory that is not written is not taken from the system.
        if middle.iter().all(|&word| word == 0) {
            return;
        }
        let (front, back) = match mode {
            Mode::Volume => (rows.at(d.wrapping_sub(1), h), rows.at(d + 1, h)),
            // A mask is its own neighbour across slices: that direction never opens it.
            Mode::Slice => (middle, middle),
        };
        let [_, height, words] = self.shape;
        let (slice, row) = (d - rows.extent.slices.start, h - rows.extent.rows.start);
        let target = &mut self.bits[(slice * height + row) * words..][..words];
        let neighbours = [rows.at(d, h.wrapping_sub(1)), rows.at(d, h + 1), front, back];
        border_row(middle, neighbours, target);
        for word in (0..words).filter(|&word| target[word] != 0) {
            self.count += target[word].count_ones() as usize;
            self.hull.include([slice, row, word]);
        }
    }

    /// Returns the voxels in some words that a mask holds, each given as `(word, mask)`.
    pub(super) fn subset<I>(&self, masks: I) -> Self
    where
        I: IntoIterator<Item = (usize, u64)>,
        I::IntoIter: Clone,
    {
        let held = masks.into_iter().filter(|&(index, mask)| self.bits[index] & mask != 0);
        let mut hull = Extent::default();
        held.clone().for_each(|(index, _)| hull.include(self.place(index)));
        let shape = hull.shape();
        let mut subset = Self {
            origin: [hull.slices.start, hull.rows.start, hull.words.start],
            shape,
            bits: vec![0; shape.iter().product()],
            hull,
            count: 0,
        };
        for (index, mask) in held {
            let at = subset.index(self.place(index));
            let added = self.bits[index] & mask & !subset.bits[at];
            subset.bits[at] |= added;
            subset.count += added.count_ones() as usize;
        }
        subset
    }

    /// Returns which word of the bits is at this place of the box, which they must cover.
    #[inline(always)]
    pub(super) fn index(&self, [slice, row, word]: [usize; 3]) -> usize {
        let [_, rows, words] = self.shape;
        let [first, first_row, first_word] = self.origin;
        ((slice - first) * rows + row - first_row) * words + word - first_word
    }

    /// Returns where the bits of a slice start.
    pub(super) fn start_of(&self, slice: usize) -> usize {
        let [_, rows, words] = self.shape;
        (slice - self.origin[0]) * rows * words
    }

    /// Returns the `[slice, row, word]` of a word of the bits.
    fn place(&self, index: usize) -> [usize; 3] {
        let [_, rows, words] = self.shape;
        let [first, first_row, first_word] = self.origin;
        [first + index / words / rows, first_row + index / words % rows, first_word + index % words]
    }

    /// Returns the `[slice, row, column]` of a bit of a word.
    pub(super) fn position(&self, index: usize, bit: usize) -> [usize; 3] {
        let [slice, row, word] = self.place(index);
        [slice, row, word * 64 + bit]
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
    pub(super) fn new(planes: &Planes, masks: &'a Masks, label: usize, extent: &'a Extent) -> Self {
        let (shape, labels) = (planes.shape, masks.extents.len());
        Self {
            shape,
            labels,
            label,
            bits: &masks.bits,
            extent,
            outside: vec![0; extent.words.len()],
        }
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

/// Writes the voxels of `row` that miss one of their six face neighbours.
///
/// Words left and right of the box hold no voxel of the label, so zeros stand in for them.
#[inline(always)]
fn border_row(row: &[u64], neighbours: [&[u64]; 4], border: &mut [u64]) {
    let words = border.len();
    let (row, neighbours) = (&row[..words], neighbours.map(|other| &other[..words]));
    let mut before = 0;
    for word in 0..words {
        let bits = row[word];
        let after = if word + 1 < words { row[word + 1] } else { 0 };
        let enclosed = (bits << 1 | before >> 63) & (bits >> 1 | after << 63);
        let enclosed = neighbours.iter().fold(enclosed, |all, other| all & other[word]);
        border[word] = bits & !enclosed;
        before = bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_keeps_its_places_in_the_box() {
        let border = Border::new([3, 4, 2], (0..24).collect());
        let subset = border.subset([(13, 4), (10, !0), (16, 0), (13, 1)]);

        assert_eq!((subset.count, subset.shape), (4, [1, 2, 2]));
        assert_eq!(subset.hull, Extent { slices: 1..2, rows: 1..3, words: 0..2 });
        let voxel = |bit: usize| subset.position(subset.index([1, 1, 0]), bit);
        assert_eq!([voxel(1), voxel(3)], [[1, 1, 1], [1, 1, 3]]);
        assert_eq!(subset.bits[subset.index([1, 1, 0])], 10);
        assert_eq!(subset.bits[subset.index([1, 2, 1])], 5);
        assert_eq!(subset.position(subset.start_of(1), 0), [1, 1, 0]);
    }
}
