//! Colours: readable on grey-level images; those of differences lie apart from every class's and from each other, also
//! with protanopia or deuteranopia. With either, some of more than four classes come closer to each other.

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
pub(super) const AGREED: Rgb<u8> = Rgb([94, 99, 106]);
/// The reference has a class where the prediction has background.
pub(super) const MISSED: Rgb<u8> = Rgb([95, 66, 253]);
/// The prediction has a class where the reference has background.
pub(super) const SPURIOUS: Rgb<u8> = Rgb([201, 21, 50]);
/// Both have a class, but not the same.
pub(super) const CONFUSED: Rgb<u8> = Rgb([230, 255, 169]);

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

    /// Rows of a matrix for linear RGB.
    type Vision = [[f64; 3]; 3];

    const TRICHROMACY: Vision = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    /// Severity 1 of Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009).
    const PROTANOPIA: Vision = [
        [0.152_286, 1.052_583, -0.204_868],
        [0.114_503, 0.786_281, 0.099_216],
        [-0.003_882, -0.048_116, 1.051_998],
    ];
    const DEUTERANOPIA: Vision = [
        [0.367_322, 0.860_646, -0.227_968],
        [0.280_085, 0.672_501, 0.047_413],
        [-0.011_820, 0.042_940, 0.968_881],
    ];
    /// Linear sRGB to CIE XYZ, white being 1.
    const WHITE_SCALED: Vision = [
        [0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505],
        [0.2126, 0.7152, 0.0722],
        [0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089],
    ];

    /// CIELAB of a colour as that vision sees it.
    fn lab(colour: Rgb<u8>, vision: &Vision) -> [f64; 3] {
        let times = |matrix: &Vision, vector: [f64; 3]| {
            matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>())
        };
        let linear = colour.0.map(|byte| match f64::from(byte) / 255.0 {
            dark if dark <= 0.04045 => dark / 12.92,
            bright => ((bright + 0.055) / 1.055).powf(2.4),
        });
        let seen = times(vision, linear).map(|share| share.clamp(0.0, 1.0));
        let [x, y, z] = times(&WHITE_SCALED, seen).map(|share| {
            if share > 0.008_856 { share.cbrt() } else { 7.787 * share + 16.0 / 116.0 }
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// The smallest CIE76 difference of two colours of which the first is one of `ours`.
    fn nearest(ours: &[Rgb<u8>], others: &[Rgb<u8>], vision: &Vision) -> f64 {
        let difference = |one: Rgb<u8>, other: Rgb<u8>| {
            let pairs = lab(one, vision).into_iter().zip(lab(other, vision));
            pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        let pairs = ours.iter().enumerate().flat_map(|(at, &one)| {
            others.iter().chain(&ours[..at]).map(move |&other| difference(one, other))
        });
        pairs.fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn differences_are_told_from_classes_and_from_each_other() {
        let kinds = [AGREED, MISSED, SPURIOUS, CONFUSED];
        let others = [&CLASSES[..], &[BACKGROUND]].concat();
        // Black and white are 100 apart.
        assert!((nearest(&[Rgb([0; 3])], &[Rgb([255; 3])], &TRICHROMACY) - 100.0).abs() < 0.1);

        let found =
            [TRICHROMACY, PROTANOPIA, DEUTERANOPIA].map(|vision| nearest(&kinds, &others, &vision));

        assert!(found[0] > 32.0 && found[1].min(found[2]) > 24.0, "{found:?}");
        assert!(nearest(&CLASSES, &[BACKGROUND], &TRICHROMACY) > 38.0);
        assert!(nearest(&CLASSES[..4], &[], &DEUTERANOPIA) > 23.0);
    }

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
