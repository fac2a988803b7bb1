//! Drawing on an RGB image: text, boxes and stacks of images.

use image::{Rgb, RgbImage};

use super::font::{GLYPH, is_inked};
use super::palette::BACKGROUND;

/// Pixels per font pixel.
const TEXT_SCALE: u32 = 2;

/// Height of a line of text in pixels.
pub(super) const TEXT_HEIGHT: u32 = GLYPH_ROWS * TEXT_SCALE;

#[expect(clippy::cast_possible_truncation, reason = "glyphs are a few pixels wide")]
const ADVANCE: u32 = (GLYPH[0] as u32 + 1) * TEXT_SCALE;
#[expect(clippy::cast_possible_truncation, reason = "glyphs are a few pixels high")]
const GLYPH_ROWS: u32 = GLYPH[1] as u32;

/// An empty image in the background's colour.
pub(super) fn blank(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, BACKGROUND)
}

/// Width of `text` in pixels.
pub(super) fn text_width(text: &str) -> u32 {
    u32::try_from(text.chars().count()).map_or(u32::MAX, |count| count.saturating_mul(ADVANCE))
}

/// `text` as far as it fits into `width` pixels: what sticks out is left out of its middle.
pub(super) fn fitted(text: &str, width: u32) -> String {
    const GAP: &str = "...";
    let most = (width / ADVANCE) as usize;
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(GAP.len());
    let head = text.chars().take(kept / 2);
    head.chain(GAP.chars()).chain(text.chars().skip(count - kept.div_ceil(2))).collect()
}

/// Writes `text` with its upper left corner at `[x, y]`; what sticks out is cut.
pub(super) fn write(canvas: &mut RgbImage, [x, y]: [u32; 2], text: &str, colour: Rgb<u8>) {
    for (index, character) in (0u32..).zip(text.chars()) {
        let left = x.saturating_add(index.saturating_mul(ADVANCE));
        if left >= canvas.width() {
            return;
        }
        for (row, column) in (0..GLYPH[1]).flat_map(|row| (0..GLYPH[0]).map(move |c| (row, c))) {
            if is_inked(character, [column, row]) {
                let dot =
                    [column, row].map(|at| u32::try_from(at).unwrap_or_default() * TEXT_SCALE);
                fill(canvas, [left + dot[0], y + dot[1]], [TEXT_SCALE, TEXT_SCALE], colour);
            }
        }
    }
}

/// Fills a box; what sticks out is cut.
pub(super) fn fill(canvas: &mut RgbImage, [x, y]: [u32; 2], size: [u32; 2], colour: Rgb<u8>) {
    for row in y..(y + size[1]).min(canvas.height()) {
        for column in x..(x + size[0]).min(canvas.width()) {
            canvas.put_pixel(column, row, colour);
        }
    }
}

/// Copies `part` onto `canvas` with its upper left corner at `[x, y]`.
pub(super) fn paste(canvas: &mut RgbImage, part: &RgbImage, [x, y]: [u32; 2]) {
    image::imageops::replace(canvas, part, i64::from(x), i64::from(y));
}

/// Images below each other, left-aligned.
pub(super) fn stack(parts: &[RgbImage]) -> RgbImage {
    let width = parts.iter().map(RgbImage::width).max().unwrap_or(1);
    let height = parts.iter().map(RgbImage::height).sum::<u32>().max(1);
    let mut canvas = blank(width, height);
    let mut y = 0;
    for part in parts {
        paste(&mut canvas, part, [0, y]);
        y += part.height();
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_sticks_out_is_cut_without_harm() {
        let mut canvas = blank(20, 10);

        write(&mut canvas, [0, 0], "a long caption", Rgb([255, 255, 255]));

        assert!(canvas.pixels().any(|pixel| *pixel == Rgb([255, 255, 255])));
    }

    #[test]
    fn of_long_text_both_ends_stay() {
        let text = "sub-0123456789_ses-baseline_acq-shortaxis_LGE  slice 5 of 12";

        let short = fitted(text, 30 * ADVANCE + 1);

        assert_eq!(short, "sub-012345678... slice 5 of 12");
        assert_eq!(fitted(text, text_width(text)), text);
    }

    #[test]
    fn stacks_are_as_wide_as_their_widest_part() {
        let stacked = stack(&[blank(3, 2), blank(7, 5)]);

        assert_eq!(stacked.dimensions(), (7, 7));
    }
}
