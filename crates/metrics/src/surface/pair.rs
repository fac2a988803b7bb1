//! The two surfaces of one label, ready to be searched from either side.

use rayon::prelude::*;

use super::SurfaceDistances;
use super::bits::{count, for_each_bit, pick, ranks, subset};
use super::border::Border;
use super::field::{Field, nearest_of_one};
use super::near::Offsets;
use super::planes::Planes;
use super::tiles::{Margins, SIDE, Tiles};
use crate::{Mode, Status};

/// Queries that are tried before it is decided how to answer all of them.
const SAMPLE: usize = 32;

/// Work of a query that is out of reach of its tile, in voxels of a [`Field`]: about 500 ns against
/// 2 ns.
const TILE_WORK: usize = 256;

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
    tiles: Tiles,
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
            let tiles = Tiles::new(&border, Margins::around(border.shape, spacings));
            Side { border, tiles }
        };
        let (prediction, reference) = rayon::join(|| side(prediction), || side(reference));
        Self { prediction, reference }
    }

    /// Returns the distances of both directions, in the unit of `spacing`.
    pub(crate) fn distances(&self, spacing: &[f64; 3]) -> SurfaceDistances {
        let offsets = self.offsets(spacing);
        let directed = |queries: &Side, target: &Side| {
            let mut squared = squared_distances(&queries.border.bits, target, &offsets);
            for value in &mut squared {
                *value = value.sqrt();
            }
            squared
        };
        let (prediction_to_reference_mm, reference_to_prediction_mm) = rayon::join(
            || directed(&self.prediction, &self.reference),
            || directed(&self.reference, &self.prediction),
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
            (&self.prediction.border, &self.reference, &hint.prediction_to_reference_mm),
            (&self.reference.border, &self.prediction, &hint.reference_to_prediction_mm),
        ];
        let offsets = self.offsets(spacing);
        let of_farthest = directions.map(|(queries, target, hint)| {
            let voxel = pick(&queries.bits, [farthest(hint)]).next();
            let (index, bit) = voxel.expect("a hint has a value per query");
            nearest_of_one(&target.border, queries.position(index, bit), spacing)
        });
        let start = of_farthest.into_iter().fold(0.0, f64::max);
        let stretch = [0, 1, 2].map(|axis| spacing[axis] / hint_spacing[axis]);
        let stretch = stretch.into_iter().fold(0.0, f64::max) * STRETCH_SLACK;
        let largest = directions.par_iter().map(|(queries, target, hint)| {
            let may_exceed = |&at: &usize| (hint[at] * stretch).powi(2) > start;
            let asked = subset(&queries.bits, (0..hint.len()).filter(may_exceed));
            squared_distances(&asked, target, &offsets).into_iter().fold(start, f64::max)
        });
        largest.reduce(|| start, f64::max).sqrt()
    }

    /// Plans the searches of either surface; both have the same box and margins.
    fn offsets(&self, spacing: &[f64; 3]) -> Offsets {
        Offsets::new(self.reference.border.shape, spacing, &self.reference.tiles)
    }
}

/// Returns the squared distance to `target` from every voxel set in `queries`, a bit plane of its
/// box, in raster order.
fn squared_distances(queries: &[u64], target: &Side, offsets: &Offsets) -> Vec<f64> {
    if is_far(queries, target, offsets) {
        return Field::new(&target.border, offsets.spacing()).nearest(queries);
    }
    let (mut squared, far) = near(queries, target, offsets);
    if far.iter().any(|&word| word != 0) {
        let field = Field::new(&target.border, offsets.spacing());
        let open = squared.iter_mut().filter(|squared| !offsets.is_certain(**squared));
        for (squared, found) in open.zip(field.nearest(&far)) {
            *squared = found;
        }
    }
    squared
}

/// Returns whether so many queries are out of reach that a field is less work than their tiles.
///
/// Both answers are exact: this decides how long they take, not what they are.
fn is_far(queries: &[u64], target: &Side, offsets: &Offsets) -> bool {
    let border = &target.border;
    let (count, work) = (count(queries), Field::work(border));
    if count * TILE_WORK <= work {
        return false;
    }
    let stride = count.div_ceil(SAMPLE);
    let mut seen = offsets.memory();
    let mut is_missed = |&(index, bit): &(usize, usize)| {
        let [slice, row, column] = border.position(index, bit);
        let tile = [slice, row / SIDE * SIDE, column / SIDE];
        let query = 1 << (row % SIDE * SIDE + column % SIDE);
        offsets.nearest(&target.tiles, tile, query, &mut seen, |_, _| ()) != 0
    };
    let sample = (0..count).step_by(stride);
    let tried = sample.len();
    let missed = pick(queries, sample).filter(|voxel| is_missed(voxel)).count();
    missed * count / tried * TILE_WORK > work
}

/// Returns the squared distance of every query in reach of `target`, infinity for the others, and
/// the others as a bit plane.
fn near(queries: &[u64], target: &Side, offsets: &Offsets) -> (Vec<f64>, Vec<u64>) {
    let [_, rows, words] = target.border.shape;
    let mut squared = vec![f64::INFINITY; count(queries)];
    let mut far = vec![0; queries.len()];
    let mut rest = squared.as_mut_slice();
    let mut slices = Vec::new();
    for queries in queries.chunks_exact(rows * words) {
        let (squared, after) = rest.split_at_mut(count(queries));
        rest = after;
        slices.push((queries, squared));
    }
    slices.into_par_iter().zip(far.par_chunks_exact_mut(rows * words)).enumerate().for_each(
        |(slice, ((queries, squared), far))| {
            if !squared.is_empty() {
                near_in_slice(slice, queries, target, offsets, (squared, far));
            }
        },
    );
    (squared, far)
}

/// Does what [`near`] does for one slice.
fn near_in_slice(
    slice: usize,
    queries: &[u64],
    target: &Side,
    offsets: &Offsets,
    (squared, far): (&mut [f64], &mut [u64]),
) {
    let [_, rows, words] = target.border.shape;
    let ranks = ranks(queries);
    let mut seen = offsets.memory();
    for first in (0..rows).step_by(SIDE) {
        for word in 0..words {
            let at = |row: usize| (first + row) * words + word;
            let block: [u64; SIDE] =
                std::array::from_fn(|row| if first + row < rows { queries[at(row)] } else { 0 });
            if block.iter().all(|&word| word == 0) {
                continue;
            }
            for byte in 0..SIDE {
                let tile = u64::from_le_bytes(block.map(|word| word.to_le_bytes()[byte]));
                if tile == 0 {
                    continue;
                }
                let place = [slice, first, word * SIDE + byte];
                let open = offsets.nearest(&target.tiles, place, tile, &mut seen, |hit, value| {
                    for_each_bit(hit, |bit| {
                        let column = byte * SIDE + bit % SIDE;
                        let before = block[bit / SIDE] & ((1 << column) - 1);
                        squared[ranks[at(bit / SIDE)] + before.count_ones() as usize] = value;
                    });
                });
                for_each_bit(open, |bit| {
                    far[at(bit / SIDE)] |= 1 << (byte * SIDE + bit % SIDE);
                });
            }
        }
    }
}

/// Returns the position of the largest distance.
fn farthest(distances: &[f64]) -> usize {
    let mut farthest = 0;
    for (at, distance) in distances.iter().enumerate() {
        if *distance > distances[farthest] {
            farthest = at;
        }
    }
    farthest
}
