//! What pictures of features are made from.

use anyhow::{Context, Result};
use candle_core::Tensor;
use duomo_affinity::{Reading, class_affinity};
use duomo_data::{Dataset, Plane, read_image};

use super::measure::{Energies, largest};
use super::probe::{Features, Probe};
use super::slices::Slices;

/// A slice with, for every class, the feature map that is most specific to it.
#[derive(Clone, Debug)]
pub struct ExampleMaps {
    /// Modality name.
    pub modality: String,
    /// Patient.
    pub patient: String,
    /// Slice, counted from 0.
    pub slice: usize,
    /// Slices of the volume.
    pub slices: usize,
    /// Which way they are cut.
    pub plane: Plane,
    /// Of the volume as it was stored: voxel `(W, H, D)` to RAS+ millimetres.
    pub affine: [[f64; 4]; 3],
    /// Side of image and labels in pixels.
    pub side: usize,
    /// `[side, side]`, z-scored.
    pub image: Vec<f32>,
    /// `[side, side]` class indices.
    pub labels: Vec<u8>,
    /// Group of the network.
    pub group: usize,
    /// One per class that the slices hold, background first.
    pub maps: Vec<ClassMap>,
}

/// One feature map.
#[derive(Clone, Debug)]
pub struct ClassMap {
    /// The class that it is most specific to.
    pub class: usize,
    /// Channel of its group.
    pub channel: usize,
    /// Balanced share of its energy inside the class, in this modality.
    pub balanced_share: f64,
    /// Side in pixels.
    pub side: usize,
    /// `[side, side]`.
    pub values: Vec<f32>,
}

/// Affinities of two groups in one modality.
#[derive(Clone, Debug)]
pub struct AffinityMatrices {
    /// Modality name.
    pub modality: String,
    /// Channels of the first group, in rows, and of the second, in columns.
    pub shape: [usize; 2],
    /// Per class, background first, `[M, N]` cosines; none of a class that the slices lack.
    pub classes: Vec<Option<Vec<f32>>>,
}

/// Affinities of every modality on the pictured slices, Eq. (3) without `1/S_c`; unnamed, channels in
/// the network's order.
pub(super) fn affinities(
    features: &[Features],
    slices: &Slices,
    (l, k): (usize, usize),
    classes: usize,
) -> Result<Vec<AffinityMatrices>> {
    let mut all = Vec::new();
    for (features, labels) in features.iter().zip(&slices.pictured.labels) {
        let affinity =
            class_affinity(&features[&l], &features[&k], labels, classes, &Reading::default())?;
        let (_, m, n) = affinity.dims3()?;
        let of_class = |class: usize| -> Result<Option<Vec<f32>>> {
            let values = affinity.get(class)?.flatten_all()?.to_vec1::<f32>()?;
            // A class without pixels has an affinity of 0.
            Ok(values.iter().any(|cosine| cosine.abs() > 0.0).then_some(values))
        };
        all.push(AffinityMatrices {
            modality: String::new(),
            shape: [m, n],
            classes: (0..classes).map(of_class).collect::<Result<_>>()?,
        });
    }
    Ok(all)
}

/// Sorts the channels of every matrix by best class, then by falling balanced share: the mean over
/// the modalities of a network, so that one kernel stands in one place.
pub(super) fn order(
    matrices: &mut [AffinityMatrices],
    energies: &Energies,
    probes: &[Probe],
    (l, k): (usize, usize),
) {
    for probe in probes {
        let [rows, columns] = [l, k].map(|group| channel_order(energies, probe, group));
        for &modality in &probe.modalities {
            for values in matrices[modality].classes.iter_mut().flatten() {
                let sorted = rows.iter().flat_map(|&row| {
                    let row = &values[row * columns.len()..][..columns.len()];
                    columns.iter().map(move |&column| row[column])
                });
                let sorted: Vec<f32> = sorted.collect();
                *values = sorted;
            }
        }
    }
}

fn channel_order(energies: &Energies, probe: &Probe, group: usize) -> Vec<usize> {
    let shares = mean_balanced_shares(energies, probe, group);
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&one, &other| {
        let best = |channel: usize| largest(&shares[channel]);
        let share = |channel: usize| shares[channel][best(channel)];
        best(one).cmp(&best(other)).then(share(other).total_cmp(&share(one)))
    });
    order
}

/// `[channel][class]`, over the modalities that a network serves; 0 of a map that is zero.
fn mean_balanced_shares(energies: &Energies, probe: &Probe, group: usize) -> Vec<Vec<f64>> {
    let of_group: Vec<_> =
        probe.modalities.iter().map(|&modality| &energies.0[modality][&group]).collect();
    let mean = |channel: usize| {
        let mut sums = vec![0.0; of_group[0].pixels.len()];
        for shares in of_group.iter().filter_map(|energy| energy.balanced_shares(channel)) {
            sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
        }
        sums.iter().map(|sum| sum / of_group.len() as f64).collect()
    };
    (0..of_group[0].channels()).map(mean).collect()
}

/// Of each modality the pictured slice with the largest annotated area, and the maps of `group` that
/// are most specific to each class in all modalities of the network.
pub(super) fn maps(
    slices: &Slices,
    features: &[Features],
    (energies, probes): (&Energies, &[Probe]),
    group: usize,
    dataset: &Dataset,
) -> Result<Vec<ExampleMaps>> {
    let mut examples = Vec::new();
    for (modality, (at, patient, slice)) in slices.largest.iter().enumerate() {
        let probe = probes.iter().find(|probe| probe.modalities.contains(&modality));
        let probe = probe.context("every modality is served by a network")?;
        let shares = mean_balanced_shares(energies, probe, group);
        let own = &energies.0[modality][&group];
        let map = features[modality][&group].get(*at)?;
        let classes = (0..own.pixels.len()).filter(|&class| own.pixels[class] > 0);
        let maps = classes.map(|class| {
            let of_class: Vec<f64> = shares.iter().map(|shares| shares[class]).collect();
            let channel = largest(&of_class);
            let own = own.balanced_shares(channel).map_or(0.0, |shares| shares[class]);
            class_map(&map, (class, channel, own))
        });
        let maps = maps.collect::<Result<_>>()?;
        let case = &slices.cases[modality][slices.ids[modality][*at].case];
        let pixels = case.side * case.side;
        let range = slice * pixels..(slice + 1) * pixels;
        examples.push(ExampleMaps {
            modality: dataset.modalities[modality].name.clone(),
            patient: patient.clone(),
            slice: *slice,
            slices: case.slices,
            plane: dataset.plane,
            affine: read_image(&case.case.image)?.geometry.affine,
            side: case.side,
            image: case.images[range.clone()].to_vec(),
            labels: case.labels.as_deref().map_or_else(Vec::new, |labels| labels[range].to_vec()),
            group,
            maps,
        });
    }
    Ok(examples)
}

fn class_map(
    map: &Tensor,
    (class, channel, balanced_share): (usize, usize, f64),
) -> Result<ClassMap> {
    let side = map.dim(0)?;
    let values = map.narrow(2, channel, 1)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(ClassMap { class, channel, balanced_share, side, values })
}
