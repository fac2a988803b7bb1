//! From images to transformed tiles.

use std::ops::Range;

use super::super::finish::Reading;
use super::grid::{Grid, Tile};
use super::memory::Planes;
use super::transforms::{Gradient, Input, Transform, both_sides};
use super::{INPUT_SIDE, OUTPUT_SIDE, POINT_SIDE};
use crate::norm::Affine;
use crate::simd::Simd;

/// Some tiles of a batch, and some of its channels.
#[derive(Clone)]
pub(super) struct Tiles<'a> {
    pub(super) grid: &'a Grid,
    pub(super) range: Range<usize>,
    /// `[pixels of the grid, all_channels]`
    pub(super) values: &'a [f32],
    pub(super) all_channels: usize,
    pub(super) channels: Range<usize>,
    /// What lies outside the image, at least `channels.len()` zeros.
    pub(super) zeros: &'a [f32],
    /// Applied to the pixels inside as they are read.
    pub(super) reading: Option<Reading<'a>>,
}

impl Tiles<'_> {
    /// Writes `Bᵀ d B` of the pixels that each tile reads.
    #[inline(always)]
    pub(super) fn transform_inputs<S: Simd>(&self, planes: Planes, to: &mut [f32]) {
        let pixels = |tile| self.grid.read(tile);
        self.transform::<S, Input, INPUT_SIDE>(self.grid.source_pixels(), pixels, planes, to);
    }

    /// Writes `A d Aᵀ` of the pixels that each tile writes.
    #[inline(always)]
    pub(super) fn transform_gradients<S: Simd>(&self, planes: Planes, to: &mut [f32]) {
        let pixels = |tile| self.grid.written(tile);
        self.transform::<S, Gradient, OUTPUT_SIDE>(self.grid.target_pixels(), pixels, planes, to);
    }

    #[inline(always)]
    fn transform<S: Simd, T: Transform<SIDE, POINT_SIDE>, const SIDE: usize>(
        &self,
        pixels_in_all: usize,
        pixels: impl Fn(Tile) -> [[Option<usize>; SIDE]; SIDE],
        planes: Planes,
        to: &mut [f32],
    ) {
        let count = self.channels.len();
        assert_eq!(self.values.len(), pixels_in_all * self.all_channels, "the pixels are there");
        assert!(self.channels.end <= self.all_channels, "the channels are there");
        assert!(count <= self.zeros.len(), "there is a pixel outside");
        assert!(planes.len() <= to.len() && self.range.len() <= planes.rows, "tiles have room");
        assert!(count.div_ceil(S::LANES) <= planes.blocks, "channels have room");
        for (t, tile) in self.range.clone().enumerate() {
            let tile = self.grid.tile(tile);
            let sources = self.sources(pixels(tile));
            let norm = self.reading.map(|reading| reading.of_slice(tile.image()));
            for first in (0..count).step_by(S::LANES) {
                let place = first / S::LANES * planes.block() + t * S::LANES;
                // SAFETY: `Work::run` runs where the unit exists; every source is valid for `count`
                // numbers, and the planes hold this place at every point.
                unsafe {
                    let to = (to.as_mut_ptr().add(place), planes.point());
                    self.transform_vector::<S, T, SIDE>(&sources, first, norm, to);
                }
            }
        }
    }

    /// Where the first of the channels of each pixel lies.
    #[inline(always)]
    fn sources<const SIDE: usize>(&self, pixels: [[Option<usize>; SIDE]; SIDE]) -> Sources<SIDE> {
        let mut places = [[self.zeros.as_ptr(); SIDE]; SIDE];
        let mut inside = true;
        for (places, pixels) in places.iter_mut().zip(pixels) {
            for (place, pixel) in places.iter_mut().zip(pixels) {
                inside &= pixel.is_some();
                if let Some(pixel) = pixel {
                    let start = pixel * self.all_channels + self.channels.start;
                    // SAFETY: the pixels of the grid's tiles are there.
                    *place = unsafe { self.values.as_ptr().add(start) };
                }
            }
        }
        Sources { places, inside }
    }

    /// Transforms the vector of channels from `first` on; pixels inside pass through the norm.
    ///
    /// # Safety
    ///
    /// As [`transform_vector`].
    #[inline(always)]
    unsafe fn transform_vector<S: Simd, T: Transform<SIDE, POINT_SIDE>, const SIDE: usize>(
        &self,
        sources: &Sources<SIDE>,
        first: usize,
        norm: Option<&Affine>,
        to: (*mut f32, usize),
    ) {
        let (places, channels) = (&sources.places, first..self.channels.len());
        // SAFETY: by the contract of this function.
        unsafe {
            let Some(norm) = norm else {
                return transform_vector::<S, T, SIDE>(
                    places,
                    channels,
                    to,
                    #[inline(always)]
                    |_, x| x,
                );
            };
            let norm = norm.at::<S>(self.channels.start + first);
            let outside = self.zeros.as_ptr();
            if sources.inside {
                transform_vector::<S, T, SIDE>(
                    places,
                    channels,
                    to,
                    #[inline(always)]
                    |_, x| norm.apply(x),
                );
            } else {
                transform_vector::<S, T, SIDE>(
                    places,
                    channels,
                    to,
                    #[inline(always)]
                    |source, x| if source == outside { x } else { norm.apply(x) },
                );
            }
        }
    }
}

/// The pixels that a tile reads.
struct Sources<const SIDE: usize> {
    places: [[*const f32; SIDE]; SIDE],
    /// Whether none of them lies outside the image.
    inside: bool,
}

/// Transforms one vector of channels, the first of `channels`, or all if there are fewer, as `read` makes it of
/// a source and what is there.
///
/// # Safety
///
/// The unit exists, the sources are valid for `channels`, and `to` for a vector at each of the points,
/// `step` numbers apart.
#[inline(always)]
unsafe fn transform_vector<S: Simd, T: Transform<SIDE, POINT_SIDE>, const SIDE: usize>(
    sources: &[[*const f32; SIDE]; SIDE],
    channels: Range<usize>,
    (to, step): (*mut f32, usize),
    read: impl Fn(*const f32, S::Vector) -> S::Vector,
) {
    // SAFETY: by the contract of this function.
    unsafe {
        both_sides::<S, T, SIDE, POINT_SIDE>(
            #[inline(always)]
            |i, j| {
                let from = sources[i][j].add(channels.start);
                let x = if channels.len() < S::LANES {
                    S::load_first(from, channels.len())
                } else {
                    S::load(from)
                };
                read(sources[i][j], x)
            },
            #[inline(always)]
            |i, row| {
                for (j, vector) in row.into_iter().enumerate() {
                    S::store(to.add((i * POINT_SIDE + j) * step), vector);
                }
            },
        );
    }
}
