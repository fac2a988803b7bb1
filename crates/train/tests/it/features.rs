//! Features of finished runs, before and after training.

use std::fs;

use duomo_phantom::Modality;
use duomo_train::{BadData, FeatureStudy, FeatureTable, Silent, train};

use crate::{PAIR, phantom, request};

#[test]
fn a_finished_runs_features_are_measured_before_and_after() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    for method in ["csa", "single"] {
        let run = out.path().join(method);
        train(&request(method, &PAIR, data.path(), run.clone()), &mut Silent).unwrap();

        let study = FeatureStudy::of_run(&run, Some(3)).unwrap();

        let table = &study.table;
        assert_eq!(table.classes, ["background", "LV", "myo", "RV"]);
        assert_eq!((table.layers.len(), table.pair), (8 * 2, (5, 6)));
        for layer in &table.layers {
            for specificity in [&layer.before, &layer.after] {
                assert!(specificity.best.iter().sum::<usize>() <= layer.maps);
                assert!(specificity.balanced_share >= layer.balanced_chance - 1e-9, "{layer:?}");
                assert!(specificity.balanced_share <= 1.0 && specificity.share <= 1.0, "{layer:?}");
            }
        }
        assert!(table.layers.iter().any(|layer| layer.before != layer.after));
        let text = serde_json::to_string(table).unwrap();
        assert_eq!(serde_json::from_str::<FeatureTable>(&text).unwrap().classes, table.classes);

        for (example, name) in study.maps.iter().zip(PAIR) {
            assert_eq!((&example.modality[..], example.group), (name, 3));
            assert_eq!(example.image.len(), example.side * example.side);
            // Group 3 lies behind two poolings.
            assert!(example.maps.iter().all(|map| map.values.len() == (example.side / 4).pow(2)));
            assert!(example.labels.iter().any(|&class| class > 0));
        }
        // Width 2: groups 5 and 6 have 16 times as many channels.
        assert!(study.affinities.iter().all(|matrices| matrices.shape == [32, 32]));
        let cosines =
            study.affinities.iter().flat_map(|matrices| matrices.classes.iter().flatten());
        assert!(cosines.flatten().all(|cosine| cosine.abs() <= 1.0 + 1e-5));
    }
}

#[test]
fn a_damaged_folder_and_an_unknown_group_are_bad_data() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    train(&request("msbn", &PAIR, data.path(), run.clone()), &mut Silent).unwrap();

    let unknown = FeatureStudy::of_run(&run, Some(9)).unwrap_err();
    fs::write(run.join("experiment.toml"), "seed =").unwrap();
    let damaged = FeatureStudy::of_run(&run, None).unwrap_err();

    assert!(unknown.is::<BadData>() && damaged.is::<BadData>());
    assert_eq!(unknown.to_string(), "groups are 1 to 8; got 9");
    assert!(damaged.to_string().ends_with("the run folder is damaged"), "{damaged}");
}
