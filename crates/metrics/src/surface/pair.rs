//! The two surfaces of one label, ready to be searched from either side.

use rayon::prelude::*;

use super::SurfaceDistances;
use super::border::Border;
use super::field::{Field, squared};
use super::near::{Margins, Target, Window};
use super::planes::Planes;
use crate::{Mode, Status};

/// Never reached by a squared distance, so it never stops a search.
const NO_FLOOR: f64 = -1.0;

/// Queries that are tried before it is decided how to answer all of them.
const SAMPLE: usize = 128;

/// Work of a window that finds nothing, in voxels of a [`Field`]: about 500 ns against 2 ns.
const WINDOW_WORK: usize = 256;

/// Far more than the rounding of a distance and of a quotient of spacings.
const STRETCH_SLACK: f64 = 1.0 + 1e-9;

/// Surfaces of prediction and reference in one box.
#[derive(Debug)]
pub(crate) struct Pair {
    prediction: Side,
    reference: Side,
}

/// One surface: as a list of queries and as something to search.
#[derive(Debug)]
struct Side {
    border: Border,
    target: Target,
}

impl Pair {
    /// Cuts out both surfaces of a label for searches with any of `spacings`; `None` if a side is
    /// empty.
    pub(crate) fn new(
        planes: &Planes,
        label: usize,
        mode: Mode,
        spacings: &[[f64; 3]],
    ) -> Option<Self> {
        if Status::of(&planes.confusion[label]) != Status::Ok {
            return None;
        }
        let border = |bits: &[u64]| Border::of(planes, bits, label, mode);
        let (prediction, reference) =
            rayon::join(|| border(&planes.prediction), || border(&planes.reference));
        Some(Self::between(prediction, reference, spacings))
    }

    /// Takes any two sets of points in one box, neither of them empty.
    pub(super) fn between(prediction: Border, reference: Border, spacings: &[[f64; 3]]) -> Self {
        let side = |border: Border| {
            let target = Target::new(&border, Margins::around(border.shape, spacings));
            Side { border, target }
        };
        let (prediction, reference) = rayon::join(|| side(prediction), || side(reference));
        Self { prediction, reference }
    }

    /// Returns the distances of both directions, in the unit of `spacing`.
    pub(crate) fn distances(&self, spacing: &[f64; 3]) -> SurfaceDistances {
        let window = self.window(spacing);
        let (prediction_to_reference_mm, reference_to_prediction_mm) = rayon::join(
            || directed(&self.prediction, &self.reference, &window),
            || directed(&self.reference, &self.prediction, &window),
        );
        SurfaceDistances { prediction_to_reference_mm, reference_to_prediction_mm }
    }

    /// Returns the Hausdorff distance in the unit of `spacing`, faster than [`Self::distances`].
    ///
    /// `hint` holds the distances with the spacing `hint_spacing`. They tell how far each voxel can
    /// be at most, and most voxels cannot reach the distance of the one that is farthest there.
    pub(crate) fn hausdorff(
        &self,
        spacing: &[f64; 3],
        hint: &SurfaceDistances,
        hint_spacing: &[f64; 3],
    ) -> f64 {
        let directions = [
            (&self.prediction, &self.reference, &hint.prediction_to_reference_mm),
            (&self.reference, &self.prediction, &hint.reference_to_prediction_mm),
        ];
        let window = self.window(spacing);
        let start = directions
            .iter()
            .map(|(queries, target, hint)| farthest_by_hint(&queries.border, target, &window, hint))
            .fold(0.0, f64::max);
        let stretch = [0, 1, 2].map(|axis| spacing[axis] / hint_spacing[axis]);
        let stretch = stretch.into_iter().fold(0.0, f64::max) * STRETCH_SLACK;
        let largest = directions
            .par_iter()
            .map(|(queries, target, hint)| {
                let bound = |position: usize| (hint[position] * stretch).powi(2);
                directed_maximum(&queries.border, target, &window, bound, start)
            })
            .reduce(|| start, f64::max);
        largest.sqrt()
    }

    /// Plans the searches of either surface; both have the same box and margins.
    fn window(&self, spacing: &[f64; 3]) -> Window {
        Window::new(self.reference.border.shape, spacing, &self.reference.target)
    }
}

