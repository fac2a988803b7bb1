//! The four panels of a case, sampled pixel by pixel from the slice.

use image::{Rgb, RgbImage};

use super::CaseView;
use super::palette::{
    AGREED, BACKGROUND, CONFUSED, MISSED, SPURIOUS, blend, class_colour, to_byte,
};
use super::view::{Window, whole, window};

/// Title of the panel that shows where prediction and reference differ.
pub(super) const DIFFERENCE: &str = "difference";

/// Opacity of a class's inside; its contour is opaque.
const FILL: f32 = 0.34;

/// Opacity of a difference.
const DIFFERENCE_FILL: f32 = 0.7;

/// How far the image recedes behind the differences.
const DIMMING: f32 = 0.45;

/// Width of a contour in pixels of the picture.
const CONTOUR: usize = 2;

/// Titled panels, left to right; without a reference there is no reference and no difference.
pub(super) fn panels(case: &CaseView<'_>, side: u32) -> Vec<(String, RgbImage)> {
    let frame = Frame::new(case, side);
    let [_, height, width] = case.volumes.shape;
    let slice = case.slice * height * width..(case.slice + 1) * height * width;
    let grey = grey_panel(case, &frame, slice.clone());
    let prediction = frame.classes(&case.volumes.prediction[slice.clone()]);
    let overlay =
        |classes: &[Option<u8>]| frame.overlay(&grey, classes, |class| (class_colour(class), FILL));
    let mut panels = vec![("image".to_owned(), grey.clone())];
    if let Some(reference) = case.volumes.reference {
        let reference = frame.classes(&reference[slice]);
        panels.push(("reference".to_owned(), overlay(&reference)));
        panels.push(("prediction".to_owned(), overlay(&prediction)));
        panels.push((DIFFERENCE.to_owned(), difference(&frame, &grey, &reference, &prediction)));
    } else {
        panels.push(("prediction".to_owned(), overlay(&prediction)));
    }
    panels
}

/// Titled panels of several methods on one case: image, reference, then each prediction.
pub(super) fn method_panels(
    case: &CaseView<'_>,
    side: u32,
    predictions: &[(&str, &[u8])],
) -> Vec<(String, RgbImage)> {
    let frame = Frame::new(case, side);
    let [_, height, width] = case.volumes.shape;
    let slice = case.slice * height * width..(case.slice + 1) * height * width;
    let grey = grey_panel(case, &frame, slice.clone());
    let overlay = |classes: &[u8]| {
        let classes = frame.classes(&classes[slice.clone()]);
        frame.overlay(&grey, &classes, |class| (class_colour(class), FILL))
    };
    let mut panels = vec![("image".to_owned(), grey.clone())];
    panels.extend(case.volumes.reference.map(|labels| ("reference".to_owned(), overlay(labels))));
    panels.extend(predictions.iter().map(|(title, labels)| ((*title).to_owned(), overlay(labels))));
    panels
}

/// The whole slice with the outlines of the prediction's classes.
pub(super) fn outlined(case: &CaseView<'_>, side: u32) -> RgbImage {
    let mut frame = Frame::new(case, side);
    frame.window = whole(&case.volumes);
    let [_, height, width] = case.volumes.shape;
    let slice = case.slice * height * width..(case.slice + 1) * height * width;
    let grey = grey_panel(case, &frame, slice.clone());
    let classes = frame.classes(&case.volumes.prediction[slice]);
    frame.overlay(&grey, &classes, |class| (class_colour(class), 0.0))
}

fn difference(
    frame: &Frame,
    grey: &RgbImage,
    reference: &[Option<u8>],
    prediction: &[Option<u8>],
) -> RgbImage {
    let kinds: Vec<_> =
        reference.iter().zip(prediction).map(|pair| kind(*pair.0, *pair.1)).collect();
    let ink = |kind| match kind {
        1 => (AGREED, FILL),
        2 => (MISSED, DIFFERENCE_FILL),
        3 => (SPURIOUS, DIFFERENCE_FILL),
        _ => (CONFUSED, DIFFERENCE_FILL),
    };
    let mut dimmed = grey.clone();
    dimmed.pixels_mut().for_each(|pixel| *pixel = blend(*pixel, BACKGROUND, DIMMING));
    frame.overlay(&dimmed, &kinds, ink)
}

/// 1 same, 2 missed, 3 spurious, 4 another class; 0 both background.
fn kind(reference: Option<u8>, prediction: Option<u8>) -> Option<u8> {
    Some(match (reference?, prediction?) {
        (0, 0) => 0,
        (0, _) => 3,
        (_, 0) => 2,
        (one, other) if one == other => 1,
        _ => 4,
    })
}

