//! Colours: told apart with any colour vision, readable on grey-level images.

use image::Rgb;

/// Behind everything.
pub(super) const BACKGROUND: Rgb<u8> = Rgb([18, 21, 26]);
/// Captions.
pub(super) const TEXT: Rgb<u8> = Rgb([222, 226, 232]);
/// Titles above panels and other quiet words.
pub(super) const QUIET: Rgb<u8> = Rgb([138, 146, 158]);

/// Names of cases that something is to be said about.
pub(super) const MARK: Rgb<u8> = Rgb([255, 170, 60]);
/// Both agree on a class.
pub(super) const AGREED: Rgb<u8> = Rgb([120, 128, 140]);
/// The reference has a class where the prediction has background.
pub(super) const MISSED: Rgb<u8> = Rgb([64, 150, 255]);
/// The prediction has a class where the reference has background.
pub(super) const SPURIOUS: Rgb<u8> = Rgb([255, 88, 70]);
/// Both have a class, but not the same.
pub(super) const CONFUSED: Rgb<u8> = Rgb([240, 228, 66]);

/// Class colours after Okabe and Ito, brightest contrasts first.
const CLASSES: [Rgb<u8>; 7] = [
    Rgb([230, 96, 32]),
    Rgb([86, 180, 233]),
    Rgb([240, 200, 60]),
    Rgb([0, 178, 130]),
    Rgb([220, 130, 180]),
    Rgb([90, 120, 230]),
    Rgb([200, 200, 200]),
];

/// The colour of a class index, 1 being the first class after the background.
pub(super) fn class_colour(class: u8) -> Rgb<u8> {
    CLASSES[(usize::from(class).max(1) - 1) % CLASSES.len()]
}

/// `share` of `over` on top of `under`.
pub(super) fn blend(under: Rgb<u8>, over: Rgb<u8>, share: f32) -> Rgb<u8> {
    let mix = |under: u8, over: u8| f32::from(under) * (1.0 - share) + f32::from(over) * share;
    Rgb(std::array::from_fn(|channel| to_byte(mix(under.0[channel], over.0[channel]))))
}

/// A brightness in 0..=255 as a byte.
pub(super) fn to_byte(brightness: f32) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=255 just before"
    )]
    let byte = brightness.round().clamp(0.0, 255.0) as u8;
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blending_goes_from_one_colour_to_the_other() {
        assert_eq!(blend(BACKGROUND, MISSED, 0.0), BACKGROUND);
        assert_eq!(blend(BACKGROUND, MISSED, 1.0), MISSED);
        assert_eq!(blend(Rgb([0, 0, 0]), Rgb([200, 100, 50]), 0.5), Rgb([100, 50, 25]));
    }

    #[test]
    fn any_class_index_has_a_colour() {
        assert_ne!(class_colour(1), class_colour(2));
        assert_eq!(class_colour(8), class_colour(1));
    }
}
