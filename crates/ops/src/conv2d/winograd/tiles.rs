//! From images to transformed tiles.

use std::ops::Range;

use super::super::finish::Reading;
use super::grid::{Grid, Pixels, Tile};
use super::memory::Planes;
use super::transforms::{Gradient, HalfGradient, HalfInput, Input, Transform, both_sides, point};
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

/// A transform to the points, for whole tiles and for halves.
trait Transforms {
    type Whole: Transform;
    type Half: Transform;
}

/// `Bᵀ`
struct Inputs;

impl Transforms for Inputs {
    type Whole = Input;
    type Half = HalfInput;
}

/// `A`
struct Gradients;

impl Transforms for Gradients {
    type Whole = Gradient;
    type Half = HalfGradient;
}

impl Tiles<'_> {
    /// Writes `Bᵀ d B` of the pixels that each tile reads.
    #[inline(always)]
    pub(super) fn transform_inputs<S: Simd>(&self, planes: Planes, to: &mut [f32]) {
        let pixels = |tile| self.grid.read(tile);
        self.transform::<S, Inputs, INPUT_SIDE>(self.grid.source_pixels(), pixels, planes, to);
    }

    /// Writes `A d Aᵀ` of the pixels that each tile writes.
    #[inline(always)]
    pub(super) fn transform_gradients<S: Simd>(&self, planes: Planes, to: &mut [f32]) {
        let pixels = |tile| self.grid.written(tile);
        self.transform::<S, Gradients, OUTPUT_SIDE>(self.grid.target_pixels(), pixels, planes, to);
    }

    #[inline(always)]
    fn transform<S: Simd, T: Transforms, const SIDE: usize>(
        &self,
        pixels_in_all: usize,
        pixels: impl Fn(Tile) -> Pixels<SIDE>,
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
            let pixels = &pixels(tile);
            let norm = self.reading.map(|reading| reading.of_slice(tile.image));
            // SAFETY: `Work::run` runs where the unit exists, the pixels of the grid's tiles are there, and
            // the planes hold every channel of the tile at every point.
            unsafe {
                let to = (to.as_mut_ptr().add(t * S::LANES), planes);
                match tile.halves {
                    [false, false] => self.tile::<S, T::Whole, T::Whole, _>(pixels, norm, to),
                    [false, true] => self.tile::<S, T::Whole, T::Half, _>(pixels, norm, to),
                    [true, false] => self.tile::<S, T::Half, T::Whole, _>(pixels, norm, to),
                    [true, true] => self.tile::<S, T::Half, T::Half, _>(pixels, norm, to),
                }
            }
        }
    }

    /// Transforms all channels of a tile: rows by `R`, columns by `C`.
    ///
    /// # Safety
    ///
    /// The unit exists, the pixels are there, and `to` is valid for all channels at each of the points.
    #[inline(always)]
    unsafe fn tile<S: Simd, R: Transform, C: Transform, const SIDE: usize>(
        &self,
        pixels: &Pixels<SIDE>,
        norm: Option<&Affine>,
        (to, planes): (*mut f32, Planes),
    ) {
        let sources = self.sources::<R, C, SIDE>(pixels);
        for first in (0..self.channels.len()).step_by(S::LANES) {
            // SAFETY: by the contract of this function.
            unsafe {
                let to = (to.add(first / S::LANES * planes.block()), planes.point());
                self.vector::<S, R, C>(&sources, first, norm, to);
            }
        }
    }

    /// Where the first of the channels of each pixel lies.
    #[inline(always)]
    fn sources<R: Transform, C: Transform, const SIDE: usize>(
        &self,
        pixels: &Pixels<SIDE>,
    ) -> Sources {
        let mut places = [[self.zeros.as_ptr(); INPUT_SIDE]; INPUT_SIDE];
        let mut inside = true;
        for (i, places) in places.iter_mut().enumerate().take(R::FROM) {
            for (j, place) in places.iter_mut().enumerate().take(C::FROM) {
                let pixel = pixels.at(i, j);
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
    unsafe fn vector<S: Simd, R: Transform, C: Transform>(
        &self,
        sources: &Sources,
        first: usize,
        norm: Option<&Affine>,
        to: (*mut f32, usize),
    ) {
        let (places, channels) = (&sources.places, first..self.channels.len());
        // SAFETY: by the contract of this function.
        unsafe {
            let Some(norm) = norm else {
                return transform_vector::<S, R, C>(
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
                transform_vector::<S, R, C>(
                    places,
                    channels,
                    to,
                    #[inline(always)]
                    |_, x| norm.apply(x),
                );
            } else {
                transform_vector::<S, R, C>(
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
struct Sources {
    places: [[*const f32; INPUT_SIDE]; INPUT_SIDE],
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
unsafe fn transform_vector<S: Simd, R: Transform, C: Transform>(
    sources: &[[*const f32; INPUT_SIDE]; INPUT_SIDE],
    channels: Range<usize>,
    (to, step): (*mut f32, usize),
    read: impl Fn(*const f32, S::Vector) -> S::Vector,
) {
    // SAFETY: by the contract of this function.
    unsafe {
        both_sides::<S, R, C>(
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
            |i, j, vector| {
                let point = point(i, R::TO) * POINT_SIDE + point(j, C::TO);
                S::store(to.add(point * step), vector);
            },
        );
    }
}