/// Returns the distance of every voxel of `queries` to `target`, in raster order.
fn directed(queries: &Side, target: &Side, window: &Window) -> Vec<f64> {
    let border = &queries.border;
    let mut squared = if is_far(border, target, window) {
        Field::new(&target.border, window.spacing()).nearest(&border.bits)
    } else {
        windowed(border, target, window)
    };
    for value in &mut squared {
        *value = value.sqrt();
    }
    squared
}

/// Returns whether so many queries are out of reach that a field is less work than their windows.
///
/// Both answers are exact: this decides how long they take, not what they are.
fn is_far(queries: &Border, target: &Side, window: &Window) -> bool {
    let count = queries.count();
    let stride = count.div_ceil(SAMPLE);
    let sample = (0..count).step_by(stride);
    let tried = sample.len();
    let missed = queries
        .pick(sample)
        .filter(|&voxel| !window.is_certain(window.nearest(&target.target, voxel, NO_FLOOR)));
    missed.count() * count / tried * WINDOW_WORK > Field::work(&target.border)
}

/// Returns the squared distance of every voxel of `queries` to `target`, in raster order, from its
/// window if that is enough.
fn windowed(queries: &Border, target: &Side, window: &Window) -> Vec<f64> {
    let [_, rows, words] = queries.shape;
    let mut far = vec![0; queries.bits.len()];
    let slices: Vec<Vec<f64>> = far
        .par_chunks_mut(rows * words)
        .enumerate()
        .map(|(slice, far)| {
            let mut near = Vec::new();
            queries.for_each_in_slice(slice, |row, column| {
                let squared = window.nearest(&target.target, [slice, row, column], NO_FLOOR);
                if !window.is_certain(squared) {
                    far[row * words + column / 64] |= 1 << (column % 64);
                }
                near.push(squared);
            });
            near
        })
        .collect();

    let mut squared = slices.concat();
    if squared.iter().any(|&squared| !window.is_certain(squared)) {
        let field = Field::new(&target.border, window.spacing());
        let open = squared.iter_mut().filter(|squared| !window.is_certain(**squared));
        for (squared, found) in open.zip(field.nearest(&far)) {
            *squared = found;
        }
    }
    squared
}

/// Returns the largest squared distance from `queries` to `target`, or `start` if none exceeds it.
///
/// No query is farther than the root of its `bound`.
fn directed_maximum(
    queries: &Border,
    target: &Side,
    window: &Window,
    bound: impl Fn(usize) -> f64 + Sync,
    start: f64,
) -> f64 {
    let [_, rows, words] = queries.shape;
    let mut far = vec![0; queries.bits.len()];
    let firsts = queries.bits.chunks_exact(rows * words).scan(0, |first, slice| {
        let before = *first;
        *first += slice.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        Some(before)
    });
    let firsts: Vec<usize> = firsts.collect();
    let slices = far.par_chunks_mut(rows * words).zip(firsts).enumerate();
    let near = slices
        .map(|(slice, (far, first))| {
            let (mut largest, mut position) = (start, first);
            queries.for_each_in_slice(slice, |row, column| {
                if bound(position) > largest {
                    let squared = window.nearest(&target.target, [slice, row, column], largest);
                    if squared > largest {
                        if window.is_certain(squared) {
                            largest = squared;
                        } else {
                            far[row * words + column / 64] |= 1 << (column % 64);
                        }
                    }
                }
                position += 1;
            });
            largest
        })
        .reduce(|| start, f64::max);

    if far.iter().all(|&word| word == 0) {
        return near;
    }
    let far = Field::new(&target.border, window.spacing()).nearest(&far);
    far.into_iter().fold(near, f64::max)
}

/// Returns the exact squared distance of the voxel for which `hint` is largest.
fn farthest_by_hint(queries: &Border, target: &Side, window: &Window, hint: &[f64]) -> f64 {
    let farthest = (0..hint.len()).max_by(|&a, &b| hint[a].total_cmp(&hint[b])).unwrap_or(0);
    let query = queries.pick([farthest]).next().expect("a hint has a value per query");
    let near = window.nearest(&target.target, query, NO_FLOOR);
    if window.is_certain(near) {
        return near;
    }
    let mut nearest = f64::INFINITY;
    target.border.for_each(|voxel| {
        let steps = [0, 1, 2].map(|axis| query[axis] as f64 - voxel[axis] as f64);
        nearest = nearest.min(squared(steps, window.spacing()));
    });
    nearest
}
