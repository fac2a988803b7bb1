//! Many cases on one picture, each with the outlines of its classes.

use image::RgbImage;

use super::canvas::{TEXT_HEIGHT, blank, fill, paste, stack, text_width, write};
use super::palette::{BACKGROUND, MARK, QUIET, TEXT};
use super::{CaseView, GAP, Volumes, legend, panel};

/// Side of a case's square in pixels.
const SIDE: u32 = 200;

/// What names in the colour of these words mean.
const MARKED: &str = "orange: a finding";

/// Cases side by side.
const COLUMNS: usize = 8;

/// One case on a contact sheet.
#[derive(Debug)]
pub(crate) struct Thumb<'a> {
    /// What it is called.
    pub caption: String,
    /// A few letters about the slice.
    pub remark: String,
    /// Whether it should catch the eye.
    pub marked: bool,
    /// One slice, its classes as the prediction.
    pub volumes: Volumes<'a>,
}

/// Cases in rows of eight over a legend of the classes 1, 2, …
pub(crate) fn contact_sheet(thumbs: &[Thumb<'_>], classes: &[String]) -> RgbImage {
    let columns = thumbs.len().clamp(1, COLUMNS);
    let width = GAP + u32::try_from(columns).unwrap_or(1) * (SIDE + GAP);
    let mut parts = vec![blank(width, GAP)];
    for row in thumbs.chunks(COLUMNS) {
        let mut line = blank(width, SIDE + TEXT_HEIGHT + 2 * GAP);
        for (thumb, left) in row.iter().zip((GAP..).step_by((SIDE + GAP) as usize)) {
            paste(&mut line, &square(thumb), [left, 0]);
        }
        parts.push(line);
    }
    parts.extend(legend(classes, &[], width));
    if thumbs.iter().any(|thumb| thumb.marked) {
        let mut line = blank(width, TEXT_HEIGHT + GAP);
        write(&mut line, [GAP, 0], MARKED, MARK);
        parts.push(line);
    }
    stack(&parts)
}

/// The slice under its name.
fn square(thumb: &Thumb<'_>) -> RgbImage {
    let view =
        CaseView { caption: String::new(), score: String::new(), volumes: thumb.volumes, slice: 0 };
    let mut square = blank(SIDE, SIDE + TEXT_HEIGHT + GAP / 2);
    let top = TEXT_HEIGHT + GAP / 2;
    write(&mut square, [0, 0], &thumb.caption, if thumb.marked { MARK } else { TEXT });
    let left = SIDE.saturating_sub(text_width(&thumb.remark));
    fill(&mut square, [left, 0], [SIDE, TEXT_HEIGHT], BACKGROUND);
    write(&mut square, [left, 0], &thumb.remark, QUIET);
    paste(&mut square, &panel::outlined(&view, SIDE), [0, top]);
    square
}

#[cfg(test)]
mod tests {
    use super::super::palette::class_colour;
    use super::*;

    fn thumb<'a>(image: &'a [f32], labels: &'a [u8], marked: bool) -> Thumb<'a> {
        let volumes = Volumes {
            shape: [1, 20, 20],
            spacing_mm: [1.0; 3],
            reversed: [false; 2],
            image: Some(image),
            reference: None,
            prediction: labels,
        };
        Thumb { caption: "patient1".into(), remark: "5/12".into(), marked, volumes }
    }

    #[test]
    fn every_case_is_there_with_its_outlines_and_the_odd_one_catches_the_eye() {
        let image: Vec<f32> = (0..400_u16).map(f32::from).collect();
        let labels: Vec<u8> =
            (0..400).map(|at| u8::from((8..12).contains(&(at / 20)) && at % 20 > 9)).collect();
        let thumbs: Vec<_> = (0..9).map(|at| thumb(&image, &labels, at == 4)).collect();

        let sheet = contact_sheet(&thumbs, &["LV".to_owned()]);

        assert_eq!(sheet.width(), GAP + 8 * (SIDE + GAP));
        let inked = |colour| sheet.pixels().filter(|pixel| **pixel == colour).count();
        // An outline two pixels wide around 100 × 40 pixels on each of nine squares.
        assert!((9 * 400..9 * 800).contains(&inked(class_colour(1))), "{}", inked(class_colour(1)));
        let plain = contact_sheet(&thumbs[..1], &["LV".to_owned()]);
        let alone = contact_sheet(&thumbs[4..5], &["LV".to_owned()]);
        assert_eq!(alone.height(), plain.height() + TEXT_HEIGHT + GAP, "the mark is explained");
        let legends = sheet.height() - 2 * (TEXT_HEIGHT + GAP);
        let named = |colour| {
            let above = sheet.enumerate_pixels().filter(|(_, y, _)| *y < legends);
            above.filter(|(.., pixel)| **pixel == colour).count()
        };
        assert!(named(MARK) > 100 && named(TEXT) > 8 * named(MARK) / 2);
    }

    #[test]
    fn a_sheet_without_a_case_is_a_legend() {
        assert!(contact_sheet(&[], &["LV".to_owned()]).height() < SIDE);
    }
}
