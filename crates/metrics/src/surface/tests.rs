use proptest::prelude::*;

use super::bits::pick;
use super::border::Border;
use super::field::{Field, nearest_of_one};
use super::planes::Masks;
use super::*;
use crate::{Mode, evaluate};

/// Two masks of one shape, with a spacing to measure them by.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) shape: [usize; 3],
    pub(super) spacing_mm: [f64; 3],
    pub(super) prediction: Vec<u8>,
    pub(super) reference: Vec<u8>,
}

impl Case {
    fn fast(&self, spacing_mm: [f64; 3], mode: Mode) -> Option<SurfaceDistances> {
        let options = Options { mode, ..Options::new(spacing_mm) };
        surface_distances(&self.prediction, &self.reference, self.shape, 1, &options).unwrap()
    }

    /// Prediction and reference.
    pub(super) fn masks(&self) -> [Vec<bool>; 2] {
        [&self.prediction, &self.reference].map(|map| map.iter().map(|&value| value == 1).collect())
    }

    fn plain(&self, spacing_mm: [f64; 3], mode: Mode) -> Option<SurfaceDistances> {
        let masks = self.masks();
        reference::surface_distances(&masks[0], &masks[1], self.shape, spacing_mm, mode)
    }

    /// Every distance by the field, in both directions; both sides must have a voxel.
    fn by_field(&self) -> SurfaceDistances {
        let planes = Planes::pack(&self.prediction, &self.reference, self.shape, &[1]);
        let border = |masks: &Masks| Border::of(&planes, masks, 0, Mode::Volume);
        let (prediction, reference) = (border(&planes.prediction), border(&planes.reference));
        let directed = |from: &Border, to: &Border| {
            let squared = Field::new(to, &self.spacing_mm).nearest(from);
            squared.into_iter().map(f64::sqrt).collect()
        };
        SurfaceDistances {
            prediction_to_reference_mm: directed(&prediction, &reference),
            reference_to_prediction_mm: directed(&reference, &prediction),
        }
    }

    fn evaluate(&self, mode: Mode) -> crate::ClassResult {
        let options = Options { mode, ..Options::new(self.spacing_mm) };
        evaluate(&self.prediction, &self.reference, self.shape, &[1], &options).unwrap().remove(0)
    }
}

/// Bit for bit: `==` would take 0 and −0 for equal.
pub(super) fn bits(distances: &SurfaceDistances) -> (Vec<u64>, Vec<u64>) {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
    (bits(distances.prediction_to_reference_mm()), bits(distances.reference_to_prediction_mm()))
}

/// A box of ones, somewhere, a few voxels large.
fn boxes(shape: [usize; 3]) -> impl Strategy<Value = Vec<usize>> {
    let side = |n: usize| (0..n, 1..6usize).prop_map(move |(start, len)| start..n.min(start + len));
    (side(shape[0]), side(shape[1]), side(shape[2])).prop_map(move |(slices, rows, columns)| {
        let positions = slices.flat_map(|d| rows.clone().map(move |h| (d, h)));
        let voxels = positions.flat_map(|(d, h)| columns.clone().map(move |w| (d, h, w)));
        voxels.map(|(d, h, w)| (d * shape[1] + h) * shape[2] + w).collect()
    })
}

/// A mask made of a few boxes, then salted with noise of some density.
fn mask(shape: [usize; 3]) -> impl Strategy<Value = Vec<u8>> {
    let voxels = shape.iter().product();
    let noise = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(0..voxels, 0..12),
        prop::collection::vec(0..voxels, voxels / 2),
    ];
    (prop::collection::vec(boxes(shape), 0..4), noise).prop_map(move |(boxes, noise)| {
        let mut mask = vec![0; voxels];
        for index in boxes.into_iter().flatten().chain(noise) {
            mask[index] = 1;
        }
        mask
    })
}

fn spacing() -> impl Strategy<Value = [f64; 3]> {
    prop::array::uniform3(prop_oneof![Just(1.0), Just(0.6), 0.05f64..12.0])
}

