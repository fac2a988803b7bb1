//! All metrics of a pair of surfaces at once, without lists of their distances.

use super::tally::Found;
use crate::percentile::Rank;

/// What the methods of the same names of [`SurfaceDistances`](super::SurfaceDistances) return, bit
/// for bit.
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

/// Where the 95th percentiles lie among the distances.
#[derive(Debug)]
pub(super) struct Ranks {
    /// Distances per direction.
    counts: [usize; 2],
    directed: [Rank; 2],
    pooled: Rank,
}

/// What is known of the distances of one direction.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) found: Found,
    /// At least the [`Ranks::values_needed`] largest distances, in any order.
    pub(super) upper: Vec<f64>,
}

impl Ranks {
    /// Finds the places for numbers of distances, which must not be 0.
    pub(super) fn new(counts: [usize; 2]) -> Self {
        let pooled = Rank::new(counts[0] + counts[1], 0.95);
        Self { counts, directed: counts.map(|count| Rank::new(count, 0.95)), pooled }
    }

    /// Returns how many of the largest distances of a direction tell all percentiles.
    pub(super) fn values_needed(&self, side: usize) -> usize {
        let pooled = self.pooled.values_needed().min(self.counts[side]);
        self.directed[side].values_needed().max(pooled)
    }
}

impl Statistics {
    /// Puts together what is known of both directions.
    pub(super) fn of(sides: [Side; 2], ranks: &Ranks) -> Self {
        let [count_predicted, count_expected] = ranks.counts.map(|count| count as f64);
        let [predicted, expected] = sides.each_ref().map(|side| &side.found);
        let [sum_predicted, sum_expected] = [predicted, expected].map(|side| side.total.sum());
        let count = count_predicted + count_expected;
        let within = predicted.within.iter().zip(&expected.within);
        let nsd = within.map(|(one, other)| (one + other) as f64 / count).collect();
        let hausdorff_mm = predicted.largest.max(expected.largest);
        let [upper_predicted, upper_expected] = sides.map(|side| side.upper);
        let pooled = [&upper_predicted[..], &upper_expected[..]].concat();
        let directed = [upper_predicted, upper_expected];
        let directed = directed.into_iter().zip(&ranks.directed);
        Self {
            hausdorff_mm,
            hausdorff95_mm: directed
                .map(|(upper, rank)| rank.percentile(upper))
                .fold(0.0, f64::max),
            hausdorff95_pooled_mm: ranks.pooled.percentile(pooled),
            assd_mm: (sum_predicted + sum_expected) / count,
            masd_mm: f64::midpoint(sum_predicted / count_predicted, sum_expected / count_expected),
            nsd,
        }
    }
}
