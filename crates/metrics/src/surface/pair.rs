//! The two surfaces of one label, ready to be searched from either side.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::SurfaceDistances;
use super::border::Border;
use super::far::{Cells, Search, squared};
use super::near::{Margins, Target, Window};
use super::planes::Planes;
use crate::{Mode, Status};

/// Never reached by a squared distance, so it never stops a search.
const NO_FLOOR: f64 = -1.0;

/// Cells of far queries that are answered one after another, each with the help of the last.
const CELLS_PER_TASK: usize = 256;

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
    /// Built by the first query that the window cannot answer.
    cells: OnceLock<Cells>,
}

impl Side {
    fn cells(&self) -> &Cells {
        self.cells.get_or_init(|| {
            let mut voxels = Vec::new();
            self.border.for_each(|voxel| voxels.push(voxel));
            Cells::new(&voxels)
        })
    }
}

/// What the window could not answer.
struct FarQuery {
    position: usize,
    voxel: [usize; 3],
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
        let side = |bits: &[u64]| {
            let border = Border::of(planes, bits, label, mode);
            let target = Target::new(&border, Margins::around(border.shape, spacings));
            Side { border, target, cells: OnceLock::new() }
        };
        let (prediction, reference) =
            rayon::join(|| side(&planes.prediction), || side(&planes.reference));
        Some(Self { prediction, reference })
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
    /// `hint` holds the distances with any other spacing: the voxels that are farthest there start
    /// the search with a large value, and every query ends as soon as it cannot exceed it.
    pub(crate) fn hausdorff(&self, spacing: &[f64; 3], hint: &SurfaceDistances) -> f64 {
        let directions = [
            (&self.prediction, &self.reference, &hint.prediction_to_reference_mm),
            (&self.reference, &self.prediction, &hint.reference_to_prediction_mm),
        ];
        let start = directions
            .iter()
            .map(|(queries, target, hint)| farthest_by_hint(queries, target, spacing, hint))
            .fold(0.0, f64::max);
        let window = self.window(spacing);
        let largest = directions
            .par_iter()
            .map(|(queries, target, _)| directed_maximum(queries, target, &window, start))
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
    let slices: Vec<(Vec<f64>, Vec<FarQuery>)> = (0..queries.border.shape[0])
        .into_par_iter()
        .map(|slice| {
            let (mut distances, mut far) = (Vec::new(), Vec::new());
            queries.border.for_each_in_slice(slice, |row, column| {
                let voxel = [slice, row, column];
                let squared = window.nearest(&target.target, voxel, NO_FLOOR);
                if !window.is_certain(squared) {
                    far.push(FarQuery { position: distances.len(), voxel });
                }
                distances.push(squared.sqrt());
            });
            (distances, far)
        })
        .collect();

    let (mut distances, mut far) = (Vec::new(), Vec::new());
    for (slice_distances, slice_far) in slices {
        let before = distances.len();
        distances.extend(slice_distances);
        far.extend(
            slice_far
                .into_iter()
                .map(|query| FarQuery { position: before + query.position, ..query }),
        );
    }
    for (query, squared) in far_distances(&far, target, window.spacing(), NO_FLOOR) {
        distances[far[query].position] = squared.sqrt();
    }
    distances
}

/// Returns the largest squared distance from `queries` to `target`, or `start` if none exceeds it.
fn directed_maximum(queries: &Side, target: &Side, window: &Window, start: f64) -> f64 {
    let slices: Vec<(f64, Vec<FarQuery>)> = (0..queries.border.shape[0])
        .into_par_iter()
        .map(|slice| {
            let (mut largest, mut far) = (start, Vec::new());
            queries.border.for_each_in_slice(slice, |row, column| {
                let voxel = [slice, row, column];
                let squared = window.nearest(&target.target, voxel, largest);
                if squared > largest {
                    if window.is_certain(squared) {
                        largest = squared;
                    } else {
                        far.push(FarQuery { position: 0, voxel });
                    }
                }
            });
            (largest, far)
        })
        .collect();

    let near = slices.iter().map(|&(largest, _)| largest).fold(start, f64::max);
    let far: Vec<FarQuery> = slices.into_iter().flat_map(|(_, far)| far).collect();
    let far_distances = far_distances(&far, target, window.spacing(), near);
    far_distances.into_iter().map(|(_, squared)| squared).fold(near, f64::max)
}

/// Returns `(index in far, squared distance)` of every far query.
fn far_distances(
    far: &[FarQuery],
    target: &Side,
    spacing: &[f64; 3],
    floor: f64,
) -> Vec<(usize, f64)> {
    if far.is_empty() {
        return Vec::new();
    }
    let voxels: Vec<[usize; 3]> = far.iter().map(|query| query.voxel).collect();
    let queries = Cells::new(&voxels);
    let target = target.cells();
    let chunks = queries.finest().par_chunks(CELLS_PER_TASK).flat_map_iter(|cells| {
        let mut search = Search::new(target, &queries, spacing, floor);
        let answers = cells.iter().flat_map(|cell| {
            let squared = search.nearest(cell);
            queries.members(cell).iter().copied().zip(squared)
        });
        answers.collect::<Vec<_>>()
    });
    chunks.collect()
}

/// Returns the exact squared distance of the voxel for which `hint` is largest.
fn farthest_by_hint(queries: &Side, target: &Side, spacing: &[f64; 3], hint: &[f64]) -> f64 {
    let farthest = (0..hint.len()).max_by(|&a, &b| hint[a].total_cmp(&hint[b])).unwrap_or(0);
    let (mut position, mut query) = (0, [0; 3]);
    queries.border.for_each(|voxel| {
        if position == farthest {
            query = voxel;
        }
        position += 1;
    });
    let mut nearest = f64::INFINITY;
    target.border.for_each(|voxel| {
        let steps = [0, 1, 2].map(|axis| query[axis] as f64 - voxel[axis] as f64);
        nearest = nearest.min(squared(steps, spacing));
    });
    nearest
}
