//! How far two masks are apart if all their voxels count, not their surfaces alone.
//!
//! A voxel of `P` that `R` has too is at distance 0 from it. The others are at the distance of the
//! nearest surface voxel of `R`: from an inner voxel of `R`, one step towards them stays in `R`
//! and comes nearer. So the search is that between surfaces, but the voxel of `P` that is farthest
//! from `R` need not be on the surface of `P`: it is the centre of a ball if `R` is the shell
//! around it. Two kinds of voxels of `P` can be left out nevertheless, with "inner" for those whose
//! face neighbours all are in the mask:
//!
//! 1. Inner voxels of both masks. They are no surface of either, and at distance 0.
//! 2. Inner voxels of `P` outside `R` that no voxel of `R` lies beyond along some axis. Their
//!    neighbour in that direction is in `P` and farther from every voxel of `R`.
//!
//! What is kept of `P` holds its whole surface, all it shares with what is kept of `R`, and, unless
//! all distances are 0, its farthest voxel: going from neighbour to neighbour as in 2, distances
//! grow, so that the walk ends at a voxel that is kept. With the same done to `R`, the distance of
//! every voxel that is kept to what is kept of the other side is its distance to the whole of it.
//! Rounding keeps the order of distances, so the rounded ones are those of a full search.

use std::ops::Range;

use super::border::{Border, Rows};
use super::planes::{Extent, Masks, Planes};
use super::{Pair, SurfaceDistances};
use crate::evaluate::check;
use crate::{Error, Label, Mode, Options, Status};

/// Largest distance from any voxel of one side to the nearest voxel of the other, per direction.
///
/// 0 for a side that lies within the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolumeDistances {
    /// `max { d(p, R) : p ∈ P }` over all voxels of the prediction, in millimetres.
    pub prediction_to_reference_mm: f64,
    /// `max { d(r, P) : r ∈ R }` over all voxels of the reference, in millimetres.
    pub reference_to_prediction_mm: f64,
}

/// Returns the largest distances between all voxels of one label, or `None` if a side has none.
///
/// # Shapes
///
/// - `prediction`, `reference`: `[D, H, W]`, row-major, on the same grid
///
/// # Errors
///
/// - [`Error::VoxelCount`] if a map does not fill `shape`
/// - [`Error::Spacing`], [`Error::Tolerance`], [`Error::NotOneSlice`] if `options` make no sense
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Options, volume_distances};
///
/// // A bar within a longer one, which sticks out by one voxel on one side and two on the other.
/// let (prediction, reference) = ([0u8, 1, 1, 0, 0], [1, 1, 1, 1, 1]);
/// let options = Options::new([1.0; 3]);
/// let distances = volume_distances(&prediction, &reference, [1, 1, 5], 1, &options)?
///     .expect("both sides have label 1");
/// assert_eq!(distances.prediction_to_reference_mm, 0.0);
/// assert_eq!(distances.hausdorff_mm(), 2.0);
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn volume_distances<L: Label>(
    prediction: &[L],
    reference: &[L],
    shape: [usize; 3],
    label: u16,
    options: &Options,
) -> Result<Option<VolumeDistances>, Error> {
    check(prediction.len(), reference.len(), shape, &[label], options)?;
    let planes = Planes::pack(prediction, reference, shape, &[label]);
    Ok(VolumeDistances::of(&planes, 0, options.mode, &options.spacing_mm))
}

impl VolumeDistances {
    /// Returns the Hausdorff distance between all voxels, in millimetres: the larger direction.
    ///
    /// 0 or more, 0 is best. Equal to SimpleITK's `HausdorffDistanceImageFilter`. Between surfaces,
    /// as [`SurfaceDistances::hausdorff_mm`] has it, the distance can be larger (a small mask deep
    /// in a large one is far from the surface around it) as well as smaller (a ball within a shell
    /// is farthest from it at its centre).
    pub fn hausdorff_mm(&self) -> f64 {
        self.prediction_to_reference_mm.max(self.reference_to_prediction_mm)
    }

