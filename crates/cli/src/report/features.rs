//! What is known of a run's features, where `duomo features` or `duomo grid tables` looked at them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::feature_files::{FeatureFiles, tables};
use crate::table::html_escaped;

/// Tables and pictures, if there are any.
///
/// # Errors
///
/// A file that is damaged or can no longer be read.
pub(super) fn content(run: &Path) -> Result<Option<String>> {
    let files = FeatureFiles::of(run);
    let Some(table) = files.table()? else { return Ok(None) };
    let mut text = String::new();
    let pictures = [
        (files.maps(), "Per class the feature map that is most specific to it"),
        (files.affinities(), "Affinities of the modalities"),
    ];
    for (path, title) in pictures {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let _ = writeln!(
            text,
            "<img class=\"plate\" alt=\"{title}\" src=\"data:image/png;base64,{}\">",
            STANDARD.encode(bytes)
        );
    }
    for (caption, of_text) in tables(&table) {
        let _ = writeln!(
            text,
            "<p class=\"legend\">{}</p>\n{}",
            html_escaped(&caption),
            of_text.html()
        );
    }
    Ok(Some(text))
}
