//! What a convolution does with its results while they are in the cache, in this order: dropout, the
//! skip, the rectified norm that reads them next, and the sums that a norm needs.

use crate::dropout::Mask;
use crate::norm::{Affine, HostActivation, Units, write_moments};
use crate::simd::{MOST_LANES, Simd, Work, dispatch};

/// Pixels of a tile.
const MOST_PIXELS: usize = 16;

/// What is done with the numbers that a convolution reads, and with those that it writes and where their
/// sums go.
#[derive(Clone, Copy, Default)]
pub(super) struct Around<'a> {
    pub(super) reading: Option<Reading<'a>>,
    pub(super) finish: Option<(&'a Finish<'a>, Option<Target>)>,
}

/// The steps after a convolution.
#[derive(Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    pub(crate) dropout: Option<Mask>,
    pub(crate) skip: Option<Skip<'a>>,
    /// Applied in place.
    pub(crate) activation: Option<Reading<'a>>,
    pub(crate) sums: Option<Sums<'a>>,
}

/// A map that is added, in the middle of the channels written.
#[derive(Clone, Copy)]
pub(crate) struct Skip<'a> {
    /// `[pixels, channels]`
    pub(crate) values: &'a [f32],
    pub(crate) channels: usize,
    /// Channels written before those of the map.
    pub(crate) before: usize,
}

/// The rectified norm of every slice.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Of every row of parameters.
    pub(crate) tables: &'a [Affine],
    /// The row of every slice.
    pub(crate) rows: &'a [usize],
}

impl<'a> From<&'a HostActivation> for Reading<'a> {
    fn from(norm: &'a HostActivation) -> Self {
        Self { tables: norm.affine(), rows: norm.rows() }
    }
}

impl<'a> Reading<'a> {
    pub(crate) fn of_slice(&self, slice: usize) -> &'a Affine {
        &self.tables[self.rows[slice]]
    }
}

/// Which sums are taken of every unit and channel.
#[derive(Clone, Copy)]
pub(crate) enum Sums<'a> {
    /// Of the values, and of their squared deviations from the unit's mean.
    Moments,
    /// The results are gradients with respect to what the rectified norm of `input` returns: they are
    /// replaced by `δ` (see [`Affine`]), and the sums are those of `δ` and `δ (x - E)`.
    Products { norm: Reading<'a>, input: &'a [f32] },
}

/// Where the sums go, shared by the tasks of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    values: *mut f32,
    channels: usize,
}

// SAFETY: every unit's sums of a channel are written by the one task that computes the channel's results, and
// nothing reads before all have finished.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The place of the sums, `None` if there are none.
    pub(crate) fn of(units: Option<&mut Units>) -> Option<Self> {
        units.map(|Units { values, channels, .. }| Self {
            values: values.as_mut_ptr(),
            channels: *channels,
        })
    }

    /// Both sums of a unit, from a channel on.
    ///
    /// # Safety
    ///
    /// The unit and the channel exist.
    #[inline(always)]
    unsafe fn of_unit(&self, unit: usize, channel: usize) -> [*mut f32; 2] {
        // SAFETY: by the contract of this function.
        [0, 1].map(|which| unsafe { self.values.add((2 * unit + which) * self.channels + channel) })
    }
}

/// One vector of channels of one tile.
pub(super) struct Tile<'a, S: Simd> {
    finish: &'a Finish<'a>,
    /// All channels.
    channels: usize,
    /// The channels computed: the first, and how many.
    first: usize,
    count: usize,
    slice: usize,
    /// What was computed, for the moments.
    values: [S::Vector; MOST_PIXELS],
    pixels: usize,
    sums: [S::Vector; 2],
}

impl<'a, S: Simd> Tile<'a, S> {
    /// Starts with no pixel.
    ///
    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    pub(super) unsafe fn new(
        finish: &'a Finish<'a>,
        slice: usize,
        channels: usize,
        (first, count): (usize, usize),
    ) -> Self {
        // SAFETY: by the contract of this function.
        let zero = unsafe { S::zero() };
        let (values, sums) = ([zero; MOST_PIXELS], [zero; 2]);
        Self { finish, channels, first, count, slice, values, pixels: 0, sums }
    }

    /// Takes the results of one pixel and returns what is to be written.
    ///
    /// # Safety
    ///
    /// The unit exists, the tile has room for the pixel, and the maps of the steps hold it.
    #[inline(always)]
    pub(super) unsafe fn pixel(&mut self, pixel: usize, mut y: S::Vector) -> S::Vector {
        let finish = self.finish;
        let place = pixel * self.channels + self.first;
        // SAFETY: by the contract of this function.
        unsafe {
            if let Some(mask) = &finish.dropout {
                y = S::multiply_add(y, factors::<S>(mask, place), S::zero());
            }
            if let Some(skip) = &finish.skip {
                y = S::add(y, self.skipped(skip, pixel));
            }
            if let Some(norm) = &finish.activation {
                y = norm.of_slice(self.slice).at::<S>(self.first).apply(y);
            }
            match &finish.sums {
                None => {}
                Some(Sums::Moments) => {
                    self.values[self.pixels] = y;
                    self.sums[0] = S::add(self.sums[0], y);
                }
                Some(Sums::Products { norm, input }) => {
                    let x = self.load(input.as_ptr().add(place));
                    let (delta, centred) =
                        norm.of_slice(self.slice).at::<S>(self.first).delta(x, y);
                    self.sums[0] = S::add(self.sums[0], delta);
                    self.sums[1] = S::multiply_add(delta, centred, self.sums[1]);
                    y = delta;
                }
            }
        }
        self.pixels += 1;
        y
    }

