//! Steps draw what they always draw; batches hold what they say.

use std::collections::BTreeSet;

use expect_test::expect;

use super::*;
use crate::{
    Case, CropCentre, Geometry, Image, LabelClass, LabelMap, Labels, Preparation, UnknownLabels,
    prepare_volume,
};

fn sampler(seed: u64, modality: usize) -> Sampler {
    Sampler::new(seed, modality, 10, 4).unwrap()
}

/// A labelled case whose slices differ.
fn prepared(patient: &str, slices: usize) -> PreparedCase {
    let geometry = Geometry::from_spacing([slices, 4, 4], [5.0, 1.0, 1.0]);
    let count = geometry.voxel_count();
    let voxels = (0..count).map(|at| ((at * at) % 23) as f32).collect();
    let values = (0..count).map(|at| u16::from(at % 5 == 0)).collect();
    let image = Image { geometry: geometry.clone(), voxels, warnings: Vec::new() };
    let labels = Labels { geometry, values, warnings: Vec::new() };
    let class = LabelClass { name: "one".to_owned(), values: vec![1], role: None };
    let label_map = LabelMap::new(&[class], UnknownLabels::Error);
    let case =
        Case { patient: patient.to_owned(), modality: 0, image: "x.nii".into(), labels: None };
    let preparation: Preparation = toml::from_str("crop = 4").unwrap();
    let labels = Some((&labels, &label_map));
    prepare_volume(&case, &image, labels, &preparation, CropCentre::Image).unwrap()
}

#[test]
fn every_epoch_draws_every_slice_once_also_across_batches() {
    let draws: Vec<usize> = (0..25).flat_map(|step| sampler(1, 0).indices(step)).collect();

    for epoch in draws.chunks_exact(10) {
        assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 10, "{epoch:?}");
    }
    assert_ne!(draws[..10], draws[10..20]);
}

#[test]
fn a_step_draws_the_same_whenever_it_is_asked() {
    let backwards: Vec<_> = (0..9).rev().map(|step| sampler(1, 0).indices(step)).collect();

    for (step, expected) in (0..9).rev().zip(backwards) {
        assert_eq!(sampler(1, 0).indices(step), expected);
    }
    expect!["[5, 3, 7, 6]"].assert_eq(&format!("{:?}", sampler(1, 0).indices(1_000_000)));
}

#[test]
fn modalities_and_seeds_draw_independently() {
    let draws = |seed, modality| -> Vec<usize> {
        (0..50).flat_map(|step| sampler(seed, modality).indices(step)).collect()
    };
    for other in [draws(1, 1), draws(2, 0)] {
        let equal = draws(1, 0).iter().zip(&other).filter(|(a, b)| a == b).count();
        // 20 of 200 expected by chance; five standard deviations are 21.
        assert!(equal < 42, "{equal} of 200");
    }
}

#[test]
fn a_batch_may_be_larger_than_the_data() {
    let draws = Sampler::new(0, 0, 3, 8).unwrap().indices(2);

    assert_eq!(draws.len(), 8);
    assert!(draws.iter().all(|&index| index < 3));
}

#[test]
fn nothing_to_draw_from_is_refused() {
    let error = Sampler::new(0, 1, 0, 8).unwrap_err();

    expect!["`slices`: expected at least 1 for modality 1, got 0"].assert_eq(&error.to_string());
}

#[test]
fn a_batch_holds_the_slices_asked_for_with_their_neighbours() {
    let cases = [prepared("a", 3), prepared("b", 2)];
    let all = slices_of(&cases);
    assert_eq!(all.len(), 5);
    assert_eq!(all[3], SliceId { case: 1, slice: 0 });

    let batch = Batch::gather(&cases, &[all[4], all[0], all[4]], 3).unwrap();

    assert_eq!((batch.side, batch.input_slices, batch.slices.len()), (4, 3, 3));
    assert_eq!(batch.images[..48], cases[1].neighbours(1, 3));
    assert_eq!(batch.images[48..96], cases[0].neighbours(0, 3));
    assert_eq!(batch.images[..48], batch.images[96..]);
    assert_eq!(batch.labels[..16], cases[1].labels.as_ref().unwrap()[16..]);
    assert_eq!(batch.labels[16..32], cases[0].labels.as_ref().unwrap()[..16]);
}

#[test]
fn what_cannot_be_gathered_is_refused() {
    let mut cases = [prepared("a", 3)];
    let all = slices_of(&cases);
    let even = Batch::gather(&cases, &all, 2).unwrap_err();
    cases[0].labels = None;
    let unlabelled = Batch::gather(&cases, &all, 1).unwrap_err();

    expect!["`input_slices`: expected an odd number, got 2"].assert_eq(&even.to_string());
    expect!["patient a has no label map, so it can be predicted but not learnt from"]
        .assert_eq(&unlabelled.to_string());
}
