//! What can go wrong in this crate.

use std::fmt;

/// Why a network could not be built, loaded or run, or a loss not computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of the architecture is outside its domain.
    #[error("`{key}` of the architecture must be {expected}, got {given}")]
    Architecture {
        /// The key, as written in a configuration.
        key: &'static str,
        /// Its domain, in words.
        expected: &'static str,
        /// The value found.
        given: String,
    },
    /// The number of image batches is not the number of modalities.
    #[error(
        "got images of {given} modalities, but the network has {expected}; \
         give one batch per modality, in the order of their indices"
    )]
    ModalityCount {
        /// Image batches given.
        given: usize,
        /// Modalities of the architecture.
        expected: usize,
    },
    /// A modality that the network does not have.
    #[error("modality {given} does not exist: the network has {modalities}, counted from 0")]
    UnknownModality {
        /// The index given.
        given: usize,
        /// Modalities of the architecture.
        modalities: usize,
    },
    /// A group that the network does not have.
    #[error("group {0} does not exist: features can be kept of groups 1 to 10")]
    UnknownGroup(usize),
    /// An image batch that the network cannot take.
    #[error(
        "images of modality {modality} have shape {given:?}, expected [B, H, W, {input_slices}] \
         with B at least 1 and with H and W multiples of 8; pad or crop the slices"
    )]
    ImageShape {
        /// Index of the modality.
        modality: usize,
        /// The shape found.
        given: Vec<usize>,
        /// Channels that the architecture takes.
        input_slices: usize,
    },
    /// Two modalities' slices differ in size, so they cannot form one batch.
    #[error(
        "slices of modality {modality} are {given:?} pixels, those of modality 0 are {expected:?}; \
         prepare all modalities with one crop size"
    )]
    ImageSizes {
        /// Index of the modality that differs.
        modality: usize,
        /// Its `[H, W]`.
        given: [usize; 2],
        /// `[H, W]` of modality 0.
        expected: [usize; 2],
    },
    /// Tensors that do not belong to this network.
    #[error("tensors do not fit the network:{}", conflicts(missing, unexpected, mismatched))]
    Parameters {
        /// Names that the network needs and that were not given.
        missing: Vec<String>,
        /// Names given that the network does not know.
        unexpected: Vec<String>,
        /// Names whose shapes differ.
        mismatched: Vec<ShapeConflict>,
    },
    /// Labels do not cover the pixels of the logits.
    #[error(
        "labels have shape {labels:?} and type {dtype}, logits have shape {logits:?}; \
         expected u8 labels [B, H, W] for logits [B, H, W, C]"
    )]
    LabelShape {
        /// Shape of the logits.
        logits: Vec<usize>,
        /// Shape of the labels.
        labels: Vec<usize>,
        /// Element type of the labels.
        dtype: &'static str,
    },
    /// Logits and labels are lists of different lengths, or too short to compare modalities.
    #[error(
        "distillation compares modalities: got {logits} batches of logits and {labels} of labels, \
         expected the same number, at least 2"
    )]
    Sides {
        /// Batches of logits given.
        logits: usize,
        /// Batches of labels given.
        labels: usize,
    },
    /// The softmax temperature is not a positive number.
    #[error("temperature must be a finite number above 0, got {0}")]
    Temperature(f64),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A tensor whose shape is not the one the network needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeConflict {
    /// Name of the parameter.
    pub name: String,
    /// Shape given.
    pub given: Vec<usize>,
    /// Shape of the network's parameter.
    pub expected: Vec<usize>,
}

impl fmt::Display for ShapeConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has {:?}, expected {:?}", self.name, self.given, self.expected)
    }
}

/// Names listed in full before a message says how many more there are.
const NAMES_SHOWN: usize = 4;

fn conflicts(missing: &[String], unexpected: &[String], mismatched: &[ShapeConflict]) -> String {
    let parts = [
        ("missing", listed(missing)),
        ("unexpected", listed(unexpected)),
        ("of another shape", listed(mismatched)),
    ];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!(" {what}: {names}"))
        .collect();
    told.join(";")
}

fn listed<T: fmt::Display>(items: &[T]) -> String {
    let mut shown: Vec<String> = items.iter().take(NAMES_SHOWN).map(T::to_string).collect();
    if items.len() > NAMES_SHOWN {
        shown.push(format!("and {} more", items.len() - NAMES_SHOWN));
    }
    shown.join(", ")
}
