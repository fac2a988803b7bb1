//! Pictures of cases: image, reference, prediction and their difference side by side.
//!
//! One picture shows one slice. Pixels of the picture are square in millimetres whatever the
//! scanner's spacing was, and the view is zoomed to the annotated region.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{Rgb, RgbImage};

mod boxes;
mod canvas;
mod chart;
mod contact;
mod features;
mod font;
mod heat;
mod palette;
mod panel;
mod view;

pub(crate) use boxes::{BoxPlot, box_plots};
pub(crate) use chart::{Chart, Line, charts};
pub(crate) use contact::{Thumb, contact_sheet};
pub(crate) use features::{affinities, feature_maps};
pub(crate) use view::{Volumes, reversed_axes, reversed_in_plane, slice_name, telling_slice};

use canvas::{TEXT_HEIGHT, blank, fill, fitted, paste, stack, text_width, write};
use palette::{AGREED, BACKGROUND, CONFUSED, MISSED, QUIET, SPURIOUS, TEXT, class_colour};

/// Side of a panel in pixels.
const PANEL: u32 = 336;
/// Space around and between panels.
const GAP: u32 = 12;
/// Space between the panels of a [`strip`].
const STRIP_GAP: u32 = 2;

/// A case as it appears in a picture.
#[derive(Debug)]
pub(crate) struct CaseView<'a> {
    /// What the row is called, on its left.
    pub caption: String,
    /// What the row scores, on its right.
    pub score: String,
    /// The voxels.
    pub volumes: Volumes<'a>,
    /// Which slice along `D` is shown.
    pub slice: usize,
}

/// A case drawn as one row of panels.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    titles: Vec<String>,
    image: RgbImage,
}

impl Row {
    /// Draws a case.
    pub(crate) fn draw(case: &CaseView<'_>) -> Self {
        Self::of(case, &panel::panels(case, PANEL))
    }

    /// Draws a case as several methods see it: image, reference, and one panel per titled
    /// prediction, which may differ from row to row and is written into its panel.
    pub(crate) fn draw_methods(case: &CaseView<'_>, predictions: &[(&str, &[u8])]) -> Self {
        let mut panels = panel::method_panels(case, PANEL, predictions);
        for (title, panel) in &mut panels {
            fill(panel, [0, 0], [text_width(title) + GAP, TEXT_HEIGHT + GAP / 2], BACKGROUND);
            write(panel, [GAP / 2, GAP / 4], title, TEXT);
            title.clear();
        }
        Self::of(case, &panels)
    }

    fn of(case: &CaseView<'_>, panels: &[(String, RgbImage)]) -> Self {
        let titles = panels.iter().map(|(title, _)| title.clone()).collect();
        Self { titles, image: case_row(case, panels) }
    }
}

/// Reference, prediction and their difference on one slice, side by side without words.
pub(crate) fn strip(volumes: &Volumes<'_>, slice: usize, side: u32) -> RgbImage {
    let view = CaseView { caption: String::new(), score: String::new(), volumes: *volumes, slice };
    let panels = panel::panels(&view, side);
    let panels = &panels[1..];
    let width = u32::try_from(panels.len()).unwrap_or(1) * (side + STRIP_GAP) - STRIP_GAP;
    let mut strip = blank(width, side);
    for ((_, panel), left) in panels.iter().zip((0..).step_by((side + STRIP_GAP) as usize)) {
        paste(&mut strip, panel, [left, 0]);
    }
    strip
}

/// Rows below each other, under their titles and over a legend; one row makes a case's picture.
/// The legend explains differences only where they are drawn.
///
/// `classes` are the names of the classes 1, 2, …
pub(crate) fn sheet(rows: &[Row], classes: &[String]) -> RgbImage {
    let titles = rows.iter().map(|row| &row.titles).max_by_key(|titles| titles.len());
    let titles = titles.map(Vec::as_slice).unwrap_or_default();
    let mut parts = vec![title_row(titles)];
    parts.extend(rows.iter().map(|row| row.image.clone()));
    let kinds: &[(Rgb<u8>, &str)] =
        if titles.iter().any(|title| title == panel::DIFFERENCE) { &KINDS } else { &[] };
    parts.extend(legend(classes, kinds, row_width(titles.len())));
    stack(&parts)
}

