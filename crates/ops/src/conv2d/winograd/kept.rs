//! Transformed tiles that several products read.

use std::ops::Range;

use rayon::prelude::*;

use super::super::packed::lanes;
use super::memory::{Planes, aligned};
use super::tiles::Tiles;
use crate::simd::{Simd, Work, dispatch};

/// Images as tiles and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What a convolution reads.
    Input,
    /// The gradient with respect to what it writes.
    Gradient,
}

/// Transformed tiles in blocks, `[36, channels / lanes, tiles, lanes]` each.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    values: &'a [f32],
    /// Layout of a block.
    pub(super) planes: Planes,
}

impl<'a> Kept<'a> {
    /// Transforms some channels of some tiles, which are cut into `blocks`.
    pub(super) fn new(
        role: Role,
        tiles: &Tiles<'_>,
        blocks: usize,
        memory: &'a mut Vec<f32>,
    ) -> Self {
        let rows = tiles.range.len().div_ceil(blocks);
        let planes = Planes::new(tiles.channels.len(), rows, lanes());
        let zeros = vec![0.0; tiles.channels.len()];
        let values = aligned(memory, blocks * planes.len());
        values.par_chunks_mut(planes.len()).enumerate().for_each(|(block, values)| {
            let range = nth_part(tiles.range.clone(), block, blocks);
            let tiles = Tiles { range, zeros: &zeros, ..tiles.clone() };
            dispatch(Block { role, tiles, planes, values });
        });
        Self { values, planes }
    }

    /// One point of a block.
    pub(super) fn point(&self, block: usize, point: usize) -> &'a [f32] {
        &self.values[block * self.planes.len() + point * self.planes.point()..]
    }
}

/// Transforms one block of tiles.
struct Block<'a> {
    role: Role,
    tiles: Tiles<'a>,
    planes: Planes,
    values: &'a mut [f32],
}

impl Work for Block<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        assert_eq!(self.planes.lanes, S::LANES, "memory is laid out for the unit that runs");
        match self.role {
            Role::Input => self.tiles.transform_inputs::<S>(self.planes, self.values),
            Role::Gradient => self.tiles.transform_gradients::<S>(self.planes, self.values),
        }
    }
}

/// Cuts `range` into the fewest nearly equal parts of at most `most`.
pub(super) fn cut(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = range.len().div_ceil(most);
    (0..parts).map(move |part| nth_part(range.clone(), part, parts))
}

/// Part `part` of `parts` nearly equal ones.
pub(super) fn nth_part(range: Range<usize>, part: usize, parts: usize) -> Range<usize> {
    let bound = |part: usize| range.start + range.len() * part / parts;
    bound(part)..bound(part + 1)
}
