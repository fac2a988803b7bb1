//! Box plots: medians, quartiles, and every value as a dot.

use image::{Rgb, RgbImage};

use super::canvas::{TEXT_HEIGHT, blank, fill, stack, text_width, write};
use super::palette::{QUIET, TEXT, blend, class_colour};
use super::{GAP, legend};

/// Height of the plotted area in pixels.
const HEIGHT: u32 = 240;
/// Space left of the plotted area, for numbers.
const LEFT: u32 = 84;
/// Width of a box.
const BOX: u32 = 16;
/// Space between the boxes of a group, and half of that between groups.
const BETWEEN: u32 = 8;
/// Lines across.
const GRID: Rgb<u8> = Rgb([52, 57, 65]);
/// Parts that the axis is divided into.
const DIVISIONS: u32 = 5;

/// Boxes in groups, on an axis of `0..=1`.
#[derive(Clone, Debug)]
pub(crate) struct BoxPlot {
    /// Heading.
    pub title: String,
    /// Names of the groups, with one list of values per series.
    pub groups: Vec<(String, Vec<Vec<f64>>)>,
}

/// Plots below each other, over a legend of the series' names.
pub(crate) fn box_plots(plots: &[BoxPlot], series: &[String]) -> RgbImage {
    let low =
        plots.iter().flat_map(|plot| &plot.groups).flat_map(|(_, lists)| lists.iter().flatten());
    // Most values are high: the axis begins at the tenth below the lowest one.
    let low = low.copied().fold(1.0f64, f64::min).clamp(0.0, 0.9);
    let low = (low * 10.0).floor() / 10.0;
    let mut parts: Vec<RgbImage> = plots.iter().map(|plot| draw(plot, low)).collect();
    let width = parts.iter().map(RgbImage::width).max().unwrap_or(1);
    parts.extend(legend(series, &[], width));
    for text in ["box: quartiles, line: median,", "dots: patients"] {
        let mut note = blank(width, TEXT_HEIGHT + GAP);
        write(&mut note, [GAP, 0], text, QUIET);
        parts.push(note);
    }
    stack(&parts)
}

fn draw(plot: &BoxPlot, low: f64) -> RgbImage {
    let series = plot.groups.iter().map(|(_, lists)| lists.len()).max().unwrap_or(0);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let group_width = count(series) * (BOX + BETWEEN) + 3 * BETWEEN;
    let group_width =
        group_width.max(plot.groups.iter().map(|g| text_width(&g.0) + GAP).max().unwrap_or(0));
    let width = count(plot.groups.len()) * group_width;
    let above = 2 * GAP + TEXT_HEIGHT;
    let mut canvas = blank(LEFT + width + 2 * GAP, above + HEIGHT + 2 * GAP + TEXT_HEIGHT);
    write(&mut canvas, [GAP, GAP], &plot.title, TEXT);
    for part in 0..=DIVISIONS {
        let share = f64::from(part) / f64::from(DIVISIONS);
        let y = above + HEIGHT - HEIGHT * part / DIVISIONS;
        fill(&mut canvas, [LEFT, y], [width, 1], GRID);
        let value = format!("{:.2}", low + share * (1.0 - low));
        let x = LEFT.saturating_sub(text_width(&value) + GAP / 2);
        write(&mut canvas, [x, y.saturating_sub(TEXT_HEIGHT / 2)], &value, QUIET);
    }
    let height_of = |value: f64| {
        let share = ((value - low) / (1.0 - low)).clamp(0.0, 1.0);
        above + HEIGHT - pixels(share * f64::from(HEIGHT))
    };
    for ((name, lists), left) in plot.groups.iter().zip((LEFT..).step_by(group_width as usize)) {
        let boxes = count(lists.len()) * (BOX + BETWEEN) - BETWEEN.min(count(lists.len()));
        let first = left + group_width.saturating_sub(boxes) / 2;
        for ((colour, values), x) in
            (1u8..).map(class_colour).zip(lists).zip((first..).step_by((BOX + BETWEEN) as usize))
        {
            draw_box(&mut canvas, x, values, colour, height_of);
        }
        let x = left + group_width.saturating_sub(text_width(name)) / 2;
        write(&mut canvas, [x, above + HEIGHT + GAP], name, TEXT);
    }
    canvas
}

fn draw_box(
    canvas: &mut RgbImage,
    x: u32,
    values: &[f64],
    colour: Rgb<u8>,
    height_of: impl Fn(f64) -> u32,
) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let [Some(lower), Some(median), Some(upper)] =
        [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share))
    else {
        return;
    };
    let [top, bottom] = [upper, lower].map(&height_of);
    fill(canvas, [x, top], [BOX, (bottom - top).max(1)], blend(GRID, colour, 0.45));
    for y in [top, bottom] {
        fill(canvas, [x, y], [BOX, 1], colour);
    }
    fill(canvas, [x, height_of(median).saturating_sub(1)], [BOX, 3], TEXT);
    for (index, &value) in (0u32..).zip(values) {
        // Side by side in the order of patients, so that equal values do not hide each other.
        let across = x + BOX / 2 - 2 + index % 5 * 3 - 6;
        fill(canvas, [across, height_of(value).saturating_sub(1)], [3, 3], colour);
    }
}

/// Linear interpolation between order statistics.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * sorted.len().checked_sub(1)? as f64;
    let low = pixels(at.floor()) as usize;
    let high = (low + 1).min(sorted.len() - 1);
    let part = at - at.floor();
    Some(sorted[low] * (1.0 - part) + sorted[high] * part)
}

/// A small number that is not negative as a whole one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most the height of the picture or a number of patients"
)]
fn pixels(value: f64) -> u32 {
    value.round().max(0.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_order_statistics() {
        let sorted = [0.0, 1.0, 2.0, 3.0];

        assert_eq!(quantile(&sorted, 0.25), Some(0.75));
        assert_eq!(quantile(&sorted, 0.5), Some(1.5));
        assert_eq!((quantile(&[7.0], 0.75), quantile(&[], 0.5)), (Some(7.0), None));
    }

    #[test]
    fn a_higher_value_stands_higher_and_an_empty_list_leaves_a_gap() {
        let plot = |values: Vec<Vec<f64>>| BoxPlot {
            title: "LGE".to_owned(),
            groups: vec![("LV".to_owned(), values)],
        };
        let series = ["one".to_owned(), "other".to_owned()];
        let picture = box_plots(&[plot(vec![vec![0.5; 4], vec![0.9; 4]])], &series);
        let above_legend = TEXT_HEIGHT + 2 * GAP..TEXT_HEIGHT + 2 * GAP + HEIGHT;
        let first = |picture: &RgbImage, class: u8| {
            let mut pixels = picture.enumerate_pixels();
            let found = pixels
                .find(|(_, y, pixel)| above_legend.contains(y) && **pixel == class_colour(class));
            found.map(|(_, y, _)| y)
        };

        assert!(first(&picture, 2).unwrap() < first(&picture, 1).unwrap());
        let gap = box_plots(&[plot(vec![Vec::new(), vec![0.9; 4]])], &series);
        assert_eq!(first(&gap, 1), None);
    }
}
