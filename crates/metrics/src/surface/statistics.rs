//! All metrics of a pair of surfaces at once: few passes over the distances, which are read from
//! memory each time and can be millions.

use rayon::prelude::*;

use super::{SurfaceDistances, Total};
use crate::percentile::Counted;

/// Values that are read from memory once for all that is asked of them.
const PIECE: usize = 1024;

/// What the methods of the same names of [`SurfaceDistances`] return, bit for bit.
#[derive(Debug, PartialEq)]
pub(crate) struct Statistics {
    pub(crate) hausdorff_mm: f64,
    pub(crate) hausdorff95_mm: f64,
    pub(crate) hausdorff95_pooled_mm: f64,
    pub(crate) assd_mm: f64,
    pub(crate) masd_mm: f64,
    /// One per tolerance.
    pub(crate) nsd: Vec<f64>,
}

impl Statistics {
    pub(crate) fn of(distances: &SurfaceDistances, tolerances_mm: &[f64]) -> Self {
        let sides: [&[f64]; 2] =
            [&distances.prediction_to_reference_mm, &distances.reference_to_prediction_mm];
        let [prediction, reference] = sides.map(|side| side.len() as f64);
        let totals: Vec<_> =
            sides.par_iter().map(|side| SideTotals::of(side, tolerances_mm)).collect();
        let [sum_prediction, sum_reference] = [0, 1].map(|side: usize| totals[side].sum);
        let largest = totals[0].largest.max(totals[1].largest);

        let counted = Counted::new(&sides, 0.0, largest);
        let within = |at: usize| (totals[0].within[at] + totals[1].within[at]) as f64;
        Self {
            hausdorff_mm: largest,
            hausdorff95_mm: counted.percentile(0..1, 0.95).max(counted.percentile(1..2, 0.95)),
            hausdorff95_pooled_mm: counted.percentile(0..2, 0.95),
            assd_mm: (sum_prediction + sum_reference) / (prediction + reference),
            masd_mm: f64::midpoint(sum_prediction / prediction, sum_reference / reference),
            nsd: (0..tolerances_mm.len()).map(|at| within(at) / (prediction + reference)).collect(),
        }
    }
}

/// What one pass over the distances of one direction finds.
#[derive(Debug)]
struct SideTotals {
    largest: f64,
    sum: f64,
    /// Values up to each tolerance.
    within: Vec<usize>,
}

impl SideTotals {
    fn of(values: &[f64], tolerances_mm: &[f64]) -> Self {
        let mut total = Total::default();
        let mut largest = 0.0;
        let mut within = vec![0; tolerances_mm.len()];
        for piece in values.chunks(PIECE) {
            total.add(piece);
            largest = piece.iter().copied().fold(largest, f64::max);
            for (within, tolerance) in within.iter_mut().zip(tolerances_mm) {
                *within += piece.iter().filter(|&value| value <= tolerance).count();
            }
        }
        Self { largest, sum: total.sum(), within }
    }
}