/// Small volumes of every kind, and long ones in which the window does not reach.
pub(super) fn cases() -> impl Strategy<Value = Case> {
    let small = (1..6usize, 1..9usize, 1..150usize);
    let deep = (40..60usize, 1..3usize, 1..5usize);
    let tall = (1..3usize, 50..90usize, 1..5usize);
    let shapes = prop_oneof![3 => small, 1 => deep, 1 => tall].prop_map(|(d, h, w)| [d, h, w]);
    (shapes, spacing()).prop_flat_map(|(shape, spacing_mm)| {
        (mask(shape), mask(shape)).prop_map(move |(prediction, reference)| Case {
            shape,
            spacing_mm,
            prediction,
            reference,
        })
    })
}

pub(super) fn slices() -> impl Strategy<Value = Case> {
    ((1..40usize, 1..150usize), spacing()).prop_flat_map(|((height, width), spacing_mm)| {
        let shape = [1, height, width];
        (mask(shape), mask(shape)).prop_map(move |(prediction, reference)| Case {
            shape,
            spacing_mm,
            prediction,
            reference,
        })
    })
}

/// Masks that are dense or spread out, in rows that end near the edge of a word.
fn dense_cases() -> impl Strategy<Value = Case> {
    let widths = prop_oneof![62..=66usize, Just(129)];
    // Up to three tiles high, up to a few slices.
    let sides = prop_oneof![(1..6usize, 1..8usize), (1..3usize, 8..19usize)];
    let shapes = (sides, widths).prop_map(|((d, h), w)| [d, h, w]);
    (shapes, spacing()).prop_flat_map(|(shape, spacing_mm)| {
        (dense_mask(shape), dense_mask(shape)).prop_map(move |(prediction, reference)| Case {
            shape,
            spacing_mm,
            prediction,
            reference,
        })
    })
}

/// Noise of some density, a checkerboard, one voxel or all of them; never empty.
fn dense_mask(shape: [usize; 3]) -> impl Strategy<Value = Vec<u8>> {
    let voxels: usize = shape.iter().product();
    let [_, height, width] = shape;
    let noise = |share: f64| {
        let voxel = prop::bool::weighted(share).prop_map(u8::from);
        (prop::collection::vec(voxel, voxels), 0..voxels).prop_map(|(mut mask, at)| {
            mask[at] = 1;
            mask
        })
    };
    let parity = move |at: usize| (at / (height * width) + at / width % height + at % width) % 2;
    let checkers = (0..voxels).map(|at| u8::from(parity(at) == 0)).collect::<Vec<_>>();
    prop_oneof![
        noise(0.02),
        noise(0.3),
        noise(0.5),
        noise(0.95),
        noise(0.0),
        Just(checkers),
        Just(vec![1; voxels]),
    ]
}

/// Exchanges rows and columns of a mask.
fn transposed(mask: &[u8], [depth, height, width]: [usize; 3]) -> Vec<u8> {
    let positions = (0..depth).flat_map(|d| (0..width).map(move |w| (d, w)));
    let voxels =
        positions.flat_map(|(d, w)| (0..height).map(move |h| (d * height + h) * width + w));
    voxels.map(|at| mask[at]).collect()
}

