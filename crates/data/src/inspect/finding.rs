//! What can be wrong with a folder of cases, or odd about it.

use std::path::PathBuf;

use serde::Serialize;

/// Something that deserves attention, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What kind of finding it is.
    pub kind: FindingKind,
    /// Name of the modality, if the file has one.
    pub modality: Option<String>,
    /// The patient, if the file has one.
    pub patient: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// What was found, as a phrase.
    pub found: String,
    /// What was expected, as a phrase.
    pub expected: String,
    /// What would help, as a phrase.
    pub remedy: String,
}

/// Kinds of findings; the first ones are faults, which keep a case out of training or spoil what it learns.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A modality of which nothing can be trained on.
    NoCases,
    /// A file that is not one readable volume.
    Unreadable,
    /// A label map without its image.
    Unpaired,
    /// Two files for one patient and role, or a file that two modalities claim.
    Ambiguous,
    /// Image and label map of different shapes.
    Shape,
    /// Image and label map at different places.
    Geometry,
    /// Label values that no class has.
    UnknownLabels,
    /// An image in which every voxel is alike.
    EmptyImage,
    /// The same voxels under two names.
    Duplicate,
    /// A case that cannot be prepared for another reason.
    Unprepared,
    /// A label map without any class; from here on, warnings.
    EmptyLabels,
    /// NaN or infinite voxels.
    NotFinite,
    /// sform and qform that place the volume differently.
    Forms,
    /// Anything else that the reader met and could read.
    Oddity,
    /// A spacing unlike the other cases'.
    Spacing,
    /// Grey values unlike the other cases'.
    Intensities,
}

impl FindingKind {
    /// Returns whether it has to be mended before training; anything else is worth a look.
    pub fn is_fault(self) -> bool {
        self < Self::EmptyLabels
    }
}
