//! Numbers as colours: maps of one sign, matrices of both.

use image::{Rgb, RgbImage};

use super::palette::to_byte;

/// Dark to bright, also in grey and for any colour vision: points of Matplotlib's viridis.
const RISING: [[f32; 3]; 5] = [
    [68.0, 1.0, 84.0],
    [59.0, 82.0, 139.0],
    [33.0, 145.0, 140.0],
    [94.0, 201.0, 98.0],
    [253.0, 231.0, 37.0],
];

/// Blue over white to red for −1 to 1: points of `ColorBrewer`'s `RdBu`.
const DIVERGING: [[f32; 3]; 5] = [
    [5.0, 48.0, 97.0],
    [103.0, 169.0, 207.0],
    [247.0, 247.0, 247.0],
    [239.0, 138.0, 98.0],
    [103.0, 0.0, 31.0],
];

/// The colour of a value in `0..=1`.
pub(super) fn rising(value: f32) -> Rgb<u8> {
    between(&RISING, value)
}

/// The colour of a value in `-1..=1`.
pub(super) fn diverging(value: f32) -> Rgb<u8> {
    between(&DIVERGING, f32::midpoint(value, 1.0))
}

/// A square picture of a matrix, row-major, of which each entry is a box of equal colour.
pub(super) fn picture(
    values: &[f32],
    [rows, columns]: [usize; 2],
    side: u32,
    colour: impl Fn(f32) -> Rgb<u8>,
) -> RgbImage {
    let entry = |at: u32, count: usize| at as usize * count / side as usize;
    RgbImage::from_fn(side, side, |x, y| {
        colour(values[entry(y, rows) * columns + entry(x, columns)])
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=1 before, so a place is 0 to 3"
)]
fn between(points: &[[f32; 3]; 5], share: f32) -> Rgb<u8> {
    let at = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) * 4.0 };
    let place = (at as usize).min(3);
    let part = at - place as f32;
    let mix = |axis: usize| points[place][axis] * (1.0 - part) + points[place + 1][axis] * part;
    Rgb(std::array::from_fn(|axis| to_byte(mix(axis))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middle_have_their_own_colours_and_nothing_lies_beyond() {
        assert_eq!(rising(0.0), Rgb([68, 1, 84]));
        assert_eq!(rising(1.0), rising(7.0));
        assert_eq!(diverging(0.0), Rgb([247, 247, 247]));
        assert_eq!(diverging(-1.0), Rgb([5, 48, 97]));
        assert_eq!(diverging(f32::NAN), Rgb([5, 48, 97]));
    }

    #[test]
    fn every_entry_is_a_box() {
        let picture = picture(&[0.0, 1.0, 1.0, 0.0], [2, 2], 6, rising);

        assert_eq!((picture[(0, 0)], picture[(2, 2)]), (rising(0.0), rising(0.0)));
        assert_eq!((picture[(3, 0)], picture[(5, 2)]), (rising(1.0), rising(1.0)));
    }
}
