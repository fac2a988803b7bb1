//! Which pixels belong together: the regions over which the vectors of Eq. (3) run.
//!
//! Classes partition the pixels, so Eq. (2) needs no masked copy per class: each pixel is put into
//! its one region, and all later work is over a region's own pixels.

use std::ops::Range;

use candle_core::{DType, Result, Tensor, bail};

use crate::reading::{Reading, Scope, SizeNormalization};

/// The non-empty regions of one batch, a class after the other.
#[derive(Clone, Debug)]
pub(crate) struct Regions {
    /// Number of classes, absent ones included: `C`.
    pub(crate) classes: usize,
    /// Number of pixels of the batch, `B·h·w`, also those outside every class.
    pub(crate) pixels: usize,
    /// Pixels `(b·h + i)·w + j` in the order of their regions.
    pub(crate) order: Vec<usize>,
    /// Ascending by class, then by slice.
    pub(crate) list: Vec<Region>,
}

/// One vector's worth of pixels: a class, or a class within a slice.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) class: usize,
    /// Where its pixels stand in [`Regions::order`].
    pub(crate) rows: Range<usize>,
    /// Factor of its cosines: `1/S_c`, over the number of slices that hold the class.
    pub(crate) weight: f64,
}

/// A part of a region, small enough for a core's own cache.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Index into [`Regions::list`].
    pub(crate) region: usize,
    /// Where its pixels stand in [`Regions::order`].
    pub(crate) rows: Range<usize>,
}

impl Regions {
    /// Bins the pixels of `labels`, resized to `grid` by nearest neighbour.
    ///
    /// Row `i` of `h` reads row `floor(i·H/h)` of the labels, and columns likewise. A class counts
    /// as absent when no pixel is left of it *after* resizing.
    ///
    /// # Shapes
    ///
    /// - `labels`: `[B, H, W]`, `u8` class indices
    /// - `grid`: `[B, h, w]`
    pub(crate) fn new(
        labels: &Tensor,
        grid: [usize; 3],
        classes: usize,
        reading: Reading,
    ) -> Result<Self> {
        // Labels are checked also where no region asks for them.
        let mut resized = nearest(labels, grid, classes)?;
        if !reading.class_specific {
            resized.fill(0);
        }
        let (classes, first) = match (reading.class_specific, reading.background) {
            (false, _) => (1, 0),
            (true, true) => (classes, 0),
            (true, false) => (classes.saturating_sub(1), 1),
        };
        if classes == 0 {
            bail!("affinity: no class is left to compare; give at least one, background aside");
        }
        let [slices, h, w] = grid;
        let vectors = if reading.scope == Scope::Batch { 1 } else { slices };
        let slice_of = |pixel: usize| if vectors == 1 { 0 } else { pixel / (h * w) };
        let bin_of = |pixel: usize| {
            let class = usize::from(resized[pixel]).checked_sub(first)?;
            Some(class * vectors + slice_of(pixel))
        };
        let (order, bounds) = sort_into_bins(resized.len(), classes * vectors, bin_of);
        let list = (0..classes)
            .flat_map(|class| {
                let bins = &bounds[class * vectors..=(class + 1) * vectors];
                regions_of(class, bins, resized.len() / vectors.max(1), reading.size_normalization)
            })
            .collect();
        Ok(Self { classes, pixels: resized.len(), order, list })
    }

    /// Whether each class has a pixel.
    pub(crate) fn present(&self) -> Vec<bool> {
        (0..self.classes).map(|class| self.list.iter().any(|r| r.class == class)).collect()
    }

    /// The regions of one class, each with its index.
    pub(crate) fn of_class(&self, class: usize) -> impl Iterator<Item = (usize, &Region)> {
        self.list.iter().enumerate().filter(move |(_, region)| region.class == class)
    }

    /// The rows of a map `[pixels, channels]` in region order, for writing.
    pub(crate) fn rows_mut<'a, T>(&self, values: &'a mut [T], channels: usize) -> Vec<&'a mut [T]> {
        let mut rows: Vec<_> = values.chunks_exact_mut(channels).map(Some).collect();
        let take = |&pixel: &usize| rows[pixel].take().expect("a pixel lies in one region only");
        self.order.iter().map(take).collect()
    }

    /// Cuts every region into blocks of at most `rows` pixels; no block crosses a border.
    pub(crate) fn blocks(&self, rows: usize) -> Vec<Block> {
        let cut = |(region, whole): (usize, &Region)| {
            let Range { start, end } = whole.rows;
            (start..end)
                .step_by(rows)
                .map(move |from| Block { region, rows: from..end.min(from.saturating_add(rows)) })
        };
        self.list.iter().enumerate().flat_map(cut).collect()
    }
}

/// The labels at feature resolution, `B·h·w` values.
fn nearest(labels: &Tensor, [b, h, w]: [usize; 3], classes: usize) -> Result<Vec<u8>> {
    let (height, width) = match labels.dims() {
        &[slices, height, width] if slices == b && height > 0 && width > 0 => (height, width),
        other => bail!(
            "affinity: labels have shape {other:?} beside feature maps [{b}, {h}, {w}, channels], \
             expected [{b}, H, W]"
        ),
    };
    if labels.dtype() != DType::U8 {
        bail!("affinity: labels have type {:?}, expected U8", labels.dtype());
    }
    let values = labels.flatten_all()?.to_vec1::<u8>()?;
    if let Some(label) = values.iter().find(|&&label| usize::from(label) >= classes) {
        bail!("affinity: labels hold the value {label}, expected class indices below {classes}");
    }
    let row = |i: usize| (i / h) * height + (i % h) * height / h;
    Ok((0..b * h)
        .flat_map(|i| {
            let start = row(i) * width;
            let line = &values[start..start + width];
            (0..w).map(move |j| line[j * width / w])
        })
        .collect())
}

/// A stable counting sort: the items in order of their bin, and the `bins + 1` borders between.
fn sort_into_bins(
    items: usize,
    bins: usize,
    bin_of: impl Fn(usize) -> Option<usize>,
) -> (Vec<usize>, Vec<usize>) {
    let mut bounds = vec![0; bins + 1];
    for bin in (0..items).filter_map(&bin_of) {
        bounds[bin + 1] += 1;
    }
    for bin in 0..bins {
        bounds[bin + 1] += bounds[bin];
    }
    let mut next = bounds.clone();
    let mut order = vec![0; bounds[bins]];
    for item in 0..items {
        if let Some(bin) = bin_of(item) {
            order[next[bin]] = item;
            next[bin] += 1;
        }
    }
    (order, bounds)
}

/// The non-empty regions of a class between the borders `bounds`, with their weights.
fn regions_of(
    class: usize,
    bounds: &[usize],
    pixels: usize,
    normalization: SizeNormalization,
) -> Vec<Region> {
    let held: Vec<Range<usize>> =
        bounds.windows(2).map(|pair| pair[0]..pair[1]).filter(|rows| !rows.is_empty()).collect();
    let count = held.len() as f64;
    held.into_iter()
        .map(|rows| {
            let size = match normalization {
                SizeNormalization::Pixels => rows.len() as f64,
                SizeNormalization::Fraction => rows.len() as f64 / pixels as f64,
                SizeNormalization::None => 1.0,
            };
            Region { class, rows, weight: 1.0 / (size * count) }
        })
        .collect()
}
