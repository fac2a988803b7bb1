use proptest::prelude::*;

use super::*;

/// Counts voxel by voxel.
fn count_plainly(prediction: &[u16], reference: &[u16], label: u16) -> Confusion {
    let mut confusion = Confusion::default();
    for (prediction, reference) in prediction.iter().zip(reference) {
        match (*prediction == label, *reference == label) {
            (true, true) => confusion.true_positives += 1,
            (true, false) => confusion.false_positives += 1,
            (false, true) => confusion.false_negatives += 1,
            (false, false) => confusion.true_negatives += 1,
        }
    }
    confusion
}

/// A label map of `voxels` voxels in runs of random lengths.
fn label_map(voxels: usize) -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec((0u16..5, 1..90usize), 1..60).prop_map(move |runs| {
        let values = runs.into_iter().flat_map(|(value, len)| std::iter::repeat_n(value * 77, len));
        values.chain(std::iter::repeat(0)).take(voxels).collect()
    })
}

fn label_maps() -> impl Strategy<Value = ([usize; 3], Vec<u16>, Vec<u16>)> {
    (1..5usize, 1..5usize, 1..140usize)
        .prop_flat_map(|(d, h, w)| (Just([d, h, w]), label_map(d * h * w), label_map(d * h * w)))
}

proptest! {
    #[test]
    fn counts_are_those_of_a_plain_loop((shape, prediction, reference) in label_maps()) {
        let labels = [308, 77, 0, 999];
        let expected = labels.map(|label| count_plainly(&prediction, &reference, label));

        let counted = count_confusion(&prediction, &reference, &labels).unwrap();
        let options = Options::new([1.0; 3]);
        let evaluated = evaluate(&prediction, &reference, shape, &labels, &options).unwrap();

        prop_assert_eq!(&counted[..], &expected[..]);
        prop_assert_eq!(evaluated.iter().map(|it| it.counts).collect::<Vec<_>>(), counted);
    }

    #[test]
    fn a_label_gives_the_same_numbers_alone_and_among_others(
        (shape, prediction, reference) in label_maps(),
    ) {
        let options = Options::new([2.5, 1.2, 0.7]);
        let of = |labels: &[u16]| evaluate(&prediction, &reference, shape, labels, &options).unwrap();
        prop_assert_eq!(&of(&[77, 0, 154])[2], &of(&[154])[0]);
    }

    #[test]
    fn slices_are_evaluated_one_by_one((shape, prediction, reference) in label_maps()) {
        let options = Options::new([2.5, 1.2, 0.7]);
        let one = Options { mode: Mode::Slice, ..options.clone() };
        let slices = evaluate_slices(&prediction, &reference, shape, &[77, 154], &options).unwrap();
        prop_assert_eq!(slices.len(), shape[0]);
        let pixels = shape[1] * shape[2];
        for (slice, found) in slices.iter().enumerate() {
            let voxels = slice * pixels..(slice + 1) * pixels;
            let (prediction, reference) = (&prediction[voxels.clone()], &reference[voxels]);
            let shape = [1, shape[1], shape[2]];
            let expected = evaluate(prediction, reference, shape, &[77, 154], &one).unwrap();
            prop_assert_eq!(found, &expected);
        }
    }
}

#[test]
fn both_voxel_types_give_the_same_numbers() {
    let prediction: Vec<u8> = (0..600).map(|i| u8::from(i % 7 < 3) * 2).collect();
    let reference: Vec<u8> = (0..600).map(|i| u8::from(i % 5 < 3) * 2).collect();
    let wide = |map: &[u8]| map.iter().copied().map(u16::from).collect::<Vec<_>>();
    let options = Options::new([3.0, 1.0, 1.0]);
    let narrow = evaluate(&prediction, &reference, [3, 2, 100], &[2], &options).unwrap();
    let wide = evaluate(&wide(&prediction), &wide(&reference), [3, 2, 100], &[2], &options);
    assert_eq!(narrow, wide.unwrap());
}

#[test]
fn a_grid_without_voxels_has_nothing_to_compare() {
    let options = Options::new([1.0; 3]);
    for shape in [[0, 4, 4], [4, 0, 4], [4, 4, 0]] {
        let results = evaluate::<u8>(&[], &[], shape, &[1], &options).unwrap();
        assert_eq!((results[0].status, results[0].dice), (Status::AbsentBoth, None), "{shape:?}");
    }
    assert_eq!(evaluate(&[1u8], &[1], [1, 1, 1], &[], &options).unwrap(), []);
}

