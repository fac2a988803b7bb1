use proptest::prelude::*;

use super::super::tests::{Case, bits, cases, slices};
use super::*;
use crate::{Mode, evaluate};

fn fast(case: &Case, mode: Mode) -> Option<ElementDistances> {
    let options = Options { mode, ..Options::new(case.spacing_mm) };
    element_distances(&case.prediction, &case.reference, case.shape, 1, &options).unwrap()
}

fn plain(case: &Case, mode: Mode) -> Option<ElementDistances> {
    let [predicted, expected] =
        case.masks().map(|mask| reference::elements(&mask, case.shape, mode));
    let [_, height, width] = case.spacing_mm;
    let areas = areas::areas(match mode {
        Mode::Volume => case.spacing_mm,
        Mode::Slice => [1.0, height, width],
    });
    let areas_of = |elements: &[([i32; 3], u8)]| {
        elements.iter().map(|&(_, code)| areas[usize::from(code)]).collect()
    };
    let positions = [&predicted, &expected]
        .map(|elements| elements.iter().map(|&(position, _)| position).collect::<Vec<_>>());
    let directed = super::super::reference::directed;
    (!predicted.is_empty() && !expected.is_empty()).then(|| ElementDistances {
        distances: SurfaceDistances {
            prediction_to_reference_mm: directed(&positions[0], &positions[1], case.spacing_mm),
            reference_to_prediction_mm: directed(&positions[1], &positions[0], case.spacing_mm),
        },
        prediction_areas: areas_of(&predicted),
        reference_areas: areas_of(&expected),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_fast_search_has_the_bits_of_the_plain_one_in_3d(case in cases()) {
        let (fast, plain) = (fast(&case, Mode::Volume), plain(&case, Mode::Volume));
        prop_assert_eq!(
            fast.as_ref().map(|it| bits(&it.distances)),
            plain.as_ref().map(|it| bits(&it.distances))
        );
        prop_assert_eq!(fast, plain);
    }

    #[test]
    fn the_fast_search_has_the_bits_of_the_plain_one_in_2d(case in slices()) {
        let (fast, plain) = (fast(&case, Mode::Slice), plain(&case, Mode::Slice));
        prop_assert_eq!(
            fast.as_ref().map(|it| bits(&it.distances)),
            plain.as_ref().map(|it| bits(&it.distances))
        );
        prop_assert_eq!(fast, plain);
    }

    #[test]
    fn metrics_keep_their_order_and_range(case in cases()) {
        let options =
            Options { convention: crate::Convention::DeepMind, ..Options::new(case.spacing_mm) };
        let results = evaluate(&case.prediction, &case.reference, case.shape, &[1], &options);
        let result = results.unwrap().remove(0);
        prop_assert_eq!(result.hausdorff95_pooled_mm, None);
        if let Some(hausdorff) = result.hausdorff_mm {
            prop_assert!(result.hausdorff95_mm.unwrap() <= hausdorff);
            // The mean of equal values may round up by an ulp or two.
            prop_assert!(result.assd_mm.unwrap() <= hausdorff * (1.0 + 1e-12));
            prop_assert!(result.masd_mm.unwrap() <= hausdorff * (1.0 + 1e-12));
            prop_assert!(hausdorff <= result.diagonal_mm * (1.0 + 1e-12));
            prop_assert!(result.hausdorff_voxels.unwrap() <= result.diagonal_voxels);
            prop_assert!(result.nsd[0].unwrap() <= result.nsd[1].unwrap());
        }
    }
}

#[test]
fn a_straight_edge_has_its_length_and_a_staircase_that_of_its_slope() {
    let length = |mask: [u8; 16]| {
        let options = Options { mode: Mode::Slice, ..Options::new([9.0, 1.0, 1.0]) };
        let distances = element_distances(&mask, &mask, [1, 4, 4], 1, &options).unwrap().unwrap();
        distances.prediction_areas().iter().sum::<f64>()
    };
    // Two by two pixels: four straight edges of length 1, four corners cut off by √½.
    let square = length([0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    assert!((square - (4.0 + 4.0 * 0.5f64.sqrt())).abs() < 1e-12, "{square}");
    // The lower left half of the image: two legs of three edges, and ten times √½ for the three
    // corners and the slope between them, where four pixels stick out and three notches go in.
    let triangle = length([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1]);
    assert!((triangle - (6.0 + 10.0 * 0.5f64.sqrt())).abs() < 1e-12, "{triangle}");
}

#[test]
fn a_fraction_beyond_the_whole_surface_is_refused() {
    let distances =
        element_distances(&[1u8, 0], &[0, 1], [1, 1, 2], 1, &Options::new([1.0; 3])).unwrap();
    let distances = distances.unwrap();

    assert_eq!(distances.robust_hausdorff_mm(1.0), Ok(distances.hausdorff_mm()));
    let error = distances.robust_hausdorff_mm(95.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a fraction of the surface must lie in 0..=1, got 95; 0.95 is usual"
    );
    assert!(distances.robust_hausdorff_mm(f64::NAN).is_err());
}