/// A picture as the bytes of a PNG file.
///
/// # Errors
///
/// If the picture is too large for the format.
pub(crate) fn png(picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // The library's own choice is fast and makes files half as large again.
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    picture.write_with_encoder(encoder)?;
    Ok(bytes)
}

/// Names and colours, as in CSS, of the classes and of the kinds of difference.
pub(crate) fn colours(classes: &[&str]) -> Vec<(String, String)> {
    let classes = (1u8..).zip(classes).map(|(class, &name)| (class_colour(class), name));
    let css = |Rgb([red, green, blue]): Rgb<u8>| format!("#{red:02x}{green:02x}{blue:02x}");
    classes.chain(KINDS).map(|(colour, name)| (name.to_owned(), css(colour))).collect()
}

fn row_width(panels: usize) -> u32 {
    GAP + u32::try_from(panels).unwrap_or(4) * (PANEL + GAP)
}

fn left_edges() -> impl Iterator<Item = u32> {
    (0..).map(|index| GAP + index * (PANEL + GAP))
}

fn title_row(titles: &[String]) -> RgbImage {
    let mut row = blank(row_width(titles.len()), TEXT_HEIGHT + 2 * GAP);
    for (title, left) in titles.iter().zip(left_edges()) {
        write(&mut row, [left, GAP], title, QUIET);
    }
    row
}

fn case_row(case: &CaseView<'_>, panels: &[(String, RgbImage)]) -> RgbImage {
    let mut row = blank(row_width(panels.len()), TEXT_HEIGHT + PANEL + 3 * GAP / 2 + GAP / 2);
    let caption = fitted(&case.caption, row.width().saturating_sub(2 * GAP));
    write(&mut row, [GAP, 0], &caption, TEXT);
    let right = row.width().saturating_sub(GAP + text_width(&case.score));
    if right > 2 * GAP + text_width(&case.caption) {
        write(&mut row, [right, 0], &case.score, TEXT);
    }
    for ((_, panel), left) in panels.iter().zip(left_edges()) {
        paste(&mut row, panel, [left, TEXT_HEIGHT + GAP / 2]);
    }
    row
}

/// What the colours of a difference mean.
const KINDS: [(Rgb<u8>, &str); 4] =
    [(AGREED, "same"), (MISSED, "missed"), (SPURIOUS, "spurious"), (CONFUSED, "other class")];

/// Swatches with names, as many lines as the width needs.
fn legend(classes: &[String], kinds: &[(Rgb<u8>, &str)], width: u32) -> Vec<RgbImage> {
    let class_entries = (1u8..).zip(classes).map(|(class, name)| (class_colour(class), &name[..]));
    let mut lines = vec![blank(width, TEXT_HEIGHT + GAP)];
    let mut x = GAP;
    let is_last_class = |index| index + 1 == classes.len();
    for (index, (colour, name)) in class_entries.chain(kinds.iter().copied()).enumerate() {
        let needed = TEXT_HEIGHT + GAP / 2 + text_width(name) + 2 * GAP;
        if x > GAP && x + needed > width {
            lines.push(blank(width, TEXT_HEIGHT + GAP));
            x = GAP;
        }
        if let Some(line) = lines.last_mut() {
            fill(line, [x, 0], [TEXT_HEIGHT - 2, TEXT_HEIGHT - 2], colour);
            write(line, [x + TEXT_HEIGHT + GAP / 2, 0], name, TEXT);
        }
        x += needed + if is_last_class(index) { 2 * GAP } else { 0 };
    }
    lines
}

#[cfg(test)]
mod tests;
