//! Every way in which Eqs. (2) to (4) can be read, one key per sentence that leaves a choice.

use serde::{Deserialize, Serialize};

/// How the affinity and its loss are read from the paper.
///
/// A point in the space of readings: code branches on these values, never on a method's name. Keys
/// left out of a file take the value of [`Reading::default`].
///
/// # Examples
///
/// ```
/// use duomo_affinity::{Consistency, Reading, Scope, SizeNormalization};
///
/// let reading = Reading::default();
/// assert_eq!(reading.scope, Scope::Batch);
/// assert_eq!(reading.size_normalization, SizeNormalization::None);
/// assert_eq!(reading.consistency, Consistency::Elementwise);
/// assert!(reading.background && reading.class_specific);
/// ```
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// Which pixels one cosine runs over.
    pub scope: Scope,
    /// What `S_c` of Eq. (3) is.
    pub size_normalization: SizeNormalization,
    /// What the norm of Eq. (4) is taken of.
    pub consistency: Consistency,
    /// Whether class 0 is one of the `C` classes.
    ///
    /// On by default: Fig. 2 of the paper shows four maps for three structures, and the Dice loss
    /// beside it counts the background as well. Off, classes are `1..C` and the divisor is `C − 1`.
    pub background: bool,
    /// Whether pixels are masked by class at all.
    ///
    /// On by default (method "CSA"). Off is the paper's ablation "Affinity": one mask over all
    /// pixels, `C = 1`; label values and `background` then play no part.
    pub class_specific: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            size_normalization: SizeNormalization::default(),
            consistency: Consistency::default(),
            background: true,
            class_specific: true,
        }
    }
}

/// The pixels that one cosine of Eq. (3) runs over.
///
/// The paper writes Eq. (3) for a feature map and is silent about the mini-batch.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All pixels of the class in the mini-batch, as one vector.
    ///
    /// The default. In short-axis and coronal stacks many slices lack a class, and a class of a few
    /// pixels has a cosine that is mostly noise; pooled over the batch the vector is long and
    /// nearly always present. The two modalities' slices are unpaired, so nothing is lost by not
    /// telling slices apart.
    #[default]
    Batch,
    /// Slice by slice, then the mean over the slices that hold the class.
    ///
    /// Eq. (3) taken to the letter for "each 2D slice". Large and small regions count the same.
    Slice,
}

/// `S_c` of Eq. (3), "the size of the region of interest".
///
/// The paper wants `1/S_c` "to ensure that the affinity is invariant to the size of the saliency
/// region". A cosine already is: both its dot product and its norms grow with the region. Dividing
/// again makes small regions count more, in the loss by the square of the ratio of their sizes.
///
/// Measured with `examples/readings.rs` on random features of two modalities (`B` = 8, `h` = `w` =
/// 28, `M` = `N` = 128, `C` = 4; classes 0 to 3 have 75, 12, 6 and 6 % of the pixels), batch scope,
/// elementwise; the gradient is that of the loss with respect to all four maps:
///
/// | `S_c` | loss | length of the gradient | % of its square in classes 0 to 3 |
/// |---|---|---|---|
/// | `pixels` | 1.7e-8 | 6.9e-10 | 0, 1, 30, 69 |
/// | `fraction` | 6.5e-1 | 2.7e-2 | 0, 1, 30, 69 |
/// | `none` | 3.0e-3 | 1.1e-4 | 0, 12, 40, 48 |
///
/// With pixel counts the gradient is 160 000 times smaller than without: a loss weight of 0.5 then
/// changes nothing. The share is large enough, but leaves class 1 next to no say. Random features
/// show the scale of a term, not whether it helps: that takes training runs with each value.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeNormalization {
    /// The number of pixels: the literal reading.
    Pixels,
    /// The share of the pixels, between 0 and 1: same proportions between classes as the literal
    /// reading, but of order 1 and independent of the resolution.
    Fraction,
    /// 1: the cosine itself, which meets the stated purpose.
    #[default]
    None,
}

/// What the norm of Eq. (4) is taken of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// `((1/P) Σ_i (A¹_i − A²_i))²`: Eq. (4) to the letter, where the norm is of a scalar.
    ///
    /// Only the *mean* affinity has to agree, entries of opposite sign cancel, and the matrix is
    /// never needed (see [`mean_affinity`](fn@crate::mean_affinity)).
    MeanDifference,
    /// `(1/P) Σ_i (A¹_i − A²_i)²`: every entry has to agree.
    ///
    /// The default: "consistency of CSA between the two modalities using an L2 norm" speaks of the
    /// matrices, and a norm around a scalar would be idle. The literal form can be met by matrices
    /// that agree nowhere. Measured as for [`SizeNormalization`], without size normalisation: a loss
    /// of 3.0e-3 and a gradient of 1.1e-4, against 6.7e-6 and 1.2e-5 for the mean difference.
    #[default]
    Elementwise,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_keys_in_kebab_case_and_fills_in_the_rest() {
        let text = "scope = \"slice\"\nconsistency = \"mean-difference\"\nbackground = false";

        let reading: Reading = toml::from_str(text).unwrap();

        let expected = Reading {
            scope: Scope::Slice,
            consistency: Consistency::MeanDifference,
            background: false,
            ..Reading::default()
        };
        assert_eq!(reading, expected);
    }

    #[test]
    fn a_reading_survives_being_written_and_read() {
        for size_normalization in
            [SizeNormalization::Pixels, SizeNormalization::Fraction, SizeNormalization::None]
        {
            let reading = Reading { size_normalization, ..Reading::default() };

            let text = toml::to_string(&reading).unwrap();

            assert_eq!(toml::from_str::<Reading>(&text).unwrap(), reading, "{text}");
        }
    }

    #[test]
    fn names_the_key_it_does_not_know() {
        let error = toml::from_str::<Reading>("normalisation = \"none\"").unwrap_err();

        assert!(
            error.message().starts_with("unknown field `normalisation`, expected one of `scope`")
        );
    }
}
