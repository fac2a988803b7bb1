//! Where a feature map is bright: its energy within each class, the norms of Eq. (3) squared.

use candle_core::{DType, Result, Tensor, bail};

use crate::{reading::Reading, regions::Regions};

/// Energy of every channel of a feature map within every class, summed over batches.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassEnergy {
    /// `E_c(m) = Σ F_m(p)²` over the pixels `p` of class `c`, `[C, M]` row-major.
    pub energy: Vec<f64>,
    /// Pixels of each class at the map's resolution, `[C]`.
    pub pixels: Vec<usize>,
}

impl ClassEnergy {
    /// Returns the energies of one batch.
    ///
    /// # Shapes
    ///
    /// - `features`: `[B, h, w, M]`, any float type
    /// - `labels`: `[B, H, W]`, `u8` class indices below `classes`; resized by nearest neighbour
    ///
    /// # Errors
    ///
    /// If shapes, types or label values are other than stated.
    ///
    /// # Examples
    ///
    /// ```
    /// # use candle_core::{Device, Result, Tensor};
    /// use duomo_affinity::ClassEnergy;
    ///
    /// # fn main() -> Result<()> {
    /// // Three pixels of one channel, the first of class 0.
    /// let features = Tensor::new(&[3f32, 1.0, -2.0], &Device::Cpu)?.reshape((1, 1, 3, 1))?;
    /// let labels = Tensor::new(&[[[0u8, 1, 1]]], &Device::Cpu)?;
    ///
    /// let energy = ClassEnergy::new(&features, &labels, 2)?;
    ///
    /// assert_eq!((energy.energy, energy.pixels), (vec![9.0, 5.0], vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(features: &Tensor, labels: &Tensor, classes: usize) -> Result<Self> {
        let &[b, h, w, channels] = features.dims() else {
            bail!("class energy: features have shape {:?}, expected [B, h, w, M]", features.dims());
        };
        let regions = Regions::new(labels, [b, h, w], classes, Reading::default())?;
        let values = features.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let (mut energy, mut pixels) = (vec![0.0; classes * channels], vec![0; classes]);
        for region in &regions.list {
            pixels[region.class] += region.rows.len();
            let sums = &mut energy[region.class * channels..][..channels];
            for &pixel in &regions.order[region.rows.clone()] {
                let row = &values[pixel * channels..][..channels];
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value * value;
                }
            }
        }
        Ok(Self { energy, pixels })
    }

    /// Adds the energies of a further batch of the same channels and classes.
    ///
    /// # Panics
    ///
    /// If channels or classes differ.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(
            (self.energy.len(), self.pixels.len()),
            (other.energy.len(), other.pixels.len()),
            "channels and classes of two batches"
        );
        self.energy.iter_mut().zip(&other.energy).for_each(|(sum, value)| *sum += value);
        self.pixels.iter_mut().zip(&other.pixels).for_each(|(sum, count)| *sum += count);
    }

    /// The share `E_c(m) / Σ_k E_k(m)` of each class, `[C]`; none of a channel that is zero everywhere.
    pub fn shares(&self, channel: usize) -> Option<Vec<f64>> {
        normalized(self.of_channel(channel).collect())
    }

    /// As [`Self::shares`], of the mean energy per pixel `E_c(m) / |c|`: every class counts alike
    /// however large it is, and a map without a preference has `1/C` everywhere (`C`: classes present).
    pub fn balanced_shares(&self, channel: usize) -> Option<Vec<f64>> {
        let energies = self.of_channel(channel).zip(&self.pixels);
        let density = |(energy, &pixels): (f64, &usize)| {
            if pixels == 0 { 0.0 } else { energy / pixels as f64 }
        };
        normalized(energies.map(density).collect())
    }

    /// Number of channels, `M`.
    pub fn channels(&self) -> usize {
        self.energy.len() / self.pixels.len().max(1)
    }

    fn of_channel(&self, channel: usize) -> impl Iterator<Item = f64> {
        self.energy.iter().copied().skip(channel).step_by(self.channels().max(1))
    }
}

/// The values over their sum; none if it is 0 or not finite.
fn normalized(values: Vec<f64>) -> Option<Vec<f64>> {
    let sum: f64 = values.iter().sum();
    (sum > 0.0 && sum.is_finite()).then(|| values.into_iter().map(|value| value / sum).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Two channels on four pixels, of which the last is of class 1.
    fn energy() -> ClassEnergy {
        let values = [1f32, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let features = Tensor::new(&values, &Device::Cpu).unwrap().reshape((1, 2, 2, 2)).unwrap();
        let labels = Tensor::new(&[[[0u8, 0], [0, 1]]], &Device::Cpu).unwrap();
        ClassEnergy::new(&features, &labels, 3).unwrap()
    }

    #[test]
    fn a_flat_map_has_the_share_of_pixels_and_balanced_the_share_of_classes() {
        let energy = energy();

        assert_eq!(energy.pixels, [3, 1, 0]);
        assert_eq!(energy.shares(0), Some(vec![0.75, 0.25, 0.0]));
        assert_eq!(energy.balanced_shares(0), Some(vec![0.5, 0.5, 0.0]));
    }

    #[test]
    fn a_map_that_is_zero_has_no_share() {
        assert_eq!((energy().shares(1), energy().balanced_shares(1)), (None, None));
    }

    #[test]
    fn batches_add_up() {
        let mut sum = energy();

        sum.add(&energy());

        assert_eq!(sum.pixels, [6, 2, 0]);
        assert_eq!(sum.energy[..2], [6.0, 0.0]);
        assert_eq!(sum.shares(0), energy().shares(0));
    }

    #[test]
    fn energies_are_the_squared_norms_of_the_affinity() {
        // A channel's affinity with itself is 1 exactly where its energy is not 0.
        let values: Vec<f32> =
            (0..32).map(|i| if i % 2 == 0 { (i as f32).sin() } else { 0.0 }).collect();
        let features = Tensor::from_vec(values, (1, 4, 4, 2), &Device::Cpu).unwrap();
        let labels = Tensor::from_vec(
            (0..16).map(|pixel| u8::from(pixel > 9)).collect::<Vec<_>>(),
            (1, 4, 4),
            &Device::Cpu,
        );
        let labels = labels.unwrap();

        let energy = ClassEnergy::new(&features, &labels, 2).unwrap();
        let affinity =
            crate::class_affinity(&features, &features, &labels, 2, &Reading::default()).unwrap();

        let affinity = affinity.to_vec3::<f32>().unwrap();
        for (class, of_class) in affinity.iter().enumerate() {
            for (channel, row) in of_class.iter().enumerate() {
                let expected = f32::from(u8::from(energy.energy[class * 2 + channel] > 0.0));
                assert!((row[channel] - expected).abs() < 1e-6, "{class} {channel}");
            }
        }
    }

    #[test]
    fn a_shape_that_is_no_map_is_refused() {
        let flat = Tensor::new(&[1f32], &Device::Cpu).unwrap();

        let error = ClassEnergy::new(&flat, &flat, 2).unwrap_err().to_string();

        assert!(error.contains("features have shape [1], expected [B, h, w, M]"), "{error}");
    }
}
