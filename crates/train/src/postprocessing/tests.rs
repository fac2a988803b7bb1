use super::*;

fn rules(text: &str) -> PostProcessing {
    text.parse::<CommonRules>().unwrap().for_classes(2)
}

fn applied(text: &str, classes: &[u8], shape: [usize; 3]) -> Vec<u8> {
    let mut classes = classes.to_vec();
    rules(text).apply(&mut classes, shape, 2.0);
    classes
}

#[test]
#[rustfmt::skip]
fn each_rule_keeps_what_it_says() {
    let shape = [2, 2, 6];
    let classes = [
        1, 1, 2, 0, 0, 1,
        0, 0, 2, 0, 0, 0,

        0, 0, 2, 0, 2, 2,
        0, 0, 0, 0, 0, 0,
    ];

    // Everything labelled is one part of six voxels, and two strays.
    assert_eq!(applied("foreground", &classes, shape), [
        1, 1, 2, 0, 0, 0,
        0, 0, 2, 0, 0, 0,

        0, 0, 2, 0, 0, 0,
        0, 0, 0, 0, 0, 0,
    ]);
    assert_eq!(applied("largest", &classes, shape), applied("foreground", &classes, shape));
    // A voxel is 2 mm³: pairs stay at 4 and go at 4.5.
    assert_eq!(applied("min=4", &classes, shape), [
        1, 1, 2, 0, 0, 0,
        0, 0, 2, 0, 0, 0,

        0, 0, 2, 0, 2, 2,
        0, 0, 0, 0, 0, 0,
    ]);
    assert_eq!(applied("min=4.5,largest", &classes, shape), [
        0, 0, 2, 0, 0, 0,
        0, 0, 2, 0, 0, 0,

        0, 0, 2, 0, 0, 0,
        0, 0, 0, 0, 0, 0,
    ]);
}

#[test]
fn the_first_of_equal_components_is_kept_and_no_component_is_fine() {
    assert_eq!(applied("largest", &[1, 0, 1], [1, 1, 3]), [1, 0, 0]);
    assert_eq!(applied("foreground,largest,min=9", &[0, 0, 0], [1, 1, 3]), [0, 0, 0]);
}

#[test]
fn rules_are_read_shown_and_merged() {
    let labels = duomo_data::Dataset::load("mscmr").unwrap().labels;
    assert_eq!(
        rules("foreground,largest,min=20").in_words(&labels),
        "largest component of the foreground; largest component of LV; LV in parts of at least \
         20 mm³; largest component of myo; myo in parts of at least 20 mm³"
    );
    assert_eq!(PostProcessing::default().in_words(&labels), "none");
    let common = rules("largest,min=20").in_common_with(&rules("foreground,largest,min=5"));
    assert_eq!(common, rules("largest,min=5"));
    for wrong in ["", "biggest", "min=0", "min=-3", "min=inf", "largest, min=2"] {
        assert!(wrong.parse::<CommonRules>().unwrap_err().contains("is no rule"), "{wrong}");
    }
}

/// A case in a row of voxels of 10 mm³.
fn candidate(prediction: &[u8], reference: &[u8]) -> Candidate {
    Candidate {
        modality: 0,
        shape: [1, 1, prediction.len()],
        voxel_mm3: 10.0,
        prediction: prediction.to_vec(),
        reference: reference.to_vec(),
    }
}

#[test]
fn only_rules_that_raise_the_score_are_learnt() {
    // Class 1 has a stray that its reference lacks; class 2 truly has two parts of different size.
    let cases = [candidate(&[1, 1, 1, 0, 1, 0, 2, 2, 2, 0, 2], &[1, 1, 1, 0, 0, 0, 2, 2, 2, 0, 2])];

    let learnt = learn(&cases, 2);

    assert!(!learnt.largest_foreground, "it would take class 2 away");
    let largest = ClassRules { largest: true, min_mm3: 0.0 };
    assert_eq!(learnt.classes, [largest, ClassRules::default()], "a tie leaves a rule off");
}

#[test]
fn a_smallest_volume_is_learnt_where_the_largest_component_would_not_do() {
    // Two true parts of three voxels, one stray of one: 30 mm³ against 10.
    let cases = [candidate(&[1, 1, 1, 0, 1, 0, 1, 1, 1], &[1, 1, 1, 0, 0, 0, 1, 1, 1])];

    let learnt = learn(&cases, 1);

    assert_eq!(learnt.classes, [ClassRules { largest: false, min_mm3: 30.0 }]);
}

#[test]
fn perfect_predictions_and_no_cases_leave_every_rule_off() {
    let perfect = [candidate(&[1, 0, 1, 0, 2], &[1, 0, 1, 0, 2])];

    assert!(learn(&perfect, 2).is_off());
    assert!(learn(&[], 2).is_off());
}
