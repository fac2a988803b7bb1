//! Rotation, magnification, shift and mirroring of one slice.

/// A movement of a slice about its centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Movement {
    /// From rows towards columns, in radians.
    pub(super) angle: f64,
    /// Above 1 things grow.
    pub(super) magnification: f64,
    /// Rows and columns, in pixels.
    pub(super) shift: [f64; 2],
    /// Rows and columns.
    pub(super) flip: [bool; 2],
}

impl Movement {
    /// Moves image `[side, side, channels]` (bilinear) and labels `[side, side]` (nearest) alike.
    pub(super) fn apply(&self, image: &mut [f32], labels: &mut [u8], side: usize) {
        if *self == Self::NONE {
            return;
        }
        let channels = image.len() / labels.len();
        let (still, still_labels) = (image.to_vec(), labels.to_vec());
        let darkest = darkest(&still, channels);
        for (at, label) in labels.iter_mut().enumerate() {
            let [row, column] = self.source([at / side, at % side], side);
            let nearest = pixel(row.round(), column.round(), side);
            *label = nearest.map_or(0, |pixel| still_labels[pixel]);
            for (channel, value) in image[at * channels..][..channels].iter_mut().enumerate() {
                let grey = |row: f64, column: f64| {
                    pixel(row, column, side)
                        .map_or(darkest[channel], |pixel| still[pixel * channels + channel])
                };
                *value = bilinear(row, column, grey);
            }
        }
    }

    const NONE: Self = Self { angle: 0.0, magnification: 1.0, shift: [0.0; 2], flip: [false; 2] };

    /// Returns where a pixel of the moved slice comes from.
    fn source(&self, target: [usize; 2], side: usize) -> [f64; 2] {
        let centre = (side as f64 - 1.0) / 2.0;
        let [row, column] = [0, 1]
            .map(|axis| (target[axis] as f64 - centre - self.shift[axis]) / self.magnification);
        let (sin, cos) = self.angle.sin_cos();
        let turned = [row * cos + column * sin, column * cos - row * sin];
        [0, 1]
            .map(|axis| if self.flip[axis] { centre - turned[axis] } else { centre + turned[axis] })
    }
}

/// The smallest value of every channel.
fn darkest(image: &[f32], channels: usize) -> Vec<f32> {
    let smallest = |channel| {
        image.iter().skip(channel).step_by(channels).copied().fold(f32::INFINITY, f32::min)
    };
    (0..channels).map(smallest).collect()
}

fn bilinear(row: f64, column: f64, grey: impl Fn(f64, f64) -> f32) -> f32 {
    let (top, left) = (row.floor(), column.floor());
    #[expect(clippy::cast_possible_truncation, reason = "fractions of one pixel")]
    let (down, across) = ((row - top) as f32, (column - left) as f32);
    let line = |row: f64| grey(row, left) * (1.0 - across) + grey(row, left + 1.0) * across;
    line(top) * (1.0 - down) + line(top + 1.0) * down
}

/// The index of a pixel at whole coordinates, if it is inside.
fn pixel(row: f64, column: f64, side: usize) -> Option<usize> {
    let inside = 0.0..side as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole coordinates inside the slice"
    )]
    let index = |position: f64| position as usize;
    (inside.contains(&row) && inside.contains(&column)).then(|| index(row) * side + index(column))
}