/// The bits of both directions in ascending order.
fn sorted_bits(distances: &SurfaceDistances) -> (Vec<u64>, Vec<u64>) {
    let (mut forward, mut backward) = bits(distances);
    forward.sort_unstable();
    backward.sort_unstable();
    (forward, backward)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_fast_search_has_the_bits_of_the_plain_one_in_3d(case in cases()) {
        let fast = case.fast(case.spacing_mm, Mode::Volume);
        let plain = case.plain(case.spacing_mm, Mode::Volume);
        prop_assert_eq!(fast.as_ref().map(bits), plain.as_ref().map(bits));
    }

    #[test]
    fn the_fast_search_has_the_bits_of_the_plain_one_in_2d(case in slices()) {
        let fast = case.fast(case.spacing_mm, Mode::Slice);
        let plain = case.plain(case.spacing_mm, Mode::Slice);
        prop_assert_eq!(fast.as_ref().map(bits), plain.as_ref().map(bits));
    }

    #[test]
    fn the_hausdorff_distance_in_voxels_is_that_at_spacing_one(case in cases()) {
        let found = case.evaluate(Mode::Volume).hausdorff_voxels;
        let expected = case.plain([1.0; 3], Mode::Volume).map(|plain| plain.hausdorff_mm());
        prop_assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits));
    }

    #[test]
    fn swapping_the_sides_swaps_the_directions(case in cases()) {
        let Case { prediction, reference, .. } = case.clone();
        let swapped = Case { prediction: reference, reference: prediction, ..case };
        let straight = case.fast(case.spacing_mm, Mode::Volume).as_ref().map(bits);
        let crossed = swapped.fast(case.spacing_mm, Mode::Volume).as_ref().map(bits);
        prop_assert_eq!(straight.map(|(forward, backward)| (backward, forward)), crossed);
    }

    #[test]
    fn the_field_has_the_bits_of_the_plain_search(case in prop_oneof![cases(), dense_cases()]) {
        if let Some(plain) = case.plain(case.spacing_mm, Mode::Volume) {
            prop_assert_eq!(bits(&case.by_field()), bits(&plain));
        }
    }

    #[test]
    fn dense_masks_have_the_bits_of_the_plain_search(case in dense_cases()) {
        let fast = case.fast(case.spacing_mm, Mode::Volume).unwrap();
        let plain = case.plain(case.spacing_mm, Mode::Volume).unwrap();
        prop_assert_eq!(bits(&fast), bits(&plain));
        let in_voxels = case.plain([1.0; 3], Mode::Volume).map(|plain| plain.hausdorff_mm());
        prop_assert_eq!(case.evaluate(Mode::Volume).hausdorff_voxels, in_voxels);
    }

    #[test]
    fn one_voxel_alone_has_the_bits_of_the_plain_search(
        case in prop_oneof![cases(), dense_cases()],
        choice in any::<prop::sample::Index>(),
    ) {
        if let Some(plain) = case.plain(case.spacing_mm, Mode::Volume) {
            let planes = Planes::pack(&case.prediction, &case.reference, case.shape, &[1]);
            let border = |masks: &Masks| Border::of(&planes, masks, 0, Mode::Volume);
            let (queries, target) = (border(&planes.prediction), border(&planes.reference));
            let rank = choice.index(plain.prediction_to_reference_mm.len());
            let (index, bit) = pick(&queries.bits, [rank]).next().unwrap();
            let found = nearest_of_one(&target, queries.position(index, bit), &case.spacing_mm);
            let expected = plain.prediction_to_reference_mm[rank];
            prop_assert_eq!(found.sqrt().to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn the_field_is_exact_where_rounding_forbids_to_skip_rows(case in dense_cases()) {
        // The square of a column step swallows that of a row step.
        let case = Case { spacing_mm: [0.3, 1e-6, 1e5], ..case };
        let plain = case.plain(case.spacing_mm, Mode::Volume).unwrap();
        prop_assert_eq!(bits(&case.by_field()), bits(&plain));
    }

    #[test]
    fn distances_scale_with_the_spacing(case in cases(), power in -3i32..4) {
        // Powers of two scale without rounding.
        let scale = 2f64.powi(power);
        let unit = case.fast(case.spacing_mm, Mode::Volume);
        let scaled = case.fast(case.spacing_mm.map(|edge| edge * scale), Mode::Volume);
        let multiplied = unit.map(|unit| SurfaceDistances {
            prediction_to_reference_mm: unit.prediction_to_reference_mm.iter().map(|it| it * scale).collect(),
            reference_to_prediction_mm: unit.reference_to_prediction_mm.iter().map(|it| it * scale).collect(),
        });
        prop_assert_eq!(multiplied.as_ref().map(bits), scaled.as_ref().map(bits));
    }

    #[test]
    fn rows_and_columns_can_be_exchanged(case in prop_oneof![cases(), dense_cases()]) {
        // Their squares are added first, and that sum has no order. Slices come last and do.
        let [depth, height, width] = case.shape;
        let [slices, rows, columns] = case.spacing_mm;
        let turned = Case {
            shape: [depth, width, height],
            spacing_mm: [slices, columns, rows],
            prediction: transposed(&case.prediction, case.shape),
            reference: transposed(&case.reference, case.shape),
        };
        let straight = case.fast(case.spacing_mm, Mode::Volume);
        let turned = turned.fast(turned.spacing_mm, Mode::Volume);
        prop_assert_eq!(straight.as_ref().map(sorted_bits), turned.as_ref().map(sorted_bits));
    }

    #[test]
    fn all_statistics_at_once_have_the_bits_of_one_at_a_time(
        case in prop_oneof![cases(), dense_cases()],
    ) {
        let planes = Planes::pack(&case.prediction, &case.reference, case.shape, &[1]);
        let spacings = [case.spacing_mm, [1.0; 3]];
        if let Some(pair) = Pair::new(&planes, 0, Mode::Volume, &spacings) {
            let distances = pair.distances(&case.spacing_mm);
            let expected = Statistics {
                hausdorff_mm: distances.hausdorff_mm(),
                hausdorff95_mm: distances.hausdorff95_mm(),
                hausdorff95_pooled_mm: distances.hausdorff95_pooled_mm(),
                assd_mm: distances.assd_mm(),
                masd_mm: distances.masd_mm(),
                nsd: vec![distances.nsd(1.0), distances.nsd(2.5)],
            };
            let (found, hausdorff_voxels) =
                pair.statistics(&case.spacing_mm, &[1.0, 2.5], &[1.0; 3]);
            prop_assert_eq!(found, expected);
            let in_voxels = pair.distances(&[1.0; 3]).hausdorff_mm();
            prop_assert_eq!(hausdorff_voxels.to_bits(), in_voxels.to_bits());
        }
    }

    #[test]
    fn metrics_keep_their_order_and_range(case in cases()) {
        let result = case.evaluate(Mode::Volume);
        if let Some(hausdorff) = result.hausdorff_mm {
            prop_assert!(result.hausdorff95_mm.unwrap() <= hausdorff);
            prop_assert!(result.hausdorff95_pooled_mm.unwrap() <= hausdorff);
            // The mean of equal values may round up by an ulp or two.
            prop_assert!(result.assd_mm.unwrap() <= hausdorff * (1.0 + 1e-12));
            prop_assert!(result.masd_mm.unwrap() <= hausdorff * (1.0 + 1e-12));
            prop_assert!(hausdorff <= result.diagonal_mm * (1.0 + 1e-12));
            prop_assert!(result.nsd[0].unwrap() <= result.nsd[1].unwrap());
        }
        let (dice, jaccard) = (result.dice.unwrap_or(0.0), result.jaccard.unwrap_or(0.0));
        prop_assert!((dice - 2.0 * jaccard / (1.0 + jaccard)).abs() < 1e-12);
    }
}

#[test]
fn far_dust_finds_the_nearest_voxel() {
    // Dust on two far sides of a large grid: no window reaches from one to the other, and there are
    // more slices and rows than a field works on at once.
    let shape = [90, 100, 320];
    let voxels: usize = shape.iter().product();
    let mut case = Case {
        shape,
        spacing_mm: [0.7, 0.5, 0.4],
        prediction: vec![0; voxels],
        reference: vec![0; voxels],
    };
    let mut state = 1usize;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % n
    };
    for _ in 0..3000 {
        let mut side = || (below(shape[0]) * shape[1] + below(shape[1])) * shape[2] + below(120);
        case.prediction[side()] = 1;
        case.reference[voxels - 1 - side()] = 1;
    }

    let fast = case.fast(case.spacing_mm, Mode::Volume).unwrap();

    let plain = case.plain(case.spacing_mm, Mode::Volume).unwrap();
    assert!(plain.prediction_to_reference_mm().iter().all(|&distance| distance > 12.0));
    assert_eq!(bits(&fast), bits(&plain));
    let result = case.evaluate(Mode::Volume);
    assert_eq!(result.assd_mm, Some(plain.assd_mm()));
    assert_eq!(result.hausdorff95_mm, Some(plain.hausdorff95_mm()));
    assert_eq!(result.hausdorff95_pooled_mm, Some(plain.hausdorff95_pooled_mm()));
    let voxels = case.plain([1.0; 3], Mode::Volume).unwrap().hausdorff_mm();
    assert_eq!(result.hausdorff_voxels, Some(voxels));
}

#[test]
fn every_voxel_of_a_single_slice_is_surface_in_3d_only() {
    let shape = [1, 5, 5];
    let full =
        Case { shape, spacing_mm: [1.0; 3], prediction: vec![1; 25], reference: vec![1; 25] };
    let surface = |mode| full.fast([1.0; 3], mode).unwrap().prediction_to_reference_mm().len();
    assert_eq!(surface(Mode::Volume), 25);
    assert_eq!(surface(Mode::Slice), 16);
}
