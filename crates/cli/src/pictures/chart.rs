//! Line charts: axes with their ends, lines and a legend.

use image::{Rgb, RgbImage};

use super::canvas::{TEXT_HEIGHT, blank, fill, stack, text_width, write};
use super::palette::{QUIET, TEXT, class_colour};

/// Size of the plotted area in pixels.
const PLOT: [u32; 2] = [640, 240];
/// Space left of the plotted area, for numbers.
const LEFT: u32 = 84;
/// Space around.
const GAP: u32 = 12;
/// Parts that an axis is divided into.
const DIVISIONS: u32 = 4;

/// Lines over a common horizontal axis.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// Heading.
    pub title: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Upper end of the vertical axis, which starts at 0; the largest value if left out.
    pub top: Option<f64>,
}

/// Points joined by straight lines, in the order of their first coordinate.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Name in the legend.
    pub name: String,
    /// Points `(x, y)`.
    pub points: Vec<(f64, f64)>,
}

/// Charts below each other.
pub(crate) fn charts(charts: &[Chart]) -> RgbImage {
    let parts: Vec<RgbImage> = charts.iter().map(draw).collect();
    stack(&parts)
}

fn draw(chart: &Chart) -> RgbImage {
    let above = 2 * GAP + TEXT_HEIGHT;
    let mut canvas = blank(LEFT + PLOT[0] + 2 * GAP, above + PLOT[1] + GAP + TEXT_HEIGHT + GAP);
    write(&mut canvas, [GAP, GAP], &chart.title, TEXT);
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0f64, f64::max);
    let right = largest(&mut points().map(|point| point.0)).max(f64::MIN_POSITIVE);
    let top = chart.top.unwrap_or_else(|| largest(&mut points().map(|point| point.1)));
    let top = top.max(f64::MIN_POSITIVE);
    for part in 0..=DIVISIONS {
        let share = f64::from(part) / f64::from(DIVISIONS);
        let y = above + PLOT[1] - PLOT[1] * part / DIVISIONS;
        fill(&mut canvas, [LEFT, y], [PLOT[0], 1], Rgb([52, 57, 65]));
        let value = format!("{:.2}", top * share);
        let x = LEFT.saturating_sub(text_width(&value) + GAP / 2);
        write(&mut canvas, [x, y.saturating_sub(TEXT_HEIGHT / 2)], &value, QUIET);
        let step = format!("{:.0}", right * share);
        let x = LEFT + PLOT[0] * part / DIVISIONS;
        write(
            &mut canvas,
            [x.saturating_sub(text_width(&step) / 2), above + PLOT[1] + GAP],
            &step,
            QUIET,
        );
    }
    let place = |(x, y): (f64, f64)| {
        let share = [(x / right).clamp(0.0, 1.0), 1.0 - (y / top).clamp(0.0, 1.0)];
        [
            f64::from(LEFT) + share[0] * f64::from(PLOT[0]),
            f64::from(above) + share[1] * f64::from(PLOT[1]),
        ]
    };
    let mut legend = LEFT + PLOT[0];
    for (colour, line) in (1u8..).map(class_colour).zip(&chart.lines) {
        let placed: Vec<[f64; 2]> = line.points.iter().map(|&point| place(point)).collect();
        for pair in placed.windows(2) {
            segment(&mut canvas, pair[0], pair[1], colour);
        }
        for point in placed.iter().filter(|_| placed.len() < 2) {
            segment(&mut canvas, *point, *point, colour);
        }
        legend = legend.saturating_sub(text_width(&line.name) + GAP);
        write(&mut canvas, [legend, GAP], &line.name, colour);
    }
    canvas
}

/// A straight line, two pixels wide, dot by dot.
fn segment(canvas: &mut RgbImage, from: [f64; 2], to: [f64; 2], colour: Rgb<u8>) {
    let length = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil();
    let mut done = 0.0;
    while done <= length {
        let share = if length > 0.0 { done / length } else { 0.0 };
        let at = [0, 1].map(|axis| from[axis] + share * (to[axis] - from[axis]));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both ends lie inside the picture, so the point is a small positive number"
        )]
        let [x, y] = at.map(|coordinate| coordinate as u32);
        fill(canvas, [x, y], [2, 2], colour);
        done += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coloured(picture: &RgbImage, class: u8) -> Vec<[u32; 2]> {
        let colour = class_colour(class);
        let below_title = TEXT_HEIGHT + 2 * GAP;
        let inside = picture.enumerate_pixels().filter(|(_, y, _)| *y >= below_title);
        inside.filter(|(_, _, pixel)| **pixel == colour).map(|(x, y, _)| [x, y]).collect()
    }

    fn chart(points: &[(f64, f64)]) -> RgbImage {
        let line = Line { name: "CT".into(), points: points.to_vec() };
        charts(&[Chart { title: "Dice".into(), lines: vec![line], top: Some(1.0) }])
    }

    #[test]
    fn a_falling_line_falls_from_left_to_right() {
        let dots = coloured(&chart(&[(0.0, 1.0), (100.0, 0.0)]), 1);

        let leftmost = dots.iter().min_by_key(|[x, _]| *x).unwrap();
        let rightmost = dots.iter().max_by_key(|[x, _]| *x).unwrap();
        assert_eq!(leftmost[0], LEFT);
        assert!(rightmost[1] > leftmost[1] + PLOT[1] - 4, "{leftmost:?} {rightmost:?}");
    }

    #[test]
    fn no_point_one_point_and_zeros_are_drawn_without_harm() {
        assert!(coloured(&chart(&[]), 1).is_empty());
        assert!(!coloured(&chart(&[(5.0, 0.5)]), 1).is_empty());
        assert!(!coloured(&chart(&[(0.0, 0.0), (0.0, 0.0)]), 1).is_empty());
    }
}
