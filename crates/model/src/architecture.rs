//! The sizes and choices that make a network.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::layers::{ParameterSpec, Role, parameter_specs};

/// Sizes and choices of a network: everything needed to build it but the numbers.
///
/// | group | contents (channels out) | after |
/// |---|---|---|
/// | 1 | 3×3 convolution `s → b`, then residual blocks `b` | max-pool 2 |
/// | 2 | residual blocks `2b` | max-pool 2 |
/// | 3 | residual blocks `4b` | max-pool 2 |
/// | 4, 5, 6, 7 | residual blocks `8b`, `16b`, `16b`, `32b` | |
/// | 8 | residual blocks `32b`, dilation 2 | |
/// | 9 | two units `32b`, no skip | |
/// | 10 | [`Head`]: from stride 8 to full size, `8C` | |
/// | output | 5×5 convolution `8C → C`, symmetric padding | |
///
/// A unit is batch norm, LeakyReLU(0.2), 3×3 convolution without bias, dropout; a residual block is
/// two units and a skip, zero-padded in channels where the block widens.
///
/// # Source
///
/// \[Chen2020\] Sect. 2 and the 2D network of \[Dou2020\]'s code, which it follows.
///
/// # Examples
///
/// ```
/// use duomo_model::Architecture;
///
/// let paper = Architecture::paper(5, 2);
/// assert_eq!(paper.count_kernels() / 100_000, 393); // 39.3 million, shared by both modalities
/// assert_eq!(paper.count_norm_per_modality(), 20_192);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Base width `b`: channels of group 1. The paper has 16.
    pub width: usize,
    /// Slices seen at once, as channels: 1 (the paper) or an odd number of neighbours.
    pub input_slices: usize,
    /// Classes `C`, background included.
    pub classes: usize,
    /// Modalities, each an index from 0.
    pub modalities: usize,
    /// Residual blocks of groups 1 to 8. The paper has `[1, 1, 2, 2, 2, 2, 2, 2]`.
    pub blocks: [usize; 8],
    /// How group 10 returns to full size.
    pub head: Head,
    /// Which slices share their normalisation.
    pub normalization: Normalization,
    /// Probability that a unit drops an output entry in training.
    ///
    /// The paper's "drop rate of 0.75" is the *keep* probability in the code it descends from,
    /// hence 0.25.
    pub dropout: f64,
    /// Start values of the kernels.
    pub init: Init,
}

/// How group 10 returns from stride 8 to full size.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// 3×3 convolution (symmetric padding) to `64·8C` channels, norm, then every 64 channels become
    /// an 8×8 square.
    PixelShuffle,
    /// Transposed convolution 16×16, stride 8, padding 4, to `8C` channels, then norm.
    Transposed,
}

/// Which slices share γ, β and statistics of a batch norm.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// Each modality has its own (Eq. 1).
    PerModality,
    /// All modalities' slices form one batch with one set.
    Shared,
}

/// Start values of the kernels.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// Normal with variance `2 / ((1 + 0.2²) · fan-in)` \[He2015\].
    He,
    /// Normal with σ 0.01, redrawn beyond 2σ (\[Dou2020\]'s code).
    TruncatedNormal,
}

impl Architecture {
    /// Returns the paper's network for `classes` (background included) and `modalities`.
    ///
    /// Its one departure is He initialisation, see [`Init`].
    pub fn paper(classes: usize, modalities: usize) -> Self {
        Self {
            width: 16,
            input_slices: 1,
            classes,
            modalities,
            blocks: [1, 1, 2, 2, 2, 2, 2, 2],
            head: Head::PixelShuffle,
            normalization: Normalization::PerModality,
            dropout: 0.25,
            init: Init::He,
        }
    }

    /// Checks that every key lies in its domain.
    ///
    /// # Errors
    ///
    /// [`Error::Architecture`] names the first key that does not, its value and its domain.
    pub fn validate(&self) -> Result<(), Error> {
        const POSITIVE: &str = "at least 1";
        const ODD: &str = "odd (neighbours on both sides)";
        const CLASSES: &str = "in 2..=255, background included";
        const BLOCKS: &str = "at least 1 in every group";

        let blocks = format!("{:?}", self.blocks);
        let rules = [
            ("width", self.width >= 1, POSITIVE, self.width.to_string()),
            ("input_slices", self.input_slices % 2 == 1, ODD, self.input_slices.to_string()),
            ("classes", (2..=255).contains(&self.classes), CLASSES, self.classes.to_string()),
            ("modalities", self.modalities >= 1, POSITIVE, self.modalities.to_string()),
            ("blocks", !self.blocks.contains(&0), BLOCKS, blocks),
            ("dropout", (0.0..1.0).contains(&self.dropout), "in 0..1", self.dropout.to_string()),
        ];
        match rules.into_iter().find(|(_, holds, ..)| !holds) {
            Some((key, _, expected, given)) => Err(Error::Architecture { key, expected, given }),
            None => Ok(()),
        }
    }

    /// Returns how many weights the convolution kernels have together.
    pub fn count_kernels(&self) -> usize {
        self.count(|role| matches!(role, Role::Kernel { .. }))
    }

    /// Returns how many γ and β one modality has.
    pub fn count_norm_per_modality(&self) -> usize {
        self.count(|role| matches!(role, Role::Gamma | Role::Beta)) / self.norm_rows()
    }

    /// Rows of γ, β and running statistics.
    pub(crate) fn norm_rows(&self) -> usize {
        match self.normalization {
            Normalization::PerModality => self.modalities,
            Normalization::Shared => 1,
        }
    }

    /// Row of γ, β and statistics that a modality uses.
    pub(crate) fn norm_row(&self, modality: usize) -> usize {
        match self.normalization {
            Normalization::PerModality => modality,
            Normalization::Shared => 0,
        }
    }

    fn count(&self, counted: impl Fn(&Role) -> bool) -> usize {
        let specs = parameter_specs(self);
        specs.iter().filter(|spec| counted(&spec.role)).map(ParameterSpec::count).sum()
    }
}

#[cfg(test)]
mod tests;
