//! Patients, not slices, divided alike in every modality.

use expect_test::expect;
use proptest::prelude::*;

use super::*;

fn case(patient: &str, modality: usize) -> Case {
    Case { patient: patient.to_owned(), modality, image: "x.nii".into(), labels: None }
}

/// 45 patients with LGE, 35 of them with bSSFP too: the data set of the paper.
fn mscmr() -> Vec<Case> {
    let lge = (1..=45).map(|n: usize| case(&n.to_string(), 0));
    let bssfp = (1..=35).map(|n: usize| case(&n.to_string(), 1));
    lge.chain(bssfp).collect()
}

/// 20 + 20 unrelated patients.
fn mmwhs() -> Vec<Case> {
    let name = |prefix, n: usize| format!("{prefix}_{}", 1000 + n);
    (1..=20).flat_map(|n| [case(&name("ct", n), 0), case(&name("mr", n), 1)]).collect()
}

fn count(names: &[String], cases: &[Case], modality: usize) -> usize {
    cases.iter().filter(|c| c.modality == modality && names.contains(&c.patient)).count()
}

#[test]
fn every_modality_gives_a_fifth_of_its_patients_to_the_test() {
    for seed in 0..20 {
        let options = SplitOptions { seed, ..SplitOptions::default() };

        let heart = split(&mscmr(), &options).unwrap();
        assert_eq!([0, 1].map(|m| count(&heart.test, &mscmr(), m)), [9, 7], "seed {seed}");

        let whole = split(&mmwhs(), &options).unwrap();
        assert_eq!([0, 1].map(|m| count(&whole.test, &mmwhs(), m)), [4, 4], "seed {seed}");
        assert_eq!(whole.train.len() + whole.validation.len(), 32);
    }
}

#[test]
fn lists_are_in_natural_order_and_the_seed_is_recorded() {
    let options = SplitOptions { seed: 3, ..SplitOptions::default() };

    let split = split(&mscmr(), &options).unwrap();

    for names in [&split.train, &split.validation, &split.test] {
        assert!(names.is_sorted_by_key(|name| name.parse::<u32>().unwrap()), "{names:?}");
    }
    assert_eq!((split.seed, split.fold, split.folds), (3, 0, 1));
}

#[test]
fn the_order_of_the_cases_does_not_matter_and_the_seed_does() {
    let options = SplitOptions::default();
    let mut reversed = mscmr();
    reversed.reverse();

    let first = split(&mscmr(), &options).unwrap();

    assert_eq!(first, split(&reversed, &options).unwrap());
    let other = SplitOptions { seed: 1, ..options };
    assert_ne!(first.test, split(&mscmr(), &other).unwrap().test);
}

#[test]
fn folds_share_the_test_patients_and_validate_each_other_patient_once() {
    let fold = |fold| {
        let options = SplitOptions { folds: 5, fold, ..SplitOptions::default() };
        split(&mmwhs(), &options).unwrap()
    };
    let folds: Vec<Split> = (0..5).map(fold).collect();

    let mut validated: Vec<_> = folds.iter().flat_map(|f| f.validation.clone()).collect();
    validated.sort_unstable();
    validated.dedup();
    assert_eq!(validated.len(), 32);
    for fold in &folds {
        assert_eq!(fold.test, folds[0].test);
        assert_eq!(fold.train.len() + fold.validation.len(), 32);
        let of_each = [0, 1].map(|m| count(&fold.validation, &mmwhs(), m));
        assert!(of_each.iter().all(|&n| n == 3 || n == 4), "{of_each:?}");
    }
}

#[test]
fn named_test_patients_are_taken_instead_of_a_draw() {
    let named = ["ct_1003", "ct_1008", "mr_1007"].map(str::to_owned).to_vec();
    let options = SplitOptions { test_patients: named.clone(), ..SplitOptions::default() };

    let split = split(&mmwhs(), &options).unwrap();

    assert_eq!(split.test, named);
    assert_eq!(split.train.len() + split.validation.len(), 37);
}

#[test]
fn a_small_modality_still_gets_a_test_patient() {
    let cases: Vec<_> = (0..10)
        .map(|n: usize| case(&n.to_string(), 0))
        .chain(["a", "b"].map(|name| case(name, 1)))
        .collect();

    let split = split(&cases, &SplitOptions::default()).unwrap();

    assert_eq!(count(&split.test, &cases, 1), 1);
    assert_eq!(count(&split.train, &cases, 1), 1);
}

