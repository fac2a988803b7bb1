//! A method: a point in sharing × normalization × transfer, read from a TOML file.

use duomo_affinity::Reading;
use duomo_model::Normalization;
use serde::{Deserialize, Serialize};

/// How a method shares, normalises and transfers between modalities.
///
/// A method is a point in this space, never a name that the code branches on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Row label in reports, as printed in the paper's tables.
    pub label: String,
    /// Which convolution kernels the modalities have in common.
    pub sharing: Sharing,
    /// Whether each modality keeps its own batch norm (Eq. 1).
    pub normalization: Normalization,
    /// Losses added to the segmentation loss (Eq. 5), in the order they are summed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer: Vec<Transfer>,
}

/// Which convolution kernels the modalities have in common.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// One set of kernels for all modalities.
    Shared,
    /// One network per modality, each trained alone for the same steps.
    Separate,
}

/// A loss that carries knowledge from one modality to another.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "loss", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Transfer {
    /// Symmetric Kullback–Leibler divergence between softened class confusions (\[Dou2020\]).
    Distillation {
        /// Multiplier in the total loss.
        weight: f64,
        /// Softmax temperature, above 1 to soften.
        temperature: f64,
    },
    /// Distance between the class-specific affinities of the modalities (Eqs. 3 and 4).
    ClassAffinity {
        /// Multiplier in the total loss, λ of Eq. 5.
        weight: f64,
        /// Pairs (l, k) of network groups whose features are compared.
        pairs: Vec<(usize, usize)>,
        /// Which reading of Eqs. 2 to 4 is computed.
        reading: Reading,
    },
}

impl Transfer {
    /// Multiplier in the total loss.
    pub fn weight(&self) -> f64 {
        match self {
            Self::Distillation { weight, .. } | Self::ClassAffinity { weight, .. } => *weight,
        }
    }

    /// The network groups whose features this loss reads.
    pub fn groups(&self) -> Vec<usize> {
        match self {
            Self::Distillation { .. } => Vec::new(),
            Self::ClassAffinity { pairs, .. } => pairs.iter().flat_map(|&(l, k)| [l, k]).collect(),
        }
    }
}

impl Method {
    /// The network groups whose features any transfer loss reads, ascending and without repeats.
    pub fn groups(&self) -> Vec<usize> {
        let mut groups: Vec<usize> = self.transfer.iter().flat_map(Transfer::groups).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The modalities that each network serves, as indices into the data set's modalities.
    pub fn networks(&self, modalities: usize) -> Vec<Vec<usize>> {
        match self.sharing {
            Sharing::Shared => vec![(0..modalities).collect()],
            Sharing::Separate => (0..modalities).map(|modality| vec![modality]).collect(),
        }
    }
}