    /// Writes the sums of the tile.
    ///
    /// # Safety
    ///
    /// The unit exists, and the target holds the tile's sums.
    #[inline(always)]
    pub(super) unsafe fn write(mut self, target: Option<Target>, tile: usize) {
        let Some(target) = target else { return };
        // SAFETY: by the contract of this function.
        unsafe {
            if let Some(Sums::Moments) = self.finish.sums {
                let share = 1.0 / (self.pixels.max(1) as f32);
                let mean = S::multiply_add(self.sums[0], S::splat(&raw const share), S::zero());
                for &value in &self.values[..self.pixels] {
                    let deviation = S::subtract(value, mean);
                    self.sums[1] = S::multiply_add(deviation, deviation, self.sums[1]);
                }
            }
            for (to, sum) in target.of_unit(tile, self.first).into_iter().zip(self.sums) {
                S::store_first(to, sum, self.count);
            }
        }
    }

    /// The skip's vector, zero where it has no channels.
    ///
    /// # Safety
    ///
    /// The unit exists, and the skip holds the pixel.
    #[inline(always)]
    unsafe fn skipped(&self, skip: &Skip<'_>, pixel: usize) -> S::Vector {
        // SAFETY: by the contract of this function; what is read lies among the pixel's channels.
        unsafe {
            let pixel = skip.values.as_ptr().add(pixel * skip.channels);
            if self.first >= skip.before && self.first + S::LANES <= skip.before + skip.channels {
                return S::load(pixel.add(self.first - skip.before));
            }
            let mut lanes = [0.0; MOST_LANES];
            for (c, lane) in (self.first..).zip(&mut lanes[..self.count]) {
                if (skip.before..skip.before + skip.channels).contains(&c) {
                    *lane = *pixel.add(c - skip.before);
                }
            }
            S::load(lanes.as_ptr())
        }
    }

    /// # Safety
    ///
    /// The unit exists, and `from` is valid for the channels computed.
    #[inline(always)]
    unsafe fn load(&self, from: *const f32) -> S::Vector {
        // SAFETY: by the contract of this function.
        unsafe {
            if self.count < S::LANES { S::load_first(from, self.count) } else { S::load(from) }
        }
    }
}

/// The factors of a vector of elements.
///
/// # Safety
///
/// The unit exists.
#[inline(always)]
unsafe fn factors<S: Simd>(mask: &Mask, start: usize) -> S::Vector {
    let mut lanes = [0.0; MOST_LANES];
    match (start.is_multiple_of(4), S::LANES) {
        (true, 4) => lanes[..4].copy_from_slice(&mask.factors::<1, 4>(start)),
        (true, 8) => lanes[..8].copy_from_slice(&mask.factors::<2, 8>(start)),
        (true, 16) => lanes = mask.factors::<4, 16>(start),
        _ => {
            lanes = [1.0; MOST_LANES];
            mask.apply(start, &mut lanes[..S::LANES]);
        }
    }
    // SAFETY: by the contract of this function; `lanes` holds a vector of every unit.
    unsafe { S::load(lanes.as_ptr()) }
}

/// Sizes of the images written.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Finish<'_> {
    /// Takes the results of whole rows, the first of which is `first` of all slices' rows, in place; a unit is a
    /// row.
    pub(crate) fn rows(
        &self,
        first: usize,
        size: Size,
        results: &mut [f32],
        target: Option<Target>,
    ) {
        dispatch(Rows { finish: self, first, size, results, target });
    }

    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    unsafe fn row<S: Simd>(
        &self,
        row: usize,
        size: Size,
        results: &mut [f32],
        sums: Option<[&mut [f32]; 2]>,
    ) {
        let start = row * results.len();
        if let Some(mask) = &self.dropout {
            mask.apply(start, results);
        }
        if let Some(skip) = &self.skip {
            skip.add(row * size.width, size.channels, results);
        }
        // SAFETY: by the contract of this function.
        unsafe {
            if let Some(norm) = &self.activation {
                norm.of_slice(row / size.height).apply_on::<S>(results);
            }
            match (&self.sums, sums) {
                (Some(Sums::Moments), Some(sums)) => write_moments(results, sums),
                (Some(Sums::Products { norm, input }), Some(sums)) => {
                    let input = &input[start..][..results.len()];
                    let norm = norm.of_slice(row / size.height);
                    norm.add_products::<S>(input, results, sums);
                }
                _ => {}
            }
        }
    }
}

/// See [`Finish::rows`].
struct Rows<'a> {
    finish: &'a Finish<'a>,
    first: usize,
    size: Size,
    results: &'a mut [f32],
    target: Option<Target>,
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { finish, first, size, results, target } = self;
        let len = size.width * size.channels;
        for (row, results) in (first..).zip(results.chunks_exact_mut(len)) {
            // SAFETY: `Work::run` runs where the unit exists. The sums of this row exist and are adjacent, and no
            // other task writes them.
            unsafe {
                let sums = target.map(|target| {
                    target
                        .of_unit(row, 0)
                        .map(|sums| std::slice::from_raw_parts_mut(sums, size.channels))
                });
                finish.row::<S>(row, size, results, sums);
            }
        }
    }
}

impl Skip<'_> {
    /// Adds the pixels from `first` on to those of `results`.
    #[inline(always)]
    fn add(&self, first: usize, channels: usize, results: &mut [f32]) {
        let pixels = results.len() / channels;
        let skip = &self.values[first * self.channels..][..pixels * self.channels];
        if self.channels == channels {
            results.iter_mut().zip(skip).for_each(|(y, s)| *y += s);
            return;
        }
        for (y, skip) in results.chunks_exact_mut(channels).zip(skip.chunks_exact(self.channels)) {
            y[self.before..][..self.channels].iter_mut().zip(skip).for_each(|(y, s)| *y += s);
        }
    }
}
