//! How class-specific the features of every method are.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use duomo_train::FeatureTable;

use super::files::Written;
use super::{Finished, draw};
use crate::console;
use crate::feature_files::{FeatureFiles, study};
use crate::table::{Align, Table};

/// Measures the features of the runs of the first seed and fold where that is still to be done, and
/// writes a table of all, and the pictures of the reference.
///
/// # Errors
///
/// A run folder that is damaged, scans that can no longer be read, or a folder that cannot be written to.
pub(super) fn write(
    out: &Path,
    dataset: &str,
    (reference, methods): (&str, &[&str]),
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let runs = finished.iter().filter(|run| draw(run.cell) == draw(finished[0].cell));
    let mut found = Vec::new();
    for run in runs {
        let files = FeatureFiles::of(&run.cell.folder);
        let table = match files.table()? {
            Some(table) => table,
            None => study(&run.cell.folder, None)?,
        };
        found.push((table, files));
    }
    let place = |label: &str| methods.iter().position(|method| *method == label);
    found.sort_by_key(|(table, _)| place(&table.method));
    let tables: Vec<&FeatureTable> = found.iter().map(|(table, _)| table).collect();
    let caption =
        "Mean over maps of the balanced share of energy inside a map's best class, in %, \
                   before training → after; first seed and fold; docs/REPRODUCTION.md defines it"
            .to_owned();
    Written {
        name: &format!("features-{dataset}"),
        title: &format!("{dataset}: how class-specific the features are, by group"),
        blocks: &[(caption, by_group(&tables))],
        csv: csv(&tables),
        data: &tables,
    }
    .write(out, report)?;
    if let Some((table, files)) = found.iter().find(|(table, _)| table.method == reference) {
        let [maps, affinities] =
            ["fig2", "affinities"].map(|figure| format!("{figure}-{dataset}.png"));
        for (from, name) in [(files.maps(), &maps), (files.affinities(), &affinities)] {
            let bytes =
                std::fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
            console::write_file(&out.join(name), &bytes)?;
        }
        let method = &table.method;
        let _ = write!(
            report,
            "\nFig. 2, {method}: per class the map most specific to it.\n\n![feature maps]({maps})\n\
             \nAffinities of the modalities, {method}:\n\n![affinity matrices]({affinities})\n"
        );
    }
    Ok(())
}

/// One row per method and modality, one column per group.
fn by_group(tables: &[&FeatureTable]) -> Table {
    let mut groups: Vec<usize> =
        tables.iter().flat_map(|table| &table.layers).map(|layer| layer.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let titles: Vec<String> = groups.iter().map(usize::to_string).collect();
    let mut columns = vec![("method", Align::Left), ("modality", Align::Left)];
    columns.extend(titles.iter().map(|title| (&title[..], Align::Right)));
    columns.push(("chance", Align::Right));
    let mut text = Table::new(&columns);
    for table in tables {
        let mut modalities: Vec<&str> = Vec::new();
        for layer in &table.layers {
            if !modalities.contains(&&layer.modality[..]) {
                modalities.push(&layer.modality);
            }
        }
        let mut method = table.method.clone();
        for modality in modalities {
            let of_modality = || table.layers.iter().filter(|layer| layer.modality == modality);
            let mut cells = vec![std::mem::take(&mut method), modality.to_owned()];
            cells.extend(of_modality().map(|layer| {
                let [before, after] =
                    [&layer.before, &layer.after].map(|of| 100.0 * of.balanced_share);
                format!("{before:.0} → {after:.0}")
            }));
            let chance = of_modality().next().map_or(0.0, |layer| layer.balanced_chance);
            cells.push(format!("{:.0}", 100.0 * chance));
            text.push(cells);
        }
    }
    text
}

/// The lines of every run's own file, under one heading.
fn csv(tables: &[&FeatureTable]) -> String {
    let mut text = String::new();
    for table in tables {
        let lines = crate::feature_files::csv(table);
        let rest = lines.split_once('\n').map_or("", |(_, rest)| rest);
        text.push_str(if text.is_empty() { &lines } else { rest });
    }
    text
}
