//! How much memory a network takes.

use crate::Architecture;
use crate::layers::{After, GROUPS};

/// Bytes of an `f32`.
const NUMBER: usize = size_of::<f32>();

/// Numbers kept per parameter: value, gradient, and Adam's two moments.
const PER_PARAMETER: usize = 4;

/// Feature maps of the head's size that a step holds besides what its tape keeps.
const IN_FLIGHT: usize = 2;

impl Architecture {
    /// Returns about how many bytes a training step in `f32` holds at its peak, with `slices` of all
    /// modalities together, each of `height` × `width` pixels.
    ///
    /// Counts parameters with their gradients and Adam's moments, what the backward pass needs, and the
    /// largest maps in flight; not the operations' workspace, the affinity's copies of its features, and
    /// the patients' images.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_model::Architecture;
    ///
    /// let paper = Architecture::paper(4, 2);
    /// let gibibytes = paper.training_bytes(16, 224, 224) as f64 / f64::from(1 << 30);
    /// assert!((1.5..2.0).contains(&gibibytes), "{gibibytes}");
    /// ```
    pub fn training_bytes(&self, slices: usize, height: usize, width: usize) -> usize {
        let parameters = self.count_kernels() + self.norm_rows() * self.count_norm_per_modality();
        let head = 8 * self.classes * height * width;
        let maps = self.kept_numbers(height, width) + IN_FLIGHT * head;
        NUMBER * (PER_PARAMETER * parameters + slices * maps)
    }

    /// Numbers of one slice that a training pass keeps for its backward pass.
    fn kept_numbers(&self, height: usize, width: usize) -> usize {
        let mut pixels = height * width;
        let mut channels = self.width;
        let mut numbers = (self.input_slices + channels) * pixels;
        for (plan, &blocks) in GROUPS.iter().zip(&self.blocks) {
            for _ in 0..blocks {
                let out = plan.widening * self.width;
                // Both units' results; what their norms return is computed anew where it is read.
                numbers += 2 * out * pixels;
                channels = out;
            }
            if plan.after == After::MaxPool {
                pixels /= 4;
                numbers += channels * pixels;
            }
        }
        numbers += 2 * channels * pixels; // group 9

        // Group 10 before its norm and after it, with either head, and the logits twice: the network's
        // and the loss's.
        let head = 8 * self.classes * height * width;
        numbers + 2 * head + 2 * self.classes * height * width
    }
}