/// Grey values between the 1st and the 99th percentile of the slice, bilinearly sampled.
fn grey_panel(case: &CaseView<'_>, frame: &Frame, slice: std::ops::Range<usize>) -> RgbImage {
    let Some(image) = case.volumes.image else {
        return RgbImage::from_pixel(frame.side, frame.side, Rgb([36, 40, 46]));
    };
    let pixels = &image[slice];
    let mut sorted = pixels.to_vec();
    sorted.sort_by(f32::total_cmp);
    let last = sorted.len() - 1;
    let (low, high) = (sorted[last / 100], sorted[last - last / 100]);
    let scale = if high > low { 255.0 / (high - low) } else { 0.0 };
    RgbImage::from_fn(frame.side, frame.side, |x, y| {
        let value = frame.bilinear(pixels, [y, x]);
        value.map_or(BACKGROUND, |value| Rgb([to_byte((value - low) * scale); 3]))
    })
}

/// Maps pixels of a panel to pixels of the slice.
struct Frame {
    side: u32,
    /// `[H, W]` of the slice.
    shape: [usize; 2],
    spacing_mm: [f64; 2],
    reversed: [bool; 2],
    window: Window,
}

impl Frame {
    fn new(case: &CaseView<'_>, side: u32) -> Self {
        let volumes = &case.volumes;
        Self {
            side,
            shape: [volumes.shape[1], volumes.shape[2]],
            spacing_mm: [volumes.spacing_mm[1], volumes.spacing_mm[2]],
            reversed: volumes.reversed,
            window: window(volumes, case.slice),
        }
    }

    /// Slice coordinates `[y, x]` in pixels of a panel pixel's centre; a slice pixel's centre is
    /// a whole number.
    fn slice_point(&self, panel: [u32; 2]) -> [f64; 2] {
        std::array::from_fn(|axis| {
            let at = if self.reversed[axis] { self.side - 1 - panel[axis] } else { panel[axis] };
            let share = (f64::from(at) + 0.5) / f64::from(self.side);
            let mm = self.window.corner_mm[axis] + share * self.window.side_mm;
            mm / self.spacing_mm[axis] - 0.5
        })
    }

    /// The class under every panel pixel by nearest neighbour, row-major; `None` outside.
    fn classes(&self, slice: &[u8]) -> Vec<Option<u8>> {
        let points = (0..self.side).flat_map(|y| (0..self.side).map(move |x| [y, x]));
        points
            .map(|panel| {
                let [y, x] = self.slice_point(panel).map(f64::round);
                Some(slice[pixel(y, self.shape[0])? * self.shape[1] + pixel(x, self.shape[1])?])
            })
            .collect()
    }

    fn bilinear(&self, slice: &[f32], panel: [u32; 2]) -> Option<f32> {
        let [y, x] = self.slice_point(panel);
        pixel(y.round(), self.shape[0]).and(pixel(x.round(), self.shape[1]))?;
        let at = |y: f64, x: f64| {
            let row = pixel(y.clamp(0.0, (self.shape[0] - 1) as f64), self.shape[0]).unwrap_or(0);
            let column =
                pixel(x.clamp(0.0, (self.shape[1] - 1) as f64), self.shape[1]).unwrap_or(0);
            f64::from(slice[row * self.shape[1] + column])
        };
        let (top, left) = (y.floor(), x.floor());
        let (down, right) = (y - top, x - left);
        let upper = at(top, left) * (1.0 - right) + at(top, left + 1.0) * right;
        let lower = at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right;
        #[expect(clippy::cast_possible_truncation, reason = "a mean of f32 values")]
        let value = (upper * (1.0 - down) + lower * down) as f32;
        Some(value)
    }

    /// `grey` with each region's translucent ink inside and its opaque ink on the contour.
    fn overlay(
        &self,
        grey: &RgbImage,
        regions: &[Option<u8>],
        ink: impl Fn(u8) -> (Rgb<u8>, f32),
    ) -> RgbImage {
        let side = self.side as usize;
        let mut panel = grey.clone();
        for (at, pixel) in panel.pixels_mut().enumerate() {
            let Some((colour, fill)) = regions[at].filter(|&region| region > 0).map(&ink) else {
                continue;
            };
            let (y, x) = (at / side, at % side);
            let is_contour = (1..=CONTOUR).any(|distance| {
                let neighbours = [
                    (y >= distance).then(|| at - distance * side),
                    (y + distance < side).then(|| at + distance * side),
                    (x >= distance).then(|| at - distance),
                    (x + distance < side).then(|| at + distance),
                ];
                neighbours.into_iter().flatten().any(|other| regions[other] != regions[at])
            });
            *pixel = blend(*pixel, colour, if is_contour { 1.0 } else { fill });
        }
        panel
    }
}

/// A whole, non-negative coordinate below `length` as an index.
fn pixel(coordinate: f64, length: usize) -> Option<usize> {
    if !(coordinate >= 0.0 && coordinate < length as f64) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in 0..length, checked just before"
    )]
    let index = coordinate as usize;
    Some(index)
}
