//! Sizes and grey values lie where those of the public data sets do.

use duomo_phantom::{Kind, Modality, Options, SimulatedCase, simulate};

fn cases(modality: Modality, patients: usize) -> Vec<SimulatedCase> {
    let options = Options { matrix_scale: 0.3, ..Options::new(Kind::Mscmr, 21) };
    (1..=patients).map(|patient| simulate(&options, modality, patient).unwrap()).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn signal(case: &SimulatedCase, label: u16) -> f64 {
    let voxels = case.voxels.iter().zip(&case.labels);
    mean(voxels.filter(|(_, l)| **l == label).map(|(voxel, _)| f64::from(*voxel)))
}

/// Voxels of a label per slice.
fn areas(case: &SimulatedCase, label: u16) -> Vec<usize> {
    let [_, rows, columns] = case.geometry.shape;
    case.labels
        .chunks_exact(rows * columns)
        .map(|slice| slice.iter().filter(|&&l| l == label).count())
        .collect()
}

#[test]
fn blood_to_muscle_contrast_is_that_of_the_sequence() {
    let [late, balanced, black] =
        [Modality::Lge, Modality::Bssfp, Modality::T2].map(|modality| cases(modality, 6));
    let ratio = |cases: &[SimulatedCase], label: u16| {
        mean(cases.iter().map(|case| signal(case, label) / signal(case, 500)))
    };
    // Real patients: LGE 0.54 ± 0.14 and 0.86 ± 0.18, bSSFP 0.46 ± 0.06 and 0.80 ± 0.13.
    assert!((0.3..0.7).contains(&ratio(&late, 200)));
    assert!((0.65..1.15).contains(&ratio(&late, 600)));
    assert!((0.38..0.54).contains(&ratio(&balanced, 200)));
    assert!((0.65..0.95).contains(&ratio(&balanced, 600)));
    // Black blood: the cavities are the darkest part of the heart.
    assert!(ratio(&black, 200) > 1.3);
}

#[test]
fn ventricles_have_human_sizes() {
    for case in cases(Modality::Lge, 6) {
        let [thickness_mm, height_mm, width_mm] = case.geometry.spacing_mm;
        let widest =
            |label| *areas(&case, label).iter().max().unwrap() as f64 * height_mm * width_mm;
        let cavity_mm = 2.0 * (widest(500) / std::f64::consts::PI).sqrt();
        assert!((36.0..66.0).contains(&cavity_mm), "left cavity {cavity_mm} mm");
        assert!((1500.0..4600.0).contains(&widest(600)), "right cavity {} mm²", widest(600));
        let slices = areas(&case, 200).into_iter().filter(|&area| area > 0).count();
        let length_mm = slices as f64 * thickness_mm;
        assert!((50.0..95.0).contains(&length_mm), "heart {length_mm} mm long");
    }
}

#[test]
fn some_slices_miss_the_right_ventricle_and_some_miss_the_heart() {
    let late = cases(Modality::Lge, 6);
    let without_right: usize =
        late.iter().map(|case| areas(case, 600).iter().filter(|&&area| area == 0).count()).sum();
    let slices: usize = late.iter().map(|case| case.geometry.shape[0]).sum();
    // 160 of 686 in the real set.
    let share = without_right as f64 / slices as f64;
    assert!((0.1..0.4).contains(&share), "{share} of the slices have no right ventricle");

    let empty: usize = cases(Modality::Bssfp, 6)
        .iter()
        .map(|case| {
            let any = [200, 500, 600].map(|label| areas(case, label));
            (0..any[0].len()).filter(|&slice| any.iter().all(|areas| areas[slice] == 0)).count()
        })
        .sum();
    assert!(empty > 0);
}

#[test]
fn the_right_ventricle_lies_on_the_chest_side_of_the_left() {
    for case in cases(Modality::Bssfp, 4) {
        let [_, rows, columns] = case.geometry.shape;
        let centre = |label: u16| {
            let labelled = case.labels.iter().enumerate().filter(|(_, l)| **l == label);
            mean(labelled.map(|(index, _)| (index % (rows * columns) % columns) as f64))
        };
        let offset_mm = (centre(600) - centre(500)) * case.geometry.spacing_mm[2];
        assert!((-55.0..-28.0).contains(&offset_mm), "{offset_mm} mm");
    }
}

#[test]
fn computed_tomography_is_in_hounsfield_units() {
    let options = Options { matrix_scale: 0.15, ..Options::new(Kind::Mmwhs, 21) };
    let case = simulate(&options, Modality::Ct, 1).unwrap();

    let (blood, muscle) = (signal(&case, 500), signal(&case, 205));
    assert!((200.0..550.0).contains(&blood), "{blood} HU");
    assert!((60.0..160.0).contains(&muscle), "{muscle} HU");
    let lung = case.voxels.iter().filter(|&&voxel| voxel < -600).count();
    assert!(lung > case.voxels.len() / 10, "lungs surround the heart");
}
