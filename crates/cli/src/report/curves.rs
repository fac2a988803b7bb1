//! Learning curves as SVG, in the page's own colours.

use std::fmt::Write as _;

use duomo_train::LearningCurve;

use crate::table::html_escaped;

/// Size of the plotted area, in units of the picture.
const PLOT: [f64; 2] = [560.0, 180.0];
/// Space left of and below the plotted area, for numbers.
const MARGIN: [f64; 2] = [48.0, 28.0];
/// Space right of the plotted area, for half a number in a phone's larger type.
const RIGHT: f64 = 30.0;
/// Space above, for the title.
const ABOVE: f64 = 26.0;
/// Parts that an axis is divided into.
const DIVISIONS: u32 = 4;

/// A line's name and its points, step and value.
type Line<'a> = (&'a str, &'a [(u64, f64)]);

/// Loss, and below it validation Dice, over the steps.
pub(super) fn svg(curve: &LearningCurve) -> String {
    let largest = curve.loss.iter().map(|&(_, loss)| loss).fold(f64::MIN_POSITIVE, f64::max);
    let dice: Vec<Line<'_>> =
        curve.validation.iter().map(|(modality, dice)| (&modality[..], &dice[..])).collect();
    chart("Loss (Eq. 5) by step", &[("total", &curve.loss)], largest)
        + &chart("Validation Dice by step", &dice, 1.0)
}

fn chart(title: &str, lines: &[Line<'_>], top: f64) -> String {
    let steps = lines.iter().flat_map(|(_, points)| points.iter().map(|&(step, _)| step));
    let last = steps.max().unwrap_or(1).max(1);
    let (width, height) = (MARGIN[0] + PLOT[0] + RIGHT, ABOVE + PLOT[1] + MARGIN[1]);
    let mut text = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{0}\">\n\
         <text x=\"{1}\" y=\"16\">{0}</text>\n",
        html_escaped(title),
        MARGIN[0]
    );
    for part in 0..=DIVISIONS {
        let share = f64::from(part) / f64::from(DIVISIONS);
        let [x, y] = [MARGIN[0] + share * PLOT[0], ABOVE + (1.0 - share) * PLOT[1]];
        let (left, right, below) = (MARGIN[0], MARGIN[0] + PLOT[0], height - 8.0);
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
             <text class=\"end\" x=\"{}\" y=\"{:.1}\">{:.2}</text>\
             <text class=\"middle\" x=\"{x:.1}\" y=\"{below}\">{:.0}</text>",
            left - 6.0,
            y + 4.0,
            top * share,
            last as f64 * share
        );
    }
    for (index, (name, points)) in lines.iter().enumerate() {
        let place = |&(step, value): &(u64, f64)| {
            let x = MARGIN[0] + step as f64 / last as f64 * PLOT[0];
            let y = ABOVE + (1.0 - (value / top).clamp(0.0, 1.0)) * PLOT[1];
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = points.iter().map(place).collect();
        let x = MARGIN[0] + PLOT[0] - 90.0 * (lines.len() - 1 - index) as f64;
        let _ = writeln!(
            text,
            "<g class=\"line{}\"><polyline points=\"{}\"/>\
             <text class=\"end\" x=\"{x}\" y=\"16\">{}</text></g>",
            index % 4,
            points.join(" "),
            html_escaped(name)
        );
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_inside_and_names_are_escaped() {
        let curve = LearningCurve {
            loss: vec![(1, 2.0), (10, 0.0)],
            validation: vec![("C<T".to_owned(), vec![(10, 0.5)])],
            gradients: Vec::new(),
        };

        let text = svg(&curve);

        assert!(text.contains("points=\"104.0,26.0 608.0,206.0\""), "{text}");
        assert!(text.contains("points=\"608.0,116.0\""), "{text}");
        assert!(text.contains("C&lt;T") && !text.contains("C<T"), "{text}");
    }

    #[test]
    fn a_run_without_a_step_has_empty_charts() {
        assert!(svg(&LearningCurve::default()).contains("points=\"\""));
    }
}
