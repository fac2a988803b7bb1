//! Resampling in the plane, and the coordinates that belong to it.

use super::LabelResampling;

/// One in-plane axis before and after resampling; both grids have the same centre.
///
/// Sampling is linear without a filter before it, so a much coarser target spacing aliases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    /// Pixels before.
    pub(super) native: usize,
    /// Pixels after.
    pub(super) size: usize,
    /// Edge of a pixel after, in pixels before; exactly 1 if nothing changes.
    ratio: f64,
}

/// Spacings that differ by less than this share are one: headers hold 32-bit reals.
const SAME_SPACING: f64 = 1e-4;

impl Axis {
    pub(super) fn native(size: usize) -> Self {
        Self { native: size, size, ratio: 1.0 }
    }

    pub(super) fn resampled(native: usize, spacing_mm: f64, target_mm: f64) -> Self {
        let ratio = target_mm / spacing_mm;
        if (ratio - 1.0).abs() < SAME_SPACING {
            return Self::native(native);
        }
        // Rounded up, so that the new grid covers every pixel of the old one.
        let size = whole((native as f64 / ratio - 1e-3).ceil().max(1.0));
        Self { native, size, ratio }
    }

    /// Returns where a pixel after resampling lies among those before.
    pub(super) fn native_position(self, position: f64) -> f64 {
        (position + 0.5 - self.size as f64 / 2.0) * self.ratio + self.native as f64 / 2.0 - 0.5
    }

    /// Returns where a pixel before resampling lies among those after.
    pub(super) fn resampled_position(self, position: f64) -> f64 {
        (position + 0.5 - self.native as f64 / 2.0) / self.ratio + self.size as f64 / 2.0 - 0.5
    }

    pub(super) fn is_native(self) -> bool {
        self.native == self.size && (self.ratio - 1.0).abs() < f64::EPSILON
    }
}

/// Two neighbouring pixels and the weight of the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    pub(super) low: usize,
    pub(super) high: usize,
    pub(super) weight: f32,
}

impl Tap {
    /// Returns the pixels around a position; beyond the ends the end pixel goes on.
    pub(super) fn at(position: f64, size: usize) -> Self {
        let last = size - 1;
        let position = position.clamp(0.0, last as f64);
        let low = whole(position.floor());
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of one pixel")]
        let weight = (position - low as f64) as f32;
        Self { low, high: (low + 1).min(last), weight }
    }

    /// Returns the pixel with the larger weight, the second if both are equal.
    pub(super) fn nearest(self) -> usize {
        if self.weight < 0.5 { self.low } else { self.high }
    }
}

/// Returns the bilinearly resampled plane, `[rows, columns]`.
pub(super) fn image(plane: Vec<f32>, axes: [Axis; 2]) -> Vec<f32> {
    if axes.iter().all(|axis| axis.is_native()) {
        return plane;
    }
    let columns = axes[1].native;
    sample(axes, |row, column| {
        let line = |row: usize| {
            let low = plane[row * columns + column.low];
            low + (plane[row * columns + column.high] - low) * column.weight
        };
        let low = line(row.low);
        low + (line(row.high) - low) * row.weight
    })
}

/// Returns the resampled label plane, `[rows, columns]`.
pub(super) fn labels(plane: Vec<u8>, axes: [Axis; 2], how: LabelResampling) -> Vec<u8> {
    if axes.iter().all(|axis| axis.is_native()) {
        return plane;
    }
    let columns = axes[1].native;
    sample(axes, |row, column| match how {
        LabelResampling::Nearest => plane[row.nearest() * columns + column.nearest()],
        LabelResampling::LinearOneHot => heaviest(&corners(&plane, columns, row, column)),
    })
}

fn sample<T>(axes: [Axis; 2], value: impl Fn(Tap, Tap) -> T) -> Vec<T> {
    let taps = |axis: Axis| -> Vec<Tap> {
        (0..axis.size).map(|i| Tap::at(axis.native_position(i as f64), axis.native)).collect()
    };
    let [rows, columns] = axes.map(taps);
    rows.iter()
        .flat_map(|&row| columns.iter().map(move |&column| (row, column)))
        .map(|(row, column)| value(row, column))
        .collect()
}

/// The four pixels around a position with their bilinear weights.
fn corners(plane: &[u8], columns: usize, row: Tap, column: Tap) -> [(u8, f32); 4] {
    let corner = |r: usize, c: usize, weight: f32| (plane[r * columns + c], weight);
    [
        corner(row.low, column.low, (1.0 - row.weight) * (1.0 - column.weight)),
        corner(row.low, column.high, (1.0 - row.weight) * column.weight),
        corner(row.high, column.low, row.weight * (1.0 - column.weight)),
        corner(row.high, column.high, row.weight * column.weight),
    ]
}

fn heaviest(corners: &[(u8, f32); 4]) -> u8 {
    let weight_of = |class: u8| -> f32 {
        corners.iter().filter(|corner| corner.0 == class).map(|corner| corner.1).sum()
    };
    let mut classes = corners.map(|(class, _)| class);
    // In ascending order the first of several equal weights is the lowest class.
    classes.sort_unstable();
    let heavier = |best, other| if weight_of(other) > weight_of(best) { other } else { best };
    classes.into_iter().reduce(heavier).unwrap_or_default()
}

/// A whole, non-negative position as an index.
pub(crate) fn whole(position: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "callers round and clamp; the cast itself saturates"
    )]
    let index = position as usize;
    index
}