#[test]
fn empty_sides_have_a_status_and_no_distance() {
    let options = Options::new([1.0; 3]);
    let results = evaluate(&[1u8, 0], &[0, 2], [1, 1, 2], &[1, 2, 3], &options).unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result.status.as_str()).collect();
    assert_eq!(statuses, ["spurious", "missed", "absent-both"]);
    for result in &results {
        assert_eq!(result.hausdorff_mm, None);
        assert_eq!(result.hausdorff_voxels, None);
        assert_eq!(result.nsd, [None, None]);
    }
    assert_eq!(results.iter().map(|it| it.dice).collect::<Vec<_>>(), [Some(0.0), Some(0.0), None]);
    assert_eq!((results[0].sensitivity, results[0].precision), (None, Some(0.0)));
    assert_eq!((results[1].sensitivity, results[1].precision), (Some(0.0), None));
}

#[test]
fn volumes_follow_the_spacing() {
    let options = Options::new([8.0, 1.5, 1.5]);
    let result = &evaluate(&[1u8, 1, 1, 0], &[0, 0, 1, 1], [1, 2, 2], &[1], &options).unwrap()[0];
    assert!((result.volume_prediction_mm3 - 54.0).abs() < 1e-12);
    assert!((result.volume_reference_ml() - 0.036).abs() < 1e-15);
    assert!((result.volume_difference_mm3() - 18.0).abs() < 1e-12);
}

#[test]
fn a_penalty_makes_a_miss_count() {
    let options = Options::new([1.0; 3]);
    let mut results = evaluate(&[0u8, 1, 0, 0], &[0, 1, 0, 0], [1, 1, 4], &[1], &options).unwrap();
    results.extend(evaluate(&[0u8; 4], &[0, 1, 0, 0], [1, 1, 4], &[1], &options).unwrap());
    results.extend(evaluate(&[0u8; 4], &[0; 4], [1, 1, 4], &[1], &options).unwrap());

    let of = |metric, penalty| summarize(&results, metric, penalty);
    let none = of(Metric::Hausdorff95Mm, Penalty::None);
    let worst = of(Metric::Hausdorff95Mm, Penalty::WorstCase);
    let fixed = of(Metric::Hausdorff95Mm, Penalty::Fixed(100.0));

    assert_eq!((none.mean, none.sd, none.median, none.n), (Some(0.0), None, Some(0.0), 1));
    assert_eq!((worst.mean, worst.sd, worst.n), (Some(1.5), Some(4.5f64.sqrt()), 2));
    assert_eq!((fixed.mean, fixed.median), (Some(50.0), Some(50.0)));
    assert_eq!(of(Metric::Precision, Penalty::None).n, 1);
    assert_eq!(of(Metric::Precision, Penalty::WorstCase).mean, Some(0.5));
    assert_eq!(of(Metric::Nsd(1), Penalty::Fixed(100.0)).mean, Some(0.5));
    assert_eq!(of(Metric::Dice, Penalty::None).mean, Some(0.5));
    let counts = StatusCounts { ok: 1, missed: 1, spurious: 0, absent_both: 1 };
    assert_eq!(count_statuses(&results), counts);
}

#[test]
fn no_value_gives_no_mean() {
    assert_eq!(summarize([], Metric::Dice, Penalty::WorstCase), Summary::default());
}

#[test]
fn says_what_is_wrong_with_the_input() {
    let message = |prediction: &[u8], shape, labels: &[u16], options: &Options| {
        evaluate(prediction, &[0; 4], shape, labels, options).unwrap_err().to_string()
    };
    let good = Options::new([1.0; 3]);
    assert_eq!(
        message(&[0; 3], [1, 2, 2], &[1], &good),
        "the prediction has 3 voxels but the shape [1, 2, 2] needs 4; \
         bring prediction and reference onto one grid first"
    );
    assert_eq!(
        message(&[0; 4], [1, 2, 2], &[1, 5, 1], &good),
        "label 1 is listed twice; list every label once"
    );
    assert_eq!(
        message(&[0; 4], [1, 2, 2], &[1], &Options::new([1.0, 0.0, 1.0])),
        "spacing_mm must lie between 1e-6 and 1e6 along every axis, got [1.0, 0.0, 1.0] \
         along [D, H, W]; check the header of the image"
    );
    let negative = Options { tolerances_mm: vec![-1.0], ..good.clone() };
    assert_eq!(
        message(&[0; 4], [1, 2, 2], &[1], &negative),
        "a tolerance must be a finite number of millimetres, 0 or more, got -1"
    );
    let slice = Options { mode: Mode::Slice, ..good };
    assert_eq!(
        message(&[0; 4], [2, 1, 2], &[1], &slice),
        "mode `Slice` takes one slice, got 2; use `evaluate_slices` for a volume slice by slice"
    );
    assert!(message(&[0; 4], [usize::MAX, 2, 2], &[1], &slice).contains("needs"));
}
