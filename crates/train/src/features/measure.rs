//! Numbers: shares of energy per layer, distances between affinities.

use std::collections::BTreeMap;

use anyhow::Result;
use duomo_affinity::ClassEnergy;
use serde::{Deserialize, Serialize};

use super::pictures::AffinityMatrices;
use super::probe::{Probe, features};
use super::slices::MiniBatch;

/// One group's features in one modality.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Layer {
    /// Group of the network.
    pub group: usize,
    /// Modality name.
    pub modality: String,
    /// Feature maps.
    pub maps: usize,
    /// `1/C`: the balanced share of a map that prefers no class.
    pub balanced_chance: f64,
    /// With the weights that training began with.
    pub before: Specificity,
    /// With the weights that were tested.
    pub after: Specificity,
}

/// How much of a map's energy lies inside its best class; means over maps that are not zero.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Specificity {
    /// Balanced share, in `1/C..=1`.
    pub balanced_share: f64,
    /// Share, in `0..=1`.
    pub share: f64,
    /// Share of the pixels that are of that class: what a flat map's share would be.
    pub chance: f64,
    /// How many maps have each class as their best, background first.
    pub best: Vec<usize>,
}

/// How far the modalities' affinities are apart in one class.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PairDistance {
    /// Class name.
    pub class: String,
    /// Root mean square difference of the entries before training, over pairs of modalities.
    pub before: Option<f64>,
    /// The same after.
    pub after: Option<f64>,
}

/// Energies of every modality, `[modality]`, by group.
#[derive(Debug)]
pub(super) struct Energies(pub(super) Vec<BTreeMap<usize, ClassEnergy>>);

impl Energies {
    /// Adds up the energies of all mini-batches.
    pub(super) fn new(probes: &[Probe], batches: &[MiniBatch], classes: usize) -> Result<Self> {
        let modalities = batches.first().map_or(0, |batch| batch.images.len());
        let mut sums: Vec<BTreeMap<usize, ClassEnergy>> = vec![BTreeMap::new(); modalities];
        for batch in batches {
            let features = features(probes, batch)?;
            for ((sums, features), labels) in sums.iter_mut().zip(features).zip(&batch.labels) {
                for (group, map) in features {
                    let energy = ClassEnergy::new(&map, labels, classes)?;
                    match sums.get_mut(&group) {
                        Some(sum) => sum.add(&energy),
                        None => drop(sums.insert(group, energy)),
                    }
                }
            }
        }
        Ok(Self(sums))
    }
}

impl Specificity {
    /// The numbers of a layer's maps.
    pub(super) fn of(energy: &ClassEnergy) -> Self {
        let pixels: usize = energy.pixels.iter().sum();
        let mut sums = [0.0; 3];
        let mut best = vec![0; energy.pixels.len()];
        let mut maps = 0.0;
        for channel in 0..energy.channels() {
            let (Some(shares), Some(balanced)) =
                (energy.shares(channel), energy.balanced_shares(channel))
            else {
                continue;
            };
            let class = largest(&balanced);
            best[class] += 1;
            maps += 1.0;
            let chance = energy.pixels[class] as f64 / pixels as f64;
            for (sum, value) in sums.iter_mut().zip([balanced[class], shares[class], chance]) {
                *sum += value;
            }
        }
        let [balanced_share, share, chance] =
            sums.map(|sum| if maps > 0.0 { sum / maps } else { 0.0 });
        Self { balanced_share, share, chance, best }
    }
}

/// Index of the largest value, the first of equal ones.
pub(super) fn largest(values: &[f64]) -> usize {
    let better = |best: usize, at: usize| if values[at] > values[best] { at } else { best };
    (0..values.len()).fold(0, better)
}

/// Every group in every modality.
pub(super) fn layers(before: &Energies, after: &Energies, names: &[&str]) -> Vec<Layer> {
    let groups = after.0.first().into_iter().flat_map(|of_modality| of_modality.keys());
    let of_group = |&group: &usize| {
        names.iter().enumerate().map(move |(modality, &name)| {
            let [before, after] = [before, after].map(|energies| &energies.0[modality][&group]);
            let present = after.pixels.iter().filter(|&&pixels| pixels > 0).count();
            Layer {
                group,
                modality: name.to_owned(),
                maps: after.channels(),
                balanced_chance: 1.0 / present.max(1) as f64,
                before: Specificity::of(before),
                after: Specificity::of(after),
            }
        })
    };
    groups.flat_map(of_group).collect()
}

/// Per class, before and after, how far the modalities are apart.
pub(super) fn distances(
    before: &[AffinityMatrices],
    after: &[AffinityMatrices],
    classes: &[String],
) -> Vec<PairDistance> {
    let distances = classes.iter().enumerate().map(|(class, name)| PairDistance {
        class: name.clone(),
        before: distance(before, class),
        after: distance(after, class),
    });
    distances.collect()
}

/// Root mean square over all pairs of modalities that both hold the class.
fn distance(matrices: &[AffinityMatrices], class: usize) -> Option<f64> {
    let present: Vec<&[f32]> =
        matrices.iter().filter_map(|matrices| matrices.classes[class].as_deref()).collect();
    let (mut squares, mut count) = (0.0, 0usize);
    for (index, one) in present.iter().enumerate() {
        for other in &present[index + 1..] {
            let differences = one.iter().zip(*other).map(|(a, b)| f64::from(a - b).powi(2));
            squares += differences.sum::<f64>();
            count += one.len();
        }
    }
    (count > 0).then(|| (squares / count as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maps_best_class_is_the_one_it_is_densest_in() {
        // Nine pixels of background and one of a class. The first map is flat, the second twice as
        // bright on the class, the third zero.
        let energy = ClassEnergy {
            energy: vec![9.0, 9.0, 0.0, /* class 1 */ 1.0, 4.0, 0.0],
            pixels: vec![9, 1],
        };

        let specificity = Specificity::of(&energy);

        assert_eq!(specificity.best, [1, 1]);
        assert!((specificity.balanced_share - f64::midpoint(0.5, 0.8)).abs() < 1e-12);
        assert!((specificity.share - f64::midpoint(0.9, 4.0 / 13.0)).abs() < 1e-12);
        assert!((specificity.chance - f64::midpoint(0.9, 0.1)).abs() < 1e-12);
    }

    #[test]
    fn modalities_without_the_class_have_no_distance() {
        let matrices = |values: Option<Vec<f32>>| AffinityMatrices {
            modality: String::new(),
            shape: [1, 2],
            classes: vec![values],
        };
        let one = matrices(Some(vec![1.0, 0.0]));

        let both = distance(&[one.clone(), matrices(Some(vec![0.0, 0.0]))], 0);
        let single = distance(&[one, matrices(None)], 0);

        assert!((both.unwrap() - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(single, None);
    }
}
