//! Volumes of many cases as one table.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::batch::{Entry, Listing, Status};
use crate::console;
use crate::table::quoted;

/// Writes a line for each of `cases`, from the manifest that says what became of them.
///
/// # Errors
///
/// A manifest that cannot be read, or a file that cannot be written.
pub(super) fn write(path: &Path, manifest: &Path, cases: &[&str]) -> Result<()> {
    let listing = Listing::read(manifest)?;
    let entries: Vec<&Entry> = cases.iter().filter_map(|&case| listing.entries.get(case)).collect();
    console::write_file(path, csv(&entries).as_bytes())
}

/// `case,status,modality`, a column `NAME_ml` for each structure, then a column for each heart figure.
///
/// Fields of a case that failed are empty.
fn csv(entries: &[&Entry]) -> String {
    let done = entries.iter().find(|entry| entry.status == Status::Done);
    let structures = done.map_or(&[][..], |entry| &entry.structures);
    let heart = done.map_or(&[][..], |entry| &entry.heart);
    let mut text = String::from("case,status,modality");
    for structure in structures {
        let _ = write!(text, ",{}", quoted(&format!("{}_ml", structure.name)));
    }
    for figure in heart {
        let _ = write!(text, ",{}", quoted(&figure.name));
    }
    text.push('\n');
    for entry in entries {
        let status = if entry.status == Status::Done { "done" } else { "failed" };
        let _ = write!(text, "{},{status},{}", quoted(&entry.case), quoted(&entry.recipe.modality));
        for column in structures {
            let mine = entry.structures.iter().find(|mine| mine.name == column.name);
            let _ = write!(text, ",{}", field(mine.map(|mine| mine.ml)));
        }
        for column in heart {
            let mine = entry.heart.iter().find(|mine| mine.name == column.name);
            let _ = write!(text, ",{}", field(mine.map(|mine| mine.value)));
        }
        text.push('\n');
    }
    text
}

/// To a hundred-thousandth of a millilitre: a voxel is a few thousandths.
fn field(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.5}"))
}

#[cfg(test)]
mod tests {
    use duomo_train::{HeartFigure, StructureVolume};
    use expect_test::expect;

    use super::*;
    use crate::batch::Recipe;

    #[test]
    fn every_case_has_a_line_and_every_structure_a_column() {
        let recipe = Recipe::example("LGE");
        let failed = Entry::begin("a,b", Path::new("a"), Path::new("a"), &recipe);
        let done = Entry {
            status: Status::Done,
            structures: vec![StructureVolume { name: "LV".into(), voxels: 7, ml: 0.0625 }],
            heart: vec![HeartFigure { name: "lv_cavity_ml".into(), value: 0.0625 }],
            ..Entry::begin("c", Path::new("c"), Path::new("c"), &recipe)
        };

        expect![[r#"
            case,status,modality,LV_ml,lv_cavity_ml
            "a,b",failed,LGE,,
            c,done,LGE,0.06250,0.06250
        "#]]
        .assert_eq(&csv(&[&failed, &done]));
    }
}