    /// Measures one label; `None` if a side is empty.
    pub(crate) fn of(
        planes: &Planes,
        label: usize,
        mode: Mode,
        spacing: &[f64; 3],
    ) -> Option<Self> {
        if Status::of(&planes.confusion[label]) != Status::Ok {
            return None;
        }
        let extent = &planes.extent(label);
        let [prediction, reference] = voxels_to_search(planes, label, mode, extent);
        let pair = Pair::between(prediction, reference, std::slice::from_ref(spacing));
        let SurfaceDistances { prediction_to_reference_mm, reference_to_prediction_mm } =
            pair.distances(spacing);
        let largest = |distances: &[f64]| distances.iter().copied().fold(0.0, f64::max);
        Some(Self {
            prediction_to_reference_mm: largest(&prediction_to_reference_mm),
            reference_to_prediction_mm: largest(&reference_to_prediction_mm),
        })
    }
}

/// Returns the voxels of both masks without the two kinds that can be left out.
fn voxels_to_search(planes: &Planes, label: usize, mode: Mode, extent: &Extent) -> [Border; 2] {
    let side = |masks: &Masks| {
        let rows = Rows::new(planes, masks, label, extent);
        let mask: Vec<u64> = extent
            .slices
            .clone()
            .flat_map(|slice| extent.rows.clone().map(move |row| (slice, row)))
            .flat_map(|(slice, row)| rows.at(slice, row).to_vec())
            .collect();
        (Border::new(extent.shape(), mask), Border::of(planes, masks, label, mode))
    };
    let (prediction, reference) =
        rayon::join(|| side(&planes.prediction), || side(&planes.reference));
    [(&prediction, &reference), (&reference, &prediction)]
        .map(|(side, other)| Border::new(extent.shape(), kept_of(side, other, mode)))
}

/// Returns the voxels that are kept of a mask; sides are given as `(all voxels, surface)`.
fn kept_of(
    (mask, surface): &(Border, Border),
    (other_mask, other_surface): &(Border, Border),
    mode: Mode,
) -> Vec<u64> {
    let [_, rows, words] = mask.shape;
    let between = Between::of(other_mask, mode);
    let word = |index: usize| {
        let inner = mask.bits[index] & !surface.bits[index];
        let other_inner = other_mask.bits[index] & !other_surface.bits[index];
        let between = between.word([index / words / rows, index / words % rows, index % words]);
        mask.bits[index] & !(inner & other_inner) & !(inner & !other_mask.bits[index] & !between)
    };
    (0..mask.bits.len()).map(word).collect()
}

/// The voxels beyond which, along every axis and in both directions, some voxel of a mask lies.
#[derive(Debug)]
struct Between {
    slices: Range<usize>,
    rows: Range<usize>,
    /// One bit per column.
    columns: Vec<u64>,
}

impl Between {
    fn of(mask: &Border, mode: Mode) -> Self {
        let [slices, rows, words] = mask.shape;
        let (mut seen_slices, mut seen_rows) = (vec![false; slices], vec![false; rows]);
        let mut seen_columns = vec![0; words];
        for (index, &word) in mask.bits.iter().enumerate() {
            seen_slices[index / words / rows] |= word != 0;
            seen_rows[index / words % rows] |= word != 0;
            seen_columns[index % words] |= word;
        }
        let columns: Vec<bool> = (0..words * 64)
            .map(|column| seen_columns[column / 64] >> (column % 64) & 1 == 1)
            .collect();
        let mut bits = vec![0; words];
        for column in inside_of(&columns) {
            bits[column / 64] |= 1 << (column % 64);
        }
        let slices = match mode {
            Mode::Volume => inside_of(&seen_slices),
            // There is no neighbour to step to along this axis.
            Mode::Slice => 0..slices,
        };
        Self { slices, rows: inside_of(&seen_rows), columns: bits }
    }

