//! The two surfaces of one label, ready to be searched from either side.

use std::sync::OnceLock;

use super::SurfaceDistances;
use super::bits::pick;
use super::border::Border;
use super::field::nearest_of_one;
use super::groups::{Groups, Stretch};
use super::near::Offsets;
use super::planes::{Masks, Planes};
use super::search::Target;
use super::statistics::{Ranks, Side, Statistics};
use super::tally::Question;
use super::tiles::{Margins, Tiles};
use super::upper::Upper;
use crate::{Mode, Status};

/// Surfaces of prediction and reference in one box.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Prediction and reference.
    borders: [Border; 2],
    /// Zeros around the tiles.
    margins: Margins,
    /// The same as tiles to be searched from the other side, if they were.
    tiles: [OnceLock<Tiles>; 2],
}

/// From which side to which: positions in [`Pair`].
const DIRECTIONS: [[usize; 2]; 2] = [[0, 1], [1, 0]];

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
        let border = |masks: &Masks| Border::of(planes, masks, label, mode);
        let (prediction, reference) =
            rayon::join(|| border(&planes.prediction), || border(&planes.reference));
        Some(Self::between(prediction, reference, spacings))
    }

    /// Takes any two sets of points in one box, neither of them empty.
    pub(super) fn between(prediction: Border, reference: Border, spacings: &[[f64; 3]]) -> Self {
        let margins = Margins::around(prediction.shape, spacings);
        Self { borders: [prediction, reference], margins, tiles: Default::default() }
    }

    /// Returns the distances of both directions, in the unit of `spacing`.
    pub(crate) fn distances(&self, spacing: &[f64; 3]) -> SurfaceDistances {
        let offsets = self.offsets(spacing);
        let directed = |[from, to]: [usize; 2]| {
            let mut squared = self.target(to, &offsets).nearest(&self.borders[from]);
            for value in &mut squared {
                *value = value.sqrt();
            }
            squared
        };
        let [forward, backward] = DIRECTIONS;
        let (prediction_to_reference_mm, reference_to_prediction_mm) =
            rayon::join(|| directed(forward), || directed(backward));
        SurfaceDistances { prediction_to_reference_mm, reference_to_prediction_mm }
    }

    /// Returns the statistics of the distances in the unit of `spacing`, which are those of
    /// [`Self::distances`], and the Hausdorff distance in the unit of `other_spacing`.
    pub(crate) fn statistics(
        &self,
        spacing: &[f64; 3],
        tolerances: &[f64],
        other_spacing: &[f64; 3],
    ) -> (Statistics, f64) {
        let ranks = Ranks::new(self.borders.each_ref().map(|border| border.count));
        let offsets = self.offsets(spacing);
        let stretch = Stretch::new(spacing, other_spacing);
        let directed = |[from, to]: [usize; 2]| {
            let question = Question { tolerances, upper: Upper::new(ranks.values_needed(from)) };
            let target = self.target(to, &offsets);
            let (tally, groups) = target.tally(&self.borders[from], &question, stretch);
            let found = tally.finish();
            (Side { found, upper: question.upper.into_values() }, groups)
        };
        let [forward, backward] = DIRECTIONS;
        let ((predicted, groups_predicted), (expected, groups_expected)) =
            rayon::join(|| directed(forward), || directed(backward));
        let groups = [groups_predicted, groups_expected];
        let statistics = Statistics::of([predicted, expected], &ranks);
        (statistics, self.hausdorff_of_groups(other_spacing, &groups))
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
        let hints = [&hint.prediction_to_reference_mm, &hint.reference_to_prediction_mm];
        let start = DIRECTIONS.map(|[from, to]| {
            let voxel = pick(&self.borders[from].bits, [farthest(hints[from])]).next();
            let (index, bit) = voxel.expect("a hint has a value per query");
            let query = self.borders[from].position(index, bit);
            nearest_of_one(&self.borders[to], query, spacing)
        });
        let start = start.into_iter().fold(0.0, f64::max);
        let stretch = Stretch::new(hint_spacing, spacing);
        let asked = [0, 1].map(|side| {
            let may_exceed = |&at: &usize| stretch.at_most(hints[side][at].powi(2)) > start;
            let ranks = (0..hints[side].len()).filter(may_exceed);
            let bits = pick(&self.borders[side].bits, ranks);
            let masks: Vec<_> = bits.map(|(index, bit)| (index, 1 << bit)).collect();
            self.borders[side].subset(masks)
        });
        self.largest_squared(&asked, &self.offsets(spacing)).max(start).sqrt()
    }

    /// Returns the Hausdorff distance in the unit of `spacing`, given the queries of both directions
    /// that may be the farthest.
    fn hausdorff_of_groups(&self, spacing: &[f64; 3], groups: &[Groups; 2]) -> f64 {
        let offsets = self.offsets(spacing);
        let reached = groups[0].reached().max(groups[1].reached());
        let farthest = [0, 1].map(|side| groups[side].farthest(reached, &self.borders[side]));
        let start = self.largest_squared(&farthest, &offsets);
        let beyond = [0, 1].map(|side| groups[side].beyond(start, &self.borders[side]));
        self.largest_squared(&beyond, &offsets).max(start).sqrt()
    }

    /// Returns the largest squared distance from some queries of both sides to the other side, 0 if
    /// there are none.
    fn largest_squared(&self, queries: &[Border; 2], offsets: &Offsets) -> f64 {
        let farthest = |[from, to]: [usize; 2]| self.target(to, offsets).farthest(&queries[from]);
        let [forward, backward] = DIRECTIONS;
        let (one, other) = rayon::join(|| farthest(forward), || farthest(backward));
        one.max(other)
    }

    fn target<'a>(&'a self, side: usize, offsets: &'a Offsets) -> Target<'a> {
        Target {
            border: &self.borders[side],
            asked: &self.borders[1 - side],
            tiles: &self.tiles[side],
            offsets,
        }
    }

    /// Plans the searches of either surface, which have the same box and margins.
    fn offsets(&self, spacing: &[f64; 3]) -> Offsets {
        Offsets::new(self.borders[0].shape, spacing, self.margins)
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
