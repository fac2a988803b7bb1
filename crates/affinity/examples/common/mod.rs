//! Random modalities for the examples.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};
use duomo_affinity::{Reading, Side, affinity_loss};

/// Feature maps of groups 5 and 6, and labels at eight times their resolution.
pub(crate) struct Modality {
    pub(crate) features: BTreeMap<usize, Tensor>,
    pub(crate) labels: Tensor,
}

impl Modality {
    /// Features uniform in −0.75..1.25; concentric classes 1, 2, 3 of 12, 6 and 6 % of a slice.
    pub(crate) fn random(seed: u64, [b, side, channels]: [usize; 3]) -> Result<Self> {
        let mut state = seed;
        let mut map = || {
            let values: Vec<f32> =
                (0..b * side * side * channels).map(|_| uniform(&mut state)).collect();
            Var::from_vec(values, (b, side, side, channels), &Device::Cpu)
        };
        let features = BTreeMap::from([(5, map()?.into_inner()), (6, map()?.into_inner())]);
        let width = 8 * side;
        let class = |pixel: usize| {
            let (row, column) = (pixel / width % width, pixel % width);
            let offset = |at: usize| (at as f64 + 0.5) / width as f64 - 0.5;
            let radius = offset(row).hypot(offset(column));
            u8::from(radius < 0.28) + u8::from(radius < 0.2) + u8::from(radius < 0.14)
        };
        let labels: Vec<u8> = (0..b * width * width).map(class).collect();
        Ok(Self { features, labels: Tensor::from_vec(labels, (b, width, width), &Device::Cpu)? })
    }
}

/// Eq. (4) between the modalities for the layer pair (5, 6).
pub(crate) fn loss(modalities: &[Modality], reading: Reading) -> Result<Tensor> {
    let sides: Vec<Side<'_>> =
        modalities.iter().map(|Modality { features, labels }| Side { features, labels }).collect();
    affinity_loss(&sides, &[(5, 6)], 4, &reading)
}

/// The next number of a splitmix64 stream, in −0.75..1.25.
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32;
    2.0 * unit - 0.75
}
