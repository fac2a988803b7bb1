//! What segmenting holds at once, counted by the allocator: one test, because others beside it would count too.

use std::collections::BTreeMap;

use candle_core::DType;
use duomo_data::{
    Case, Geometry, GeometryCheck, Image, LabelClass, LabelResampling, Plane, Preparation,
};
use duomo_model::{Architecture, Fcn};
use duomo_train::{
    Device, FORMAT, Model, ModelCard, PostProcessing, Provenance, segment_automatically,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

/// Classes besides the background.
const LABELS: u16 = 19;

/// What the maps of one pass may take, whatever the volume: docs/PREDICTION.md.
const MAPS_BYTES: usize = 192 << 20;

/// A network of many classes with start values for weights, on pixels of 4 mm.
fn model() -> Model {
    let classes = usize::from(LABELS) + 1;
    let architecture = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(classes, 1) };
    let fcn = Fcn::new(&architecture, 3, DType::F32, &Device::Cpu).expect("a network");
    let weights = fcn.parameters().to_tensors().expect("weights").into_iter();
    let weights: BTreeMap<_, _> =
        weights.map(|(name, tensor)| (format!("0/{name}"), tensor)).collect();
    let label =
        |value: u16| LabelClass { name: value.to_string(), values: vec![value], role: None };
    let text = String::new;
    let card = ModelCard {
        format: FORMAT.to_owned(),
        architectures: vec![architecture],
        networks: vec![vec![0]],
        modalities: vec!["LGE".to_owned()],
        labels: (1..=LABELS).map(label).collect(),
        preparation: Preparation {
            plane: Plane::Stored,
            crop: 64,
            spacing_mm: Some(4.0),
            label_resampling: LabelResampling::Nearest,
            clip_top_percent: None,
            geometry: GeometryCheck::Match,
            geometry_tolerance_mm: Preparation::TOLERANCE_MM,
        },
        postprocessing: PostProcessing::default(),
        provenance: Provenance {
            version: text(),
            commit: text(),
            method: text(),
            schedule: text(),
            seed: 3,
            data_hash: text(),
            step: 0,
        },
    };
    Model::from_parts(card, &weights, &Device::Cpu).expect("the weights fit")
}

#[test]
fn resampled_probabilities_are_never_held_for_a_whole_volume() {
    let model = model();
    let geometry = Geometry::from_spacing([24, 512, 512], [8.0, 0.5, 0.5]);
    let voxels: Vec<f32> = (0..geometry.voxel_count()).map(|at| (at * 37 % 211) as f32).collect();
    let volume = 4 * voxels.len();
    let image = Image { geometry, voxels, warnings: Vec::new() };
    let case = Case { patient: "p".into(), modality: 0, image: "volume".into(), labels: None };

    let before = ALLOCATIONS.current_usage();
    ALLOCATIONS.reset_peak_usage();
    let (_, classes) = segment_automatically(&model, &case, &image, 0).expect("it is segmented");
    let held = ALLOCATIONS.peak_usage() - before;

    assert_eq!(4 * classes.len(), volume);
    // Floats of all classes on the image's grid would be twenty volumes, and more than this.
    let allowed = MAPS_BYTES + 2 * volume;
    assert!(allowed < usize::from(LABELS) * volume, "the volume is large enough to tell");
    assert!(held < allowed, "{} MiB for a volume of {} MiB", held >> 20, volume >> 20);
}