#[test]
fn what_cannot_be_split_is_refused_with_the_key() {
    let message = |cases: &[Case], options| split(cases, &options).unwrap_err().to_string();
    let all = SplitOptions::default();

    let fraction = SplitOptions { test_fraction: 1.0, ..all.clone() };
    expect!["`test_fraction`: expected at least 0 and less than 1, got 1"]
        .assert_eq(&message(&mmwhs(), fraction));
    let fold = SplitOptions { folds: 5, fold: 5, ..all.clone() };
    expect!["`fold`: expected less than 5 folds, got 5"].assert_eq(&message(&mmwhs(), fold));
    let named = SplitOptions { test_patients: vec!["ct_3".to_owned()], ..all.clone() };
    expect!["`test_patients`: no case is of patient `ct_3`"].assert_eq(&message(&mmwhs(), named));
    let named = SplitOptions { test_patients: vec!["1".to_owned()], ..all };
    let cases = [case("1", 0), case("2", 1)];
    expect!["all patients of modality 0 (1) are in test_patients, which leaves none to train on; name fewer of them, or add patients"].assert_eq(&message(&cases, named));
}

#[test]
fn nobody_is_drawn_who_is_the_only_one_left_of_a_modality() {
    let apart: Vec<_> = ["1", "2", "3", "4", "5"].map(|name| case(name, 0)).to_vec();
    let apart = [apart, vec![case("b", 1)]].concat();
    let shared: Vec<_> = ["1", "2", "3", "4", "5"].map(|name| case(name, 0)).to_vec();
    let shared = [shared, vec![case("1", 1)]].concat();
    for cases in [&apart, &shared] {
        for (seed, folds) in (0..20).flat_map(|seed| [(seed, 1), (seed, 3)]) {
            for fold in 0..folds {
                let (test_fraction, validation_fraction) = (0.25, 0.15); // of schedule `quick`
                let options = SplitOptions {
                    seed,
                    test_fraction,
                    validation_fraction,
                    folds,
                    fold,
                    ..SplitOptions::default()
                };

                let split = split(cases, &options).unwrap();

                assert_eq!(count(&split.train, cases, 1), 1, "{split:?}");
                assert!(count(&split.test, cases, 0) > 0, "{split:?}");
                assert!(folds > 1 || count(&split.validation, cases, 0) > 0, "{split:?}");
            }
        }
    }
}

/// Published tables depend on these.
#[test]
fn the_same_seed_draws_the_same_patients_for_ever() {
    let drawn = |cases: &[Case], options: &SplitOptions| {
        let split = split(cases, options).unwrap();
        format!("{} | {}", split.validation.join(" "), split.test.join(" "))
    };
    let paper = SplitOptions::default();
    let quick =
        SplitOptions { seed: 1, test_fraction: 0.25, validation_fraction: 0.15, ..paper.clone() };
    let fold = SplitOptions { seed: 2, folds: 5, fold: 3, ..paper.clone() };
    let small = [mmwhs()[..6].to_vec(), vec![case("a", 2), case("b", 2)]].concat();

    expect!["6 8 18 36 | 7 13 15 21 23 28 32 41 44"].assert_eq(&drawn(&mscmr(), &paper));
    expect!["4 9 29 31 44 | 7 8 12 14 15 18 19 28 36 39 45"].assert_eq(&drawn(&mscmr(), &quick));
    expect!["6 10 12 15 17 22 45 | 7 14 21 25 26 27 28 39 44"].assert_eq(&drawn(&mscmr(), &fold));
    expect![
        "ct_1006 ct_1014 mr_1017 | ct_1004 ct_1008 ct_1010 ct_1013 mr_1006 mr_1010 mr_1014 mr_1019"
    ]
    .assert_eq(&drawn(&mmwhs(), &paper));
    expect!["ct_1004 ct_1005 ct_1017 mr_1008 mr_1013 mr_1018 | ct_1008 ct_1009 ct_1014 ct_1020 mr_1004 mr_1005 mr_1011 mr_1015"].assert_eq(&drawn(&mmwhs(), &fold));
    expect!["ct_1002 mr_1001 | b ct_1003 mr_1003"].assert_eq(&drawn(&small, &quick));
}

proptest! {
    #[test]
    fn nobody_is_lost_and_nobody_is_on_two_sides(
        scans in proptest::collection::vec((0usize..30, 0usize..3), 12..60),
        (seed, folds, fraction) in (any::<u64>(), 1usize..4, 0.0f64..0.5),
    ) {
        let cases: Vec<_> = scans.iter().map(|(n, m)| case(&n.to_string(), *m)).collect();
        let options = SplitOptions { seed, folds, test_fraction: fraction, ..SplitOptions::default() };
        let split = split(&cases, &options).unwrap();

        let mut divided = [&split.train[..], &split.validation, &split.test].concat();
        let total = divided.len();
        divided.sort();
        divided.dedup();
        prop_assert_eq!(divided.len(), total);
        let patients: BTreeSet<_> = cases.iter().map(|case| case.patient.clone()).collect();
        prop_assert_eq!(divided, patients.into_iter().collect::<Vec<_>>());
    }
}
