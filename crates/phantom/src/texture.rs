//! Band-limited noise in space: trabeculae, vessel trees, organ texture, ragged borders.

use crate::draw::Draw;
use crate::vector::{Vector, cell, mix};

/// Edge of the periodic tile, a power of two so that wrapping is a mask.
const SIDE: usize = 64;
/// Tile cells per wavelength, set by the smoothing below.
const CELLS_PER_WAVELENGTH: f64 = 6.0;

/// A periodic cube of smooth noise with mean 0 and standard deviation 1.
pub(crate) struct Texture {
    tile: Vec<f32>,
}

impl Texture {
    pub(crate) fn new(draw: &mut Draw) -> Self {
        let mut tile: Vec<f64> = (0..SIDE.pow(3)).map(|_| draw.normal_pair().0).collect();
        for stride in [1, SIDE, SIDE * SIDE] {
            for _ in 0..3 {
                tile = smooth(&tile, stride);
            }
        }
        let count = tile.len() as f64;
        let mean = tile.iter().sum::<f64>() / count;
        let variance = tile.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let deviation = variance.sqrt();
        Self { tile: tile.iter().map(|value| single((value - mean) / deviation)).collect() }
    }

    /// The noise at a point, varying over about `wavelength_mm`.
    pub(crate) fn sample(&self, point: Vector, wavelength_mm: f64) -> f64 {
        let density = CELLS_PER_WAVELENGTH / wavelength_mm;
        let (x, fx) = cell(point[0] * density);
        let (y, fy) = cell(point[1] * density);
        let (z, fz) = cell(point[2] * density);
        let (x, y, z) = ([wrap(x), wrap(x + 1)], [wrap(y), wrap(y + 1)], [wrap(z), wrap(z + 1)]);
        let row = |start: usize| {
            mix(f64::from(self.tile[start + x[0]]), f64::from(self.tile[start + x[1]]), fx)
        };
        let plane =
            |z: usize| mix(row((z * SIDE + y[0]) * SIDE), row((z * SIDE + y[1]) * SIDE), fy);
        mix(plane(z[0]), plane(z[1]), fz)
    }

    /// Whether the point lies in a random tree of tubes, the crossing of two level sets.
    pub(crate) fn in_tree(&self, point: Vector, wavelength_mm: f64, width: f64) -> bool {
        let other = [point[1] + 31.0, point[2] + 17.0, point[0] + 53.0];
        self.sample(point, wavelength_mm).abs() < width
            && self.sample(other, wavelength_mm).abs() < width
    }
}

/// Position in the periodic tile.
#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "the low bits are all that a periodic tile needs, also of negative numbers"
)]
fn wrap(index: i64) -> usize {
    index as usize & (SIDE - 1)
}

/// One pass of the kernel (1, 2, 1) / 4 along an axis of the periodic cube.
fn smooth(tile: &[f64], stride: usize) -> Vec<f64> {
    let neighbour = |index: usize, step: usize| {
        let position = index / stride % SIDE;
        index - position * stride + (position + step) % SIDE * stride
    };
    (0..tile.len())
        .map(|i| (tile[neighbour(i, SIDE - 1)] + 2.0 * tile[i] + tile[neighbour(i, 1)]) / 4.0)
        .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "noise needs no more than single precision")]
fn single(value: f64) -> f32 {
    value as f32
}
