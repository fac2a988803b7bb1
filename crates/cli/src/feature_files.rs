//! What is known of a run's features, as files of its folder: numbers and pictures.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use duomo_train::{FeatureStudy, FeatureTable, Layer};

use crate::console;
use crate::exit::Fault;
use crate::pictures::{affinities, feature_maps, png};
use crate::table::{Align, Table, magnitude, quoted};

/// The files of one run.
pub(crate) struct FeatureFiles {
    folder: PathBuf,
}

impl FeatureFiles {
    /// The files of the run in folder `root`, which need not be there.
    pub(crate) fn of(root: &Path) -> Self {
        Self { folder: root.join("features") }
    }

    /// The folder that they lie in.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fig. 2: a slice of each modality and the maps most specific to each class.
    pub(crate) fn maps(&self) -> PathBuf {
        self.folder.join("maps.png")
    }

    /// The affinities of the modalities beside each other.
    pub(crate) fn affinities(&self) -> PathBuf {
        self.folder.join("affinities.png")
    }

    fn numbers(&self) -> PathBuf {
        self.folder.join("features.json")
    }

    /// The numbers, if they were written.
    ///
    /// # Errors
    ///
    /// A file that is damaged.
    pub(crate) fn table(&self) -> Result<Option<FeatureTable>> {
        let path = self.numbers();
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let table = serde_json::from_str(&text).map_err(|error| {
            let remedy = "remove the file and run `duomo features` again";
            Fault::Data(format!("{}: {error}; {remedy}", path.display()))
        })?;
        Ok(Some(table))
    }

    /// Writes pictures and numbers, the file that tells that all are there last.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written to.
    pub(crate) fn write(&self, study: &FeatureStudy) -> Result<()> {
        let table = &study.table;
        let maps = feature_maps(&study.maps, &table.classes);
        console::write_file(&self.maps(), &png(&maps)?)?;
        let matrices = affinities(&study.affinities, table.pair, &table.classes);
        console::write_file(&self.affinities(), &png(&matrices)?)?;
        let mut text = format!("# Features of {} on {}\n", table.method, table.dataset);
        for (caption, of_text) in tables(table) {
            let _ = write!(text, "\n{caption}\n\n{}", of_text.markdown());
        }
        console::write_file(&self.folder.join("features.md"), text.as_bytes())?;
        console::write_file(&self.folder.join("features.csv"), csv(table).as_bytes())?;
        console::print_json(table, &self.numbers().to_string_lossy())
    }
}

/// Looks at the features of a finished run, and writes what it finds into its folder.
///
/// # Errors
///
/// A run folder that is unfinished or damaged, scans that can no longer be read, or a folder that cannot
/// be written to.
pub(crate) fn study(root: &Path, group: Option<usize>) -> Result<FeatureTable> {
    if !root.join("DONE").exists() {
        return Err(Fault::Data(format!(
            "{} is no finished run folder (it has no file DONE); finish it with `duomo train`",
            root.display()
        ))
        .into());
    }
    let study = FeatureStudy::of_run(root, group)
        .with_context(|| format!("cannot look at the features of {}", root.display()))?;
    FeatureFiles::of(root).write(&study)?;
    Ok(study.table)
}

/// Captioned tables: how specific each layer is, and how far the modalities are apart.
pub(crate) fn tables(table: &FeatureTable) -> [(String, Table); 2] {
    let caption = format!(
        "How class-specific the features are: mean over maps of the balanced share of energy inside a \
         map's best class (chance {:.2}), before training → after; {} slices of each modality's test \
         patients",
        table.layers.first().map_or(0.0, |layer| layer.balanced_chance),
        table.slices
    );
    let (l, k) = table.pair;
    let distances = format!(
        "Root mean square difference between the modalities' affinities of groups {l} and {k}"
    );
    [(caption, layers_table(table)), (distances, distances_table(table))]
}

fn layers_table(table: &FeatureTable) -> Table {
    let best: Vec<String> = table.classes.iter().map(|class| format!("best in {class}")).collect();
    let mut columns = vec![
        ("modality", Align::Left),
        ("group", Align::Right),
        ("maps", Align::Right),
        ("balanced share", Align::Right),
        ("share", Align::Right),
        ("chance of share", Align::Right),
    ];
    columns.extend(best.iter().map(|title| (&title[..], Align::Right)));
    let mut text = Table::new(&columns);
    let mut layers: Vec<&Layer> = table.layers.iter().collect();
    let place =
        |layer: &Layer| table.layers.iter().position(|other| other.modality == layer.modality);
    layers.sort_by_key(|layer| place(layer));
    for layer in layers {
        let (before, after) = (&layer.before, &layer.after);
        let change = |before: f64, after: f64| format!("{before:.2} → {after:.2}");
        let mut cells = vec![
            layer.modality.clone(),
            layer.group.to_string(),
            layer.maps.to_string(),
            change(before.balanced_share, after.balanced_share),
            change(before.share, after.share),
            change(before.chance, after.chance),
        ];
        let best = before.best.iter().zip(&after.best);
        cells.extend(best.map(|(before, after)| format!("{before} → {after}")));
        text.push(cells);
    }
    text
}

fn distances_table(table: &FeatureTable) -> Table {
    let columns = [("class", Align::Left), ("before", Align::Right), ("after", Align::Right)];
    let mut text = Table::new(&columns);
    for distance in &table.distances {
        let cells = [distance.class.clone(), magnitude(distance.before), magnitude(distance.after)];
        text.push(cells);
    }
    text
}

/// One line per layer, modality and time.
pub(crate) fn csv(table: &FeatureTable) -> String {
    let mut text = String::from(
        "method,dataset,modality,group,when,maps,balanced_share,balanced_chance,share,chance\n",
    );
    for layer in &table.layers {
        for (when, specificity) in [("before", &layer.before), ("after", &layer.after)] {
            let _ = writeln!(
                text,
                "{},{},{},{},{when},{},{},{},{},{}",
                quoted(&table.method),
                quoted(&table.dataset),
                quoted(&layer.modality),
                layer.group,
                layer.maps,
                specificity.balanced_share,
                layer.balanced_chance,
                specificity.share,
                specificity.chance
            );
        }
    }
    text
}