    /// Returns these voxels among the 64 at `[slice, row, word]`.
    fn word(&self, [slice, row, word]: [usize; 3]) -> u64 {
        let holds_row = self.slices.contains(&slice) && self.rows.contains(&row);
        if holds_row { self.columns[word] } else { 0 }
    }
}

/// Returns the positions between the first and the last that is set, without these two.
fn inside_of(set: &[bool]) -> Range<usize> {
    let first = set.iter().position(|&is_set| is_set).unwrap_or(0);
    let last = set.iter().rposition(|&is_set| is_set).unwrap_or(0);
    first + 1..last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::directed;
    use super::super::tests::{Case, cases, slices};
    use super::*;

    /// The distances between all voxels, by definition.
    fn plain(case: &Case) -> Option<VolumeDistances> {
        let [_, height, width] = case.shape;
        let [prediction, reference] = case.masks().map(|mask| {
            let inside = (0..mask.len()).filter(|&index| mask[index]);
            let position = |index| [index / width / height, index / width % height, index % width];
            let to_i32 = |position: usize| i32::try_from(position).unwrap();
            inside.map(|index| position(index).map(to_i32)).collect::<Vec<_>>()
        });
        let largest = |from: &[[i32; 3]], to: &[[i32; 3]]| {
            directed(from, to, case.spacing_mm).into_iter().fold(0.0, f64::max)
        };
        (!prediction.is_empty() && !reference.is_empty()).then(|| VolumeDistances {
            prediction_to_reference_mm: largest(&prediction, &reference),
            reference_to_prediction_mm: largest(&reference, &prediction),
        })
    }

    fn fast(case: &Case, mode: Mode) -> Option<VolumeDistances> {
        let options = Options { mode, ..Options::new(case.spacing_mm) };
        volume_distances(&case.prediction, &case.reference, case.shape, 1, &options).unwrap()
    }

    /// Two full images with some voxels missing, so that masks have an inside.
    fn solids() -> impl Strategy<Value = Case> {
        (1..7usize, 1..9usize, 1..80usize, prop::collection::vec(any::<u16>(), 0..200)).prop_map(
            |(depth, height, width, holes)| {
                let shape = [depth, height, width];
                let voxels = depth * height * width;
                let mut case = Case {
                    shape,
                    spacing_mm: [1.5, 0.7, 0.9],
                    prediction: vec![1; voxels],
                    reference: vec![1; voxels],
                };
                for (at, hole) in holes.into_iter().enumerate() {
                    let map = if at % 9 == 0 { &mut case.prediction } else { &mut case.reference };
                    map[usize::from(hole) % voxels] = 0;
                }
                case
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn are_those_of_every_pair_of_voxels(case in prop_oneof![cases(), solids()]) {
            prop_assert_eq!(fast(&case, Mode::Volume), plain(&case));
        }

        #[test]
        fn are_those_of_every_pair_of_pixels(case in slices()) {
            prop_assert_eq!(fast(&case, Mode::Slice), plain(&case));
        }
    }

    #[test]
    fn the_farthest_voxel_of_a_ball_from_its_shell_is_the_centre() {
        let shape = [7; 3];
        let mut case =
            Case { shape, spacing_mm: [1.0; 3], prediction: vec![0; 343], reference: vec![0; 343] };
        for index in 0..343 {
            let at = [index / 49, index / 7 % 7, index % 7];
            let on_shell = at.iter().any(|&position| position == 0 || position == 6);
            case.reference[index] = u8::from(on_shell);
            case.prediction[index] = u8::from(!on_shell);
        }

        let distances = fast(&case, Mode::Volume).unwrap();

        assert_eq!(distances.prediction_to_reference_mm.to_bits(), 3.0f64.to_bits());
        assert_eq!(distances.reference_to_prediction_mm.to_bits(), 3.0f64.sqrt().to_bits());
    }
}
