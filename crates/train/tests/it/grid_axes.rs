//! What a grid names: too little, twice, or a fold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use duomo_train::{Grid, Variant};

use crate::grid::Fixture;

#[test]
fn what_a_grid_lacks_is_named() {
    let mut fixture = Fixture::new();
    let runs = PathBuf::from("runs");
    let other = BTreeMap::from([("ct".to_owned(), runs.clone())]);
    let refused = |grid: &Grid, data: &BTreeMap<String, PathBuf>| {
        grid.cells(data, &runs).unwrap_err().to_string()
    };

    assert_eq!(
        refused(&fixture.grid, &other),
        "grid two has no data set `ct`; it has mscmr, mmwhs"
    );
    let none = refused(&fixture.grid, &BTreeMap::new());
    assert!(none.ends_with("give --data mscmr=DIR"), "{none}");
    fixture.grid.methods.clear();
    let none = refused(&fixture.grid, &fixture.data());
    assert_eq!(none, "methods of grid two must name at least one");
}

#[test]
fn what_a_grid_names_twice_is_refused() {
    let fixture = Fixture::new();
    let refused = |change: &dyn Fn(&mut Grid)| {
        let mut grid = fixture.grid.clone();
        change(&mut grid);
        grid.cells(&fixture.data(), Path::new("runs")).unwrap_err().to_string()
    };
    let variant = |label: &str, set: &[&str]| Variant {
        label: label.to_owned(),
        set: set.iter().map(|&set| set.to_owned()).collect(),
    };

    let methods = refused(&|grid| grid.methods[1] = "msbn".to_owned());
    assert_eq!(methods, "methods of grid two name `msbn` twice; a run is done once");
    let datasets = refused(&|grid| grid.datasets[1] = "mscmr".to_owned());
    assert_eq!(datasets, "datasets of grid two name `mscmr` twice; a run is done once");
    let variants = refused(&|grid| {
        grid.variants = vec![variant("a", &["schedule.steps=2"]), variant("a", &[])];
    });
    assert_eq!(variants, "variants of grid two name `a` twice; a run is done once");
    // The variant overrules the seeds, and so makes one run of two.
    let runs = refused(&|grid| {
        (grid.seeds, grid.variants) = (2, vec![variant("a", &["seed=5"])]);
    });
    assert!(runs.starts_with("grid two has the run mscmr-msbn-a-s5-"), "{runs}");
    assert!(runs.contains(" twice; "), "{runs}");
    let folds = refused(&|grid| {
        (grid.folds, grid.variants) = (2, vec![variant("a", &["fold=[1,4]"])]);
    });
    assert_eq!(folds, "grid two sets folds, and its variant `a` fold; leave one of them out");
}

#[test]
fn a_variant_may_set_the_fold() {
    let mut fixture = Fixture::new();
    let set = vec!["fold=[1,4]".to_owned()];
    fixture.grid.variants = vec![Variant { label: "second quarter".to_owned(), set }];

    let cells = fixture.cells("runs").unwrap();

    assert_eq!(cells[0].experiment.fold, Some((1, 4)));
    assert!(cells[0].name.contains("-s0-f1of4-"), "{}", cells[0].name);
}
